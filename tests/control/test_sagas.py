"""Sagas on a real database, without agents: tasks end as the test says."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from factory.artifacts import commits, records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.records import NewArtifact, NewValidation
from factory.artifacts.repository import RepositoryStore
from factory.control import tasks
from factory.control.governance import Committer
from factory.control.orchestrator import Orchestrator
from factory.control.projects import NewProject, get_project
from factory.control.sagas import step_compensated
from factory.control.submission import first_event, submit_vision
from factory.domain.artifact import KINDS, ArtifactStatus, Content
from factory.domain.errors import ErrorCategory, RetryableError, TerminalError
from factory.domain.ids import derived_id
from factory.domain.project import Project
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import CompensationRequested, ValidationPassed
from factory.events.contracts.tasks import TaskAssigned
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.settings import Settings
from factory.storage.database import Connection, Database

STEPS = {"vision-document": "vision", "backlog": "vision-document", "domain-model": "backlog"}
ROWS = "SELECT step, state, round, position FROM compensation WHERE project_id = $1 ORDER BY position NULLS LAST, step"
ASSIGNED = """
SELECT payload FROM event WHERE project_id = $1 AND event_type = 'TaskAssigned' AND payload ->> 'step' LIKE $2
ORDER BY transaction_id, position
"""


class Play:
    """One project whose agents are the test."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.bus = EventBus(database)
        self.store = BlobStore(settings.blob_url)
        self.repositories = RepositoryStore(settings.repositories_dir)
        self.orchestrator = Orchestrator(self.bus, self.store, self.repositories, {}, settings.blueprint_dir)
        self.committer = Committer(database, self.store, self.repositories)
        self.project: Project

    async def begin(self) -> None:
        new = NewProject(name="Clinic", slug="clinic", blueprint="three", build_key="clinic")
        self.project = await submit_vision(self.database, self.bus, self.store, new, "# Clinic\n")
        async with self.database.transaction() as connection:
            await self.orchestrator.advance(connection, await first_event(connection, self.project))

    async def read(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        async with self.database.transaction() as connection:
            return [dict(row) for row in await connection.fetch(query, self.project.id, *arguments)]

    async def rows(self) -> list[tuple[str, str, int]]:
        return [(row["step"], row["state"], row["round"]) for row in await self.read(ROWS)]

    async def status(self) -> str:
        async with self.database.transaction() as connection:
            return (await get_project(connection, self.project.id)).status.value

    async def assigned(self, step: str) -> list[TaskAssigned]:
        return [TaskAssigned.model_validate(row["payload"]) for row in await self.read(ASSIGNED, step)]

    async def complete(self, *steps: str) -> None:
        """Let steps end well: artifact, verdict, commit."""
        for step in steps:
            task = (await self.assigned(step))[-1]
            content = Content(files={KINDS[step].primary: f"{step}, round {task.round}\n"})
            stored = self.store.put_content(content)
            draft = NewArtifact(
                id=derived_id(task.task_id, step),
                project_id=self.project.id,
                kind=step,
                hash=stored.hash,
                uri=stored.uri,
                size=stored.size,
                agent=task.agent,
                trace_id=self.project.trace_id,
                task_id=task.task_id,
                inputs=tuple(task.input_ids),
            )
            async with self.database.transaction() as connection:
                (made,) = await records.insert(connection, [draft])
                await tasks.finish_tasks(connection, [tasks.TaskEnd(id=task.task_id, worker="test", skill=None)])
                verdict = NewValidation(
                    id=derived_id("v", made.id), artifact_id=made.id, task_id=task.task_id, passed=True
                )
                await records.record_validation(connection, verdict)
                cause = await first_event(connection, self.project)
                passed = ValidationPassed(artifact_id=made.id, kind=step, task_id=task.task_id, warnings=0)
                event = cause.caused(passed, topic=Topic.SYSTEM, originating_agent="test")
                head = await commits.head(connection, self.project.id)
            sha = await asyncio.to_thread(self.repositories.commit, made, content, head)
            async with self.database.transaction() as connection:
                await commits.record_commit(connection, self.project.id, made.id, sha)
            await self.advance(event)

    async def request(self, from_step: str | None = None) -> Envelope:
        async with self.database.transaction() as connection:
            cause = await first_event(connection, self.project)
        request = CompensationRequested(reason="enough", from_step=from_step)
        event = cause.caused(request, topic=Topic.SYSTEM, originating_agent="test")
        await self.advance(event)
        return event

    async def undo(self, step: str, task: TaskAssigned | None = None) -> None:
        """Let the compensation of a step end well."""
        task = task or (await self.assigned(f"compensation.{step}"))[-1]
        async with self.database.transaction() as connection:
            await tasks.finish_tasks(connection, [tasks.TaskEnd(id=task.task_id, worker="test", skill=None)])
            cause = await first_event(connection, self.project)
        await self.advance(step_compensated(task.task_id, task.step, task.agent, cause, cause.traceparent))

    async def fail(self, step: str) -> None:
        """Let the compensation of a step fail for good."""
        task = (await self.assigned(f"compensation.{step}"))[-1]
        error = TaskError(message="stuck", category=ErrorCategory.DEFECT, retryable=False, error_type="E")
        async with self.database.transaction() as connection:
            await tasks.fail_task(connection, task.task_id, "test", error)
            await self.orchestrator.advance(connection, await first_event(connection, self.project))

    async def advance(self, event: Envelope, *, resume: bool = False) -> None:
        async with self.database.transaction() as connection:
            await self.orchestrator.advance(connection, event, resume=resume)


@pytest.fixture
async def play(database: Database, settings: Settings, tmp_path: Path) -> Play:
    """Give a project with three steps in a row, its first assigned."""
    folder = tmp_path / "blueprints"
    folder.mkdir()
    steps = [
        {
            "id": step,
            "agent": "somebody",
            "inputs": {"all": [needed]},
            "produces": step,
            "phase": "visioning",
            "compensation": {"agent": "janitor", "goal": "tidy"},
        }
        for step, needed in STEPS.items()
    ]
    (folder / "three.yaml").write_text(yaml.safe_dump({"name": "three", "title": "Three", "steps": steps}))
    play = Play(database, settings.model_copy(update={"blueprint_dir": folder}))
    await play.begin()
    return play


async def test_events_that_come_twice_or_late_undo_nothing_twice(play: Play) -> None:
    await play.complete("vision-document", "backlog")
    request = await play.request()
    waiting = [("backlog", "pending", 0), ("vision-document", "pending", 0)]
    assert await play.rows() == waiting, "the domain model is in flight and builds on both"
    await play.complete("domain-model")
    await play.advance(request)
    (first,) = await play.assigned("compensation.domain-model")
    assert first.agent == "janitor"
    assert first.parameters == {"compensates": {"step": "domain-model", "reason": "enough"}}
    await play.undo("domain-model")
    await play.undo("domain-model", first)
    await play.undo("backlog")
    await play.undo("domain-model", first)
    await play.undo("vision-document")
    assert await play.status() == "compensated"
    assert await play.rows() == [("domain-model", "done", 1), ("backlog", "done", 1), ("vision-document", "done", 1)]
    assert len(await play.assigned("compensation.%")) == 3
    assert [task.step for task in await play.assigned("%")][:3] == list(STEPS), "no forward step came after"


async def test_a_result_that_comes_after_the_end_takes_the_saga_up_again(play: Play) -> None:
    await play.complete("vision-document")
    task = (await play.assigned("backlog"))[0]
    error = TaskError(message="gone", category=ErrorCategory.DEFECT, retryable=False, error_type="E")
    async with play.database.transaction() as connection:
        await tasks.fail_task(connection, task.task_id, "test", error)
    await play.request()
    await play.undo("vision-document")
    assert await play.status() == "compensated"
    await play.complete("backlog")
    assert await play.status() == "compensating"
    assert await play.rows() == [("vision-document", "done", 1), ("backlog", "running", 1)]
    await play.undo("backlog")
    assert await play.status() == "compensated"


async def test_a_failed_compensation_waits_until_it_is_resumed_and_then_has_another_round(play: Play) -> None:
    await play.complete(*STEPS)
    assert await play.status() == "released"
    await play.request()
    await play.undo("domain-model")
    await play.fail("backlog")
    assert await play.status() == "failed"
    (failed,) = await play.read("SELECT payload FROM event WHERE project_id = $1 AND event_type = 'CompensationFailed'")
    assert (failed["payload"]["step"], failed["payload"]["reason"]) == ("backlog", "stuck")
    async with play.database.transaction() as connection:
        cause = await first_event(connection, play.project)
    await play.advance(cause)
    assert len(await play.assigned("compensation.%")) == 2, "nothing happens by itself"
    await play.advance(cause, resume=True)
    assert await play.status() == "compensating"
    await play.undo("backlog")
    await play.undo("vision-document")
    assert await play.rows() == [("domain-model", "done", 1), ("backlog", "done", 2), ("vision-document", "done", 1)]


async def test_a_compensation_may_be_given_to_another_agent(play: Play) -> None:
    await play.complete(*STEPS)
    await play.request("domain-model")
    (first,) = await play.assigned("compensation.domain-model")
    second = first.model_copy(update={"task_id": derived_id("other"), "round": 2, "agent": "caretaker"})
    error = TaskError(message="given away", category=ErrorCategory.DEFECT, retryable=False, error_type="Reassigned")
    async with play.database.transaction() as connection:
        await tasks.fail_task(connection, first.task_id, "test", error)
        await connection.execute(
            "INSERT INTO task (id, project_id, revision, step, round, agent, goal, input_ids, event_id) "
            "VALUES ($1, $2, 1, $3, 2, 'caretaker', 'tidy', '{}', $1)",
            second.task_id,
            play.project.id,
            first.step,
        )
        await play.orchestrator.advance(connection, await first_event(connection, play.project))
    assert await play.status() == "compensating"
    await play.undo("domain-model", second)
    assert await play.status() == "compensated"
    assert (await play.rows())[0][:2] == ("domain-model", "done")


async def test_a_second_request_widens_the_saga_and_begins_no_other(play: Play) -> None:
    await play.complete(*STEPS)
    await play.request("domain-model")
    await play.request()
    await play.request("backlog")
    for step in reversed(STEPS):
        await play.undo(step)
    assert await play.status() == "compensated"
    assert [step for step, _, _ in await play.rows()] == list(reversed(STEPS))
    assert len(await play.read("SELECT 1 FROM saga WHERE project_id = $1")) == 1


async def test_a_request_for_a_step_that_does_not_exist_is_refused(play: Play) -> None:
    with pytest.raises(TerminalError, match="no step 'applause'") as refused:
        await play.request("applause")
    assert refused.value.field == "from_step"
    assert await play.status() == "visioning"


async def test_the_database_itself_refuses_a_second_compensation_of_a_step(play: Play) -> None:
    await play.complete(*STEPS)
    await play.request()
    (saga,) = await play.read("SELECT id FROM saga WHERE project_id = $1")
    insert = "INSERT INTO compensation (project_id, revision, step, saga_id, state) VALUES ($1, 1, $2, $3, $4)"
    for step, state in (("domain-model", "done"), ("other", "running")):
        with pytest.raises(Exception, match="duplicate key"):
            await play.read(insert, step, saga["id"], state)


async def withdraw(play: Play, made: Sequence[UUID], task: str) -> Envelope:
    async with play.database.transaction() as connection:
        cause = await first_event(connection, play.project)
    payload = TaskAssigned(
        task_id=derived_id(task),
        step=f"compensation.{task}",
        agent="artifact-governance",
        goal="withdraw",
        revision=1,
        round=1,
        input_ids=list(made),
        parameters={},
    )
    return cause.caused(payload, topic=Topic.SYSTEM, originating_agent="test")


async def newest(connection: Connection, project: Project, kind: str) -> UUID:
    (found,) = await records.latest(connection, project.id, [kind])
    return found.id


async def test_a_withdrawal_and_a_commit_side_by_side_do_not_fork_the_history(play: Play) -> None:
    await play.complete("vision-document", "backlog")
    async with play.database.transaction() as connection:
        backlog = await newest(connection, play.project, "backlog")
    event = await withdraw(play, [backlog], "backlog")
    prepared = await play.committer.prepare_withdrawal(event)
    await play.complete("domain-model")
    with pytest.raises(RetryableError, match="moved on"):
        async with play.database.transaction() as connection:
            await prepared.record(connection)
    again = await play.committer.prepare_withdrawal(event)
    async with play.database.transaction() as connection:
        await again.record(connection)
        (withdrawn,) = await commits.withdrawals(connection, play.project.id)
        assert await commits.head(connection, play.project.id) == withdrawn.commit_sha
        assert (await records.get(connection, backlog)).status is ArtifactStatus.WITHDRAWN
    with play.repositories.opened(play.project.id) as repository:
        history = [commit.id.decode() for commit in repository.history(withdrawn.commit_sha)]
        recorded = await play.read("SELECT commit_sha FROM artifact_commit WHERE project_id = $1")
        assert {row["commit_sha"] for row in recorded} < set(history)
        assert KINDS["backlog"].primary not in repository.paths(withdrawn.commit_sha)


async def test_a_withdrawal_that_is_repeated_gives_the_same_commit(play: Play) -> None:
    await play.complete("vision-document")
    async with play.database.transaction() as connection:
        made = await newest(connection, play.project, "vision-document")
    event = await withdraw(play, [made], "vision-document")
    await play.committer.prepare_withdrawal(event)
    killed_before_the_record = await play.committer.prepare_withdrawal(event)
    async with play.database.transaction() as connection:
        await killed_before_the_record.record(connection)
    again = await play.committer.prepare_withdrawal(event)
    async with play.database.transaction() as connection:
        await again.record(connection)
        (withdrawn,) = await commits.withdrawals(connection, play.project.id)
    with play.repositories.opened(play.project.id) as repository:
        history = repository.history(withdrawn.commit_sha)
        subjects = [commit.message.decode().splitlines()[0] for commit in history]
    assert subjects == ["Withdraw the vision document, version 1", "Add the vision document"]
