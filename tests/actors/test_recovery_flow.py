"""Projects in trouble: what the recovery agents and people decide, through real pools on real Ray."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from factory.artifacts import records
from factory.cli.lifecycle import HostProcess
from factory.control import escalations
from factory.control.escalations import Escalation
from factory.control.progress import Progress, read_progress
from factory.control.projects import NewProject, list_projects
from factory.control.submission import submit_vision
from factory.control.usage import Grouping, read_usage
from factory.domain.ids import new_id, new_trace_id
from factory.domain.project import Project, ProjectMetadata, ProjectStatus
from factory.domain.recovery import EscalationState
from factory.events.contracts.recovery import EventReceived
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.service import FactoryService
from factory.storage.database import Connection
from tests.actors.conftest import ENVIRONMENT

pytestmark = pytest.mark.timeout(180)
T = TypeVar("T")
CRITICAL = ProjectMetadata(risk="critical", stakeholders=("ada@example.org",))


class Ward:
    """Begins projects and waits for what becomes of them."""

    def __init__(self, factory: FactoryService, host: HostProcess) -> None:
        self.factory = factory
        self.host = host

    async def begin(
        self, vision: str, *, blueprint: str = "ordeal", metadata: ProjectMetadata | None = None
    ) -> Project:
        new = NewProject(
            name="Patient",
            slug="patient",
            blueprint=blueprint,
            build_key=str(new_id()),
            metadata=metadata or ProjectMetadata(),
        )
        return await submit_vision(self.factory.database, self.factory.bus, self.factory.store, new, vision)

    async def until(self, look: Callable[[Connection], Awaitable[T]]) -> T:
        """Look again and again until there is something."""
        deadline = time.monotonic() + 60
        while not (found := await self.factory.database.run(look)):
            self.host.check()
            if time.monotonic() > deadline:
                letters = await self.fetch("SELECT subscription, error_type, reason, state, stack FROM dead_letter")
                pytest.fail(f"nothing came within a minute; dead letters: {letters}")
            await asyncio.sleep(0.1)
        return found

    async def ended(self, project: Project) -> Progress:
        async def look(connection: Connection) -> Progress | None:
            progress = await read_progress(connection, project.id, self.factory.settings.blueprint_dir)
            return progress if progress.ended else None

        progress = await self.until(look)
        assert progress is not None
        return progress

    async def question(self, project: Project) -> Escalation:
        async def look(connection: Connection) -> list[Escalation]:
            return await escalations.listed(connection, project_id=project.id)

        (found,) = await self.until(look)
        return found

    async def decide(self, escalation: Escalation, answer: str) -> None:
        async with self.factory.database.transaction() as connection:
            await escalations.decide(
                connection, self.factory.bus, str(escalation.id), answer, by="ada", note="looked into it"
            )

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        async with self.factory.database.transaction() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]


@pytest.fixture
def ward(factory: FactoryService, host: HostProcess) -> Ward:
    return Ward(factory, host)


async def test_a_critical_project_waits_for_a_person_and_a_retry_resumes_it_to_its_release(ward: Ward) -> None:
    project = await ward.begin("stumble", metadata=CRITICAL)
    asked = await ward.question(project)
    assert asked.state is EscalationState.OPEN
    assert asked.owners == ("ada@example.org", "operators")
    assert "it stumbled." in asked.question
    async with ward.factory.database.transaction() as connection:
        progress = await read_progress(connection, project.id, ward.factory.settings.blueprint_dir)
    assert not progress.ended
    assert [question.escalation_id for question in progress.waits_for] == [asked.id]
    assert progress.steps[0].message == "it stumbled."

    (ward.factory.settings.data_dir / f"mended-{project.id}").touch()
    command = [sys.executable, "-m", "factory", "escalation", "retry", str(asked.id), "--note", "mended", "--by", "ada"]
    environment = {**os.environ, **ENVIRONMENT, "FACTORY_DATA_DIR": str(ward.factory.settings.data_dir)}
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "retried"
    assert (await ward.ended(project)).project.status is ProjectStatus.RELEASED
    (letter,) = await ward.fetch("SELECT * FROM dead_letter WHERE project_id = $1", project.id)
    assert (letter["state"], letter["resolved_by"]) == ("redriven", "ada")
    assert (letter["agent"], letter["step"], letter["event_type"]) == ("trier", "trial", "TaskAssigned")
    assert (letter["severity"], letter["criticality"]) == ("critical", "critical")
    assert letter["trace_id"] == project.trace_id
    async with ward.factory.database.transaction() as connection:
        figures = {item.name: item for item in await read_usage(connection, Grouping.AGENT, project_id=project.id)}
    assert (figures["trier"].deliveries, figures["trier"].attempts) == (1, 2)
    assert (figures["trier"].dead_letters, figures["trier"].redrives) == (1, 1)


@pytest.mark.parametrize("answer", ["reject", "approve"])
async def test_a_rejection_and_the_approved_fallback_fail_the_project(ward: Ward, answer: str) -> None:
    project = await ward.begin("stumble", metadata=CRITICAL)
    await ward.decide(await ward.question(project), answer)
    progress = await ward.ended(project)
    assert progress.project.status is ProjectStatus.FAILED
    assert progress.failure == "trial: it stumbled."
    assert progress.waits_for == ()


async def test_without_an_answer_the_fallback_happens_once_at_the_deadline(ward: Ward) -> None:
    project = await ward.begin("urgent")
    progress = await ward.ended(project)
    assert progress.failure == "trial: nobody knows."
    asked = await ward.question(project)
    assert (asked.state, asked.decided_by, asked.owners) == (EscalationState.EXPIRED, "deadline", ("clerk",))
    decided = "SELECT 1 FROM event WHERE project_id = $1 AND event_type = $2"
    for event_type in ("EscalationDecided", "ProjectFailed"):
        assert len(await ward.fetch(decided, project.id, event_type)) == 1


async def test_a_letter_is_redriven_by_policy_and_then_succeeds(ward: Ward) -> None:
    project = await ward.begin("flaky")
    assert (await ward.ended(project)).project.status is ProjectStatus.RELEASED
    (letter,) = await ward.fetch("SELECT * FROM dead_letter WHERE project_id = $1", project.id)
    assert (letter["state"], letter["resolved_by"]) == ("redriven", "retry-manager")
    assert letter["resolution"] == "redrive 1 by rule later"


async def test_a_task_is_reassigned_to_another_agent(ward: Ward) -> None:
    project = await ward.begin("unable")
    assert (await ward.ended(project)).project.status is ProjectStatus.RELEASED
    async with ward.factory.database.transaction() as connection:
        (trial,) = await records.list_artifacts(connection, project_id=project.id, kind="trial")
    assert trial.agent == "substitute"
    assert ward.factory.store.content(trial).text("trial.txt") == "managed\n"
    (letter,) = await ward.fetch("SELECT * FROM dead_letter WHERE project_id = $1", project.id)
    assert letter["state"] == "discarded"


async def test_too_many_letters_pause_the_agent_and_raise_one_escalation(ward: Ward) -> None:
    query = "SELECT * FROM escalation WHERE agent = 'fuse-keeper'"
    failed = [await ward.begin("light", blueprint="fuse") for _ in range(5)]

    async def paused(connection: Connection) -> bool:
        return bool(await connection.fetchval("SELECT paused FROM subscription WHERE name = 'fuse-keeper'"))

    await ward.until(paused)
    for project in failed:
        assert (await ward.ended(project)).project.status is ProjectStatus.FAILED
    (asked,) = await ward.fetch(query)
    assert (asked["state"], asked["project_id"], asked["owners"]) == ("open", None, ["electrician"])
    assert "dead letters of type FuseError" in asked["question"]

    waiting = await ward.begin("light", blueprint="fuse")
    (ward.factory.settings.data_dir / "new-fuse").touch()
    async with ward.factory.database.transaction() as connection:
        await ward.decide(await escalations.get(connection, asked["id"]), "retry")
    assert (await ward.ended(waiting)).project.status is ProjectStatus.RELEASED
    assert len(await ward.fetch(query)) == 1


def received(kind: str, body: dict[str, Any]) -> Envelope:
    return Envelope.of(
        EventReceived(source="door", kind=kind, body=body),
        topic=Topic.SYSTEM,
        project_id=None,
        originating_agent="door",
        traceparent=f"00-{new_trace_id()}-b7ad6b7169203331-01",
    )


async def test_an_event_from_outside_starts_a_workflow_by_a_rule(ward: Ward) -> None:
    text = "# Doorbell\n\nReceptionists book appointments for visitors.\n"
    event = received("visitor.arrived", {"about": {"text": text, "name": "Doorbell"}})
    async with ward.factory.database.transaction() as connection:
        await ward.factory.bus.publish(connection, [event])

    async def look(connection: Connection) -> list[Project]:
        return [project for project in await list_projects(connection) if project.name == "Doorbell"]

    (project,) = await ward.until(look)
    assert (project.blueprint, project.metadata.risk) == ("ordeal", "high")
    assert (await ward.ended(project)).project.status is ProjectStatus.RELEASED


async def test_an_event_for_nobody_is_kept_among_the_dead_letters_and_its_owners_are_told(ward: Ward) -> None:
    event = received("weather.changed", {"rain": True})
    async with ward.factory.database.transaction() as connection:
        await ward.factory.bus.publish(connection, [event])

    async def told(connection: Connection) -> Any:
        query = "SELECT payload FROM event WHERE correlation_id = $1 AND event_type = 'NotificationRequested'"
        return await connection.fetchval(query, event.correlation_id)

    notification = await ward.until(told)
    assert notification["recipients"] == ["operators"]
    assert "weather.changed" in notification["body"]
    assert "goes to nobody" in notification["body"]
    (letter,) = await ward.fetch("SELECT * FROM dead_letter WHERE event_id = $1", event.event_id)
    assert (letter["state"], letter["agent"], letter["severity"]) == ("open", "event-dispatcher", "error")
