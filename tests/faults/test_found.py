"""What the harness has found, each as small as it can be said."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from factory.domain.errors import ConflictError, ErrorCategory
from factory.events import loading
from factory.events.bus import EventBus
from factory.events.envelope import Envelope
from factory.events.publishing import Publisher
from factory.events.rules import Rules
from factory.storage.database import Connection, Database
from tests.faults import synthetic
from tests.faults.synthetic import LANE, PLAIN

_EXPIRE = "UPDATE delivery SET deadline = clock_timestamp() - interval '1 second'"


@pytest.fixture
def bus(database: Database) -> EventBus:
    return EventBus(database, synthetic.BUS_REGISTRY)


async def publish(database: Database, count: int = 1) -> list[Envelope]:
    """Publish without ringing the doorbell, which would commit beside the test."""
    publisher = Publisher(synthetic.BUS_REGISTRY, Rules())
    events = [synthetic.stimulus(1, "client-0", n, synthetic.project_of(1, n)) for n in range(count)]
    async with database.transaction() as connection:
        await publisher.publish(connection, events)
    return events


async def test_two_attempts_of_one_delivery_are_not_settled_together(database: Database, bus: EventBus) -> None:
    """A frozen supervisor claims again what was taken from it, and both results come back into one group."""
    await bus.declare([LANE])
    await publish(database)
    owner = await bus.register("one")
    (stale,) = await bus.claim({"lane": 1}, owner)
    await database.run(lambda connection: connection.execute(_EXPIRE))
    await bus.sweep()
    (fresh,) = await bus.claim({"lane": 1}, owner)
    assert (stale.uid, stale.fence, fresh.fence) == (fresh.uid, 1, 2)
    for settle in (bus.finish, bus.release):
        with pytest.raises(ConflictError, match="two attempts"):
            async with database.transaction() as connection:
                await settle(connection, [stale, fresh])
    async with database.transaction() as connection:
        assert await bus.finish(connection, [stale]) == frozenset()
        assert await bus.finish(connection, [fresh]) == {fresh.uid}


async def test_what_takes_every_successor_of_one_name_with_it_is_given_up(database: Database, bus: EventBus) -> None:
    """Restarted at once, a supervisor releases what its predecessor held; that must not go on for ever."""
    await bus.declare([PLAIN.model_copy(update={"max_losses": 3})])
    await publish(database)
    for _ in range(3):
        owner = await bus.register("one")
        assert len(await bus.claim({"plain": 1}, owner)) == 1
    owner = await bus.register("one")
    assert await bus.claim({"plain": 1}, owner) == []
    assert (await bus.sweep()).dead == 1
    async with database.transaction() as connection:
        (letter,) = await connection.fetch("SELECT category, losses FROM dead_letter")
    assert dict(letter) == {"category": ErrorCategory.WORKER_LOST, "losses": 2}


async def test_a_claim_is_found_again_though_its_look_up_is_cut_as_well(
    database: Database, bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bus.declare([PLAIN])
    await publish(database, 3)
    owner = await bus.register("one")
    cut = cut_commit(monkeypatch, number=1)
    look_up = loading.load_claim
    looks: list[str] = []

    async def break_once(connection: Connection, *arguments: Any) -> Any:
        looks.append("look")
        if len(looks) == 1:
            connection.terminate()
        return await look_up(connection, *arguments)

    monkeypatch.setattr(loading, "load_claim", break_once)
    assert [delivery.attempt for delivery in await bus.claim({"plain": 3}, owner)] == [1, 1, 1]
    assert cut == ["COMMIT;"]
    assert len(looks) == 2


async def test_a_cut_in_the_clean_up_of_a_registration_does_not_fail_it(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = cut_commit(monkeypatch, number=2)
    owner = await bus.register("one", lease=timedelta(seconds=9))
    assert cut == ["COMMIT;"]
    assert await bus.renew(owner)


async def test_the_log_is_read_in_order_of_numbers_where_transactions_gain_a_digit(
    database: Database, bus: EventBus
) -> None:
    """Read as text, 1000 comes before 999, and a reader that goes on after it misses what lies between."""
    await publish(database, 4)
    async with database.transaction() as connection:
        for number, transaction in enumerate((8, 9, 10, 11)):
            await connection.execute(
                "UPDATE event SET transaction_id = $1::text::xid8 WHERE event_id = $2",
                str(transaction),
                synthetic.stimulus(1, "client-0", number, synthetic.project_of(1, number)).event_id,
            )
    found = await bus.tail(limit=2)
    found += await bus.tail(found[-1].cursor, limit=2)
    assert [item.cursor.transaction_id for item in found] == [8, 9, 10, 11]


def cut_commit(monkeypatch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Let the server do the COMMIT with this number, counted from now on, and lose its answer."""
    seen: list[str] = []
    lost: list[str] = []
    execute: Callable[..., Any] = asyncpg.Connection.execute

    async def cut(self: asyncpg.Connection, query: str, *arguments: object, **options: object) -> str:
        answer: str = await execute(self, query, *arguments, **options)
        if query == "COMMIT;":
            seen.append(query)
            if len(seen) == number:
                lost.append(query)
                self.terminate()
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return answer

    monkeypatch.setattr(asyncpg.Connection, "execute", cut)
    return lost
