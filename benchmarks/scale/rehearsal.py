"""What every rehearsal does around its own part: a folder, what is printed, and the end of what it started."""

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import psutil

_END_SECONDS = 20


def rehearse(work: Callable[[Path], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
    """Run a rehearsal in a folder of its own, which goes with it; return what was seen."""
    with tempfile.TemporaryDirectory(prefix="factory-rehearsal-", ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs under an account of its own where this is root.
        Path(folder).chmod(0o755)
        # Ray tells of killed nodes on standard output.
        with redirect_stdout(sys.stderr):
            return asyncio.run(work(Path(folder)))


def tell(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what was seen, a line for each fact or one JSON object."""
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' ')}: {value}")


def end(process: "subprocess.Popen[bytes]", with_signal: signal.Signals) -> None:
    """Send a signal to a process and to all that it started; what is still there after a while is killed."""
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(process.pid)
        found = [top, *top.children(recursive=True)]
    for one in found:
        with suppress(psutil.Error):
            one.send_signal(with_signal)
    _, alive = psutil.wait_procs(found, timeout=_END_SECONDS)
    for one in alive:
        with suppress(psutil.Error):
            one.kill()
    process.wait()
