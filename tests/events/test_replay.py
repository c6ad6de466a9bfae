from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from factory.domain.errors import BadInputError, NotFoundError
from factory.domain.ids import new_id
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import ProjectFailed
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.storage.database import Database

NewEvent = Callable[..., Envelope]
NewError = Callable[..., TaskError]
Check = Callable[[Database], Awaitable[None]]

FAILED = (ProjectFailed.event_type,)
READER = Subscription(name="reader", event_types=FAILED)
LANES = Subscription(name="lanes", event_types=FAILED, ordered=True)
EVER = (datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(days=1))


async def publish(database: Database, bus: EventBus, *events: Envelope) -> None:
    for event in events:
        async with database.transaction() as connection:
            await bus.publish(connection, [event])


async def drain(database: Database, bus: EventBus, *names: str) -> list[Delivery]:
    owner = await bus.register("test")
    found: list[Delivery] = []
    while taken := await bus.claim(dict.fromkeys(names, 50), owner):
        async with database.transaction() as connection:
            assert await bus.finish(connection, taken) == {d.uid for d in taken}
        found += taken
    return found


def ids(deliveries: list[Delivery]) -> list[UUID]:
    return [delivery.event.event_id for delivery in deliveries]


async def test_one_event_is_delivered_again_to_all_or_to_one(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER, LANES, Subscription(name="other", event_types=("TaskFailed",))])
    event = new_event()
    await publish(database, bus, event, new_event())
    first = await drain(database, bus, "reader", "lanes", "other")
    assert {d.replay for d in first} == {None}
    async with database.transaction() as connection:
        to_all = await bus.replay(connection, event.event_id, by="ann", reason="lost its effect")
        to_one = await bus.replay(connection, event.event_id, to="reader", by="ann", reason="again")
    assert (to_all.count, to_one.count) == (2, 1)
    again = await drain(database, bus, "reader", "lanes", "other")
    assert sorted((d.subscription, d.replay) for d in again) == sorted(
        [("reader", to_all.id), ("lanes", to_all.id), ("reader", to_one.id)]
    )
    assert ids(again) == [event.event_id] * 3
    assert not {d.uid for d in again} & {d.uid for d in first}
    async with database.transaction() as connection:
        logged = await connection.fetch("SELECT uid, replay, outcome FROM delivery_log WHERE replay IS NOT NULL")
        kept = await connection.fetch("SELECT requested_by, reason, count FROM replay ORDER BY id")
    assert {(r["uid"], r["replay"], r["outcome"]) for r in logged} == {
        (d.uid, d.replay, outcome) for d in again for outcome in ("replayed", "done")
    }
    assert [tuple(row) for row in kept] == [("ann", "lost its effect", 2), ("ann", "again", 1)]
    assert len(await bus.tail()) == 2
    await check_invariants(database)


async def test_the_mark_of_a_replay_outlives_retries_and_dead_letters(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([READER])
    event = new_event()
    await publish(database, bus, event)
    await drain(database, bus, "reader")
    owner = await bus.register("test")
    async with database.transaction() as connection:
        replay = await bus.replay(connection, event.event_id, by="ann", reason="again")
    (delivery,) = await bus.claim({"reader": 5}, owner)
    async with database.transaction() as connection:
        await bus.retry(connection, delivery, task_error(), timedelta(hours=1))
        await connection.execute("UPDATE delivery_delayed SET due_at = now()")
    await bus.sweep()
    (delivery,) = await bus.claim({"reader": 5}, owner)
    async with database.transaction() as connection:
        await bus.dead_letter(connection, delivery, task_error())
        await bus.redrive(connection, delivery.uid, by="ann", reason="again")
    (delivery,) = await bus.claim({"reader": 5}, owner)
    assert delivery.replay == replay.id


async def test_what_cannot_be_replayed_says_why(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER, Subscription(name="other", event_types=("TaskFailed",))])
    event = new_event()
    await publish(database, bus, event)
    async with database.transaction() as connection:
        with pytest.raises(NotFoundError, match="no event"):
            await bus.replay(connection, new_id(), by="ann", reason="?")
        with pytest.raises(NotFoundError, match="'nobody'"):
            await bus.replay(connection, event.event_id, to="nobody", by="ann", reason="?")
        with pytest.raises(BadInputError, match="filters of 'other'"):
            await bus.replay(connection, event.event_id, to="other", by="ann", reason="?")
    with pytest.raises(BadInputError, match="not before"):
        await bus.begin_replay("reader", EVER[1], EVER[0], by="ann", reason="?")
    with pytest.raises(NotFoundError, match="'nobody'"):
        await bus.begin_replay("nobody", *EVER, by="ann", reason="?")
    with pytest.raises(NotFoundError, match="'nobody'"):
        await bus.count_replay("nobody", *EVER)
    with pytest.raises(NotFoundError, match="no replay"):
        await bus.continue_replay(new_id())
    assert len(await drain(database, bus, "reader", "other")) == 1


async def test_a_stretch_of_time_goes_to_one_subscription_in_order(
    database: Database, bus: EventBus, new_event: NewEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.events.matching.PAGE", 4)
    project = new_id()
    events = [new_event(project) for _ in range(10)]
    await publish(database, bus, *events, new_event())
    await bus.declare([LANES.model_copy(update={"projects": (project,)}), READER])
    assert await bus.count_replay("lanes", *EVER) == 10
    assert await bus.count_replay("lanes", *EVER, event_types=("TaskFailed",)) == 0
    assert await bus.count_replay("lanes", EVER[0] - timedelta(hours=1), EVER[0]) == 0
    assert await drain(database, bus, "lanes", "reader") == []
    replay = await bus.begin_replay("lanes", *EVER, event_types=FAILED, by="ann", reason="new reader")
    done = await bus.continue_replay(replay)
    assert (done.id, done.count) == (replay, 10)
    assert await bus.continue_replay(replay) == done
    taken = await drain(database, bus, "lanes", "reader")
    assert ids(taken) == [event.event_id for event in events]
    assert {d.replay for d in taken} == {replay}


async def test_an_interrupted_replay_goes_on_where_it_was(
    database: Database, bus: EventBus, new_event: NewEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.events.matching.PAGE", 3)
    events = [new_event() for _ in range(10)]
    await publish(database, bus, *events)
    await bus.declare([READER])
    replay = await bus.begin_replay("reader", *EVER, by="ann", reason="new reader")
    async with database.transaction() as connection:
        await connection.execute("""
            CREATE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.count >= 6 THEN RAISE EXCEPTION 'interrupted'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER interrupt BEFORE UPDATE ON replay FOR EACH ROW EXECUTE FUNCTION interrupt();
        """)
    with pytest.raises(Exception, match="interrupted"):
        await bus.continue_replay(replay)
    assert len(await drain(database, bus, "reader")) == 3
    async with database.transaction() as connection:
        await connection.execute("DROP TRIGGER interrupt ON replay")
    assert (await bus.continue_replay(replay)).count == 10
    assert set(ids(await drain(database, bus, "reader"))) == {event.event_id for event in events[3:]}
