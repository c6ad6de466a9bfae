"""The processes of a run, each started, killed, frozen and stopped by its id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import psutil

ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 30.0


@dataclass
class Member:
    """One process that is started again whenever it has ended, until it is told to stop."""

    name: str
    command: Sequence[str]
    process: "subprocess.Popen[bytes]"
    frozen: bool = False
    # Nobody starts it again before this time.
    rests_until: float = 0.0
    exits: list[int] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether the process runs, frozen or not."""
        return self.process.poll() is None


class Crew:
    """Starts members and ends all of them with the block, whatever happens. Their standard input is their life line."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT)}
        self._log: IO[bytes] = (folder / "crew.log").open("ab")
        self.members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members.values():
            self._end(member)
        self._log.close()

    def start(self, name: str, module: str, *arguments: str) -> Member:
        """Start a process under a name."""
        command = [sys.executable, "-m", module, *arguments]
        self.members[name] = Member(name, command, self._spawn(command))
        return self.members[name]

    def tend(self) -> None:
        """Start again whoever has ended."""
        for member in self.members.values():
            if not member.alive and time.monotonic() >= member.rests_until:
                self._restart(member)

    def kill(self, member: Member, rest: float = 0.0) -> bool:
        """Kill -9; True if it lived. It rests for some seconds before it is started again."""
        if not member.alive:
            return False
        _kill_tree(member.process)
        member.frozen = False
        member.rests_until = time.monotonic() + rest
        return True

    def freeze(self, member: Member) -> bool:
        """Stop a process without ending it; True if it lived."""
        if not member.alive:
            return False
        member.process.send_signal(signal.SIGSTOP)
        member.frozen = True
        return True

    def thaw(self, member: Member) -> None:
        """Let a frozen process go on."""
        if member.alive and member.frozen:
            member.process.send_signal(signal.SIGCONT)
        member.frozen = False

    def stop(self, name: str) -> int:
        """Let a member come to its own end; its exit code. It is not started again."""
        member = self.members[name]
        self.thaw(member)
        if not member.alive:
            self._restart(member)
        self._close_input(member)
        try:
            code = member.process.wait(_STOP_SECONDS)
        finally:
            self._end(self.members.pop(name))
        return code

    def dismiss(self, name: str) -> None:
        """Kill a member for good."""
        self._end(self.members.pop(name))

    def _spawn(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log
        )

    def _restart(self, member: Member) -> None:
        member.exits.append(member.process.wait())
        self._close_input(member)
        member.frozen = False
        member.process = self._spawn(member.command)

    def _end(self, member: Member) -> None:
        # A frozen process dies of this as well.
        _kill_tree(member.process)
        self._close_input(member)

    def _close_input(self, member: Member) -> None:
        if member.process.stdin is not None:
            member.process.stdin.close()


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kill -9 a process and all that it started (a whole Ray node, say), and wait for its end."""
    below: list[psutil.Process] = []
    with suppress(psutil.Error):
        below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in below:
        # psutil compares the time of creation, so an id that was given anew is not hit.
        with suppress(psutil.Error):
            child.kill()
    process.wait()
