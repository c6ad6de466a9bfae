"""Many readers of one project's events at once: how soon each gets an event, and what they cost."""

import asyncio
import statistics
import time
from typing import Any

import aiohttp
import psutil
from rich.console import Console

from benchmarks.door.stage import Door
from factory.control.projects import get_project
from factory.control.submission import first_event
from factory.domain.ids import new_id
from factory.events.bus import EventBus
from factory.events.contracts.system import ProjectStatusChanged
from factory.events.topics import Topic
from factory.storage.database import Database

_EVENTS = 20
_EVERY_SECONDS = 4
_PATIENCE_SECONDS = 120


def follow_all(door: Door, readers: int, console: Console) -> dict[str, Any]:
    """Open so many streams, publish events, and return when each reader had each of them."""
    return asyncio.run(_follow_all(door, readers, console))


async def _follow_all(door: Door, readers: int, console: Console) -> dict[str, Any]:
    ready = asyncio.Semaphore(0)
    seen: list[list[float]] = []
    before = _memory_mib()
    async with aiohttp.ClientSession(
        door.url,
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": f"Bearer {door.token}"},
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        tasks = [asyncio.create_task(_read(session, door, ready, seen)) for _ in range(readers)]
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for _ in range(readers):
                await ready.acquire()
        console.print(f"{readers:,} readers are connected", highlight=False)
        during = _memory_mib()
        published = await _publish(door)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await asyncio.gather(*tasks)
    delays = [got - told for times in seen for got, told in zip(times, published, strict=True)]
    return {
        "readers": readers,
        "events": _EVENTS,
        "delivered": len(delays),
        "delay_p50_ms": statistics.median(delays) * 1e3,
        "delay_p99_ms": statistics.quantiles(delays, n=100)[98] * 1e3,
        "memory_before_mib": before,
        "memory_with_readers_mib": during,
        "memory_after_mib": _memory_mib(),
    }


async def _read(session: aiohttp.ClientSession, door: Door, ready: asyncio.Semaphore, seen: list[list[float]]) -> None:
    times: list[float] = []
    async with session.get(f"/api/v1/project/{door.project_id}/events/stream") as response:
        response.raise_for_status()
        first = True
        async for line in response.content:
            if not line.startswith(b"event:"):
                continue
            if first:
                # The project's own first event is there before anybody reads.
                first = False
                ready.release()
                continue
            times.append(time.time())
            if len(times) == _EVENTS:
                break
    seen.append(times)


async def _publish(door: Door) -> list[float]:
    published: list[float] = []
    async with await Database.open(door.settings) as database:
        bus = EventBus(database)
        for _ in range(_EVENTS):
            async with database.transaction() as connection:
                project = await get_project(connection, door.project_id)
                cause = await first_event(connection, project)
                payload = ProjectStatusChanged(previous=project.status, current=project.status, reason="measured")
                event = cause.caused(
                    payload, topic=Topic.SYSTEM, originating_agent="project-manager", event_id=new_id()
                )
                await bus.publish(connection, [event])
            published.append(time.time())
            await asyncio.sleep(_EVERY_SECONDS)
    return published


def _memory_mib() -> float:
    """Return what the gateway's replica holds."""
    held = 0
    for process in psutil.process_iter(["cmdline", "memory_info"]):
        line = " ".join(process.info["cmdline"] or ())
        if "ServeReplica:gateway" in line:
            held += process.info["memory_info"].rss
    return round(held / 2**20, 1)
