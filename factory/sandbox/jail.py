"""Runs one command over one folder, confined, bounded, and gone at the end."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from factory.sandbox import bubblewrap, launcher
from factory.sandbox.errors import SandboxUnavailableError
from factory.sandbox.processes import descendants, kill, private_memory
from factory.sandbox.settings import SandboxMode, SandboxSettings

_TICK = 0.25
_GRACE = 5
_CHUNK = 65536
_NOT_CONFINED = (
    "The kernel must allow user namespaces: see user.max_user_namespaces, kernel.unprivileged_userns_clone and "
    "kernel.apparmor_restrict_unprivileged_userns, and in a container its security profile."
)


@dataclass(frozen=True, slots=True)
class JailResult:
    """What became of a command.

    Attributes:
        exit_code: Of the command; 128 plus the signal where one ended it.
        stdout: The end of what it wrote, at most `SandboxSettings.output_kib`.
        stderr: The same for the other stream.
        timed_out: The wall clock ended it.
        killed_reason: `timeout`, `memory`, `processes` or `cpu` where a limit ended it.
        seconds: Wall time, for people; never for artifacts.
    """

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool
    killed_reason: str | None
    seconds: float


class _Tail:
    """The last bytes of a stream; memory stays bounded however much is written."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()

    def add(self, chunk: bytes) -> None:
        self._data += chunk
        if len(self._data) > 2 * self._limit:
            del self._data[: -self._limit]

    def text(self) -> str:
        return bytes(self._data[-self._limit :]).decode(errors="replace")


class Jail:
    """Runs commands under one set of limits; when root runs it, all as one unprivileged user of its own."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self._user = bubblewrap.pick_user() if os.geteuid() == 0 else None
        self._handing_over = threading.Lock()

    @property
    def mode(self) -> SandboxMode:
        """How the commands are confined."""
        return self.settings.mode

    def project_path(self, workdir: Path) -> str:
        """Return the path under which a command sees the work folder."""
        return bubblewrap.PROJECT if self.mode is SandboxMode.BUBBLEWRAP else str(workdir)

    def run(
        self,
        argv: Sequence[str],
        workdir: Path,
        environment_dir: Path | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
    ) -> JailResult:
        """Run a command and wait for it; nothing that it started outlives the call or this process.

        Commands may run at the same time over one folder.

        Args:
            argv: The command; a bare name is looked for in the environment, then in the system.
            workdir: A folder made for this purpose: the command may write it, and when root calls, the first run
                hands it and all in it to the jail's user.
            environment_dir: A virtual environment, seen read-only.
            timeout: Wall seconds; default from the settings.
            env: Variables for the command beyond PATH, HOME and LANG; none is inherited.

        Raises:
            SandboxUnavailableError: Confinement is not possible on this machine; nothing was run.
        """
        limit = timeout or self.settings.wall_seconds
        if self.mode is SandboxMode.LIMITS:
            return self._run_limited(argv, workdir, environment_dir, limit, env or {})
        return self._run_confined(argv, workdir, environment_dir, limit, env or {})

    def _run_confined(
        self, argv: Sequence[str], workdir: Path, environment_dir: Path | None, timeout: float, env: Mapping[str, str]
    ) -> JailResult:
        bubblewrap.require_tools()
        if self._user is not None:
            with self._handing_over:
                _hand_over(workdir, self._user)
        descriptors = bubblewrap.Descriptors()
        reading, writing = os.pipe()
        try:
            line = bubblewrap.command_line(
                argv,
                settings=self.settings,
                workdir=workdir.resolve(),
                environment_dir=environment_dir,
                env=_variables(environment_dir, "/tmp", env),  # noqa: S108 - the jail's own
                user=self._user,
                status=writing,
                descriptors=descriptors,
            )
            process = subprocess.Popen(  # noqa: S603 - confining it is the purpose
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin"},
                pass_fds=[*descriptors.numbers, writing],
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            descriptors.close()
        result = self._attend(process, timeout)
        with os.fdopen(reading) as report:
            started = any("exit-code" in json.loads(text) for text in report if text.strip())
        if not started and result.killed_reason is None:
            raise SandboxUnavailableError(
                f"generated code cannot be confined: {result.stderr.strip()[-300:] or 'bubblewrap ended early'}.",
                remedy=_NOT_CONFINED,
            )
        return result

    def _run_limited(
        self, argv: Sequence[str], workdir: Path, environment_dir: Path | None, timeout: float, env: Mapping[str, str]
    ) -> JailResult:
        mib = 1024 * 1024
        limits = {
            "parent": os.getpid(),
            "RLIMIT_CPU": self.settings.cpu_seconds,
            "RLIMIT_AS": self.settings.memory_mib * mib,
            "RLIMIT_FSIZE": self.settings.file_mib * mib,
            "RLIMIT_NOFILE": 1024,
            "RLIMIT_CORE": 0,
        }
        temporary = tempfile.mkdtemp(prefix="factory-jail-")
        try:
            process = subprocess.Popen(  # noqa: S603 - limiting it is the purpose
                [sys.executable, "-I", "-S", launcher.__file__, json.dumps(limits), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=workdir,
                env=_variables(environment_dir, temporary, env),
                start_new_session=True,
            )
            return self._attend(process, timeout)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _attend(self, process: subprocess.Popen[bytes], timeout: float) -> JailResult:
        """Read the output and hold the limits until the command ends; then end all that it left."""
        started = time.monotonic()
        streams = {name: _Tail(self.settings.output_kib * 1024) for name in ("stdout", "stderr")}
        reason: str | None = None
        try:
            with selectors.DefaultSelector() as selector:
                for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
                    if stream is not None:
                        selector.register(stream, selectors.EVENT_READ, streams[name])
                while reason is None and process.poll() is None:
                    left = started + timeout - time.monotonic()
                    _read_ready(selector, min(_TICK, max(left, 0)))
                    reason = "timeout" if left <= 0 else self._excess(process.pid)
                self._end(process)
                # The pipes hold at most what fits in them; whoever still had them open is dead.
                while selector.get_map() and _read_ready(selector, 0):
                    pass
        finally:
            self._end(process)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        if reason is None and code == 128 + signal.SIGXCPU:
            reason = "cpu"
        return JailResult(
            exit_code=code,
            stdout=streams["stdout"].text(),
            stderr=streams["stderr"].text(),
            timed_out=reason == "timeout",
            killed_reason=reason,
            seconds=time.monotonic() - started,
        )

    def _excess(self, process: int) -> str | None:
        tree = descendants(process)
        if private_memory(tree) > self.settings.memory_mib * 1024 * 1024:
            return "memory"
        # bubblewrap and its first process come on top of what the command starts.
        return "processes" if len(tree) > self.settings.processes + 4 else None

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End the tree: bubblewrap's death takes its process namespace along, the launcher ends what is below it."""
        if process.poll() is None and self.mode is SandboxMode.LIMITS:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        if process.poll() is None:
            kill(descendants(process.pid))
        process.wait()


def _read_ready(selector: selectors.BaseSelector, wait: float) -> bool:
    """Read once from each stream that has something; False when there was nothing."""
    if not selector.get_map():
        time.sleep(min(wait, 0.02))
        return False
    ready = selector.select(wait)
    for key, _ in ready:
        stream: IO[bytes] = key.fileobj  # type: ignore[assignment]
        chunk = os.read(stream.fileno(), _CHUNK)
        if chunk:
            key.data.add(chunk)
        else:
            selector.unregister(stream)
    return bool(ready)


def _variables(environment_dir: Path | None, home: str, extra: Mapping[str, str]) -> dict[str, str]:
    path = "/usr/local/bin:/usr/bin:/bin"
    variables = {
        "PATH": path if environment_dir is None else f"{environment_dir / 'bin'}:{path}",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
    }
    if environment_dir is not None:
        variables["VIRTUAL_ENV"] = str(environment_dir)
    return {**variables, **extra}


def _hand_over(folder: Path, user: int) -> None:
    """Make the jail's user own a tree, without following links out of it; once, since commands may be in it by then."""
    if folder.stat().st_uid == user:
        return
    for _, _, files, descriptor in os.fwalk(folder, topdown=False, follow_symlinks=False):
        for name in files:
            os.chown(name, user, user, dir_fd=descriptor, follow_symlinks=False)
        os.chown(descriptor, user, user)
