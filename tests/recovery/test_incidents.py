"""When something is wrong and when it is over: rules, what is observed, and what is recorded, without Ray."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.actors.roster import load_roster
from factory.actors.subscriptions import CONTROL
from factory.actors.upkeep import Upkeep
from factory.artifacts.blobs import BlobStore
from factory.control import incidents
from factory.domain.errors import BadInputError
from factory.domain.ids import derived_id, new_id
from factory.domain.recovery import Severity
from factory.domain.task import Outcome, Task
from factory.domain.telemetry import Figure, Incident, Observation
from factory.events.bus import EventBus
from factory.events.contracts.observability import IncidentClosed, IncidentRaised, TelemetryObserved
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.observability.traceparents import root_traceparent
from factory.recovery.incidents import IncidentRules
from factory.settings import Settings
from factory.skills.catalogue import Catalogue
from factory.storage.database import Database

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TRACEPARENT = root_traceparent("0af7651916cd43dd8448eb211c80319c")
SHIPPED = IncidentRules.load()


def waits(subject: str, deliveries: float) -> Observation:
    return Observation(subject=subject, figure=Figure.READY, value=deliveries)


def incident(rule: str, subject: str, figure: Figure = Figure.READY) -> Incident:
    return Incident(
        id=derived_id(rule, subject),
        rule=rule,
        subject=subject,
        severity=Severity.WARNING,
        figure=figure,
        value=501,
        limit=500,
        opened_at=NOW,
    )


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1000)), max_size=6), st.sets(st.sampled_from("abc")))
def test_a_subject_has_one_incident_from_the_limit_to_half_of_it(
    values: list[tuple[str, float]], known: set[str]
) -> None:
    latest = dict(values)
    observations = [waits(subject, value) for subject, value in latest.items()]
    breaches, over = SHIPPED.judge(observations, [incident("backlog-grows", subject) for subject in known])
    assert {breach.subject for breach in breaches} == {s for s, value in latest.items() if value > 500} - known
    assert {item.subject for item in over} == {s for s in known if latest.get(s, 0) <= 250}


def test_own_rules_decide_for_their_subjects_and_the_shipped_ones_for_the_others(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{name: patient, figure: ready, subjects: [sem*], above: 900, severity: info, until: 800}]")
    rules = IncidentRules.load(path)
    (breach,), over = rules.judge([waits("semantic-embedder", 899), waits("product-owner", 899)], [])
    assert (breach.subject, breach.rule.name, over) == ("product-owner", "backlog-grows", [])
    # What another rule is about now is over under the old name.
    _, over = rules.judge([waits("semantic-embedder", 899)], [incident("backlog-grows", "semantic-embedder")])
    assert len(over) == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("rules: [{name: x, figure: mood, above: 1, severity: info}]", "figure"),
        ("rules: [{name: x, figure: ready, above: 1, until: 2, severity: info}]", "until"),
        ("rules: [{name: x, figure: ready, above: -1, severity: info}]", "above"),
        ("nothing", "rules"),
    ],
)
def test_rules_that_cannot_be_used_are_told(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match="incident rules") as told:
        IncidentRules.load(path)
    assert names in str(told.value) or names == "rules"


async def coordinate(observations: list[Observation], known: list[Incident], folder: Path) -> Outcome:
    agent = load_roster().find("observability-coordinator")
    made = agent(BlobStore((folder / "blobs").as_uri()), Catalogue(()), Settings(data_dir=folder))
    payload = TelemetryObserved(observations=observations)
    facts: Any = {"open-incidents": [item.model_dump(mode="json") for item in known]}
    task = Task(
        id=new_id(),
        project=None,
        step=payload.event_type,
        agent=agent.spec.name,
        goal=payload.event_type,
        attempt=1,
        cause_id=new_id(),
        correlation_id=new_id(),
        traceparent=TRACEPARENT,
        event_type=payload.event_type,
        payload=payload.model_dump(mode="json"),
        facts=facts,
    )
    (outcome,) = await made.run([task])
    assert outcome.error is None, outcome.error
    return outcome


async def test_the_coordinator_raises_and_closes(tmp_path: Path) -> None:
    known = incident("backlog-grows", "product-owner")
    outcome = await coordinate([waits("writer", 900)], [known], tmp_path)
    raised, closed = outcome.events
    assert IncidentRaised.model_validate(raised.payload).summary == "900 deliveries wait for writer; 500 are fine."
    assert IncidentClosed.model_validate(closed.payload).incident_id == known.id


async def test_an_incident_is_recorded_and_told_once_and_may_come_again(
    new_database_url: Callable[[], Awaitable[str]], tmp_path: Path
) -> None:
    outcome = await coordinate([waits("writer", 900)], [], tmp_path)
    (draft,) = outcome.events
    settings = Settings(database_url=await new_database_url(), data_dir=tmp_path)
    async with await Database.open(settings) as database:
        bus = EventBus(database)

        async def handle(payload: IncidentRaised | IncidentClosed) -> list[Incident]:
            event = Envelope.of(
                payload, topic=Topic.SYSTEM, project_id=None, originating_agent="test", traceparent=TRACEPARENT
            )
            async with database.transaction() as connection:
                await incidents.handle(connection, bus, event)
                return await incidents.list_open(connection)

        raised = IncidentRaised.model_validate(draft.payload)
        (first,) = await handle(raised)
        assert await handle(raised) == [first]
        assert first.closed_at is None
        over = IncidentClosed(incident_id=first.id, rule=first.rule, subject=first.subject)
        assert await handle(over) == await handle(over) == []
        (second,) = await handle(raised)
        assert second.id != first.id
        told = await database.fetch("SELECT FROM event WHERE event_type = 'NotificationRequested'")
        assert len(told) == 2
        async with database.session() as connection:
            latest = await incidents.list_latest(connection, 10)
        assert {item.id: item.closed_at is None for item in latest} == {first.id: False, second.id: True}


async def test_a_quiet_factory_wakes_nobody_and_several_supervisors_are_heard_once(
    new_database_url: Callable[[], Awaitable[str]], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: any, figure: late_owners, above: 0, severity: info}]")
    settings = Settings(
        database_url=await new_database_url(), data_dir=tmp_path, observe_seconds=0.01, incident_rules=rules
    )
    async with await Database.open(settings) as database:
        bus = EventBus(database)
        await bus.declare(CONTROL)
        steps = [Upkeep(database, bus, settings, lambda: None).steps[-1] for _ in range(2)]
        observed = "SELECT payload FROM event WHERE event_type = 'TelemetryObserved'"
        for step in steps:
            await step()
        assert await database.fetch(observed) == []

        async with database.transaction() as connection:
            found = await incidents.observe(connection, bus)
            for _ in steps:
                await incidents.tell(connection, bus, found, turn=7)
        (row,) = await database.fetch(observed)
        assert {item.subject for item in found} >= {subscription.name for subscription in CONTROL} | {"factory"}
        assert row["payload"]


def test_observing_can_be_switched_off(tmp_path: Path) -> None:
    def steps(seconds: float) -> int:
        made: Any = None
        return len(Upkeep(made, made, Settings(data_dir=tmp_path, observe_seconds=seconds), lambda: None).steps)

    assert steps(0) == steps(30) - 1
