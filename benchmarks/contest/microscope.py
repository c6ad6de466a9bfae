"""Where the time of the factory's processes goes: processor seconds per process, and the supervisor's stacks."""

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

_SUPERVISOR = "SupervisorActor"
_LINES = 40
# Calls that wait in C code, which sampling takes for work.
_WAITS = ("Worker.main_loop", "Condition.wait", "select")
_NEEDS = (
    "py-spy is not there: it comes with ray[default], or with `pip install py-spy`. Sampling another process needs "
    "root, or kernel.yama.ptrace_scope=0."
)


def name_of(process: psutil.Process) -> str:
    """Return what a process does, short enough for a table."""
    command = process.cmdline() or [process.name()]
    if command[0].startswith("ray::"):
        return command[0].split()[0].removesuffix(".run")
    if process.name() == "postgres":
        return f"postgres {' '.join(command[0].removeprefix('postgres:').split()[:3])}"
    if process.name().startswith("python"):
        return " ".join(Path(part).name for part in command[1:4] if part != "-u")
    return process.name()


class Usage:
    """Processor seconds of a set of processes over a stretch of time."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._before = dict(_cpu_seconds(processes))

    def since(self, processes: Iterable[psutil.Process]) -> list[tuple[str, float]]:
        """Return the seconds used per kind of process, most first."""
        used: dict[str, float] = {}
        for process, seconds in _cpu_seconds(processes):
            with suppress(psutil.Error):
                name = name_of(process)
                used[name] = used.get(name, 0) + seconds - self._before.get(process, 0)
        return sorted(used.items(), key=lambda item: -item[1])


def _cpu_seconds(processes: Iterable[psutil.Process]) -> Iterable[tuple[psutil.Process, float]]:
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        yield process, times.user + times.system


@asynccontextmanager
async def sampled(processes: Callable[[], list[psutil.Process]], console: Console, title: str) -> AsyncIterator[None]:
    """Sample the supervisor's stacks during a block and print where its time went, and that of all processes."""
    supervisor = next((p for p in processes() if _SUPERVISOR in " ".join(p.cmdline()[:1])), None)
    spy = Path(sys.executable).with_name("py-spy")
    if supervisor is None or not spy.exists():
        console.print(_NEEDS if supervisor else "no supervisor runs")
        yield
        return
    with tempfile.NamedTemporaryFile(suffix=".collapsed", delete=False) as output:
        path = Path(output.name)
    command = [str(spy), "record", "--pid", str(supervisor.pid), "--format", "raw", "--rate", "200"]
    command += ["--output", str(path), "--duration", "3600"]
    recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: ASYNC220 - forks
    await asyncio.sleep(1)
    usage = Usage([*processes(), psutil.Process()])
    try:
        yield
    finally:
        used = usage.since([*processes(), psutil.Process()])
        recorder.send_signal(2)
        _, said = await asyncio.to_thread(recorder.communicate)
    console.rule(title)
    _print_usage(console, used)
    if recorder.returncode or not _read(path):
        console.print(f"py-spy recorded nothing: {said.decode(errors='replace').strip()[-400:]}\n{_NEEDS}")
        return
    _print_stacks(console, path)


def _read(path: Path) -> str:
    return path.read_text(errors="replace")


def _print_usage(console: Console, used: list[tuple[str, float]]) -> None:
    table = Table("process", "cpu seconds", title="Processor time during the run")
    for name, seconds in used:
        if seconds >= 0.05:  # noqa: PLR2004 - what is less explains nothing
            table.add_row(name, f"{seconds:.2f}")
    console.print(table)


def _print_stacks(console: Console, path: Path) -> None:
    """Print the functions that were on top of the supervisor's stacks, and those that were anywhere in them."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    total = 0
    for line in _read(path).splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        if not count.isdecimal() or any(wait in frames[-1] for wait in _WAITS):
            continue
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            whole[frame] += int(count)
    for title, counts in (("Own time", own), ("Time with callees", whole)):
        table = Table("share", "function", title=f"{title} of the supervisor ({total} samples while busy)")
        for name, samples in counts.most_common(_LINES):
            table.add_row(f"{samples / total:.1%}", name)
        console.print(table)
    console.print(f"All stacks, for a flame graph: {path}")
