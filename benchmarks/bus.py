"""How fast the bus alone hands out and takes back deliveries: publish, claim, finish, on the embedded PostgreSQL.

`--hold` keeps a transaction's snapshot open meanwhile, which keeps PostgreSQL from removing dead rows and index
entries; `--bands` spreads the events over priorities; `--backlog` puts so many deliveries behind the measured ones.
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import UUID

from factory.domain.ids import new_id
from factory.events.bus import EventBus
from factory.events.contracts.system import ProjectFailed
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.settings import Settings
from factory.storage.database import Database

_REFILL = 1_000
_TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def _events(count: int, projects: list[UUID]) -> list[Envelope]:
    return [
        Envelope.of(
            ProjectFailed(reason="measured"),
            topic=Topic.SYSTEM,
            project_id=projects[n % len(projects)],
            originating_agent="benchmark",
            traceparent=_TRACEPARENT,
        )
        for n in range(count)
    ]


async def _publish(bus: EventBus, database: Database, count: int, projects: list[UUID], **terms: int) -> None:
    for begin in range(0, count, 1000):
        async with database.transaction() as connection:
            await bus.publish(connection, _events(min(1000, count - begin), projects), **terms)


async def _drain(bus: EventBus, database: Database, seconds: float, batch: int, projects: list[UUID]) -> list[int]:
    """Keep the queue filled, claim and finish; return the deliveries of each second."""
    owner = await bus.register("benchmark")
    rates: list[int] = []
    missing = 0
    for _ in range(int(seconds)):
        done = 0
        spent = 0.0
        while spent < 1:
            began = time.perf_counter()
            taken = await bus.claim({"reader": batch}, owner)
            async with database.transaction() as connection:
                await bus.finish(connection, taken)
            spent += time.perf_counter() - began
            done += len(taken)
            missing += len(taken)
            if missing >= _REFILL:
                await _publish(bus, database, missing, projects)
                missing = 0
        rates.append(round(done / spent))
    return rates


async def _latency(bus: EventBus, database: Database, project: list[UUID], *, ordered: bool) -> float:
    """Return the milliseconds from the publication of one event to the end of its delivery."""
    name = "lanes" if ordered else "single"
    await bus.declare([Subscription(name=name, event_types=("ProjectFailed",), ordered=ordered)])
    owner = await bus.register("latency")
    times = []
    for _ in range(200):
        began = time.perf_counter()
        await _publish(bus, database, 1, project)
        taken = await bus.claim({name: 1}, owner)
        async with database.transaction() as connection:
            await bus.finish(connection, taken)
        times.append(time.perf_counter() - began)
    await bus.retract([name])
    return round(median(times) * 1000, 2)


async def _measure(arguments: argparse.Namespace) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="factory-bus-") as folder:
        async with await Database.open(Settings(data_dir=Path(folder))) as database:
            bus = EventBus(database)
            latency = {
                "single_ms": await _latency(bus, database, [new_id()], ordered=False),
                "lane_ms": await _latency(bus, database, [new_id()], ordered=True),
            }
            await bus.declare([Subscription(name="reader", event_types=("ProjectFailed",))])
            projects = [new_id() for _ in range(arguments.projects)]
            for band in range(arguments.bands - 1):
                await _publish(bus, database, 1000, projects, priority=-1 - band)
            await _publish(bus, database, max(arguments.backlog, 2000), projects)
            holder = await database.connect()
            if arguments.hold:
                await holder.execute("SET idle_in_transaction_session_timeout = 0")
                await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                await holder.execute("SELECT count(*) FROM project")
            rates = await _drain(bus, database, arguments.seconds, arguments.batch, projects)
            await holder.close()
            return {**latency, "deliveries_per_second": rates}


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--projects", type=int, default=10)
    parser.add_argument("--backlog", type=int, default=2000)
    parser.add_argument("--bands", type=int, default=1)
    parser.add_argument("--hold", action="store_true")
    print(json.dumps(asyncio.run(_measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
