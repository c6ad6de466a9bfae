"""The factory as a contestant: a process of its own as a user runs it, driven and measured from outside.

The process is `python -m factory.cli.daemon --attached`, what `factory build` starts: local Ray, the supervisor as
a Ray actor, and a pool of `relay` agents. This side publishes the first event of each chain on the bus and watches
the database.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import UUID

import psutil

from benchmarks.contest.figures import Figure, chain_figure
from benchmarks.engine_agents import BenchStep
from factory.control.projects import NewProject, create_project
from factory.domain.ids import new_trace_id
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.service import FactoryService
from factory.settings import Settings
from factory.storage.database import Connection

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = 1_000
_PLUGINS = ("benchmarks.engine_agents",)
_PUBLISH_GROUP = 500
_START_SECONDS = 120
_PATIENCE_SECONDS = 300
_SUBSCRIPTION = "relay.events"
_WARM_UP_CHAINS = 100
_CALIBRATE_SECONDS = 0.7

# Unfinished chains: a step's acknowledgement and the event of the next are one transaction, so that every snapshot
# sees one delivery of each. Reads the whole table, which holds nothing else.
_UNFINISHED = """
SELECT EXISTS (SELECT FROM delivery WHERE subscription = $1)
    OR EXISTS (SELECT FROM delivery_delayed WHERE subscription = $1)
"""

# Asked when the clock has stopped. Partitions of earlier days are left out, and so are runs before this one.
_TAKEN = """
SELECT (SELECT count(*) FROM delivery_log WHERE subscription = $1 AND outcome = 'done' AND logged_at >= $2) AS steps,
    (SELECT count(*) FROM event WHERE event_type = 'BenchDone' AND recorded_at >= $2) AS chains,
    (SELECT count(*) FROM dead_letter WHERE dead_at >= $2) AS dead
"""
_NOW = "SELECT clock_timestamp()"
_HAVE_PROJECTS = "SELECT id FROM project WHERE build_key = 'benchmark' ORDER BY id LIMIT $1"


class WrongCountError(Exception):
    """A run did not take the steps that it should have taken; its time means nothing."""


class Home:
    """A running factory with a database of its own."""

    def __init__(
        self, factory: FactoryService, watcher: Connection, projects: list[UUID], process: subprocess.Popen[bytes]
    ) -> None:
        self._factory = factory
        self._watcher = watcher
        self._projects = projects
        self._process = process
        self._next = 0

    @classmethod
    @asynccontextmanager
    async def running(
        cls, dsn: str, folder: Path, *, projects: int = PROJECTS, environment: Mapping[str, str] | None = None
    ) -> AsyncIterator[Self]:
        """Keep a factory running on a database for the length of a block; it is warm when the block begins.

        Args:
            dsn: The database.
            folder: For its files.
            projects: How many there are to which chains belong.
            environment: Further variables of its process.
        """
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        environment = {
            **os.environ,
            **(environment or {}),
            "FACTORY_DATA_DIR": str(folder / "data"),
            "FACTORY_DATABASE_URL": dsn,
            "FACTORY_PLUGINS": json.dumps(_PLUGINS),
            "FACTORY_LOG_LEVEL": "warning",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
        command = [sys.executable, "-m", "factory.cli.daemon", "--attached", "--agents", "relay"]
        settings = Settings(data_dir=folder / "data", database_url=dsn, plugins=_PLUGINS)
        async with await FactoryService.open(settings) as factory:
            ids = await factory.database.run(lambda connection: create_projects(connection, projects))
            with (folder / "factory.log").open("ab") as log:
                process = subprocess.Popen(  # noqa: ASYNC220 - forks at once
                    command, env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log
                )
            try:
                home = cls(factory, await factory.database.connect(), ids, process)
                await home._run(1, 1, patience=_START_SECONDS)
                await home._run(_WARM_UP_CHAINS, 12)
                yield home
            finally:
                await asyncio.to_thread(_end, process)

    @property
    def processes(self) -> list[psutil.Process]:
        """The factory's processes, Ray's among them."""
        return psutil.Process(self._process.pid).children(recursive=True)

    async def throughput(self, seconds: float, steps: int) -> Figure:
        """Measure steps per second of as many chains as take about so long, all at once."""
        chains, spent = _WARM_UP_CHAINS, 0.0
        while spent < _CALIBRATE_SECONDS:
            chains *= 2
            spent = await self._run(chains, steps)
        chains = round(chains * seconds / spent)
        async with self._counted(chains, steps):
            spent = await self._run(chains, steps)
        return {"steps": chains * steps, "seconds": spent, "steps_per_second": chains * steps / spent}

    async def chains_alone(self, chains: int, steps: int) -> Figure:
        """Measure the time from publishing a chain's first event to its last commit, one chain after another."""
        usual = min([await self._run(1, steps) for _ in range(3)])
        async with self._counted(chains, steps):
            spent: list[float] = []
            for _ in range(chains):
                # Who looks every millisecond takes the processor from whom it looks at, so it begins near the end.
                spent.append(await self._run(1, steps, quiet=0.7 * min([usual, *spent])))
            return chain_figure(spent, steps)

    async def model_calls(self, chains: int, steps: int, sleep_seconds: float) -> Figure:
        """Measure chains whose steps wait as for a model: one chain of each project, all at once."""
        async with self._counted(chains, steps):
            spent = await self._run(chains, steps, sleep_seconds)
        ideal = chains / sleep_seconds
        reached = chains * steps / spent
        return {"seconds": spent, "steps_per_second": reached, "ideal": ideal, "share": reached / ideal}

    async def _run(
        self,
        chains: int,
        steps: int,
        sleep_seconds: float = 0,
        *,
        patience: float = _PATIENCE_SECONDS,
        quiet: float = 0,
    ) -> float:
        """Publish chains, wait until the last has ended, and return the seconds from the one to the other."""
        envelopes = [self._first(number, steps, sleep_seconds) for number in range(chains)]
        started = time.perf_counter()
        for start in range(0, chains, _PUBLISH_GROUP):
            async with self._factory.database.transaction() as connection:
                await self._factory.bus.publish(connection, envelopes[start : start + _PUBLISH_GROUP])
        await asyncio.sleep(quiet)
        await self._ended(patience, pause=0.001 if chains == 1 else 0.01)
        return time.perf_counter() - started

    @asynccontextmanager
    async def _counted(self, chains: int, steps: int) -> AsyncIterator[None]:
        """Make sure that a block took exactly so many steps.

        Raises:
            WrongCountError: It did not.
        """
        since = await self._watcher.fetchval(_NOW)
        yield
        taken = await self._watcher.fetchrow(_TAKEN, _SUBSCRIPTION, since)
        if taken is None or tuple(taken) != (chains * steps, chains, 0):
            raise WrongCountError(f"{chains} chains of {steps} steps were to be taken, but: {taken}")

    def _first(self, number: int, steps: int, sleep_seconds: float) -> Envelope:
        self._next += 1
        return Envelope.of(
            BenchStep(chain=self._next, step=1, steps=steps, sleep_seconds=sleep_seconds),
            topic=Topic.SYSTEM,
            project_id=self._projects[number % len(self._projects)],
            originating_agent="benchmark",
            traceparent=f"00-{new_trace_id()}-{new_trace_id()[:16]}-01",
        )

    async def _ended(self, patience: float, *, pause: float) -> None:
        deadline = time.monotonic() + patience
        while await self._watcher.fetchval(_UNFINISHED, _SUBSCRIPTION):
            if self._process.poll() is not None:
                raise WrongCountError(f"the factory ended with {self._process.returncode}; see factory.log")
            if time.monotonic() > deadline:
                raise WrongCountError(f"the chains did not end within {patience} s")
            await asyncio.sleep(pause)


async def create_projects(connection: Connection, count: int) -> list[UUID]:
    """Return so many projects, making those that are missing."""
    found = [row["id"] for row in await connection.fetch(_HAVE_PROJECTS, count)]
    for number in range(len(found), count):
        new = NewProject(
            name=f"Benchmark {number}", slug=f"benchmark-{number}", blueprint="api-service", build_key="benchmark"
        )
        found.append((await create_project(connection, new)).id)
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
