"""Priority, time to live, blocked lanes, leases, deferral, cancelling, limits."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from factory.domain.errors import BacklogFullError, BadInputError, ErrorCategory, TerminalError
from factory.domain.ids import new_id
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import DeadLettered, ProjectFailed
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.registry import REGISTRY
from factory.events.rules import Rules
from factory.events.subscriptions import Subscription
from factory.settings import Settings
from factory.storage.database import Database
from tests.events.clock import pass_time

NewEvent = Callable[..., Envelope]
NewError = Callable[..., TaskError]
Check = Callable[[Database], Awaitable[None]]

FAILED = (ProjectFailed.event_type,)
LEASE = timedelta(hours=10)
READER = Subscription(name="reader", event_types=FAILED, lease=LEASE)
LANES = Subscription(name="lanes", event_types=FAILED, lease=LEASE, ordered=True)
BLOCKING = LANES.model_copy(update={"after_dead_letter": "block"})
HOUR = timedelta(hours=1)


async def publish(database: Database, bus: EventBus, *events: Envelope, **terms: Any) -> int:
    async with database.transaction() as connection:
        return await bus.publish(connection, events, **terms)


async def finish(database: Database, bus: EventBus, deliveries: list[Delivery]) -> frozenset[int]:
    async with database.transaction() as connection:
        return await bus.finish(connection, deliveries)


async def dead_letter(database: Database, bus: EventBus, delivery: Delivery, error: TaskError) -> None:
    async with database.transaction() as connection:
        assert await bus.dead_letter(connection, delivery, error)


def ids(deliveries: list[Delivery]) -> list[UUID]:
    return [delivery.event.event_id for delivery in deliveries]


async def letters(database: Database) -> list[dict[str, Any]]:
    async with database.transaction() as connection:
        return [dict(row) for row in await connection.fetch("SELECT * FROM dead_letter ORDER BY uid")]


async def test_the_last_attempt_ends_in_a_dead_letter_whatever_the_caller_wants(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError, check_invariants: Check
) -> None:
    await bus.declare([READER.model_copy(update={"max_attempts": 2})])
    await publish(database, bus, new_event())
    owner = await bus.register("test")
    for another in (True, False):
        (delivery,) = await bus.claim({"reader": 5}, owner)
        async with database.transaction() as connection:
            assert await bus.retry(connection, delivery, task_error(), timedelta()) is another
    assert await bus.claim({"reader": 5}, owner) == []
    (letter,) = await letters(database)
    assert (letter["attempts"], letter["category"]) == (2, "dependency")
    assert letter["reason"] == "attempt 2 of 2 failed: the model is away"
    await check_invariants(database)


async def test_a_lease_can_be_extended_for_many_at_once(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER.model_copy(update={"lease": HOUR})])
    await publish(database, bus, *(new_event() for _ in range(4)))
    owner = await bus.register("test")
    kept, finished, stolen, dropped = await bus.claim({"reader": 4}, owner)
    await finish(database, bus, [finished])
    await pass_time(database, HOUR * 0.9)
    assert await bus.extend([kept, finished, replace(stolen, fence=stolen.fence - 1)]) == {kept.uid}
    await pass_time(database, HOUR * 0.9)
    assert (await bus.sweep()).timed_out == 2
    assert await bus.extend([kept, dropped]) == {kept.uid}
    assert await finish(database, bus, [kept, dropped]) == {kept.uid}


async def test_a_deferred_delivery_comes_back_at_its_time_with_its_attempt(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER, LANES])
    await publish(database, bus, new_event(project := new_id()), new_event(project))
    owner = await bus.register("test")
    both = {"reader": 1, "lanes": 1}
    first = await bus.claim(both, owner)
    async with database.transaction() as connection:
        for delivery in first:
            assert await bus.defer(connection, delivery, datetime.now(UTC) + HOUR)
            assert not await bus.defer(connection, delivery, datetime.now(UTC) + HOUR)
    assert [d.subscription for d in await bus.claim(both, owner)] == ["reader"]
    assert await bus.claim({"lanes": 5}, owner) == []
    await pass_time(database, HOUR)
    await bus.sweep()
    again = await bus.claim(both, owner)
    assert {(d.uid, d.attempt) for d in again} == {(d.uid, 1) for d in first}
    async with database.transaction() as connection:
        assert await bus.settled(connection, first) == {d.uid: "deferred" for d in first}
        assert await bus.defer(connection, again[0], datetime.now(UTC) - HOUR)
    assert len(await bus.claim({again[0].subscription: 1}, owner)) == 1
    await check_invariants(database)


async def test_what_waits_can_be_cancelled_and_what_is_taken_cannot(
    database: Database, bus: EventBus, new_event: NewEvent, check_invariants: Check
) -> None:
    await bus.declare([READER, LANES])
    scheduled, ready, taken = new_event(), new_event(), new_event()
    await publish(database, bus, scheduled, available_at=datetime.now(UTC) + HOUR)
    await publish(database, bus, taken)
    owner = await bus.register("test")
    assert len(await bus.claim({"reader": 1, "lanes": 1}, owner)) == 2
    await publish(database, bus, ready)
    async with database.transaction() as connection:
        counts = [
            await bus.cancel(connection, event_id, by="ann", reason="no longer wanted")
            for event_id in (scheduled.event_id, ready.event_id, taken.event_id, new_id(), scheduled.event_id)
        ]
    assert counts == [2, 2, 0, 0, 0]
    await pass_time(database, HOUR)
    await bus.sweep()
    assert await bus.claim({"reader": 5, "lanes": 5}, owner) == []
    async with database.transaction() as connection:
        logged = await connection.fetch("SELECT details FROM delivery_log WHERE outcome = 'cancelled'")
    assert [row["details"] for row in logged] == [{"by": "ann", "reason": "no longer wanted"}] * 4
    await check_invariants(database)


@pytest.mark.parametrize("swept", [True, False])
async def test_what_outlived_its_time_is_a_dead_letter_and_never_handed_out(
    database: Database, new_event: NewEvent, check_invariants: Check, *, swept: bool
) -> None:
    bus = EventBus(database, rules=Rules(promote_seconds=0))
    await bus.declare(
        [
            READER.model_copy(update={"time_to_live": HOUR * 2}),
            LANES,
            Subscription(name="watcher", event_types=(DeadLettered.event_type,)),
        ]
    )
    project = new_id()
    short, later, default = new_event(project), new_event(project), new_event(project)
    await publish(database, bus, short, time_to_live=HOUR)
    await publish(database, bus, later, available_at=datetime.now(UTC) + HOUR * 3, time_to_live=HOUR)
    await publish(database, bus, default)
    owner = await bus.register("test")
    names = {"reader": 5, "lanes": 5}

    await pass_time(database, HOUR * 1.5)
    if swept:
        assert (await bus.sweep()).expired == 2
    taken = await bus.claim(names, owner)
    assert sorted((d.subscription, d.event.event_id) for d in taken) == [
        ("lanes", default.event_id), ("reader", default.event_id)
    ]  # fmt: skip
    async with database.transaction() as connection:
        assert await bus.release(connection, taken) == {d.uid for d in taken}

    await pass_time(database, HOUR)
    if swept:
        assert (await bus.sweep()).expired == 1
    taken = await bus.claim(names, owner)
    assert [(d.subscription, d.event.event_id) for d in taken] == [("lanes", default.event_id)]
    await finish(database, bus, taken)

    await pass_time(database, HOUR)
    taken = await bus.claim(names, owner)
    assert ids(taken) == [later.event_id] * 2
    await pass_time(database, HOUR)
    await bus.sweep()
    assert await finish(database, bus, taken) == {d.uid for d in taken}
    found = await letters(database)
    assert [(letter["category"], letter["attempts"]) for letter in found] == [("expired", 0)] * 3
    assert "time to live was over" in found[0]["reason"]
    assert len(await bus.claim({"watcher": 9}, owner)) == 3
    await check_invariants(database)


async def test_work_that_waits_for_its_retry_expires_too_and_a_redriven_one_does_not(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([READER.model_copy(update={"time_to_live": HOUR})])
    await publish(database, bus, new_event())
    owner = await bus.register("test")
    (delivery,) = await bus.claim({"reader": 5}, owner)
    async with database.transaction() as connection:
        assert await bus.retry(connection, delivery, task_error(), HOUR * 2)
    await pass_time(database, HOUR)
    assert (await bus.sweep()).expired == 1
    (letter,) = await letters(database)
    assert (letter["uid"], letter["category"], letter["attempts"]) == (delivery.uid, "expired", 1)
    async with database.transaction() as connection:
        await bus.redrive(connection, delivery.uid, by="ann", reason="still wanted")
    await pass_time(database, HOUR * 5)
    await bus.sweep()
    (again,) = await bus.claim({"reader": 5}, owner)
    assert (again.uid, again.attempt) == (delivery.uid, 1)


async def test_urgent_events_come_first_and_fairly(database: Database, bus: EventBus, new_event: NewEvent) -> None:
    await bus.declare([READER, LANES])
    huge, small = new_id(), new_id()
    low = [new_event(huge) for _ in range(3)]
    high = [new_event(huge) for _ in range(5)]
    rival = [new_event(small)]
    await publish(database, bus, *low, priority=-5)
    await publish(database, bus, *high, priority=7)
    await publish(database, bus, *rival, priority=7)
    owner = await bus.register("test")
    first = await bus.claim({"reader": 2}, owner)
    assert {d.event.project_id for d in first} == {huge, small}
    assert ids(await bus.claim({"reader": 6}, owner)) == [e.event_id for e in (*high[1:], *low[:2])]
    assert ids(await bus.claim({"reader": 6}, owner)) == [low[2].event_id]
    assert await bus.claim({"reader": 6}, owner) == []

    lane: list[UUID] = []
    while taken := [d for d in await bus.claim({"lanes": 5}, owner) if d.event.project_id == huge]:
        lane += ids(taken)
        await finish(database, bus, taken)
    assert lane == [event.event_id for event in (*low, *high)]


async def test_no_band_starves_below_a_stream_of_urgent_work(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    for priority in (-100, -1, 0, 1):
        await publish(database, bus, *(new_event(reason=str(priority)) for _ in range(5)), priority=priority)
    owner = await bus.register("test")
    seen: list[str] = []
    for _ in range(60):
        await publish(database, bus, new_event(reason="100"), new_event(reason="100"), priority=100)
        taken = await bus.claim({"reader": 1}, owner)
        seen += [d.event.read(ProjectFailed).reason for d in taken]
    assert len(seen) == 60
    assert seen.count("100") >= 54
    assert set(seen) == {"100", "1", "0", "-1", "-100"}


async def test_a_claim_for_a_low_band_still_fills_its_capacity(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    owner = await bus.register("test")
    for _ in range(25):
        await publish(database, bus, *(new_event() for _ in range(3)), priority=9)
        await publish(database, bus, new_event(), priority=-9)
        assert len(await bus.claim({"reader": 2}, owner)) == 2
    left = 25 * 2
    sizes = []
    while taken := await bus.claim({"reader": 7}, owner):
        sizes.append(len(taken))
    assert sizes == [7] * (left // 7) + [left % 7]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"priority": 101}, "priority"),
        ({"priority": -101}, "priority"),
        ({"time_to_live": timedelta()}, "time_to_live"),
        ({"time_to_live": -HOUR}, "time_to_live"),
        ({"available_at": datetime(2026, 1, 1)}, "available_at"),  # noqa: DTZ001 - the fault under test
    ],
)
async def test_terms_out_of_range_are_refused(
    database: Database, bus: EventBus, new_event: NewEvent, terms: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        await publish(database, bus, new_event(), **terms)
    assert caught.value.field == field
    assert await bus.tail() == []


async def test_a_dead_letter_holds_its_lane_alone_until_it_is_redriven_to_its_place(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError, check_invariants: Check
) -> None:
    await bus.declare([BLOCKING])
    held, free = new_id(), new_id()
    events = {project: [new_event(project, reason=str(n)) for n in range(3)] for project in (held, free)}
    await publish(database, bus, *events[held], *events[free])
    owner = await bus.register("test")
    for delivery in await bus.claim({"lanes": 5}, owner):
        if delivery.event.project_id == held:
            uid = delivery.uid
            await dead_letter(database, bus, delivery, task_error())
        else:
            await finish(database, bus, [delivery])
    assert [d.event.project_id for d in await bus.claim({"lanes": 5}, owner)] == [free]
    assert await bus.claim({"lanes": 5}, owner) == []
    await publish(database, bus, new_event(held))
    assert await bus.claim({"lanes": 5}, owner) == []

    async with database.transaction() as connection:
        await bus.redrive(connection, uid, by="ann", reason="mended")
    order: list[str] = []
    while taken := await bus.claim({"lanes": 5}, owner):
        order += [d.event.read(ProjectFailed).reason for d in taken]
        assert len(taken) == 1
        await finish(database, bus, taken)
    assert order == ["0", "1", "2", "because"]
    await check_invariants(database)


async def test_a_discarded_dead_letter_lets_its_lane_go(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([BLOCKING])
    project = new_id()
    first, second = new_event(project), new_event(project)
    await publish(database, bus, first, second)
    owner = await bus.register("test")
    (delivery,) = await bus.claim({"lanes": 5}, owner)
    await dead_letter(database, bus, delivery, task_error())
    assert await bus.claim({"lanes": 5}, owner) == []
    async with database.transaction() as connection:
        await bus.discard(connection, delivery.uid, by="ann", reason="obsolete")
    assert ids(await bus.claim({"lanes": 5}, owner)) == [second.event_id]


async def test_two_dead_letters_in_one_lane_are_passed_one_after_the_other(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([BLOCKING])
    project = new_id()
    events = [new_event(project) for _ in range(4)]
    await publish(database, bus, *events[:2])
    await publish(database, bus, events[2], time_to_live=HOUR)
    await publish(database, bus, events[3])
    owner = await bus.register("test")
    (first,) = await bus.claim({"lanes": 5}, owner)
    await dead_letter(database, bus, first, task_error())
    await pass_time(database, HOUR)
    assert (await bus.sweep()).expired == 1
    async with database.transaction() as connection:
        await bus.redrive(connection, first.uid, by="ann", reason="again")
    seen: list[UUID] = []
    while taken := await bus.claim({"lanes": 5}, owner):
        seen += ids(taken)
        await finish(database, bus, taken)
    assert seen == [events[0].event_id, events[1].event_id]
    uid = next(letter["uid"] for letter in await letters(database) if letter["event_id"] == events[2].event_id)
    async with database.transaction() as connection:
        await bus.discard(connection, uid, by="ann", reason="too late")
    assert ids(await bus.claim({"lanes": 5}, owner)) == [events[3].event_id]


async def test_a_subscription_that_stops_blocking_lets_its_lanes_go(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([BLOCKING])
    project = new_id()
    events = [new_event(project) for _ in range(3)]
    await publish(database, bus, *events)
    owner = await bus.register("test")
    (first,) = await bus.claim({"lanes": 5}, owner)
    await dead_letter(database, bus, first, task_error())
    await bus.declare([LANES])
    async with database.transaction() as connection:
        await bus.redrive(connection, first.uid, by="ann", reason="again")
    seen: list[UUID] = []
    while taken := await bus.claim({"lanes": 5}, owner):
        seen += ids(taken)
        await finish(database, bus, taken)
    assert seen == [events[1].event_id, events[2].event_id, events[0].event_id]


async def test_a_publisher_from_outside_is_told_when_a_backlog_is_full(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    limited = READER.model_copy(update={"max_backlog": 3})
    lanes = LANES.model_copy(update={"max_backlog": 3, "projects": (lane := new_id(),)})
    await bus.declare([limited, lanes, Subscription(name="other", event_types=("TaskFailed",), max_backlog=1)])
    owner = await bus.register("test")
    await publish(database, bus, new_event(), new_event(), refuse_when_full=True)
    await publish(database, bus, new_event(), available_at=datetime.now(UTC) + HOUR, refuse_when_full=True)
    refused = new_event()
    with pytest.raises(BacklogFullError, match=r"3 events or more wait for the subscription 'reader'") as caught:
        await publish(database, bus, refused, refuse_when_full=True)
    assert (caught.value.subscription, caught.value.limit) == ("reader", 3)
    assert "max_backlog" in caught.value.remedy
    assert await publish(database, bus, new_event(lane)) == 1  # what follows from a commit is never refused

    (delivery, *_) = await bus.claim({"reader": 3}, owner)
    assert await publish(database, bus, refused, refuse_when_full=True) == 1
    async with database.transaction() as connection:
        await bus.retry(connection, delivery, task_error(), timedelta())
    await publish(database, bus, *(new_event(lane) for _ in range(2)))
    await bus.claim({"reader": 30}, owner)
    with pytest.raises(BacklogFullError, match="'lanes'"):
        await publish(database, bus, new_event(lane), refuse_when_full=True)
    assert await publish(database, bus, new_event(), refuse_when_full=True) == 1


async def test_an_id_is_a_duplicate_for_as_long_as_the_window(database: Database, new_event: NewEvent) -> None:
    bus = EventBus(database, rules=Rules(duplicate_window=HOUR))
    await bus.declare([READER])
    event = new_event()
    changed = event.model_copy(update={"payload": {"reason": "second"}})
    assert await publish(database, bus, event) == 1
    await pass_time(database, HOUR * 0.9)
    assert await publish(database, bus, changed) == 0
    await pass_time(database, HOUR * 0.2)
    assert await publish(database, bus, changed, new_event()) == 2
    assert await publish(database, bus, changed) == 0
    taken = await bus.claim({"reader": 5}, await bus.register("test"))
    assert [d.event.read(ProjectFailed).reason for d in taken] == ["because", "second", "because"]


async def test_maintenance_forgets_ids_past_their_window_page_by_page(
    database: Database, new_event: NewEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.events.journal._PAGES", 2)
    bus = EventBus(database, rules=Rules(duplicate_window=HOUR * 2))
    await publish(database, bus, *(new_event() for _ in range(1_500)))
    await pass_time(database, HOUR * 3)
    kept = [new_event() for _ in range(500)]
    await publish(database, bus, *kept)
    await bus.maintain(timedelta(days=90))
    async with database.transaction() as connection:
        left = {row["event_id"] for row in await connection.fetch("SELECT event_id FROM event_key")}
        assert await connection.fetchval("SELECT pg_relation_size('event_key') / 8192") > 4
    assert left == {event.event_id for event in kept}


async def test_a_payload_over_the_limit_is_refused_with_the_remedy(
    database: Database, settings: Settings, new_event: NewEvent
) -> None:
    bus = EventBus(database, rules=Rules.of(settings.model_copy(update={"event_payload_limit": 1_000})))
    at_limit = 1_000 - len('{"reason":""}')
    assert await publish(database, bus, new_event(reason="x" * at_limit).model_copy(
        update={"payload": {"reason": "x" * at_limit}}
    )) == 1  # fmt: skip
    for text in ("x" * (at_limit + 1), "\N{SNOWMAN}" * (at_limit // 2)):
        event = new_event().model_copy(update={"payload": {"reason": text}})
        with pytest.raises(TerminalError, match="the limit is 1000") as caught:
            await publish(database, bus, event)
        assert caught.value.category is ErrorCategory.SCHEMA
        assert "artifact" in caught.value.remedy
        assert caught.value.field == "payload"
    assert EventBus(database)._rules.payload_limit == 256 * 1024  # noqa: SLF001 - the default has no other face


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
async def test_a_payload_that_cannot_be_stored_is_refused(
    database: Database, bus: EventBus, new_event: NewEvent, text: str
) -> None:
    event = new_event().model_copy(update={"payload": {"reason": text}})
    with pytest.raises(TerminalError) as caught:
        await publish(database, bus, event)
    assert (caught.value.category, caught.value.field) == (ErrorCategory.SCHEMA, "payload")
    assert await publish(database, bus, new_event(reason="a\\u0000b")) == 1


async def test_an_event_from_the_future_is_refused_and_one_from_the_past_is_not(
    database: Database, bus: EventBus, new_event: NewEvent
) -> None:
    await bus.declare([READER])
    now = datetime.now(UTC)
    early = new_event().model_copy(update={"timestamp": now + timedelta(days=1, minutes=5)})
    with pytest.raises(TerminalError, match=str(early.event_id)) as caught:
        await publish(database, bus, new_event(), early)
    assert (caught.value.category, caught.value.field) == (ErrorCategory.SCHEMA, "timestamp")
    assert await bus.tail() == []
    fine = [new_event().model_copy(update={"timestamp": now + d}) for d in (timedelta(hours=23), -timedelta(days=9999))]
    assert await publish(database, bus, *fine) == 2
    strict = EventBus(database, REGISTRY, Rules(clock_ahead=timedelta()))
    with pytest.raises(TerminalError, match="allowed"):
        await publish(database, strict, new_event().model_copy(update={"timestamp": now + HOUR}))


async def test_a_dead_letter_can_be_redriven_after_its_event_left_the_log(
    database: Database, bus: EventBus, new_event: NewEvent, task_error: NewError
) -> None:
    await bus.declare([READER])
    await publish(database, bus, event := new_event())
    owner = await bus.register("test")
    (delivery,) = await bus.claim({"reader": 5}, owner)
    await dead_letter(database, bus, delivery, task_error(message="m" * 1_000_000))
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM event WHERE event_id = $1", event.event_id)
        await bus.redrive(connection, delivery.uid, by="ann", reason="late")
    (again,) = await bus.claim({"reader": 5}, owner)
    assert (again.uid, again.event.payload) == (delivery.uid, event.payload)
    assert again.event.causation_id == event.event_id
