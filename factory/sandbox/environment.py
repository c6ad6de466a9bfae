"""Virtual environments for generated projects, made once for each set of requirements."""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factory.domain.errors import ErrorCategory, RetryableError

_COMPLETE = ".complete"
_LOG_TAIL = 2000
_BUILD_SECONDS = 900
_READ_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
_RUN_ALL = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


class EnvironmentCache:
    """Environments below one folder, each at the path it was built for, since scripts in it name that path.

    An environment is whole where its marker exists, and the marker is written last. Builders of the same
    environment wait for each other by a file lock, which the system frees when its holders have ended;
    the next one starts over where the marker is missing.

    Args:
        root: The folder, such as `<data_dir>/environments`; made when needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def key(self, requirements: str) -> str:
        """Return the hash that names an environment: of the requirements, without comments and order, and Python."""
        return requirements_hash(requirements)

    def ensure(self, requirements: str) -> Path:
        """Return a complete environment that holds the requirements, building it where there is none.

        The caller's environment variables (PIP_*, UV_*, proxies, certificates) apply to the build.

        Args:
            requirements: The text of a requirements file.

        Raises:
            RetryableError: Something could not be installed; the message ends with the tail of the log.
        """
        folder = self._root / self.key(requirements)
        if (folder / _COMPLETE).exists():
            return folder
        self._root.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")) as lock:
            if not (folder / _COMPLETE).exists():
                shutil.rmtree(folder, ignore_errors=True)
                _build(folder, requirements, lock)
                (folder / _COMPLETE).touch()
        return folder


def requirements_hash(requirements: str) -> str:
    """Return 24 hexadecimal digits for a set of requirements under this Python on this platform."""
    lines = (line.split(" #")[0].strip() for line in requirements.splitlines())
    wanted = sorted({line for line in lines if line and not line.startswith("#")})
    python = f"{sys.implementation.cache_tag} {sys.version_info[:3]} {sysconfig.get_platform()}"
    return hashlib.sha256("\n".join([python, *wanted]).encode()).hexdigest()[:24]


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _build(folder: Path, requirements: str, lock: int) -> None:
    """Build with uv where it is at hand, and with pip where it is not or where only pip knows the index."""
    wanted = folder.with_suffix(".txt")
    wanted.write_text(requirements, encoding="utf-8")
    python = str(folder / "bin" / "python")
    pip = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)],
    ]
    attempts = [pip]
    if uv := _uv():
        create = [uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode", "-r", str(wanted)]
        attempts.insert(0, [create, install])
    logs = []
    for commands in attempts:
        log = _run_all(commands, lock)
        if log is None:
            _open_for_reading(folder)
            return
        logs.append(log)
    shutil.rmtree(folder, ignore_errors=True)
    raise RetryableError(
        f"the environment {folder.name} for the generated project could not be built: {' | '.join(logs)}",
        category=ErrorCategory.DEPENDENCY,
        remedy="Check that the package index can be reached; PIP_INDEX_URL or UV_DEFAULT_INDEX name another one.",
    )


def _uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def _run_all(commands: list[list[str]], lock: int) -> str | None:
    """Run commands until one fails; return None, or the tail of that one's log.

    They inherit the lock, so that it is held until they end even where this process is killed.
    """
    for command in commands:
        try:
            done = subprocess.run(  # noqa: S603 - the factory's own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=_BUILD_SECONDS,
                umask=0o022,
                pass_fds=[lock],
            )
        except subprocess.TimeoutExpired:
            return f"{Path(command[0]).name} did not end within {_BUILD_SECONDS} s"
        if done.returncode != 0:
            log = done.stdout.decode(errors="replace").strip()[-_LOG_TAIL:]
            return f"{Path(command[0]).name} ended with {done.returncode}: {log}"
    return None


def _open_for_reading(folder: Path) -> None:
    """Let every user read the environment: the jail's user is another one, and caches may be private."""
    for root, _, files in os.walk(folder):
        for path in (Path(root), *(Path(root, name) for name in files)):
            mode = path.lstat().st_mode
            wanted = _READ_ALL | (_RUN_ALL if mode & stat.S_IXUSR else 0)
            if not stat.S_ISLNK(mode) and mode & wanted != wanted:
                path.chmod(stat.S_IMODE(mode) | wanted)
