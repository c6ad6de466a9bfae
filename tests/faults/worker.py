"""A worker of the bus-level load: claims, behaves as drawn, settles in groups; one process of many.

Usage: python -m tests.faults.worker FOLDER NAME SEED [--deaf]
"""

import argparse
import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from factory.domain.errors import ErrorCategory, FactoryError, TerminalError
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.delivery import Delivery
from factory.events.doorbell import Doorbell
from factory.settings import Settings
from factory.storage.database import CLIENT_ERRORS, Connection, Database, is_connection_lost, is_contention
from tests.faults import synthetic
from tests.faults.cuts import Cuts
from tests.faults.parent import watch_parent
from tests.faults.records import Record
from tests.faults.synthetic import Behaviour

# How many deliveries of each subscription a worker holds at once.
CAPS = {"plain": 60, "lane": 60, "red": 30, "strict": 30, "fragile": 10, "mourner": 30}
_GROUP = 100
_SWEEP_SECONDS = 0.4
_POLL_SECONDS = 0.3
_CUT_ONE_IN = 150

_SEQUENCES = "SELECT uid, sequence FROM delivery WHERE id = ANY ($1) AND sequence IS NOT NULL"
_EFFECT = """
INSERT INTO effect (subscription, event_id, project_id, uid, fence, owner, sequence, worker)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attempt; no error means success."""

    delivery: Delivery
    error: TaskError | None = None
    delay: timedelta = timedelta()
    spoilt: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """Uids whose retry was committed, with the time before which they must not run."""

    due: list[tuple[int, int, float]]
    refused: list[Delivery]


class Worker:
    """Takes deliveries from several subscriptions and ends each attempt as its behaviour says."""

    def __init__(self, database: Database, bus: EventBus, record: Record, name: str, seed: int) -> None:
        self._database = database
        self._bus = bus
        self._record = record
        self._name = name
        self._seed = seed
        self._in_flight: Counter[str] = Counter()
        self._results: asyncio.Queue[Result] = asyncio.Queue()
        self.wake = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        self._owner = await self._bus.register(self._name, lease=synthetic.LEASE)
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            for loop in (self._claim, self._settle, self._renew, self._sweep):
                group.create_task(self._forever(loop))

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except (*CLIENT_ERRORS, FactoryError) as error:
                if not (is_connection_lost(error) or is_contention(error)):
                    self._record.write(kind="error", step=step.__name__, error=repr(error))
                await asyncio.sleep(0.05)

    async def _claim(self) -> None:
        self.wake.clear()
        capacity = {name: cap - self._in_flight[name] for name, cap in CAPS.items()}
        owner = self._owner
        deliveries = await self._bus.claim(capacity, owner)
        for delivery in deliveries:
            self._in_flight[delivery.subscription] += 1
        if deliveries:
            self._record.write(
                kind="claimed",
                at=time.time(),
                owner=owner.epoch,
                asked=capacity,
                taken=[
                    (
                        d.uid,
                        d.fence,
                        d.subscription,
                        d.event.event_id,
                        d.attempt,
                        d.event.project_id,
                        # When the database gave it out.
                        (d.deadline - synthetic.LEASE).timestamp(),
                    )
                    for d in deliveries
                ],
            )
            for delivery in deliveries:
                self._tasks.create_task(self._attempt(delivery))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self.wake.wait()

    async def _attempt(self, delivery: Delivery) -> None:
        drawn = synthetic.draw(self._seed, delivery.subscription, delivery.event.event_id, delivery.fence)
        if drawn.seconds:
            await asyncio.sleep(drawn.seconds)
        result = Result(delivery)
        match drawn.behaviour:
            case Behaviour.EXIT:
                self._record.write(kind="exit", uid=delivery.uid)
                os._exit(3)
            case Behaviour.STUMBLE:
                error = _error("the model is away", ErrorCategory.DEPENDENCY, retryable=True)
                result = Result(delivery, error, timedelta(seconds=delivery.event.event_id.int % 300 / 1000))
            case Behaviour.POISON:
                result = Result(delivery, _error("this cannot be done", ErrorCategory.POISON, retryable=False))
            case Behaviour.SPOIL:
                result = Result(delivery, spoilt=True)
        self._results.put_nowait(result)

    async def _settle(self) -> None:
        group = [await self._results.get()]
        while not self._results.empty() and len(group) < _GROUP:
            group.append(self._results.get_nowait())
        await self._settle_group(self._newest(group))
        for result in group:
            self._in_flight[result.delivery.subscription] -= 1
        self.wake.set()

    def _newest(self, group: Sequence[Result]) -> list[Result]:
        """Leave out attempts that another of the same group has superseded: their results are late."""
        newest: dict[int, Result] = {}
        for result in sorted(group, key=lambda result: result.delivery.fence):
            if late := newest.get(result.delivery.uid):
                self._record.write(kind="refused", stale=[(late.delivery.uid, late.delivery.fence)])
            newest[result.delivery.uid] = result
        return list(newest.values())

    async def _settle_group(self, group: Sequence[Result]) -> None:
        while True:
            try:
                async with self._database.transaction() as connection:
                    ended = await self._commit(connection, group)
            except TerminalError as error:
                if len(group) > 1:
                    half = len(group) // 2
                    await self._settle_group(group[:half])
                    await self._settle_group(group[half:])
                    return
                self._record.write(kind="spoilt", uid=group[0].delivery.uid)
                group = [Result(group[0].delivery, _error(error.message, error.category, retryable=False))]
            except Exception as error:
                if not (is_connection_lost(error) or is_contention(error)):
                    raise
                await asyncio.sleep(0.02)
            else:
                await self._note(ended)
                return

    async def _commit(self, connection: Connection, group: Sequence[Result]) -> Ended:
        good = [result.delivery for result in group if result.error is None]
        lanes = await connection.fetch(_SEQUENCES, [delivery.id for delivery in good if delivery.ordered])
        sequences = {row["uid"]: row["sequence"] for row in lanes}
        held = await self._bus.finish(connection, good)
        refused = [delivery for delivery in good if delivery.uid not in held]
        kept = [delivery for delivery in good if delivery.uid in held]
        await connection.executemany(_EFFECT, [self._effect(d, sequences.get(d.uid)) for d in kept])
        events = [child for d in kept if d.subscription in synthetic.BEGETTERS for child in synthetic.children(d.event)]
        events += [
            synthetic.spoilt(result.delivery.event)
            for result in group
            if result.spoilt and result.error is None and result.delivery.uid in held
        ]
        await self._bus.publish(connection, events)
        due: list[tuple[int, int, float]] = []
        for result in group:
            if result.error is None:
                continue
            delivery = result.delivery
            asked_at = time.time()
            if not result.error.retryable or delivery.attempt >= delivery.max_attempts:
                known = await self._bus.dead_letter(connection, delivery, result.error)
            else:
                known = await self._bus.retry(connection, delivery, result.error, result.delay)
                if known:
                    due.append((delivery.uid, delivery.fence, asked_at + result.delay.total_seconds()))
            if not known:
                refused.append(delivery)
        return Ended(due, refused)

    def _effect(self, delivery: Delivery, sequence: int | None) -> tuple[object, ...]:
        event = delivery.event
        return (
            delivery.subscription,
            event.event_id,
            event.project_id,
            delivery.uid,
            delivery.fence,
            delivery.owner,
            sequence,
            self._name,
        )

    async def _note(self, ended: Ended) -> None:
        """Write down what was committed, and which late results were refused rather than committed before."""
        if ended.due:
            self._record.write(kind="retried", due=ended.due)
        if not ended.refused:
            return
        known = await self._database.run(lambda connection: self._bus.settled(connection, ended.refused))
        stale = [(d.uid, d.fence) for d in ended.refused if known.get(d.uid) in {None, "timed-out", "abandoned"}]
        if stale:
            self._record.write(kind="refused", stale=stale)

    async def _renew(self) -> None:
        await asyncio.sleep(synthetic.LEASE.total_seconds() / 3)
        if not await self._bus.renew(self._owner, lease=synthetic.LEASE):
            self._record.write(kind="lease lost")
            self._owner = await self._bus.register(self._name, lease=synthetic.LEASE)

    async def _sweep(self) -> None:
        await asyncio.sleep(_SWEEP_SECONDS)
        if await self._bus.sweep():
            self.wake.set()


def _error(message: str, category: ErrorCategory, *, retryable: bool) -> TaskError:
    return TaskError(
        message=message, category=category, retryable=retryable, error_type="SyntheticError", stack="in the handler"
    )


async def main(folder: Path, name: str, seed: int, *, deaf: bool) -> None:
    """Work until standard input closes."""
    closed = watch_parent()
    cuts = Cuts(f"{seed}/{name}/{os.getpid()}", _CUT_ONE_IN)
    cuts.install()
    async with AsyncExitStack() as stack:
        record = stack.enter_context(Record(folder / f"{name}.worker"))
        database = await stack.enter_async_context(await Database.open(Settings()))
        worker = Worker(database, EventBus(database, synthetic.BUS_REGISTRY), record, name, seed)
        if not deaf:
            await stack.enter_async_context(Doorbell(database, lambda _: worker.wake.set()))
        work = asyncio.get_running_loop().create_task(worker.run())
        ending = asyncio.get_running_loop().create_task(closed.wait())
        await asyncio.wait({work, ending}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        record.write(kind="cuts", count=cuts.count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("seed", type=int)
    parser.add_argument("--deaf", action="store_true", help="hear no doorbell")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.folder, arguments.name, arguments.seed, deaf=arguments.deaf))
