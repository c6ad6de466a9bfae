from collections.abc import Awaitable, Callable
from datetime import timedelta

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.storage.database import Database

NewEvent = Callable[..., Envelope]
Check = Callable[[Database], Awaitable[None]]

READER = Subscription(name="reader", event_types=("ProjectFailed",), max_attempts=2, max_losses=3)
# Long past for a server that has been up for a moment, so that tests decide when an owner falls silent.
MOMENT = timedelta(milliseconds=1)


async def publish(database: Database, bus: EventBus, *events: Envelope) -> None:
    async with database.transaction() as connection:
        await bus.publish(connection, events)


async def finish(database: Database, bus: EventBus, deliveries: list[Delivery]) -> frozenset[int]:
    async with database.transaction() as connection:
        return await bus.finish(connection, deliveries)


async def fall_silent(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("UPDATE delivery_owner SET expires_at = now() - interval '1 second'")


async def pass_deadlines(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("UPDATE delivery SET deadline = now() - interval '1 second' WHERE owner IS NOT NULL")


async def test_a_restarted_owner_takes_over_at_once_and_the_zombie_commits_nothing(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    zombie = await bus.register("supervisor")
    (lost,) = await bus.claim({"reader": 1}, zombie)

    successor = await bus.register("supervisor")
    (delivery,) = await bus.claim({"reader": 1}, successor)
    assert (delivery.uid, delivery.attempt, delivery.losses) == (lost.uid, 1, 1)
    assert delivery.fence > lost.fence

    assert await finish(database, bus, [lost]) == frozenset()
    async with database.transaction() as connection:
        assert not await bus.retry(connection, lost, _error(), timedelta())
        assert not await bus.dead_letter(connection, lost, _error())
        assert await bus.release(connection, [lost]) == frozenset()
        assert await bus.settled(connection, [lost, delivery]) == {lost.uid: "abandoned"}
    assert await bus.claim({"reader": 1}, zombie) == []
    assert not await bus.renew(zombie)
    assert await bus.renew(successor)
    assert await finish(database, bus, [delivery]) == {delivery.uid}
    await check_invariants(database)


async def test_owners_of_other_names_are_left_alone(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    one = await bus.register("one")
    held = await bus.claim({"reader": 1}, one)
    await bus.register("two")
    assert await bus.abandon("two") == 0
    assert await finish(database, bus, held) == {held[0].uid}


async def test_a_silent_owner_is_declared_dead_by_the_sweep(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event(), new_event())
    silent = await bus.register("silent", lease=MOMENT)
    lively = await bus.register("lively")
    await bus.claim({"reader": 1}, silent)
    await bus.claim({"reader": 1}, lively)
    await fall_silent(database)
    await bus.renew(lively)

    swept = await bus.sweep()
    assert (swept.abandoned, swept.timed_out, swept.dead) == (1, 0, 0)
    assert not await bus.renew(silent)
    assert await bus.renew(lively)
    assert not await bus.sweep()
    assert len(await bus.claim({"reader": 5}, lively)) == 1
    await check_invariants(database)


async def test_nobody_is_dead_for_missing_a_server_that_was_down(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    owner = await bus.register("supervisor", lease=timedelta(days=1))
    await bus.claim({"reader": 1}, owner)
    await fall_silent(database)
    assert (await bus.sweep()).abandoned == 0
    assert await bus.renew(owner)


async def test_work_that_loses_its_supervisor_too_often_is_given_up(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    for expected in range(3):
        owner = await bus.register("supervisor", lease=MOMENT)
        (delivery,) = await bus.claim({"reader": 1}, owner)
        assert (delivery.losses, delivery.attempt) == (expected, 1)
        await fall_silent(database)
        swept = await bus.sweep()
        assert (swept.abandoned, swept.dead) == ((1, 0) if expected < 2 else (0, 1))
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT category FROM dead_letter") == "worker-lost"
    await check_invariants(database)


async def test_an_attempt_past_its_deadline_is_taken_away_and_the_last_one_is_final(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    owner = await bus.register("supervisor")
    (first,) = await bus.claim({"reader": 1}, owner)
    assert not await bus.sweep()
    await pass_deadlines(database)
    assert (await bus.sweep()).timed_out == 1
    (second,) = await bus.claim({"reader": 1}, owner)
    assert (second.uid, second.attempt) == (first.uid, 2)
    assert await finish(database, bus, [first]) == frozenset()
    await pass_deadlines(database)
    swept = await bus.sweep()
    assert (swept.timed_out, swept.dead) == (0, 1)
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT category FROM dead_letter") == "timeout"
    await check_invariants(database)


async def test_an_owner_that_retires_gives_everything_back_unharmed(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event(), new_event())
    owner = await bus.register("supervisor")
    await bus.claim({"reader": 5}, owner)
    assert await bus.retire(owner) == 2
    again = await bus.claim({"reader": 5}, await bus.register("supervisor"))
    assert [(d.attempt, d.losses) for d in again] == [(1, 0), (1, 0)]


def _error() -> TaskError:
    return TaskError(message="late", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="Problem")
