"""Latency and throughput of a read, beside those of a hello-world, in turns."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from rich.console import Console

from benchmarks.door.plan import Plan
from benchmarks.door.stage import Door

_WARM_REQUESTS = 200


@dataclass(frozen=True, slots=True)
class _Target:
    name: str
    path: str
    headers: dict[str, str]


def compare(door: Door, plan: Plan, console: Console) -> dict[str, Any]:
    """Return figures of both, and the gateway's as ratios of the hello-world's: the median of all rounds."""
    targets = (
        _Target("hello", door.hello, {}),
        _Target("gateway", door.read, {"Authorization": f"Bearer {door.token}"}),
    )
    figures: dict[str, list[dict[str, float]]] = {target.name: [] for target in targets}
    for number in range(plan.rounds):
        for target in targets:
            measured = asyncio.run(_measure(door.url, target, plan))
            figures[target.name].append(measured)
            console.print(f"round {number + 1}: {target.name}: {_line(measured)}", highlight=False)
    found = {
        name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        for name, rounds in figures.items()
    }
    hello, gateway = found["hello"], found["gateway"]
    ratios = {
        "latency": gateway["p50_ms"] / hello["p50_ms"],
        "throughput": gateway["requests_per_second"] / hello["requests_per_second"],
    }
    return {**found, "ratio": ratios, "rounds": plan.rounds, "clients": plan.clients}


async def _measure(url: str, target: _Target, plan: Plan) -> dict[str, float]:
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), headers=target.headers) as session:
        await _timed(session, target.path, requests=_WARM_REQUESTS)
        alone = await _timed(session, target.path, seconds=plan.seconds)
        began = time.perf_counter()
        crowd = await asyncio.gather(*(_timed(session, target.path, seconds=plan.seconds) for _ in range(plan.clients)))
        took = time.perf_counter() - began
    together = [one for times in crowd for one in times]
    return {
        "p50_ms": statistics.median(alone) * 1e3,
        "p99_ms": statistics.quantiles(alone, n=100)[98] * 1e3,
        "requests_per_second": len(together) / took,
        "crowd_p50_ms": statistics.median(together) * 1e3,
        "crowd_p99_ms": statistics.quantiles(together, n=100)[98] * 1e3,
    }


async def _timed(
    session: aiohttp.ClientSession, path: str, *, seconds: float = 60, requests: int | None = None
) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and (requests is None or len(times) < requests):
        began = time.perf_counter()
        async with session.get(path) as response:
            await response.read()
            response.raise_for_status()
        times.append(time.perf_counter() - began)
    return times


def _line(measured: dict[str, float]) -> str:
    return (
        f"alone p50 {measured['p50_ms']:.2f} ms, p99 {measured['p99_ms']:.2f} ms; "
        f"together {measured['requests_per_second']:,.0f}/s, p50 {measured['crowd_p50_ms']:.1f} ms"
    )
