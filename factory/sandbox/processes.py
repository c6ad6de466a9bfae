"""What a running jail consists of and uses, read from /proc; empty where there is no /proc."""

import os
import signal
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def descendants(root: int) -> list[int]:
    """Return a process and all that it started, parents first; processes that end meanwhile are left out."""
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop(0)
        found.append(process)
        with suppress(OSError):
            for task in (_PROC / str(process) / "task").iterdir():
                with suppress(OSError):
                    waiting += map(int, (task / "children").read_text().split())
    return found


def private_memory(processes: list[int]) -> int:
    """Return the resident bytes that the processes do not share with files or each other."""
    total = 0
    for process in processes:
        with suppress(OSError, ValueError, IndexError):
            _, resident, shared, *_ = (_PROC / str(process) / "statm").read_text().split()
            total += max(0, int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return total


def kill(processes: list[int]) -> None:
    """Send SIGKILL to each process that still exists."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
