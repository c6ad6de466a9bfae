"""The Task Orchestrator: turns the coordinator's decisions into assignments and status changes (R11)."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg

from factory.artifacts import commits, records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.records import NewValidation
from factory.artifacts.repository import RepositoryStore
from factory.control import governance, projects, saga_records, tasks
from factory.control.blueprints import find_blueprint
from factory.control.compensation import compensated_step
from factory.control.coordinator import (
    Assignment,
    Decision,
    Failure,
    KnownArtifact,
    KnownTask,
    ProjectState,
    decide,
    present_phase,
)
from factory.control.sagas import Sagas, compensation_requested
from factory.domain.artifact import ArtifactStatus
from factory.domain.errors import ErrorCategory, NotFoundError
from factory.domain.ids import derived_id
from factory.domain.project import ENDED, Project, ProjectStatus
from factory.domain.task import Finding, TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import (
    ArtifactCreated,
    CompensationRequested,
    DeadLettered,
    ProjectFailed,
    ProjectReleased,
    ProjectStatusChanged,
    TaskFailed,
)
from factory.events.contracts.tasks import TaskAssigned
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Connection

NAME = "task-orchestrator"
# Their dead letters end no project.
_HARMLESS = frozenset({DeadLettered.event_type, CompensationRequested.event_type})
CONTROL_NAMES = frozenset({NAME, governance.NAME})

# Primary key (event_id, recorded_at), by its first column in every partition.
EVENT = "SELECT event_type, payload::text AS payload FROM event WHERE event_id = $1"

# Primary key.
TASK = """
SELECT project_id, revision, step, round, goal, input_ids, parameters::text AS parameters FROM task WHERE id = $1
"""
# Unique index (project_id, revision, step, round).
LATER_ROUND = """
SELECT EXISTS (SELECT FROM task WHERE project_id = $1 AND revision = $2 AND step = $3 AND round > $4)
"""
# Unique index (project_id, revision, step, round), read backwards per step.
LATEST_TASKS = """
SELECT DISTINCT ON (step) id, step, round, status, error ->> 'message' AS message
FROM task WHERE project_id = $1 AND revision = $2 ORDER BY step, round DESC
"""
# Unique index (project_id, kind, version), read backwards per kind.
LATEST_ARTIFACTS = """
SELECT DISTINCT ON (a.kind) a.id, a.kind, a.task_id, a.status, a.metadata::text AS metadata,
       c.artifact_id IS NOT NULL AS committed,
       ARRAY(SELECT f ->> 'message' FROM validation v, jsonb_array_elements(v.findings) f
             WHERE v.artifact_id = a.id AND f ->> 'severity' = 'error' ORDER BY 1) AS errors
FROM artifact a LEFT JOIN artifact_commit c ON c.artifact_id = a.id
WHERE a.project_id = $1 ORDER BY a.kind, a.version DESC
"""


class Orchestrator:
    """Advances projects. Every step is one transaction on the caller's connection, under the project's lock."""

    def __init__(
        self,
        bus: EventBus,
        store: BlobStore,
        repositories: RepositoryStore,
        topics: Mapping[str, Topic],
        blueprint_dir: Path | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._repositories = repositories
        self._topics = topics
        self._blueprint_dir = blueprint_dir
        self._sagas = Sagas(bus, topics)

    async def advance(self, connection: Connection, cause: Envelope, *, resume: bool = False) -> Decision:
        """Do what a project's state asks for: assign tasks, change its status, release or fail it.

        Args:
            connection: In the caller's transaction.
            cause: The event that woke the orchestrator; what follows continues its trace.
            resume: Take a failed project up again.

        Raises:
            NotFoundError: The project or its blueprint is not known.
        """
        if cause.project_id is None:
            return Decision()
        project = await projects.lock_project(connection, cause.project_id)
        blueprint = find_blueprint(project.blueprint, self._blueprint_dir)
        if await self._sagas.advance(connection, cause, project, blueprint, resume=resume):
            return Decision()
        state = await read_state(connection, project)
        decision = decide(blueprint, state, resume=resume)
        if decision.failure is not None and blueprint.step(decision.failure.step).on_failure == "compensate":
            step, reason = decision.failure.step, decision.failure.reason
            await self._ask_to_undo(connection, cause, project, f"{step}: {reason}", state.tasks[step].id)
            return decision
        if decision.status is not None and decision.status is not project.status:
            await projects.set_status(connection, project, decision.status)
            await self._bus.publish(connection, [_status_changed(cause, project, decision)])
        if decision.failure is not None:
            await self._fail(connection, cause, project.id, decision.failure)
        if decision.assignments:
            await self._assign(connection, cause, project, decision)
        if decision.released:
            await self._release(connection, cause, project, state)
        return decision

    async def reopen(self, connection: Connection, cause: Envelope) -> Decision:
        """Take a failed project up again after what failed it was mended, without another round of any step.

        Another step that failed as well fails the project again at once, until that is mended too.

        Args:
            connection: In the caller's transaction.
            cause: What follows continues its trace.
        """
        if cause.project_id is None:
            return Decision()
        project = await projects.lock_project(connection, cause.project_id)
        halfway = await saga_records.unfinished(connection, project.id)
        if project.status is not ProjectStatus.FAILED or halfway is not None:
            return Decision()
        blueprint = find_blueprint(project.blueprint, self._blueprint_dir)
        status = present_phase(blueprint, await read_state(connection, project))
        await projects.set_status(connection, project, status)
        await projects.set_failure(connection, project.id, None)
        changed = ProjectStatusChanged(previous=project.status, current=status, reason="what failed is delivered again")
        await self._bus.publish(connection, [cause.caused(changed, topic=Topic.SYSTEM, originating_agent=NAME)])
        return await self.advance(connection, cause)

    async def reopen_compensation(self, connection: Connection, cause: Envelope, task: TaskAssigned) -> bool:
        """Take a failed saga up again whose compensation is delivered anew; False where the task is a step's own."""
        if cause.project_id is None:
            return False
        project = await projects.lock_project(connection, cause.project_id)
        return await self._sagas.reopen(connection, cause, project, task)

    async def abandon(self, connection: Connection, cause: Envelope, letter: DeadLettered) -> Decision:
        """Take a dead letter for final: its step has failed, and the project goes on from there."""
        if await self._absorb(connection, cause, letter):
            return await self.advance(connection, cause)
        return Decision()

    async def compensate(self, connection: Connection, cause: Envelope, letter: DeadLettered) -> None:
        """Take a dead letter for final, and ask for everything that its project has done to be undone."""
        if cause.project_id is None or not await self._absorb(connection, cause, letter):
            return
        project = await projects.lock_project(connection, cause.project_id)
        await self._ask_to_undo(connection, cause, project, letter.reason, letter.event_id)

    async def end(self, connection: Connection, cause: Envelope, *, step: str, reason: str) -> None:
        """Fail the event's project, if it has one that has not ended."""
        await self._fail_project(connection, cause, Failure(step=step, reason=reason))

    async def reassign(
        self, connection: Connection, cause: Envelope, task_id: UUID, agent: str, *, reason: str
    ) -> bool:
        """Give a task to another agent, as the next round of its step.

        Returns:
            Whether it was given: not where a later round exists, or the project has ended or is being undone.

        Raises:
            NotFoundError: There is no such agent or task.
        """
        if agent not in self._topics:
            raise NotFoundError(f"there is no agent {agent!r} to take over.", remedy="Correct the escalation policies.")
        row = await connection.fetchrow(TASK, task_id)
        if row is None:
            raise NotFoundError(f"there is no task {task_id}.")
        project = await projects.lock_project(connection, row["project_id"])
        if project.status in ENDED or await connection.fetchval(LATER_ROUND, *row[:4]):
            return False
        undoes = compensated_step(row["step"]) is not None
        if not undoes and await saga_records.unfinished(connection, project.id) is not None:
            return False
        error = TaskError(
            message=f"given to {agent}: {reason}",
            category=ErrorCategory.DEFECT,
            retryable=False,
            error_type="Reassigned",
        )
        await tasks.fail_task(connection, task_id, NAME, error)
        assignment = Assignment(
            step=row["step"],
            agent=agent,
            goal=row["goal"],
            round=row["round"] + 1,
            input_ids=tuple(row["input_ids"]),
            parameters=json.loads(row["parameters"]),
        )
        await self._assign(connection, cause, project, Decision(assignments=(assignment,)))
        return True

    async def _absorb(self, connection: Connection, cause: Envelope, letter: DeadLettered) -> bool:
        """Make a dead letter part of the project's state; False where nothing is left to decide."""
        row = await connection.fetchrow(EVENT, letter.event_id)
        if row is None or row["event_type"] in _HARMLESS:
            return False
        error = TaskError(message=letter.reason, category=letter.category, retryable=False, error_type="DeadLettered")
        if row["event_type"] == TaskAssigned.event_type:
            task = TaskAssigned.model_validate(json.loads(row["payload"]), extra="ignore")
            await tasks.fail_task(connection, task.task_id, letter.subscription, error)
            payload = TaskFailed(
                task_id=task.task_id, step=task.step, agent=task.agent, category=letter.category, reason=letter.reason
            )
            await self._bus.publish(connection, [cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME)])
            return True
        if row["event_type"] == ArtifactCreated.event_type and letter.subscription not in CONTROL_NAMES:
            created = ArtifactCreated.model_validate(json.loads(row["payload"]), extra="ignore")
            await records.record_validation(connection, _unvalidated(created, letter))
            return True
        await self._fail_project(connection, cause, Failure(step=letter.subscription, reason=letter.reason))
        return False

    async def _ask_to_undo(
        self, connection: Connection, cause: Envelope, project: Project, reason: str, occasion: UUID
    ) -> None:
        await self._bus.publish(connection, [compensation_requested(cause, project, reason, occasion)])

    async def _fail_project(self, connection: Connection, cause: Envelope, failure: Failure) -> None:
        """End a project that the control plane itself cannot bring forward."""
        if cause.project_id is None:
            return
        project = await projects.lock_project(connection, cause.project_id)
        if project.status in ENDED:
            return
        await projects.set_status(connection, project, ProjectStatus.FAILED)
        decision = Decision(status=ProjectStatus.FAILED, failure=failure)
        await self._bus.publish(connection, [_status_changed(cause, project, decision)])
        await self._fail(connection, cause, project.id, failure)

    async def _assign(self, connection: Connection, cause: Envelope, project: Project, decision: Decision) -> None:
        assigned = [tasks.assigned_task(project, item) for item in decision.assignments]
        await tasks.insert_tasks(connection, project, assigned, cause.event_id)
        if project.status is ProjectStatus.FAILED:
            await projects.set_failure(connection, project.id, None)
        await self._bus.publish(connection, [self._task_assigned(cause, task) for task in assigned])

    def _task_assigned(self, cause: Envelope, task: tasks.AssignedTask) -> Envelope:
        topic = self._topics.get(task.assignment.agent, Topic.SYSTEM)
        return cause.caused(task.payload, topic=topic, originating_agent=NAME, event_id=task.event_id)

    async def _fail(self, connection: Connection, cause: Envelope, project_id: UUID, failure: Failure) -> None:
        await projects.set_failure(connection, project_id, failure.model_dump(mode="json"))
        payload = ProjectFailed(reason=failure.reason, step=failure.step)
        event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME)
        await self._bus.publish(connection, [event])

    async def _release(self, connection: Connection, cause: Envelope, project: Project, state: ProjectState) -> None:
        parent = await commits.head(connection, project.id)
        commit = ""
        if parent is not None:
            commit = await asyncio.to_thread(self._repositories.release_commit, project, parent)
        passed, failed = await self._test_counts(connection, state)
        await projects.set_release(connection, project.id, commit=commit, tests_passed=passed, tests_failed=failed)
        payload = ProjectReleased(commit=commit, tests_passed=passed, tests_failed=failed)
        identity = derived_id("ProjectReleased", project.id, project.revision)
        event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME, event_id=identity)
        await self._bus.publish(connection, [event])

    async def _test_counts(self, connection: Connection, state: ProjectState) -> tuple[int, int]:
        known = state.artifacts.get("test-report")
        if known is None:
            return 0, 0
        report = await records.get(connection, known.id)
        content = await asyncio.to_thread(self._store.content, report)
        document = json.loads(content.text("test-report.json"))
        return int(document["passed"]), int(document["failed"]) + int(document.get("errors", 0))


async def read_state(connection: Connection, project: Project) -> ProjectState:
    """Return what the coordinator decides on."""
    task_rows = await connection.fetch(LATEST_TASKS, project.id, project.revision)
    artifact_rows = await connection.fetch(LATEST_ARTIFACTS, project.id)
    return ProjectState(
        status=project.status, artifacts=_artifacts(artifact_rows), tasks={row["step"]: _task(row) for row in task_rows}
    )


def _artifacts(rows: Sequence[asyncpg.Record]) -> dict[str, KnownArtifact]:
    return {
        row["kind"]: KnownArtifact(
            id=row["id"],
            kind=row["kind"],
            task_id=row["task_id"],
            status=ArtifactStatus(row["status"]),
            committed=row["committed"],
            metadata=json.loads(row["metadata"]),
            errors=tuple(row["errors"]),
        )
        for row in rows
    }


def _task(row: asyncpg.Record) -> KnownTask:
    return KnownTask(
        id=row["id"],
        step=row["step"],
        round=row["round"],
        failed=row["status"] == "failed",
        reason=row["message"] or "",
    )


def _status_changed(cause: Envelope, project: Project, decision: Decision) -> Envelope:
    if decision.status is None:
        raise ValueError("the decision changes no status")
    reason = decision.failure.reason if decision.failure else ", ".join(item.step for item in decision.assignments)
    payload = ProjectStatusChanged(previous=project.status, current=decision.status, reason=reason)
    return cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME)


def _unvalidated(created: ArtifactCreated, letter: DeadLettered) -> NewValidation:
    finding = Finding(
        rule="validator-answers", level="structural", severity="error", message=f"not validated: {letter.reason}"
    )
    return NewValidation(
        id=derived_id("validation", letter.event_id),
        artifact_id=created.artifact_id,
        task_id=created.task_id,
        passed=False,
        findings=(finding,),
    )
