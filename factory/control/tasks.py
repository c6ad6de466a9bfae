"""The task table: what was assigned to whom, and how it went. Rows are for people and for the coordinator."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from factory.control.compensation import compensated_step
from factory.control.coordinator import Assignment
from factory.domain.ids import derived_id, event_id_near
from factory.domain.project import Project
from factory.domain.task import TaskError
from factory.events.contracts.tasks import TaskAssigned
from factory.storage.database import Connection

INSERT = """
INSERT INTO task (id, project_id, revision, step, round, agent, goal, input_ids, parameters, cause_event, event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11) ON CONFLICT DO NOTHING
"""
# Primary key. A late start of a superseded attempt changes nothing.
START = """
UPDATE task SET status = 'running', attempt = s.attempt, started_at = now(), ended_at = NULL, error = NULL
FROM unnest($1::uuid[], $2::int[]) AS s (id, attempt)
WHERE task.id = s.id AND task.status IN ('assigned', 'running') AND task.attempt <= s.attempt
"""
# Primary key.
FINISH = """
UPDATE task SET status = 'done', ended_at = now(), worker = f.worker, skill = f.skill, error = NULL
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS f (id, worker, skill) WHERE task.id = f.id
"""
# Primary key.
RETRY = "UPDATE task SET status = 'assigned', ended_at = now(), worker = $2, error = $3::text::jsonb WHERE id = $1"
# Primary key. Attempts are counted anew; an edited assignment is another event.
REOPEN = """
UPDATE task SET status = 'assigned', attempt = 0, worker = NULL, error = NULL, started_at = NULL, ended_at = NULL,
    input_ids = $2, parameters = $3::text::jsonb
WHERE id = $1 AND status <> 'done'
"""
# Primary key.
HOLD = """
UPDATE task SET status = 'assigned', ended_at = now(), error = $2::text::jsonb
WHERE id = $1 AND status IN ('assigned', 'running')
"""
# Primary key.
FAIL = "UPDATE task SET status = 'failed', ended_at = now(), worker = $2, error = $3::text::jsonb WHERE id = $1"
# Index task_by_agent; the project's tenant by its primary key.
PAGE = """
SELECT t.id, t.project_id, p.name AS project, t.revision, t.step, t.round, t.agent, t.goal, t.status, t.attempt,
    t.worker, t.skill, t.error ->> 'message' AS message, t.assigned_at, t.started_at, t.ended_at
FROM task t JOIN project p ON p.id = t.project_id
WHERE t.agent = $1 AND ($2::text IS NULL OR p.tenant = $2) AND ($3::uuid[] IS NULL OR p.id = ANY ($3))
    AND ($4::text IS NULL OR t.status = $4) AND ($5::timestamptz IS NULL OR (t.assigned_at, t.id) < ($5, $6))
ORDER BY t.assigned_at DESC, t.id DESC LIMIT $7
"""
# The same.
COUNT = """
SELECT t.status, count(*) AS count FROM task t JOIN project p ON p.id = t.project_id
WHERE t.agent = $1 AND ($2::text IS NULL OR p.tenant = $2) AND ($3::uuid[] IS NULL OR p.id = ANY ($3))
GROUP BY t.status
"""


class TaskRecord(BaseModel):
    """A task as people see it.

    Attributes:
        project: The project's name.
        message: What went wrong in the latest attempt, if something did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    project_id: UUID
    project: str
    revision: int
    step: str
    round: int
    agent: str
    goal: str
    status: str
    attempt: int
    worker: str | None
    skill: str | None
    message: str | None
    assigned_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class AssignedTask(BaseModel):
    """A task as the bus carries it: enough to find everything else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    event_id: UUID
    assignment: Assignment
    revision: int

    @property
    def payload(self) -> TaskAssigned:
        """What the agent is told."""
        return TaskAssigned(
            task_id=self.id,
            step=self.assignment.step,
            agent=self.assignment.agent,
            goal=self.assignment.goal,
            revision=self.revision,
            round=self.assignment.round,
            input_ids=list(self.assignment.input_ids),
            parameters=dict(self.assignment.parameters),
        )


class TaskEnd(BaseModel):
    """How a task ended well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    worker: str
    skill: str | None


def assigned_task(project: Project, assignment: Assignment) -> AssignedTask:
    """Give an assignment its id: the same for the same step and round, whoever assigns it and how often."""
    task_id = derived_id("task", project.id, project.revision, assignment.step, assignment.round)
    return AssignedTask(
        id=task_id,
        event_id=event_id_near(project.id, "TaskAssigned", task_id),
        assignment=assignment,
        revision=project.revision,
    )


async def insert_tasks(
    connection: Connection, project: Project, tasks: Sequence[AssignedTask], cause: UUID | None
) -> None:
    """Record assignments; those already there stay as they are."""
    await connection.executemany(
        INSERT,
        [
            (
                task.id,
                project.id,
                task.revision,
                task.assignment.step,
                task.assignment.round,
                task.assignment.agent,
                task.assignment.goal,
                list(task.assignment.input_ids),
                json.dumps(dict(task.assignment.parameters)),
                cause,
                task.event_id,
            )
            for task in tasks
        ],
    )


async def start_tasks(connection: Connection, attempts: Sequence[tuple[UUID, int]]) -> None:
    """Mark tasks as running in the given attempt."""
    if attempts:
        await connection.execute(START, [task for task, _ in attempts], [attempt for _, attempt in attempts])


async def finish_tasks(connection: Connection, ends: Sequence[TaskEnd]) -> None:
    """Mark tasks as done."""
    if ends:
        await connection.execute(
            FINISH, [end.id for end in ends], [end.worker for end in ends], [end.skill for end in ends]
        )


async def retry_task(connection: Connection, task_id: UUID, worker: str, error: TaskError) -> None:
    """Note that an attempt failed and another will follow."""
    await connection.execute(RETRY, task_id, worker, json.dumps(_recorded(error)))


async def hold_task(connection: Connection, task_id: UUID, error: TaskError) -> None:
    """Note that the attempts at a task are used up and that it waits for a decision."""
    await connection.execute(HOLD, task_id, json.dumps(_recorded(error)))


async def fail_task(connection: Connection, task_id: UUID, worker: str, error: TaskError) -> None:
    """Mark a task as failed for good."""
    await connection.execute(FAIL, task_id, worker, json.dumps(_recorded(error)))


async def reopen_task(connection: Connection, assigned: TaskAssigned) -> None:
    """Mark a task as assigned again, as its event says now; one that is done stays so."""
    parameters = json.dumps(assigned.parameters)
    await connection.execute(REOPEN, assigned.task_id, assigned.input_ids, parameters)


def is_compensation(assigned: TaskAssigned) -> bool:
    """Tell whether a task undoes a step."""
    return compensated_step(assigned.step) is not None


def _recorded(error: TaskError) -> dict[str, JsonValue]:
    recorded: dict[str, JsonValue] = error.model_dump(mode="json")
    return recorded


async def page_tasks(
    connection: Connection,
    agent: str,
    *,
    tenant: str | None,
    project_ids: Collection[UUID] | None,
    status: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[TaskRecord]:
    """Return one page of an agent's tasks, the latest first.

    Args:
        connection: Where to read.
        agent: Its name.
        tenant: Only of projects of this tenant; None for all.
        project_ids: Only of these projects; None for all.
        status: Only in this state.
        before: When the last task of the page before was assigned, and its id.
        limit: At most so many; a shorter page is the last.
    """
    chosen = None if project_ids is None else list(project_ids)
    rows = await connection.fetch(PAGE, agent, tenant, chosen, status, *(before or (None, None)), limit)
    return [TaskRecord(**row) for row in rows]


async def count_tasks(
    connection: Connection, agent: str, *, tenant: str | None, project_ids: Collection[UUID] | None
) -> dict[str, int]:
    """Return how many tasks an agent has in each state; states without any are left out."""
    rows = await connection.fetch(COUNT, agent, tenant, None if project_ids is None else list(project_ids))
    return {row["status"]: row["count"] for row in rows}
