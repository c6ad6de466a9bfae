"""Settling on real PostgreSQL: what a group of results leaves behind."""

from datetime import timedelta

from factory.actors.context import Job
from factory.actors.holdings import Holdings
from factory.actors.settlement import Result, Settler
from factory.domain.errors import ErrorCategory
from factory.domain.ids import derived_id
from factory.domain.task import EventDraft, Outcome, StageSpan, Task, TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import ProjectFailed
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.recovery.policy import Policies
from factory.storage.database import Database
from tests.events.conftest import TRACEPARENT

LISTENER = Subscription(name="listener.events", event_types=("ProjectFailed",), payload={"step": "first"})
FOLLOWED = "SELECT payload ->> 'reason' AS reason FROM event WHERE payload ->> 'step' = 'second' ORDER BY position"


def first() -> Envelope:
    return Envelope.of(
        ProjectFailed(reason="because", step="first"),
        topic=Topic.SYSTEM,
        project_id=None,
        originating_agent="tester",
        traceparent=TRACEPARENT,
    )


async def claimed(bus: EventBus, database: Database, *events: Envelope) -> list[Delivery]:
    await bus.declare([LISTENER])
    async with database.transaction() as connection:
        await bus.publish(connection, events)
    return await bus.claim({LISTENER.name: 10}, await bus.register("one"))


def result(delivery: Delivery, reason: str, *, error: TaskError | None = None) -> Result:
    event = delivery.event
    task = Task(
        id=derived_id("handle", "listener", event.event_id),
        project=None,
        step=event.event_type,
        agent="listener",
        goal=event.event_type,
        attempt=delivery.attempt,
        cause_id=event.event_id,
        correlation_id=event.correlation_id,
        traceparent=TRACEPARENT,
        event_type=event.event_type,
        payload=event.payload,
    )
    draft = EventDraft(event_type="ProjectFailed", topic="system", payload={"reason": reason, "step": "second"})
    outcome = Outcome(
        task_id=task.id,
        agent="listener",
        events=() if error else (draft,),
        spans=(StageSpan("receive", 0, 1), StageSpan("emit", 1, 2_500_000_000)),
        error=error,
    )
    return Result(Job(delivery, task, 60), outcome, "listener-1")


async def followed(database: Database) -> list[str]:
    return [row["reason"] for row in await database.fetch(FOLLOWED)]


async def test_an_outcome_commits_its_events_and_the_time_it_took(bus: EventBus, database: Database) -> None:
    (delivery,) = await claimed(bus, database, first())
    await Settler(database, bus, Policies.load()).settle([result(delivery, "handled")])
    assert await followed(database) == ["handled"]
    (row,) = await database.fetch("SELECT outcome, details FROM delivery_log")
    assert (row["outcome"], row["details"]) == ("done", {"seconds": 2.5})


async def test_of_two_attempts_in_one_group_only_the_later_counts(bus: EventBus, database: Database) -> None:
    (earlier,) = await claimed(bus, database, first())
    await database.run(lambda connection: connection.execute("UPDATE delivery SET deadline = now() - interval '1 s'"))
    await bus.sweep()
    (later,) = await bus.claim({LISTENER.name: 10}, await bus.register("two"))
    await Settler(database, bus, Policies.load()).settle([result(earlier, "stale"), result(later, "fresh")])
    assert await followed(database) == ["fresh"]


async def test_an_event_that_breaks_its_contract_is_refused_without_harming_its_group(
    bus: EventBus, database: Database
) -> None:
    deliveries = await claimed(bus, database, first(), first())
    good, bad = result(deliveries[0], "fine"), result(deliveries[1], "wrong")
    wrong = bad.outcome.events[0].model_copy(update={"payload": {"nonsense": True}})
    bad = Result(bad.job, bad.outcome.model_copy(update={"events": (wrong,)}), bad.worker)
    await Settler(database, bus, Policies.load()).settle([bad, good])
    assert await followed(database) == ["fine"]
    (letter,) = await database.fetch("SELECT uid, category FROM dead_letter")
    assert letter["uid"] == deliveries[1].uid


async def test_an_error_is_tried_again_by_the_policy(bus: EventBus, database: Database) -> None:
    (delivery,) = await claimed(bus, database, first())
    error = TaskError(message="busy", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="Busy")
    await Settler(database, bus, Policies.load()).settle([result(delivery, "", error=error)])
    (row,) = await database.fetch("SELECT outcome, error FROM delivery_log")
    assert (row["outcome"], row["error"]) == ("retried", "busy")
    assert (await bus.backlog([LISTENER.name]))[LISTENER.name].delayed == 1


async def test_leases_begin_anew_only_for_what_is_in_hand(bus: EventBus, database: Database) -> None:
    kept, dropped = await claimed(bus, database, first(), first())
    holdings = Holdings(bus)
    holdings.take([kept, dropped])
    holdings.let_go([dropped])
    shift = "UPDATE delivery SET deadline = deadline - $1::interval"
    await database.run(lambda connection: connection.execute(shift, LISTENER.lease + timedelta(seconds=1)))
    await holdings.prolong()
    assert (await bus.sweep()).timed_out == 1
    async with database.transaction() as connection:
        assert await bus.finish(connection, [kept]) == {kept.uid}
