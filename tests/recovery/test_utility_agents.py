"""The recovery agents and the dispatcher, each with real tasks, without Ray and without a database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from factory.actors.agent import Agent
from factory.actors.drafts import draft
from factory.actors.roster import load_roster
from factory.artifacts.blobs import BlobStore
from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.ids import new_id
from factory.domain.project import Project, ProjectMetadata, ProjectStatus
from factory.domain.recovery import Criticality, RecoveryAction, Severity
from factory.domain.task import Outcome, Task
from factory.events.contracts.payload import Payload
from factory.events.contracts.recovery import (
    EscalationRaised,
    EventReceived,
    RecoveryDecided,
    RecoveryRequested,
    RedriveRequested,
    ThresholdExceeded,
    WorkflowRequested,
)
from factory.events.contracts.tasks import TaskAssigned
from factory.recovery.escalation import Death, History
from factory.settings import Settings
from factory.skills.catalogue import Catalogue
from tests.recovery.builders import letter

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PROJECT = Project(
    id=new_id(),
    name="Clinic",
    slug="clinic",
    blueprint="api-service",
    status=ProjectStatus.DEVELOPMENT,
    revision=2,
    trace_id=TRACE,
    metadata=ProjectMetadata(stakeholders=("ada",)),
    created_at=NOW,
    updated_at=NOW,
)


class Bench:
    """Makes agents with their policies and hands them events."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings: dict[str, Any] = {"data_dir": folder}

    def policies(self, setting: str, text: str) -> None:
        path = self._folder / f"{setting}.yaml"
        path.write_text(text)
        self.settings[setting] = path

    def agent(self, name: str) -> Agent:
        agent = load_roster().find(name)
        return agent(BlobStore((self._folder / "blobs").as_uri()), Catalogue(()), Settings(**self.settings))

    async def run(
        self, name: str, payload: Payload, *, project: Project | None = None, facts: dict[str, Any] | None = None
    ) -> Outcome:
        task = Task(
            id=new_id(),
            project=project,
            step=payload.event_type,
            agent=name,
            goal=payload.event_type,
            attempt=1,
            cause_id=new_id(),
            correlation_id=new_id(),
            traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
            event_type=payload.event_type,
            payload=payload.model_dump(mode="json"),
            facts=facts or {},
        )
        agent = self.agent(name)
        first, second = await agent.run([task, task])
        assert [event.event_type for event in first.events] == [event.event_type for event in second.events]
        return first


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def only(outcome: Outcome, contract: type[Payload]) -> Any:
    assert outcome.error is None, outcome.error
    assert [event.event_type for event in outcome.events] == [contract.event_type]
    return contract.model_validate(outcome.events[0].payload)


def history(**values: Any) -> dict[str, Any]:
    return {"letter-history": History(**values).model_dump(mode="json")}


@pytest.mark.parametrize(
    ("criticality", "project", "action"),
    [
        (Criticality.NORMAL, PROJECT, RecoveryAction.FAIL),
        (Criticality.CRITICAL, PROJECT, RecoveryAction.ASK),
        (Criticality.NORMAL, None, RecoveryAction.FAIL),
    ],
)
async def test_the_recovery_manager_decides_by_policy(
    bench: Bench, criticality: Criticality, project: Project | None, action: RecoveryAction
) -> None:
    about = letter(criticality=criticality)
    outcome = await bench.run("recovery-manager", RecoveryRequested(letter=about), project=project, facts=history())
    decided = only(outcome, RecoveryDecided)
    assert (decided.letter, decided.action) == (about, action)


async def test_the_recovery_manager_works_without_facts(bench: Bench) -> None:
    decided = only(await bench.run("recovery-manager", RecoveryRequested(letter=letter())), RecoveryDecided)
    assert decided.redrives == 0


async def test_the_recovery_manager_tells_of_an_exceeded_threshold_beside_its_decision(bench: Bench) -> None:
    recent = tuple(Death(error_type="KeyError", age_seconds=age) for age in range(21))
    outcome = await bench.run("recovery-manager", RecoveryRequested(letter=letter()), facts=history(recent=recent))
    assert [event.event_type for event in outcome.events] == ["RecoveryDecided", "ThresholdExceeded"]
    exceeded = ThresholdExceeded.model_validate(outcome.events[1].payload)
    assert (exceeded.agent, exceeded.count, exceeded.last_letter) == ("writer", 21, 7)


@pytest.mark.parametrize("name", ["recovery-manager", "escalation-router"])
def test_policies_that_cannot_be_used_are_told_when_the_actor_starts(bench: Bench, name: str) -> None:
    bench.policies("escalation_policies", "rules: [{name: x}]")
    with pytest.raises(BadInputError, match="action"):
        bench.agent(name)


def decided(action: RecoveryAction, **changes: Any) -> RecoveryDecided:
    values: dict[str, Any] = {
        "letter": letter(criticality=Criticality.CRITICAL),
        "rule": "ask-about-critical-projects",
        "action": action,
        "redrives": 0,
        "delays": [],
        "to": None,
        "notify": [],
    }
    return RecoveryDecided(**{**values, **changes})


@pytest.mark.parametrize(("redrives", "low", "high"), [(0, 60, 120), (1, 600, 900), (5, 600, 900)])
async def test_the_retry_manager_schedules_a_redrive(bench: Bench, redrives: int, low: float, high: float) -> None:
    payload = decided(RecoveryAction.REDRIVE, redrives=redrives, delays=[(60, 120), (600, 900)], rule="later")
    outcome = await bench.run("retry-manager", payload)
    request = only(outcome, RedriveRequested)
    assert (request.letter, request.fence, request.redrive) == (7, 3, redrives + 1)
    assert request.reason == f"redrive {redrives + 1} by rule later"
    assert low <= outcome.events[0].delay_seconds <= high


async def test_the_escalation_router_chooses_owners_channel_and_deadline(bench: Bench) -> None:
    raised = only(await bench.run("escalation-router", decided(RecoveryAction.ASK), project=PROJECT), EscalationRaised)
    assert (raised.owners, raised.channel, raised.deadline_seconds) == (["ada", "operators"], "log", 86_400)
    assert raised.letter == letter(criticality=Criticality.CRITICAL)


async def test_the_escalation_router_asks_about_an_agent_and_not_about_a_threshold_that_is_gone(bench: Bench) -> None:
    values = {
        "threshold": "many-of-one-kind",
        "breach": "many-of-one-kind:writer:KeyError",
        "subscription": "writer",
        "agent": "writer",
        "error_type": "KeyError",
        "last_letter": 7,
        "count": 21,
        "minutes": 10,
        "severity": Severity.ERROR,
    }
    raised = only(await bench.run("escalation-router", ThresholdExceeded(**values)), EscalationRaised)
    assert (raised.letter, raised.breach, raised.owners) == (None, values["breach"], ["operators"])
    outcome = await bench.run("escalation-router", ThresholdExceeded(**{**values, "threshold": "gone"}))
    assert outcome.error is not None
    assert (outcome.error.category, outcome.error.retryable) == (ErrorCategory.EXPIRED, False)


def received(kind: str, **body: Any) -> EventReceived:
    return EventReceived(source="door", kind=kind, body=body)


async def test_the_dispatcher_reads_a_vision_and_asks_for_its_workflow(bench: Bench) -> None:
    text = "# Library\n\nAs a reader I want to borrow a book.\n"
    outcome = await bench.run("event-dispatcher", received("vision.submitted", vision=text))
    wanted = only(outcome, WorkflowRequested)
    assert (wanted.name, wanted.slug, wanted.blueprint) == ("Library", "library", "api-service")
    assert (wanted.vision, wanted.rule, wanted.source) == (text, "vision-submitted", "door")


TO_AGENT = """
rules:
  - name: redraw
    when: {kind: model.outdated}
    to: {agent: solution-architect, goal: architecture, inputs: [domain-model], parameters: {style: plain}}
"""


async def test_the_dispatcher_assigns_a_task_with_the_inputs_that_are_valid(bench: Bench) -> None:
    bench.policies("routing_rules", TO_AGENT)
    model = str(new_id())
    facts = {"valid-artifacts": {"domain-model": model, "backlog": str(new_id())}}
    event = received("model.outdated", why="new field")
    outcome = await bench.run("event-dispatcher", event, project=PROJECT, facts=facts)
    assigned = only(outcome, TaskAssigned)
    assert (assigned.agent, assigned.goal, assigned.revision) == ("solution-architect", "architecture", 2)
    assert [str(key) for key in assigned.input_ids] == [model]
    assert assigned.parameters["style"] == "plain"
    assert assigned.parameters["event"] == event.model_dump(mode="json")
    assert outcome.events[0].topic == "architecture"


@pytest.mark.parametrize(
    ("event", "project", "facts", "said"),
    [
        (received("weather.changed"), None, {}, "goes to nobody: no rule matches it (redraw: its kind is"),
        (received("model.outdated"), None, {}, "the event belongs to none"),
        (received("model.outdated"), PROJECT, {"valid-artifacts": {}}, "no valid domain-model yet"),
        (received("vision.submitted", vision=["x"]), None, {}, "the body has no text at 'vision'"),
    ],
)
async def test_what_cannot_be_routed_is_refused_with_its_reason(
    bench: Bench, event: EventReceived, project: Project | None, facts: dict[str, Any], said: str
) -> None:
    bench.policies("routing_rules", TO_AGENT)
    outcome = await bench.run("event-dispatcher", event, project=project, facts=facts)
    assert outcome.error is not None
    assert not outcome.error.retryable
    assert said in outcome.error.message


def test_a_draft_carries_its_contract_and_key() -> None:
    drafted = draft(received("x"), key="y", delay_seconds=3)
    assert (drafted.event_type, drafted.version, drafted.topic) == ("EventReceived", 1, "system")
    assert (drafted.key, drafted.delay_seconds) == ("y", 3)


def test_the_recovery_agents_cost_nothing_while_nothing_fails() -> None:
    agents: Sequence[type[Agent]] = [
        load_roster().find(name)
        for name in ("recovery-manager", "retry-manager", "escalation-router", "event-dispatcher")
    ]
    assert {agent.spec.min_size for agent in agents} == {0}
    assert {agent.spec.subcluster for agent in agents} == {"utility"}
