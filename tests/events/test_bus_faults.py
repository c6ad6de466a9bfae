"""Several connections and several processes at once, with cuts and kills."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from factory.domain.errors import ErrorCategory
from factory.domain.ids import derived_id, new_id
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.settings import Settings
from factory.storage.database import Database, is_connection_lost, is_contention

NewEvent = Callable[..., Envelope]
Check = Callable[[Database], Awaitable[None]]

PLAIN = Subscription(name="plain", event_types=("ProjectFailed",), max_attempts=100, max_losses=1000)
LANE = PLAIN.model_copy(update={"name": "lane", "ordered": True})
EFFECTS = """
CREATE TABLE effect (
    number bigint GENERATED ALWAYS AS IDENTITY, subscription text, event_id uuid, UNIQUE (subscription, event_id)
)
"""
WORKER = Path(__file__).with_name("worker.py")


async def check_effects(database: Database) -> None:
    """I4: done if and only if the effect is there. I7: the effects of a lane are in its order."""
    async with database.transaction() as connection:
        done = await connection.fetch("SELECT subscription, event_id FROM delivery_log WHERE outcome = 'done'")
        effects = await connection.fetch("SELECT subscription, event_id FROM effect ORDER BY number")
        order = await connection.fetch("SELECT event_id, project_id FROM event ORDER BY position")
    assert sorted(map(tuple, done)) == sorted(map(tuple, effects))
    lanes: dict[UUID, list[UUID]] = {}
    for row in order:
        lanes.setdefault(row["project_id"], []).append(row["event_id"])
    served = [row["event_id"] for row in effects if row["subscription"] == "lane"]
    for project, expected in lanes.items():
        mine = [event for event in served if event in set(expected)]
        assert mine == expected, project


async def test_many_workers_with_every_kind_of_ending_lose_and_double_nothing(
    settings: Settings, database: Database, new_event: NewEvent, check_invariants: Check
) -> None:
    bus = EventBus(database)
    await bus.declare([PLAIN, LANE])
    await database.run(lambda connection: connection.execute(EFFECTS))
    projects = [new_id() for _ in range(6)]
    events = [new_event(projects[n % 6], reason="3") for n in range(120)]

    async def publisher() -> None:
        for start in range(0, len(events), 10):
            async with database.transaction() as connection:
                await bus.publish(connection, events[start : start + 10])

    workers = [_Worker(settings, f"worker-{n}", seed=n) for n in range(5)]
    publishing = asyncio.create_task(publisher())
    # Events beget events until their countdown is over: 3, 2, 1, 0.
    await asyncio.gather(publishing, *(worker.run(until=2 * 4 * len(events)) for worker in workers))
    await check_invariants(database)
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM event") == 4 * len(events)
        assert await connection.fetchval("SELECT count(*) FROM effect") == 8 * len(events)
        assert await connection.fetchval("SELECT count(*) FROM delivery") == 0


class _Worker:
    """Claims, and ends its batches well, badly, never, or after its lease was taken away."""

    def __init__(self, settings: Settings, name: str, seed: int) -> None:
        self._settings = settings
        self._name = name
        self._chance = random.Random(seed)  # noqa: S311 - repeatable chance

    async def run(self, until: int) -> None:
        async with await Database.open(self._settings) as database:
            bus = EventBus(database)
            owner = await bus.register(self._name)
            while await database.run(lambda c: c.fetchval("SELECT count(*) FROM effect")) < until:
                deliveries = await bus.claim({"plain": 9, "lane": 9}, owner)
                await bus.sweep()
                ending = self._chance.choices(
                    ["finish", "rollback", "retry", "release", "restart", "cut"], [10, 1, 1, 1, 1, 1]
                )[0]
                if ending == "restart":
                    # The batch goes on as a zombie: what the successor has not taken over may still be finished.
                    owner, ending = await bus.register(self._name), "finish"
                try:
                    await self._end(database, bus, deliveries, ending)
                except Exception as error:
                    if not (is_connection_lost(error) or is_contention(error) or isinstance(error, _RollbackError)):
                        raise
                    # What happened is known only to the database; what is still held is given back.
                    async with database.transaction() as connection:
                        await bus.release(connection, deliveries)

    async def _end(self, database: Database, bus: EventBus, deliveries: list[Delivery], ending: str) -> None:
        async with database.transaction() as connection:
            if ending == "release":
                await bus.release(connection, deliveries)
                return
            if ending == "retry":
                error = TaskError(message="x", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="X")
                for delivery in deliveries:
                    await bus.retry(connection, delivery, error, timedelta(milliseconds=self._chance.choice([0, 5])))
                return
            held = await bus.finish(connection, deliveries)
            mine = [delivery for delivery in deliveries if delivery.uid in held]
            await connection.executemany(
                "INSERT INTO effect (subscription, event_id) VALUES ($1, $2)",
                [(d.subscription, d.event.event_id) for d in mine],
            )
            await bus.publish(connection, [child for d in mine if (child := _child(d)) is not None])
            if ending == "rollback":
                raise _RollbackError
            if ending == "cut":
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


class _RollbackError(Exception):
    pass


def _child(delivery: Delivery) -> Envelope | None:
    """Both subscriptions beget the same child, so that its publication happens twice and counts once."""
    countdown = int(str(delivery.event.payload["reason"]))
    if countdown == 0:
        return None
    return delivery.event.model_copy(
        update={
            "event_id": derived_id("child", delivery.event.event_id),
            "causation_id": delivery.event.event_id,
            "payload": {"reason": str(countdown - 1), "step": None},
        }
    )


async def test_killed_processes_lose_and_double_nothing(
    settings: Settings, database: Database, new_event: NewEvent, check_invariants: Check
) -> None:
    bus = EventBus(database)
    await bus.declare([PLAIN, LANE])
    await database.run(lambda connection: connection.execute(EFFECTS))
    projects = [new_id() for _ in range(20)]
    for start in range(0, 600, 100):
        async with database.transaction() as connection:
            await bus.publish(connection, [new_event(projects[n % 20]) for n in range(start, start + 100)])

    chance = random.Random(7)  # noqa: S311 - repeatable chance
    environment = {**os.environ, "FACTORY_DATABASE_URL": str(settings.database_url)}

    async def live(name: str, kills: int) -> None:
        for life in range(kills + 1):
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(WORKER), name, env=environment, stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            await process.stdout.readline()
            if life < kills:
                await asyncio.sleep(chance.uniform(0, 0.1))
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
            await process.wait()
        assert process.returncode == 0

    await asyncio.gather(live("one", 3), live("two", 3))
    await check_invariants(database)
    await check_effects(database)


async def test_a_claim_whose_commit_has_an_unknown_outcome_is_found_again(
    database: Database, new_event: NewEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = EventBus(database)
    await bus.declare([PLAIN])
    async with database.transaction() as connection:
        await bus.publish(connection, [new_event() for _ in range(3)])
    owner = await bus.register("test")

    lost = await _lose_the_answer_to_the_next_commit(monkeypatch)
    deliveries = await bus.claim({"plain": 5}, owner)
    assert lost == ["COMMIT;"]
    assert [d.attempt for d in deliveries] == [1, 1, 1]


async def _lose_the_answer_to_the_next_commit(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the server commit and cut the connection before the answer is read: what a crash at that moment does."""
    lost: list[str] = []
    execute = asyncpg.Connection.execute

    async def cut(self: asyncpg.Connection, query: str, *arguments: object, **options: object) -> str:
        answer: str = await execute(self, query, *arguments, **options)  # type: ignore[arg-type]
        if query == "COMMIT;" and not lost:
            lost.append(query)
            self.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer

    monkeypatch.setattr(asyncpg.Connection, "execute", cut)
    return lost
