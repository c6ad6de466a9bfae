"""Starts one command under resource limits and ends all that it leaves; run as a script.

The first argument holds the limits as JSON, the rest is the command. It is its own program because limits
set in a forked child of a threaded process can deadlock it, and because what the command leaves behind
must have a parent that ends it. It uses nothing but the standard library, since it runs isolated.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: list[str]) -> None:
    """Run the command, end its left-overs, and exit with its status (128 plus the signal where one ended it)."""
    limits: dict[str, int] = json.loads(arguments[0])
    parent = limits.pop("parent")
    signal.signal(signal.SIGTERM, lambda *_: _leave(128 + signal.SIGTERM))
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    _control(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the process that asked for this command has ended.")
    child = os.fork()
    if child == 0:
        _become(arguments[1:], limits)
    _, status = os.waitpid(child, 0)
    _leave(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _become(command: list[str], limits: dict[str, int]) -> None:
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _control(_PR_SET_NO_NEW_PRIVS, 1)
    for name, value in limits.items():
        # A CPU limit's soft end sends SIGXCPU, which names the reason; the hard end is for those who catch it.
        resource.setrlimit(getattr(resource, name), (value, value + 2 if name == "RLIMIT_CPU" else value))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, os.environ)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def _leave(code: int) -> None:
    """End every process below this one, those that come meanwhile too, and exit."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(ChildProcessError):
        while True:
            for child in _children():
                os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)
    os._exit(code)


def _children() -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


if __name__ == "__main__":
    main(sys.argv[1:])
