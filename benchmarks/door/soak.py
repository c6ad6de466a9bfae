"""Mixed load for a long time, while replicas are killed: what is lost, what is refused, what grows."""

import asyncio
import random
import time
from collections import Counter
from typing import Any
from uuid import uuid4

import aiohttp
import psutil
from rich.console import Console

from benchmarks.door.stage import Door

_CLIENTS = 8
_KILL_EVERY_SECONDS = 60
_NOTE_EVERY_SECONDS = 60
# What a client is told to expect: 500 of the proxy for a replica that died over a request, 503 while there is none.
_DOCUMENTED = frozenset({200, 201, 409, 429, 500, 503})
_RETRIES = 60
_VISION = "# Shop\n\nAs a clerk I want to record an order of a customer.\n"


def soak(door: Door, seconds: float, console: Console) -> dict[str, Any]:
    """Return what became of the requests."""
    return asyncio.run(_soak(door, seconds, console))


async def _soak(door: Door, seconds: float, console: Console) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    created: dict[str, str] = {}
    end = time.monotonic() + seconds
    memory: list[float] = []
    kills = 0
    async with aiohttp.ClientSession(
        door.url,
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": f"Bearer {door.token}"},
        timeout=aiohttp.ClientTimeout(total=60),
    ) as session:
        clients = [asyncio.create_task(_client(session, door, end, statuses, created)) for _ in range(_CLIENTS)]
        next_kill = time.monotonic() + _KILL_EVERY_SECONDS / 2
        while time.monotonic() < end:
            await asyncio.sleep(min(5, max(0.1, end - time.monotonic())))
            if time.monotonic() > next_kill:
                kills += _kill_one()
                next_kill += _KILL_EVERY_SECONDS
            if len(memory) < (time.monotonic() - (end - seconds)) / _NOTE_EVERY_SECONDS:
                memory.append(sum(process.memory_info().rss for process in _replicas()) / 2**20)
                console.print(f"{dict(statuses)}, {kills} kills, {memory[-1]:.0f} MiB", highlight=False)
        await asyncio.gather(*clients)
        missing = await _missing(session, created)
    unexpected = {name: count for name, count in statuses.items() if name.isdecimal() and int(name) not in _DOCUMENTED}
    return {
        "seconds": seconds,
        "kills": kills,
        "answers": dict(statuses),
        "undocumented": unexpected,
        "accepted": len(created),
        "lost": missing,
        "memory_mib": [round(one) for one in memory],
    }


async def _client(
    session: aiohttp.ClientSession, door: Door, end: float, statuses: Counter[str], created: dict[str, str]
) -> None:
    dice = random.Random()  # noqa: S311 - a mix of requests
    while time.monotonic() < end:
        drawn = dice.random()
        if drawn < 0.02:  # noqa: PLR2004 - the share of writes
            await _create(session, statuses, created)
        else:
            path = door.read if drawn < 0.6 else "/api/v1/projects?limit=20"  # noqa: PLR2004 - the share of reads
            await _send(session, "GET", path, statuses)


async def _create(session: aiohttp.ClientSession, statuses: Counter[str], created: dict[str, str]) -> None:
    """Create a project as a careful client does: the same key until it is answered."""
    key = str(uuid4())
    for _ in range(_RETRIES):
        answer = await _send(
            session,
            "POST",
            "/api/v1/vision/create",
            statuses,
            json={"vision": _VISION},
            headers={"Idempotency-Key": key},
        )
        if answer is not None:
            created[key] = answer["project_id"]
            return
        await asyncio.sleep(1)


async def _send(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    statuses: Counter[str],
    **options: Any,  # noqa: ANN401 - aiohttp's own
) -> dict[str, Any] | None:
    try:
        async with session.request(method, path, **options) as response:
            body = await response.read()
            statuses[str(response.status)] += 1
            if response.status < 300 and body:  # noqa: PLR2004 - a success
                found: dict[str, Any] = await response.json()
                return found
    except (aiohttp.ClientError, TimeoutError) as error:
        statuses[type(error).__name__] += 1
    return None


async def _missing(session: aiohttp.ClientSession, created: dict[str, str]) -> list[str]:
    missing = []
    for project_id in created.values():
        async with session.get(f"/api/v1/project/{project_id}") as response:
            if response.status != 200:  # noqa: PLR2004 - found
                missing.append(project_id)
    if len(set(created.values())) != len(created):
        missing.append("two keys have one project")
    return missing


def _replicas() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "ServeReplica:gateway" in " ".join(process.info["cmdline"] or ())
    ]


def _kill_one() -> int:
    replicas = _replicas()
    if not replicas:
        return 0
    random.choice(replicas).kill()  # noqa: S311 - any of them
    return 1
