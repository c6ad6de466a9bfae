"""What traces and figures cost: the factory as it is, against one that tells nothing of itself."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.contest.contest import Plan
from benchmarks.contest.home import Home
from benchmarks.contest.pairs import measure_in_turn
from benchmarks.contest.server import Server

_SILENT = {"OTEL_SDK_DISABLED": "true"}


async def measure_telemetry(server: Server, folder: Path, *, plan: Plan, console: Console) -> dict[str, Any]:
    """Measure both in turn; `share` is what is left of the throughput."""
    async with AsyncExitStack() as stack:
        homes: dict[str, Home] = {}
        for name, environment in (("silent", _SILENT), ("telling", {})):
            dsn = await server.fresh(f"factory_{name}")
            home = Home.running(dsn, folder / name, environment=environment)
            homes[name] = await stack.enter_async_context(home)
        return await measure_in_turn(homes, rounds=plan.rounds, seconds=plan.seconds, console=console)
