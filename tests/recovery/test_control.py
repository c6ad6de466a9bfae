"""What the control plane does about dead letters and decisions, on a real database, without Ray."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from factory.actors.control_loop import ControlPlane
from factory.actors.subscriptions import CONTROL
from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.control import escalations, letters, usage
from factory.control.compensation import compensation_step
from factory.control.governance import Committer
from factory.control.orchestrator import Orchestrator
from factory.control.projects import NewProject, get_project
from factory.control.recovery import AGENTS, Recovery
from factory.control.submission import submit_vision
from factory.control.usage import Grouping
from factory.domain.errors import BadInputError, ConflictError, ErrorCategory, NotFoundError
from factory.domain.ids import new_id, new_trace_id
from factory.domain.project import Project, ProjectMetadata, ProjectStatus
from factory.domain.recovery import EscalationState, Letter, RecoveryAction
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.contracts.payload import Payload
from factory.events.contracts.recovery import (
    EventReceived,
    NotificationRequested,
    RecoveryDecided,
    RecoveryRequested,
    RedriveRequested,
    ThresholdExceeded,
    WorkflowRequested,
)
from factory.events.contracts.system import CompensationRequested, ProjectFailed
from factory.events.delivery import Owner
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.observability.sampling import Sampler
from factory.observability.traces import Tracing
from factory.recovery.escalation import EscalationPolicies, Rule
from factory.recovery.policy import Policies
from factory.recovery.questions import ask_about_agent, ask_about_letter
from factory.settings import Settings
from factory.storage.database import Database

NOTE = Subscription(name="note-taker.events", event_types=("EventReceived",), max_attempts=1)
ASK = Rule(name="ask", action=RecoveryAction.ASK)
ERROR = TaskError(
    message="no such page", category=ErrorCategory.DEFECT, retryable=False, error_type="KeyError", stack="here"
)


class Plane:
    """The control plane with a hand for each of its parts."""

    def __init__(self, database: Database, bus: EventBus, settings: Settings, owner: Owner) -> None:
        self.database = database
        self.bus = bus
        self.owner = owner
        store = BlobStore(settings.blob_url)
        self.store = store
        topics = {"product-owner": Topic.VISION, "vision-architect": Topic.VISION, "stand-in": Topic.VISION}
        self.repositories = RepositoryStore(settings.repositories_dir)
        self.orchestrator = Orchestrator(bus, store, self.repositories, topics)
        self.recovery = Recovery(bus, self.orchestrator, store)

    async def project(self, **metadata: Any) -> Project:
        new = NewProject(
            name="Clinic",
            slug="clinic",
            blueprint="api-service",
            build_key=str(new_id()),
            metadata=ProjectMetadata(**metadata),
        )
        return await submit_vision(self.database, self.bus, self.store, new, "# Clinic\n")

    async def step(self, subscription: str) -> list[Envelope]:
        """Handle everything that waits for one control subscription, one event per transaction."""
        handled = []
        while deliveries := await self.bus.claim({subscription: 1}, self.owner):
            (delivery,) = deliveries
            async with self.database.transaction() as connection:
                assert await self.bus.finish(connection, [delivery])
                if subscription == "recovery":
                    await self.recovery.handle(connection, delivery.event)
                else:
                    await self.orchestrator.advance(connection, delivery.event)
            handled.append(delivery.event)
        return handled

    async def kill(self, subscription: str, error: TaskError = ERROR) -> int:
        """Give up what waits for a subscription, and return the number of its dead letter."""
        (delivery,) = await self.bus.claim({subscription: 1}, self.owner)
        async with self.database.transaction() as connection:
            assert await self.bus.dead_letter(connection, delivery, error)
        return delivery.uid

    async def say(self, payload: Payload, project: Project | None = None) -> Envelope:
        event = Envelope.of(
            payload,
            topic=Topic.SYSTEM,
            project_id=project.id if project else None,
            originating_agent="tester",
            traceparent=f"00-{new_trace_id()}-b7ad6b7169203331-01",
        )
        async with self.database.transaction() as connection:
            await self.bus.publish(connection, [event])
        return event

    async def dead_task(self, **metadata: Any) -> tuple[Project, Letter]:
        """Return a project whose first task has died and whose letter is tagged."""
        project = await self.project(**metadata)
        await self.step("task-orchestrator")
        await self.kill("vision-architect")
        await self.step("recovery")
        return project, await self.requested(project)

    async def requested(self, project: Project | None) -> Letter:
        (*_, event) = await self.events(RecoveryRequested, project)
        return event.read(RecoveryRequested).letter

    async def events(self, contract: type[Payload], project: Project | None = None) -> list[Envelope]:
        found = [logged.event for logged in await self.bus.tail(limit=1_000)]
        wanted = project.id if project else None
        return [event for event in found if event.event_type == contract.event_type and event.project_id == wanted]

    async def decided(self, letter: Letter, action: RecoveryAction, project: Project | None, **values: Any) -> None:
        given = {"rule": "mine", "redrives": 0, "delays": [], "to": None, "notify": [], **values}
        await self.say(RecoveryDecided(letter=letter, action=action, **given), project)
        await self.step("recovery")

    async def status(self, project: Project) -> ProjectStatus:
        async with self.database.transaction() as connection:
            return (await get_project(connection, project.id)).status

    async def row(self, query: str, *arguments: object) -> dict[str, Any]:
        async with self.database.transaction() as connection:
            row = await connection.fetchrow(query, *arguments)
        assert row is not None
        return dict(row)

    async def letter(self, uid: int) -> dict[str, Any]:
        return await self.row("SELECT * FROM dead_letter WHERE uid = $1", uid)


@pytest.fixture
async def plane(database: Database, bus: EventBus, settings: Settings) -> Plane:
    tasks = [
        Subscription(name=name, event_types=("TaskAssigned",), payload={"agent": name})
        for name in ("vision-architect", "stand-in")
    ]
    managers = [Subscription(name=f"{agent}.events", event_types=("RecoveryRequested",)) for agent in AGENTS[:1]]
    await bus.declare((*CONTROL, *tasks, *managers, NOTE))
    owner = await bus.register("tester", lease=timedelta(minutes=5))
    return Plane(database, bus, settings, owner)


async def raised(plane: Plane, project: Project, letter: Letter, rule: Rule = ASK) -> UUID:
    await plane.say(ask_about_letter(letter, rule, project), project)
    await plane.step("recovery")
    row = await plane.row("SELECT id FROM escalation WHERE letter = $1 AND state = 'open'", letter.uid)
    identity: UUID = row["id"]
    return identity


async def answer(plane: Plane, escalation: UUID, with_: str) -> None:
    async with plane.database.transaction() as connection:
        await escalations.decide(connection, plane.bus, str(escalation), with_, by="ada", note="seen")
    await plane.step("recovery")


async def test_a_letter_is_tagged_and_the_project_waits_for_the_decision(plane: Plane) -> None:
    project, letter = await plane.dead_task(risk="high")
    row = await plane.letter(letter.uid)
    assert (row["agent"], row["step"], row["event_type"]) == ("vision-architect", letter.step, "TaskAssigned")
    assert (row["severity"], row["criticality"], row["trace_id"]) == ("critical", "high", project.trace_id)
    assert (letter.error_type, letter.attempts, letter.reason) == ("KeyError", 1, "no such page")
    assert await plane.status(project) is ProjectStatus.VISIONING
    task = await plane.row("SELECT status, error ->> 'message' AS message FROM task WHERE id = $1", letter.task_id)
    assert task == {"status": "assigned", "message": "no such page"}


async def test_the_decision_to_fail_ends_the_project_with_the_reason_of_its_step(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    await plane.decided(letter, RecoveryAction.FAIL, project)
    assert await plane.status(project) is ProjectStatus.FAILED
    failure = await plane.row("SELECT failure ->> 'reason' AS reason FROM project WHERE id = $1", project.id)
    assert failure["reason"] == "no such page"


@pytest.mark.parametrize("agent", AGENTS[:1])
async def test_a_letter_of_the_recovery_agents_fails_the_project_without_asking_them(plane: Plane, agent: str) -> None:
    project, _ = await plane.dead_task(risk="critical")
    await plane.kill(f"{agent}.events")
    await plane.step("recovery")
    assert await plane.status(project) is ProjectStatus.FAILED
    assert len(await plane.events(RecoveryRequested, project)) == 1


async def test_a_letter_of_the_control_plane_fails_the_project(plane: Plane) -> None:
    project = await plane.project()
    await plane.kill("task-orchestrator")
    await plane.step("recovery")
    assert await plane.status(project) is ProjectStatus.FAILED


async def test_a_monitor_that_fails_ends_the_project_because_nobody_is_told_of_its_own_letter(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await plane.project()
    await plane.step("task-orchestrator")
    await plane.kill("vision-architect")
    control = ControlPlane(
        plane.database,
        plane.bus,
        orchestrator=plane.orchestrator,
        committer=Committer(plane.database, plane.store, plane.repositories),
        recovery=plane.recovery,
        policies=Policies.load(),
        tracing=Tracing(service="test", sampler=Sampler(1, 100)),
    )
    monkeypatch.setattr(letters, "tag", None)
    await control.handle(await plane.bus.claim({"recovery": 1}, plane.owner))
    assert await plane.status(project) is ProjectStatus.FAILED
    row = await plane.row("SELECT error_type FROM dead_letter WHERE subscription = 'recovery'")
    assert row["error_type"] == "TypeError"


async def test_a_redrive_delivers_the_letter_again_once(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    request = RedriveRequested(letter=letter.uid, fence=letter.fence, redrive=1, reason="by rule later")
    await plane.say(request, project)
    await plane.say(request, project)
    await plane.step("recovery")
    assert (await plane.letter(letter.uid))["state"] == "redriven"
    (delivery,) = await plane.bus.claim({"vision-architect": 9}, plane.owner)
    assert (delivery.uid, delivery.attempt) == (letter.uid, 1)
    async with plane.database.transaction() as connection:
        history = await letters.read_history(connection, letter)
    assert (history.redrives, history.tried) == (1, ("vision-architect",))


async def test_a_decision_about_an_earlier_death_has_no_effect(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    async with plane.database.transaction() as connection:
        await plane.bus.redrive(connection, letter.uid, by="ada", reason="again")
    await plane.kill("vision-architect")
    await plane.decided(letter, RecoveryAction.FAIL, project)
    assert await plane.status(project) is ProjectStatus.VISIONING
    again = await plane.requested(project)
    assert (again.uid, again.fence > letter.fence) == (letter.uid, True)


async def test_a_decision_to_compensate_undoes_the_project_without_failing_it_first(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    await plane.decided(letter, RecoveryAction.COMPENSATE, project)
    (request,) = await plane.events(CompensationRequested, project)
    assert request.read(CompensationRequested).reason == letter.reason
    await plane.step("task-orchestrator")
    # Nothing was done yet, so nothing is left to undo.
    assert await plane.status(project) is ProjectStatus.COMPENSATED
    assert await plane.events(ProjectFailed, project) == []


async def test_a_compensation_that_died_asks_for_no_other_one(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    of_a_saga = letter.model_copy(update={"step": compensation_step(letter.step)})
    await plane.decided(of_a_saga, RecoveryAction.COMPENSATE, project)
    assert await plane.events(CompensationRequested, project) == []
    assert await plane.status(project) is ProjectStatus.FAILED


async def test_a_letter_of_a_step_is_not_redriven_while_its_project_is_undone(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    await plane.decided(letter, RecoveryAction.COMPENSATE, project)
    await plane.step("task-orchestrator")
    await plane.say(RedriveRequested(letter=letter.uid, fence=letter.fence, redrive=1, reason="again"), project)
    await plane.step("recovery")
    assert (await plane.letter(letter.uid))["state"] == "open"


async def test_a_task_is_given_to_another_agent_as_the_next_round(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    await plane.decided(letter, RecoveryAction.REASSIGN, project, to="stand-in")
    (delivery,) = await plane.bus.claim({"stand-in": 9}, plane.owner)
    payload = delivery.event.payload
    assert (payload["step"], payload["agent"], payload["round"]) == (letter.step, "stand-in", 2)
    row = await plane.letter(letter.uid)
    assert (row["state"], row["resolution"]) == ("discarded", "its task went to stand-in by rule mine")
    async with plane.database.transaction() as connection:
        assert (await letters.read_history(connection, letter)).tried == ("stand-in", "vision-architect")


async def test_an_agent_that_does_not_exist_takes_nothing_over(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    with pytest.raises(NotFoundError, match="ghost"):
        await plane.decided(letter, RecoveryAction.REASSIGN, project, to="ghost")


@pytest.mark.parametrize(
    ("with_", "state", "status", "letter_state"),
    [
        ("retry", EscalationState.RETRIED, ProjectStatus.VISIONING, "redriven"),
        ("approve", EscalationState.APPROVED, ProjectStatus.FAILED, "open"),
        ("reject", EscalationState.REJECTED, ProjectStatus.FAILED, "open"),
    ],
)
async def test_each_answer_has_its_effect_and_is_given_once(
    plane: Plane, with_: str, state: EscalationState, status: ProjectStatus, letter_state: str
) -> None:
    project, letter = await plane.dead_task()
    escalation = await raised(plane, project, letter)
    await answer(plane, escalation, with_)
    async with plane.database.transaction() as connection:
        found = await escalations.get(connection, escalation)
    assert (found.state, found.decided_by, found.note) == (state, "ada", "seen")
    assert await plane.status(project) is status
    assert (await plane.letter(letter.uid))["state"] == letter_state
    with pytest.raises(ConflictError, match=f"was {state} by ada"):
        await answer(plane, escalation, "reject")


async def test_a_retry_takes_up_a_project_that_failed_meanwhile(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    escalation = await raised(plane, project, letter)
    async with plane.database.transaction() as connection:
        (event,) = await plane.events(RecoveryRequested, project)
        await plane.orchestrator.end(connection, event, step="elsewhere", reason="another step failed")
    await answer(plane, escalation, "retry")
    assert await plane.status(project) is ProjectStatus.VISIONING
    assert (await plane.letter(letter.uid))["state"] == "redriven"


async def test_a_letter_has_one_open_escalation_however_often_it_is_raised(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    await raised(plane, project, letter)
    await raised(plane, project, letter)
    assert (await plane.row("SELECT count(*) AS count FROM escalation"))["count"] == 1


async def test_an_answer_after_the_letter_was_resolved_changes_nothing(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    escalation = await raised(plane, project, letter)
    async with plane.database.transaction() as connection:
        await plane.bus.redrive(connection, letter.uid, by="grace", reason="by hand")
    await answer(plane, escalation, "reject")
    assert await plane.status(project) is ProjectStatus.VISIONING


@pytest.mark.parametrize(
    ("identifier", "with_", "note", "error"),
    [
        ("00000000-0000-7000-8000-00000000000a", "retry", "x", NotFoundError),
        ("nonsense", "retry", "x", BadInputError),
        ("", "shrug", "x", BadInputError),
        ("", "retry", "  ", BadInputError),
    ],
)
async def test_a_decision_that_makes_no_sense_is_refused(
    plane: Plane, identifier: str, with_: str, note: str, error: type[Exception]
) -> None:
    project, letter = await plane.dead_task()
    known = await raised(plane, project, letter)
    with pytest.raises(error):
        async with plane.database.transaction() as connection:
            await escalations.decide(connection, plane.bus, identifier or str(known), with_, by="ada", note=note)


def exceeded(letter: Letter) -> ThresholdExceeded:
    return ThresholdExceeded(
        threshold="many",
        breach="many:vision-architect:KeyError",
        subscription="vision-architect",
        agent="vision-architect",
        error_type="KeyError",
        last_letter=letter.uid,
        count=3,
        minutes=5,
        severity=letter.severity,
    )


async def test_a_breach_pauses_the_agent_once_until_the_answer_and_is_covered_by_it(plane: Plane) -> None:
    _, letter = await plane.dead_task()
    policies = EscalationPolicies.model_validate(
        {
            "rules": [{"name": "rest", "action": "fail"}],
            "thresholds": [{"name": "many", "more_than": 1, "minutes": 5, "pause": True}],
        }
    )
    question = ask_about_agent(exceeded(letter), policies.thresholds[0])
    paused = "SELECT paused FROM subscription WHERE name = 'vision-architect'"
    count = "SELECT count(*) AS count FROM escalation"
    for _ in range(2):
        await plane.say(question)
        await plane.step("recovery")
    assert (await plane.row(paused))["paused"]
    assert (await plane.row(count))["count"] == 1
    escalation = (await plane.row("SELECT id FROM escalation"))["id"]
    await answer(plane, escalation, "retry")
    assert not (await plane.row(paused))["paused"]
    # The same letters again, told of later than the answer came.
    await plane.say(question)
    await plane.step("recovery")
    assert (await plane.row(count))["count"] == 1
    assert not (await plane.row(paused))["paused"]
    async with plane.database.transaction() as connection:
        (breach,) = (await letters.read_history(connection, letter)).breaches
    assert breach.age_seconds is not None


async def test_what_belongs_to_no_project_is_tagged_and_decided_too(plane: Plane) -> None:
    await plane.say(EventReceived(source="door", kind="bell"))
    uid = await plane.kill(NOTE.name)
    await plane.step("recovery")
    letter = await plane.requested(None)
    assert (letter.agent, letter.event_type, letter.task_id) == ("note-taker", "EventReceived", None)
    await plane.decided(letter, RecoveryAction.NOTIFY, None, notify=["grace"])
    (told,) = await plane.events(NotificationRequested)
    assert told.payload["recipients"] == ["grace"]
    await plane.decided(letter, RecoveryAction.FAIL, None)
    assert (await plane.letter(uid))["state"] == "open"
    await plane.say(ask_about_letter(letter, ASK, None))
    await plane.step("recovery")
    await answer(plane, (await plane.row("SELECT id FROM escalation"))["id"], "retry")
    assert (await plane.letter(uid))["state"] == "redriven"


async def test_a_request_starts_a_project_and_one_about_a_project_is_refused(plane: Plane) -> None:
    request = WorkflowRequested(
        rule="mine",
        source="door",
        name="Library",
        slug="library",
        blueprint="api-service",
        vision="# Library\n",
        risk="high",
        priority=7,
    )
    await plane.say(request)
    await plane.step("recovery")
    row = await plane.row("SELECT status, metadata FROM project WHERE slug = 'library'")
    assert row["status"] == "visioning"
    assert (row["metadata"]["risk"], row["metadata"]["priority"]) == ("high", 7)
    await plane.say(request, await plane.project())
    with pytest.raises(BadInputError, match="asks for a new one"):
        await plane.step("recovery")


async def test_figures_are_summed_by_agent_project_and_event_type(plane: Plane) -> None:
    project, letter = await plane.dead_task()
    await plane.say(RedriveRequested(letter=letter.uid, fence=letter.fence, redrive=1, reason="again"), project)
    await plane.step("recovery")
    (delivery,) = await plane.bus.claim({"vision-architect": 1}, plane.owner)
    async with plane.database.transaction() as connection:
        await plane.bus.finish(connection, [delivery], {delivery.uid: {"seconds": 1.5}})

        async def read(by: Grouping, **only: Any) -> dict[str, usage.Usage]:
            return {item.name: item for item in await usage.read_usage(connection, by, **only)}

        for found in (
            (await read(Grouping.AGENT))["vision-architect"],
            (await read(Grouping.EVENT_TYPE, project_id=project.id))["TaskAssigned"],
        ):
            assert (found.deliveries, found.attempts, found.dead_letters, found.redrives) == (1, 2, 1, 1)
            assert (found.retries, found.seconds) == (0, 1.5)
        by_project = await read(Grouping.PROJECT)
        assert by_project[str(project.id)].seconds == 1.5
        assert by_project[str(project.id)].events == sum(
            item.events for item in (await read(Grouping.EVENT_TYPE, project_id=project.id)).values()
        )
        now = await connection.fetchval("SELECT clock_timestamp()")
        assert await read(Grouping.AGENT, since=now) == {}
