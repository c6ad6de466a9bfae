import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from factory.domain.errors import ConflictError, ErrorCategory, NotFoundError, TerminalError
from factory.domain.ids import new_id
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import DeadLettered, ProjectFailed
from factory.events.delivery import Cursor, Delivery
from factory.events.doorbell import Doorbell
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.storage.database import Database

NewEvent = Callable[..., Envelope]
NewError = Callable[..., TaskError]
Check = Callable[[Database], Awaitable[None]]

FAILED = (ProjectFailed.event_type,)
READER = Subscription(name="reader", event_types=FAILED)
LANES = Subscription(name="lanes", event_types=FAILED, ordered=True)


async def publish(database: Database, bus: EventBus, *events: Envelope, at: datetime | None = None) -> int:
    async with database.transaction() as connection:
        return await bus.publish(connection, events, available_at=at)


async def finish(database: Database, bus: EventBus, deliveries: list[Delivery]) -> frozenset[int]:
    async with database.transaction() as connection:
        return await bus.finish(connection, deliveries)


def ids(deliveries: list[Delivery]) -> list[UUID]:
    return [delivery.event.event_id for delivery in deliveries]


async def test_an_event_reaches_the_subscriptions_whose_filters_all_pass(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    project = new_id()
    await bus.declare(
        [
            Subscription(name="everything"),
            Subscription(name="topic", topics=(Topic.SYSTEM,)),
            Subscription(name="other-topic", topics=(Topic.VISION,)),
            Subscription(name="type", event_types=FAILED),
            Subscription(name="other-type", event_types=("TaskFailed",)),
            Subscription(name="project", projects=(project,)),
            Subscription(name="other-project", projects=(uuid4(),)),
            Subscription(name="agent", agents=("tester",)),
            Subscription(name="other-agent", agents=("someone",)),
            Subscription(name="payload", payload={"step": "backend"}),
            Subscription(name="other-payload", payload={"step": "backend", "reason": "x"}),
            Subscription(name="all-but-one", event_types=FAILED, agents=("someone",)),
        ]
    )
    event = new_event(project, step="backend")
    assert await publish(database, bus, event) == 1

    owner = await bus.register("test")
    names = [
        "everything", "topic", "other-topic", "type", "other-type", "project", "other-project", "agent",
        "other-agent", "payload", "other-payload", "all-but-one",
    ]  # fmt: skip
    deliveries = await bus.claim(dict.fromkeys(names, 10), owner)
    assert sorted(d.subscription for d in deliveries) == ["agent", "everything", "payload", "project", "topic", "type"]
    assert [d.event for d in deliveries] == [event] * 6


async def test_a_second_publication_of_an_id_is_ignored(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    first, second = new_event(), new_event()
    assert await publish(database, bus, first, first) == 1
    assert await publish(database, bus, second, first) == 1
    owner = await bus.register("test")
    assert sorted(ids(await bus.claim({"reader": 10}, owner))) == sorted([first.event_id, second.event_id])
    await check_invariants(database)


async def test_a_rolled_back_publication_never_happened(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER])
    event = new_event()
    with pytest.raises(RuntimeError):  # noqa: PT012 - a transaction is the block under test
        async with database.transaction() as connection:
            await bus.publish(connection, [event])
            raise RuntimeError
    assert await bus.tail() == []
    assert await publish(database, bus, event) == 1


async def test_an_event_that_breaks_its_contract_takes_its_whole_batch_with_it(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    broken = new_event().model_copy(update={"payload": {"reason": 7}})
    with pytest.raises(TerminalError, match="reason"):
        await publish(database, bus, new_event(), broken)
    assert await bus.tail() == []


async def test_poison_goes_to_the_dead_letters_at_once(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER, Subscription(name="watcher", event_types=(DeadLettered.event_type,))])
    good, bad = new_event(), new_event()
    await publish(database, bus, good, bad)
    async with database.transaction() as connection:
        await connection.execute("UPDATE event SET payload = '{}' WHERE event_id = $1", bad.event_id)

    owner = await bus.register("test")
    assert ids(await bus.claim({"reader": 10}, owner)) == [good.event_id]
    async with database.transaction() as connection:
        letter = await connection.fetchrow("SELECT * FROM dead_letter")
    assert letter is not None
    assert (letter["event_id"], letter["category"], letter["attempts"]) == (bad.event_id, "schema", 1)
    assert "reason" in letter["error"]
    (announced,) = await bus.claim({"watcher": 1}, owner)
    assert announced.event.read(DeadLettered).event_id == bad.event_id
    assert announced.event.causation_id == bad.event_id
    await check_invariants(database)


async def test_scheduled_work_waits_for_its_time(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER, LANES])
    event = new_event()
    await publish(database, bus, event, at=datetime.now(UTC) + timedelta(hours=1))
    owner = await bus.register("test")
    both = {"reader": 5, "lanes": 5}
    assert await bus.claim(both, owner) == []
    assert [(b.ready, b.delayed) for b in (await bus.backlog(both)).values()] == [(0, 1), (0, 1)]
    async with database.transaction() as connection:
        await connection.execute("UPDATE delivery_delayed SET due_at = now()")
    assert (await bus.sweep()).due == 2
    assert ids(await bus.claim(both, owner)) == [event.event_id] * 2


async def test_effects_are_written_only_for_what_is_held(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, *(new_event() for _ in range(3)))
    owner = await bus.register("test")
    deliveries = await bus.claim({"reader": 3}, owner)
    assert await finish(database, bus, deliveries[:2]) == {d.uid for d in deliveries[:2]}
    assert await finish(database, bus, deliveries) == {deliveries[2].uid}
    async with database.transaction() as connection:
        assert await bus.settled(connection, deliveries) == {d.uid: "done" for d in deliveries}
    await check_invariants(database)


async def test_a_retry_waits_counts_and_keeps_its_identity(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    owner = await bus.register("test")
    (first,) = await bus.claim({"reader": 5}, owner)
    async with database.transaction() as connection:
        assert await bus.retry(connection, first, task_error(ErrorCategory.WORKER_LOST), timedelta(hours=1))
        assert not await bus.retry(connection, first, task_error(), timedelta())
    assert await bus.claim({"reader": 5}, owner) == []
    assert (await bus.backlog(["reader"]))["reader"].delayed == 1
    async with database.transaction() as connection:
        await connection.execute("UPDATE delivery_delayed SET due_at = now()")
    await bus.sweep()
    (second,) = await bus.claim({"reader": 5}, owner)
    assert (second.uid, second.attempt, second.crash_count) == (first.uid, 2, 1)
    assert second.fence > first.fence
    async with database.transaction() as connection:
        assert await bus.retry(connection, second, task_error(message="a\x00b"), timedelta())
    (third,) = await bus.claim({"reader": 5}, owner)
    assert (third.attempt, third.crash_count) == (3, 1)
    async with database.transaction() as connection:
        assert await bus.settled(connection, [first, second, third]) == {first.uid: "retried"}
    await check_invariants(database)


async def test_what_was_not_started_is_released_without_an_attempt(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    owner = await bus.register("test")
    (delivery,) = await bus.claim({"reader": 5}, owner)
    async with database.transaction() as connection:
        assert await bus.release(connection, [delivery]) == {delivery.uid}
    (again,) = await bus.claim({"reader": 5}, owner)
    assert (again.attempt, again.fence) == (1, delivery.fence + 1)
    assert await finish(database, bus, [delivery]) == frozenset()


async def test_a_lane_moves_one_at_a_time_in_order(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError, check_invariants: Check
) -> None:
    await bus.declare([LANES])
    slow, fast = new_id(), new_id()
    expected = {project: [new_event(project) for _ in range(4)] for project in (slow, fast)}
    await publish(database, bus, *(event for pair in zip(*expected.values(), strict=True) for event in pair))
    owner = await bus.register("test")

    heads = await bus.claim({"lanes": 10}, owner)
    assert {d.event.event_id for d in heads} == {expected[slow][0].event_id, expected[fast][0].event_id}
    assert await bus.claim({"lanes": 10}, owner) == []

    seen: dict[UUID, list[UUID]] = {slow: [], fast: []}
    held = next(d for d in heads if d.event.project_id == slow)
    going = [d for d in heads if d.event.project_id == fast]
    async with database.transaction() as connection:
        await bus.retry(connection, held, task_error(), timedelta(hours=1))
    while going:
        seen[fast] += ids(going)
        await finish(database, bus, going)
        going = await bus.claim({"lanes": 10}, owner)
    assert seen[fast] == [event.event_id for event in expected[fast]]

    async with database.transaction() as connection:
        await connection.execute("UPDATE delivery SET not_before = now() WHERE not_before IS NOT NULL")
    while going := await bus.claim({"lanes": 10}, owner):
        seen[slow] += ids(going)
        await finish(database, bus, going)
    assert seen[slow] == [event.event_id for event in expected[slow]]
    await check_invariants(database)


async def test_the_order_of_a_lane_is_the_order_of_commits(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([LANES])
    project = new_id()
    early, late = new_event(project), new_event(project)
    started = asyncio.Event()

    async def publish_late() -> None:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_current_xact_id()")
            await started.wait()
            await bus.publish(connection, [late])

    waiting = asyncio.create_task(publish_late())
    await publish(database, bus, early)
    started.set()
    await waiting
    owner = await bus.register("test")
    first = await bus.claim({"lanes": 5}, owner)
    await finish(database, bus, first)
    assert ids(first) + ids(await bus.claim({"lanes": 5}, owner)) == [early.event_id, late.event_id]


async def test_a_lane_that_is_no_longer_ordered_runs_free(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([LANES])
    project = new_id()
    await publish(database, bus, *(new_event(project) for _ in range(3)))
    await bus.declare([LANES.model_copy(update={"ordered": False})])
    owner = await bus.register("test")
    assert len(await bus.claim({"lanes": 5}, owner)) == 3


async def test_no_project_starves_behind_a_huge_one(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER])
    huge, small = new_id(), [new_id() for _ in range(5)]
    await publish(database, bus, *(new_event(huge) for _ in range(200)))
    await publish(database, bus, *(new_event(project) for project in small))
    owner = await bus.register("test")
    first = await bus.claim({"reader": 12}, owner)
    assert len(first) == 12
    assert set(small) <= {d.event.project_id for d in first}


async def test_capacity_is_filled_and_never_exceeded(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER, LANES])
    projects = [new_id() for _ in range(7)]
    await publish(database, bus, *(new_event(projects[n % 7]) for n in range(60)))
    owner = await bus.register("test")
    sizes = []
    while taken := await bus.claim({"reader": 11, "lanes": 3}, owner):
        sizes.append(sum(d.subscription == "reader" for d in taken))
        lanes = [d for d in taken if d.subscription == "lanes"]
        assert len(lanes) <= 3
        await finish(database, bus, lanes)
    assert sizes[:6] == [11, 11, 11, 11, 11, 5]
    assert (await bus.backlog(["lanes"]))["lanes"].total == 0


async def test_higher_priority_comes_first_and_pause_holds(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER, READER.model_copy(update={"name": "urgent", "priority": 10})])
    await publish(database, bus, new_event(), new_event())
    owner = await bus.register("test")
    async with database.transaction() as connection:
        await connection.execute("UPDATE subscription SET paused = true WHERE name = 'reader'")
    capacity = {"reader": 1, "urgent": 1}
    assert [d.subscription for d in await bus.claim(capacity, owner)] == ["urgent"]
    async with database.transaction() as connection:
        await connection.execute("UPDATE subscription SET paused = false")
    assert [d.subscription for d in await bus.claim(capacity, owner)] == ["urgent", "reader"]


async def test_a_retracted_subscription_gets_nothing_new(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    before, after = new_event(), new_event()
    await publish(database, bus, before)
    await bus.retract(["reader"])
    await publish(database, bus, after)
    owner = await bus.register("test")
    assert ids(await bus.claim({"reader": 5}, owner)) == [before.event_id]


async def test_a_dead_letter_can_be_redriven_edited_or_discarded(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, *(new_event(reason=str(n)) for n in range(3)))
    owner = await bus.register("test")
    deliveries = sorted(await bus.claim({"reader": 3}, owner), key=lambda d: d.event.read(ProjectFailed).reason)
    async with database.transaction() as connection:
        for delivery in deliveries:
            assert await bus.dead_letter(connection, delivery, task_error(message="no\x00pe"), reason="gave up")
        assert not await bus.dead_letter(connection, deliveries[0], task_error())
    await check_invariants(database)

    same, edited, gone = deliveries
    async with database.transaction() as connection:
        await bus.redrive(connection, same.uid, by="ann", reason="the model is back")
        await bus.redrive(connection, edited.uid, by="ann", reason="typo", payload={"reason": "mended"})
        await bus.discard(connection, gone.uid, by="ann", reason="obsolete")
        with pytest.raises(ConflictError, match="redriven by ann"):
            await bus.redrive(connection, same.uid, by="bob", reason="again")
        with pytest.raises(NotFoundError):
            await bus.discard(connection, 10**9, by="bob", reason="?")
    with pytest.raises(TerminalError, match="reason"):  # noqa: PT012 - a transaction is the block under test
        async with database.transaction() as connection:
            await connection.execute("UPDATE dead_letter SET state = 'open' WHERE uid = $1", gone.uid)
            await bus.redrive(connection, gone.uid, by="bob", reason="?", payload={"reason": 1})

    again = {d.uid: d for d in await bus.claim({"reader": 5}, owner)}
    assert set(again) == {same.uid, edited.uid}
    assert again[same.uid].attempt == 1
    assert again[same.uid].fence > same.fence
    assert again[edited.uid].event.read(ProjectFailed).reason == "mended"
    assert again[edited.uid].event.causation_id == edited.event.event_id
    assert await finish(database, bus, list(again.values())) == set(again)


async def test_a_dead_letter_about_a_dead_letter_announces_nothing(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([READER, Subscription(name="watcher", event_types=(DeadLettered.event_type,))])
    await publish(database, bus, new_event())
    owner = await bus.register("test")
    for name in ("reader", "watcher"):
        (delivery,) = await bus.claim({name: 1}, owner)
        async with database.transaction() as connection:
            await bus.dead_letter(connection, delivery, task_error())
    assert await bus.claim({"watcher": 1}, owner) == []
    assert [logged.event.event_type for logged in await bus.tail()] == ["ProjectFailed", "DeadLettered"]


async def test_a_reader_of_the_log_misses_no_late_committer(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    project = new_id()
    late, early = new_event(project), new_event()
    async with database.transaction() as connection:
        await bus.publish(connection, [late])
        await publish(database, bus, early)
        assert await bus.tail() == []
    seen = await bus.tail(limit=1)
    seen += await bus.tail(seen[-1].cursor)
    assert [logged.event for logged in seen] == [late, early]
    assert [logged.event for logged in await bus.tail(project_id=project)] == [late]
    assert await bus.tail(Cursor.parse(str(seen[-1].cursor))) == []


async def test_the_doorbell_rings_after_a_commit_and_not_after_a_rollback(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    rung = asyncio.Event()
    async with Doorbell(database, lambda _: rung.set()):
        await asyncio.wait_for(rung.wait(), 30)
        rung.clear()
        with pytest.raises(RuntimeError):  # noqa: PT012 - a transaction is the block under test
            async with database.transaction() as connection:
                await bus.publish(connection, [new_event()])
                raise RuntimeError
        await database.run(lambda connection: connection.execute("SELECT pg_notify('other', '')"))
        assert not rung.is_set()
        await publish(database, bus, new_event())
        await asyncio.wait_for(rung.wait(), 30)


async def test_the_doorbell_survives_a_lost_connection(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    rung = asyncio.Event()
    async with Doorbell(database, lambda _: rung.set()):
        for _ in range(2):
            await asyncio.wait_for(rung.wait(), 30)
            rung.clear()
            async with database.transaction() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
        await asyncio.wait_for(rung.wait(), 30)
        rung.clear()
        await publish(database, bus, new_event())
        await asyncio.wait_for(rung.wait(), 30)


async def test_maintenance_prepares_days_and_drops_what_nobody_waits_for(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    async with database.transaction() as connection:
        await connection.execute("SELECT create_day_partitions((now() - interval '100 days')::date, 3)")
    await publish(database, bus, new_event())
    await bus.maintain(timedelta(days=90))
    async with database.transaction() as connection:
        names = {
            r[0] for r in await connection.fetch("SELECT relname FROM pg_class WHERE relname ~ '^event_[0-9]{8}$'")
        }
    today = datetime.now(UTC).date()
    assert names == {f"event_{today + timedelta(days=n):%Y%m%d}" for n in range(3)}

    async with database.transaction() as connection:
        await connection.execute("UPDATE delivery SET recorded_at = now() - interval '200 days'")
        await connection.execute("SELECT create_day_partitions((now() - interval '150 days')::date, 1)")
    await bus.maintain(timedelta(days=90))
    async with database.transaction() as connection:
        kept = f"event_{today - timedelta(days=150):%Y%m%d}"
        assert await connection.fetchval("SELECT to_regclass($1)::text", kept) == kept


async def test_a_day_without_a_partition_is_caught(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_catalog.set_config('search_path', 'public', false)")
        for row in await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname ~ '^event_[0-9]{8}$' AND relkind = 'r'"
        ):
            await connection.execute(f"DROP TABLE {row['relname']}")
    assert await publish(database, bus, new_event()) == 1
    await bus.maintain(timedelta(days=90))
    assert await publish(database, bus, new_event()) == 1
    assert len(await bus.tail()) == 2


async def test_what_follows_is_published_with_the_end_of_what_it_follows_from_and_only_then(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event(), new_event())
    owner = await bus.register("test")
    held, given_back = await bus.claim({"reader": 2}, owner)
    async with database.transaction() as connection:
        await bus.release(connection, [given_back])
    rings: list[object] = []
    async with bus.doorbell(rings.append):
        following = {held.uid: [new_event(reason="held")], given_back.uid: [new_event(reason="given back")]}
        assert await bus.finish_and_publish([held, given_back], following) == {held.uid}
        assert ("reader",) in rings
        # As after an answer that was lost.
        assert await bus.finish_and_publish([held, given_back], following) == frozenset()
    told = [logged.event.payload["reason"] for logged in await bus.tail()]
    assert "held" in told
    assert "given back" not in told
    await check_invariants(database)


async def test_nothing_ends_where_what_follows_cannot_be_published(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    owner = await bus.register("test")
    (delivery,) = await bus.claim({"reader": 1}, owner)
    early = new_event().model_copy(update={"timestamp": datetime.now(UTC) + timedelta(days=30)})
    with pytest.raises(TerminalError, match="clock"):
        await bus.finish_and_publish([delivery], {delivery.uid: [new_event(), early]})
    assert len(await bus.tail()) == 1
    assert await finish(database, bus, [delivery]) == {delivery.uid}


async def test_a_delivery_may_end_without_anything_that_follows(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER])
    await publish(database, bus, new_event())
    (delivery,) = await bus.claim({"reader": 1}, await bus.register("test"))
    assert await bus.finish_and_publish([delivery], {}) == {delivery.uid}
    await check_invariants(database)
