"""Dead letters as the control plane sees them: their tags, and what happened to them before (R17)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from factory.domain.errors import ErrorCategory
from factory.domain.project import ProjectMetadata
from factory.domain.recovery import Letter, criticality_of, severity_of
from factory.domain.task import VALIDATE, TaskError
from factory.events.contracts.system import ArtifactCreated, DeadLettered
from factory.events.contracts.tasks import TaskAssigned
from factory.recovery.escalation import Breach, Death, History
from factory.storage.database import Connection

_MOST_DEATHS = 1_000

# Primary keys. The project comes first, as with everything else that touches both.
_PROJECT = "SELECT FROM project WHERE id = (SELECT project_id FROM dead_letter WHERE uid = $1) FOR UPDATE"
# Primary key; locked, so that nobody resolves the letter while something is done about it.
_OPEN = "SELECT * FROM dead_letter WHERE uid = $1 AND state = 'open' FOR UPDATE"
# Primary key.
_TAG = """
UPDATE dead_letter SET agent = $2, step = $3, event_type = $4, severity = $5, criticality = $6, trace_id = $7
WHERE uid = $1
"""
# delivery_log_by_uid.
_REDRIVES = "SELECT count(*) FROM delivery_log WHERE uid = $1 AND outcome = 'redriven'"
# Primary key, then unique index (project_id, revision, step, round).
_TRIED = """
SELECT DISTINCT t.agent FROM task t JOIN task mine USING (project_id, revision, step) WHERE mine.id = $1 ORDER BY 1
"""
# dead_letter_by_subscription.
_RECENT = """
SELECT error_type, extract(epoch FROM now() - dead_at)::float8 AS age FROM dead_letter
WHERE subscription = $1 AND dead_at > now() - interval '1 day' ORDER BY dead_at DESC LIMIT $2
"""
# escalation_by_breach.
_BREACHES = """
SELECT DISTINCT ON (breach) breach, CASE WHEN state <> 'open'
    THEN extract(epoch FROM now() - decided_at)::float8 END AS age
FROM escalation WHERE subscription = $1 AND breach IS NOT NULL AND created_at > now() - interval '7 days'
ORDER BY breach, state = 'open' DESC, decided_at DESC
"""


async def lock_open(connection: Connection, uid: int, fence: int | None) -> asyncpg.Record | None:
    """Return the row of an open dead letter and keep it; None where it was resolved, or has died anew since."""
    await connection.execute(_PROJECT, uid)
    row = await connection.fetchrow(_OPEN, uid)
    return row if row is not None and fence in (None, row["fence"]) else None


async def tag(connection: Connection, row: asyncpg.Record, metadata: ProjectMetadata | None) -> Letter:
    """Write the tags of a dead letter and return it with them."""
    letter = letter_of(dict(row), metadata)
    await connection.execute(
        _TAG,
        letter.uid,
        letter.agent,
        letter.step,
        letter.event_type,
        letter.severity.value,
        letter.criticality.value,
        row["event"]["trace_id"],
    )
    return letter


def letter_of(row: Mapping[str, Any], metadata: ProjectMetadata | None) -> Letter:
    """Return a dead letter with its tags, derived from its event and the project's metadata. Pure."""
    event = row["event"]
    payload = event["payload"]
    category = ErrorCategory(row["category"])
    criticality = criticality_of(metadata)
    step, goal, task_id = "", "", None
    if event["event_type"] == TaskAssigned.event_type:
        step, goal, task_id = payload.get("step", ""), payload.get("goal", ""), payload.get("task_id")
    elif event["event_type"] == ArtifactCreated.event_type:
        step, goal = payload.get("step", ""), VALIDATE
    return Letter(
        uid=row["uid"],
        fence=row["fence"],
        subscription=row["subscription"],
        event_id=row["event_id"],
        event_type=event["event_type"],
        agent=row["subscription"].removesuffix(".events"),
        step=step,
        goal=goal,
        task_id=UUID(task_id) if task_id else None,
        category=category,
        error_type=row["error_type"],
        reason=row["reason"],
        attempts=row["attempts"],
        severity=severity_of(category, criticality),
        criticality=criticality,
    )


def announced(letter: Letter) -> DeadLettered:
    """Return the letter in the form in which its death was announced."""
    return DeadLettered(
        subscription=letter.subscription,
        event_id=letter.event_id,
        category=letter.category,
        reason=letter.reason,
        letter=letter.uid,
        fence=letter.fence,
        failed_type=letter.event_type,
        error_type=letter.error_type,
        attempts=letter.attempts,
    )


def error_of(letter: Letter) -> TaskError:
    """Return the letter's last error as its task records it."""
    return TaskError(
        message=letter.reason, category=letter.category, retryable=False, error_type=letter.error_type or "DeadLettered"
    )


async def read_history(connection: Connection, letter: Letter) -> History:
    """Return what happened before: redrives, agents that had the step, other letters, escalations."""
    redrives = await connection.fetchval(_REDRIVES, letter.uid)
    tried = await connection.fetch(_TRIED, letter.task_id) if letter.task_id else []
    recent = await connection.fetch(_RECENT, letter.subscription, _MOST_DEATHS)
    breaches = await connection.fetch(_BREACHES, letter.subscription)
    return History(
        redrives=redrives,
        tried=tuple(row["agent"] for row in tried),
        recent=tuple(Death(error_type=row["error_type"], age_seconds=max(0.0, row["age"])) for row in recent),
        breaches=tuple(Breach(breach=row["breach"], age_seconds=row["age"]) for row in breaches),
    )
