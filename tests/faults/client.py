"""A client of the bus-level load: publishes, and keeps a log outside PostgreSQL of what it was told.

Every batch is written down durably before it is published ("intent"), and its outcome after: "ack", "failed" (known not
to have happened) or "unknown". A client that was killed goes on after its last intent.
"given up" says that a batch without an "ack" was not tried again.

Usage: python -m tests.faults.client FOLDER NAME SEED PROJECTS
"""

import argparse
import asyncio
import os
import random
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factory.events.bus import EventBus
from factory.events.envelope import Envelope
from factory.settings import Settings
from factory.storage.database import CommitUnknownError, Database, is_connection_lost, is_contention
from tests.faults import records, synthetic
from tests.faults.cuts import Cuts
from tests.faults.parent import watch_parent
from tests.faults.records import Record

_CUT_ONE_IN = 40
_BACKLOG_LIMIT = 900
_REMEMBERED = 50
_WATCHED = ("plain", "lane")


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are published together, perhaps not before a time."""

    number: int
    events: list[Envelope]
    delay: timedelta | None
    time_to_live: timedelta | None


class Client:
    """Publishes batches of events of its own projects, one batch after another."""

    def __init__(self, database: Database, record: Record, name: str, *, seed: int, projects: int) -> None:
        self._bus = EventBus(database, synthetic.BUS_REGISTRY)
        self._database = database
        self._record = record
        self._name = name
        self._seed = seed
        self._projects = projects
        self._acknowledged: deque[list[Envelope]] = deque(maxlen=_REMEMBERED)
        self._looked_at = 0.0

    async def run(self, first: int, closed: asyncio.Event) -> None:
        """Publish until told to stop."""
        number = first
        while not closed.is_set():
            await self._wait_for_room(closed)
            await self._publish(self._draw(number))
            number += 1

    def _draw(self, number: int) -> Batch:
        chance = self._chance(number)
        size = chance.randint(5, 60)
        # Half of the traffic concerns few projects, so that their lanes are long.
        few = max(1, self._projects // 20)
        projects = [chance.randrange(chance.choice((few, self._projects))) for _ in range(size)]
        events = [
            synthetic.stimulus(
                self._seed,
                self._name,
                number * 100 + place,
                synthetic.project_of(self._seed, project * 10 + self._place),
            )
            for place, project in enumerate(projects)
        ]
        delay = timedelta(seconds=chance.uniform(0.1, 2)) if chance.random() < 0.1 else None
        time_to_live = timedelta(seconds=chance.uniform(0.2, 3)) if chance.random() < 0.15 else None
        return Batch(number, events, delay, time_to_live)

    @property
    def _place(self) -> int:
        return int(self._name.rpartition("-")[2])

    async def _publish(self, batch: Batch) -> None:
        chance = self._chance(batch.number, "outcome")
        available_at = None if batch.delay is None else datetime.now(UTC) + batch.delay
        self._record.write_durably(
            kind="intent",
            batch=batch.number,
            at=time.time(),
            available_at=available_at.timestamp() if available_at else None,
            time_to_live=batch.time_to_live.total_seconds() if batch.time_to_live else None,
            events=[(event.event_id, event.project_id) for event in batch.events],
        )
        while True:
            outcome = await self._try(batch.events, available_at, batch.time_to_live)
            self._record.write_durably(kind=outcome, batch=batch.number, at=time.time())
            if outcome == "ack":
                self._acknowledged.append(batch.events)
                break
            # Whoever was not told asks again, or lives with it.
            if chance.random() < 0.5:
                self._record.write_durably(kind="given up", batch=batch.number)
                return
        if chance.random() < 0.05:
            again = chance.choice(list(self._acknowledged))
            if await self._try(again, None, None) == "ack":
                self._record.write(kind="duplicate", events=len(again))

    async def _try(self, events: list[Envelope], available_at: datetime | None, time_to_live: timedelta | None) -> str:
        try:
            async with self._database.transaction() as connection:
                await self._bus.publish(connection, events, available_at=available_at, time_to_live=time_to_live)
        except CommitUnknownError:
            return "unknown"
        except Exception as error:
            if not (is_connection_lost(error) or is_contention(error)):
                raise
            return "failed"
        return "ack"

    async def _wait_for_room(self, closed: asyncio.Event) -> None:
        if time.monotonic() - self._looked_at < 0.2:
            return
        while not closed.is_set():
            try:
                backlog = await self._bus.backlog(_WATCHED)
            except Exception as error:
                if not is_connection_lost(error):
                    raise
                continue
            self._looked_at = time.monotonic()
            if all(backlog[name].ready < _BACKLOG_LIMIT for name in _WATCHED):
                return
            await asyncio.sleep(0.1)

    def _chance(self, *parts: object) -> random.Random:
        return random.Random(f"{self._seed}/{self._name}/{parts}")  # noqa: S311 - repeatable chance


async def main(folder: Path, name: str, seed: int, projects: int) -> None:
    """Publish until standard input closes."""
    closed = watch_parent()
    path = folder / f"{name}.client"
    first = max((line["batch"] + 1 for line in records.read(path) if line["kind"] == "intent"), default=0)
    Cuts(f"{seed}/{name}/{os.getpid()}", _CUT_ONE_IN).install()
    async with AsyncExitStack() as stack:
        record = stack.enter_context(Record(path))
        database = await stack.enter_async_context(await Database.open(Settings()))
        await Client(database, record, name, seed=seed, projects=projects).run(first, closed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("seed", type=int)
    parser.add_argument("projects", type=int)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.folder, arguments.name, arguments.seed, arguments.projects))
