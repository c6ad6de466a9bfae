"""The rows of sagas and compensations. Every function runs in the caller's transaction, under the project's lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from factory.control import governance
from factory.control.compensation import CompensationState, SagaState, compensated_step
from factory.domain.artifact import KINDS, ArtifactStatus
from factory.storage.database import Connection

_TO_UNDO = (ArtifactStatus.VALID, ArtifactStatus.WITHDRAWN)

# Index saga_unfinished: at most one row.
_UNFINISHED = """
SELECT id, project_id, revision, reason, from_step, state FROM saga WHERE project_id = $1 AND state <> 'completed'
"""
# Index saga_by_project, backwards.
_LAST = """
SELECT id, project_id, revision, reason, from_step, state FROM saga WHERE project_id = $1
ORDER BY requested_at DESC LIMIT 1
"""
_BEGIN = """
INSERT INTO saga (id, project_id, revision, reason, from_step, requested_by) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO NOTHING
"""
# Primary key.
_WIDEN = "UPDATE saga SET from_step = NULL WHERE id = $1"
_SET_STATE = """
UPDATE saga SET state = $2, ended_at = CASE WHEN $2 = 'running' THEN NULL ELSE now() END WHERE id = $1
"""
# Primary key, by its first two columns; unique index (project_id, revision, step, round) of the tasks, backwards: a
# compensation that was given to another agent has a later round than the one it began with.
_COMPENSATIONS = """
SELECT c.step, c.state, c.position, coalesce(t.round, c.round) AS round, coalesce(t.id, c.task_id) AS task_id,
       c.started_at, c.ended_at, coalesce(t.agent, '') AS agent,
       coalesce(t.attempt, 0) AS attempts, coalesce(t.error ->> 'message', '') AS message,
       coalesce(t.status = 'failed', false) AS task_failed
FROM compensation c LEFT JOIN LATERAL (
    SELECT * FROM task
    WHERE project_id = $1 AND revision = $2 AND step = 'compensation.' || c.step ORDER BY round DESC LIMIT 1
) t ON true
WHERE c.project_id = $1 AND c.revision = $2
ORDER BY c.position NULLS LAST, c.step
"""
_ADD = """
INSERT INTO compensation (project_id, revision, step, saga_id) SELECT $1, $2, step, $3 FROM unnest($4::text[]) AS step
ON CONFLICT DO NOTHING
"""
# Primary key; the position is read under the project's lock.
_MOVE = """
UPDATE compensation SET state = $4, round = $5, task_id = coalesce($6, task_id), ended_at = NULL,
    started_at = CASE WHEN $4 = 'running' THEN now() END,
    position = coalesce(position, (
        SELECT coalesce(max(o.position), 0) + 1 FROM compensation o WHERE o.saga_id = compensation.saga_id))
WHERE project_id = $1 AND revision = $2 AND step = $3
"""
# Primary key. Whichever round ends it ends it once.
_END = """
UPDATE compensation SET state = $4, task_id = $5, ended_at = now()
WHERE project_id = $1 AND revision = $2 AND step = $3 AND state = 'running'
"""
# Unique index (project_id, revision, step, round), read backwards per step; artifact_by_task; dead_letter_by_project.
# What waits for its commit is not in flight where governance has given the commit up.
_STEPS = """
SELECT t.step, t.status, a.kind, a.status AS judged, c.artifact_id IS NOT NULL OR g.given_up AS committed,
       EXISTS (SELECT FROM dead_letter d
               WHERE d.project_id = $1 AND d.event_id = t.event_id AND d.state = 'open') AS dead
FROM (
    SELECT DISTINCT ON (step) id, step, status, event_id FROM task
    WHERE project_id = $1 AND revision = $2 ORDER BY step, round DESC
) t
CROSS JOIN (
    SELECT EXISTS (SELECT FROM dead_letter
                   WHERE project_id = $1 AND subscription = $3 AND state = 'open') AS given_up
) g
LEFT JOIN artifact a ON a.task_id = t.id
LEFT JOIN artifact_commit c ON c.artifact_id = a.id
ORDER BY coalesce(c.created_at, (SELECT max(v.created_at) FROM validation v WHERE v.artifact_id = a.id)), a.sequence
"""
# Unique index (project_id, revision, step, round); artifact_by_task.
_MADE = """
SELECT a.id FROM task t JOIN artifact a ON a.task_id = t.id
WHERE t.project_id = $1 AND t.revision = $2 AND t.step = $3 ORDER BY a.sequence
"""


@dataclass(frozen=True, slots=True)
class Saga:
    """A saga: `running`, `completed`, or `failed` until it is taken up again."""

    id: UUID
    project_id: UUID
    revision: int
    reason: str
    from_step: str | None
    state: str


class StepCompensation(BaseModel):
    """The compensation of one step, as far as it is.

    Attributes:
        position: Its place in the order of compensations; None until its turn comes.
        round: How often it was assigned; more than once only where it failed for good and was taken up again.
        attempts: Of the latest round's task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    state: CompensationState
    position: int | None
    round: int
    task_id: UUID | None
    agent: str
    attempts: int
    message: str
    task_failed: bool
    started_at: datetime | None
    ended_at: datetime | None


async def unfinished(connection: Connection, project_id: UUID) -> Saga | None:
    """Return the saga of a project that runs or has failed, or None."""
    row = await connection.fetchrow(_UNFINISHED, project_id)
    return Saga(**dict(row)) if row else None


async def last(connection: Connection, project_id: UUID) -> Saga | None:
    """Return the latest saga of a project, ended or not, or None."""
    row = await connection.fetchrow(_LAST, project_id)
    return Saga(**dict(row)) if row else None


async def begin(connection: Connection, saga: Saga, requested_by: UUID) -> None:
    """Record a new saga; one that is there already stays as it is."""
    await connection.execute(_BEGIN, saga.id, saga.project_id, saga.revision, saga.reason, saga.from_step, requested_by)


async def widen(connection: Connection, saga: Saga) -> None:
    """Let a saga concern the whole project."""
    await connection.execute(_WIDEN, saga.id)


async def set_state(connection: Connection, saga: Saga, state: str) -> None:
    """Move a saga to another state."""
    await connection.execute(_SET_STATE, saga.id, state)


async def compensations(connection: Connection, project_id: UUID, revision: int) -> list[StepCompensation]:
    """Return a project's compensations in their order; those whose turn has not come are last."""
    rows = await connection.fetch(_COMPENSATIONS, project_id, revision)
    return [StepCompensation.model_validate(dict(row)) for row in rows]


async def add(connection: Connection, saga: Saga, steps: Sequence[str]) -> None:
    """Record steps that are to be undone; each step of a revision is recorded once, whatever saga it was."""
    await connection.execute(_ADD, saga.project_id, saga.revision, saga.id, list(steps))


async def start(connection: Connection, saga: Saga, step: str, round_: int, task_id: UUID) -> None:
    """Note that a step's compensation was assigned."""
    state = CompensationState.RUNNING.value
    await connection.execute(_MOVE, saga.project_id, saga.revision, step, state, round_, task_id)


async def skip(connection: Connection, saga: Saga, step: str) -> None:
    """Note that the turn came of a step that names no compensation."""
    await connection.execute(_MOVE, saga.project_id, saga.revision, step, CompensationState.SKIPPED.value, 0, None)


async def end(connection: Connection, saga: Saga, step: str, task_id: UUID, state: CompensationState) -> None:
    """Note how the running compensation of a step ended, and by which task; one that has ended stays as it is."""
    await connection.execute(_END, saga.project_id, saga.revision, step, state.value, task_id)


async def made_by(connection: Connection, saga: Saga, step: str) -> tuple[UUID, ...]:
    """Return the artifact versions that a step made in the saga's revision."""
    rows = await connection.fetch(_MADE, saga.project_id, saga.revision, step)
    return tuple(row["id"] for row in rows)


async def read_state(connection: Connection, saga: Saga, known: Mapping[str, CompensationState]) -> SagaState:
    """Return what the compensation rules decide on."""
    found = await connection.fetch(_STEPS, saga.project_id, saga.revision, governance.NAME)
    rows = [row for row in found if compensated_step(row["step"]) is None]
    return SagaState(
        completed=tuple(row["step"] for row in rows if _is_completed(row)),
        in_flight=frozenset(row["step"] for row in rows if _is_in_flight(row)),
        compensations=known,
        from_step=saga.from_step,
    )


def _is_completed(row: asyncpg.Record) -> bool:
    return row["judged"] in _TO_UNDO and (row["committed"] or KINDS[row["kind"]].commit_subject is None)


def _is_in_flight(row: asyncpg.Record) -> bool:
    if row["status"] in {"assigned", "running"}:
        return not row["dead"]
    return row["judged"] == ArtifactStatus.PENDING or (row["judged"] in _TO_UNDO and not _is_completed(row))
