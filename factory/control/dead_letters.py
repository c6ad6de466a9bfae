"""Dead letters in a person's hands: find them, read them, correct them, deliver them again, close them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import JsonValue

from factory.control import projects, saga_records, tasks
from factory.control.orchestrator import CONTROL_NAMES, Orchestrator
from factory.control.submission import first_event
from factory.domain.artifact import ArtifactStatus
from factory.domain.errors import BadInputError, ConflictError, NotFoundError, TerminalError
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import ARTIFACT_CREATED, TASK_ASSIGNED
from factory.events.bus import EventBus
from factory.events.contracts.system import ArtifactCreated
from factory.events.contracts.tasks import TaskAssigned
from factory.events.delivery import NO_PROJECT
from factory.events.envelope import Envelope
from factory.events.registry import REGISTRY, Registry
from factory.storage.database import Connection

STATES = ("open", "redriven", "discarded")
# What tells which task a letter is about; with another value it would be about something else.
_IDENTITY = ("task_id", "revision", "round", "step", "agent")

# Index dead_letter_by_project where a project is given, else dead_letter_open, both backwards.
_LIST = """
SELECT d.* FROM dead_letter d
WHERE ($1::uuid IS NULL OR d.project_id = $1)
    AND ($2::text IS NULL OR d.subscription = $2 OR d.event #>> '{payload,agent}' = $2)
    AND ($3::text IS NULL OR d.category = $3)
    AND ($4::text IS NULL OR d.state = $4)
    AND ($5::timestamptz IS NULL OR d.dead_at >= $5)
ORDER BY d.dead_at DESC, d.uid DESC LIMIT $6
"""
# The same; the project's tenant by its primary key. Letters of no project are for those who see every tenant.
_PAGE = """
SELECT d.* FROM dead_letter d LEFT JOIN project p ON p.id = d.project_id
WHERE ($1::uuid IS NULL OR d.project_id = $1)
    AND ($2::text IS NULL OR d.subscription = $2 OR d.event #>> '{payload,agent}' = $2)
    AND ($3::text IS NULL OR d.category = $3)
    AND ($4::text IS NULL OR d.state = $4)
    AND ($5::timestamptz IS NULL OR d.dead_at >= $5)
    AND ($7::text IS NULL OR p.tenant = $7) AND ($8::uuid[] IS NULL OR p.id = ANY ($8))
    AND ($9::timestamptz IS NULL OR (d.dead_at, d.uid) < ($9, $10))
ORDER BY d.dead_at DESC, d.uid DESC LIMIT $6
"""
# Primary key.
_FIND = "SELECT * FROM dead_letter WHERE uid = $1"
_LOCKED = f"{_FIND} FOR UPDATE"
_EDIT = "UPDATE dead_letter SET edited_payload = $2, edited_by = $3, edited_at = now() WHERE uid = $1"
# Index delivery_log_by_uid.
_HISTORY = """
SELECT logged_at, attempt, outcome, fence, crash_count, losses, category, error, details FROM delivery_log
WHERE uid = $1 ORDER BY logged_at, fence
"""
# Unique index (project_id, revision, step, round), backwards.
_LATEST_ROUND = """
SELECT round FROM task WHERE project_id = $1 AND revision = $2 AND step = $3 ORDER BY round DESC LIMIT 1
"""
# Primary key, then the same index.
_SUPERSEDED = """
SELECT EXISTS (SELECT FROM task t JOIN task later USING (project_id, revision, step)
               WHERE t.id = $1 AND later.round > t.round)
"""
# Primary key.
_JUDGE_AGAIN = "UPDATE artifact SET status = $2 WHERE id = $1 AND status = $3"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are meant; None lets everything pass.

    Attributes:
        agent: A subscription, or the agent that a task was assigned to.
        since: Only those that died at this time or later.
    """

    project_id: UUID | None = None
    agent: str | None = None
    category: str | None = None
    state: str | None = "open"
    since: datetime | None = None


async def list_letters(connection: Connection, which: Filter, limit: int) -> list[dict[str, Any]]:
    """Return the newest dead letters first: every column but the stack, with the essentials of the event."""
    rows = await connection.fetch(_LIST, which.project_id, which.agent, which.category, which.state, which.since, limit)
    return [_summary(row) for row in rows]


async def page_letters(
    connection: Connection,
    which: Filter,
    *,
    tenant: str | None,
    project_ids: Collection[UUID] | None,
    before: tuple[datetime, int] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Return one page of dead letters, the newest first, as `list_letters` does.

    Args:
        connection: Where to read.
        which: Which are meant.
        tenant: Only of projects of this tenant; None for all, those of no project included.
        project_ids: Only of these projects; None for all.
        before: When the last letter of the page before died, and its number.
        limit: At most so many; a shorter page is the last.
    """
    rows = await connection.fetch(
        _PAGE,
        which.project_id,
        which.agent,
        which.category,
        which.state,
        which.since,
        limit,
        tenant,
        None if project_ids is None else list(project_ids),
        *(before or (None, None)),
    )
    return [_summary(row) for row in rows]


async def project_of_letter(connection: Connection, uid: int) -> UUID | None:
    """Return which project a dead letter belongs to, or None where it belongs to none.

    Raises:
        NotFoundError: There is no such dead letter.
    """
    row = await _find(connection, uid, _FIND)
    return None if row["project_id"] == NO_PROJECT else row["project_id"]


async def read_letter(connection: Connection, uid: int) -> dict[str, Any]:
    """Return everything about a dead letter: its event, its stack, the history of its attempts.

    Raises:
        NotFoundError: There is no such dead letter.
    """
    row = await _find(connection, uid, _FIND)
    history = [dict(entry) for entry in await connection.fetch(_HISTORY, uid)]
    return {**_summary(row), "stack": row["stack"], "event": row["event"], "history": history}


async def edit(
    connection: Connection, uid: int, payload: Mapping[str, JsonValue], *, by: str, registry: Registry = REGISTRY
) -> None:
    """Keep a corrected payload with a dead letter; a later replay delivers it.

    Raises:
        BadInputError: The payload breaks the contract, or is about another task.
        ConflictError: The dead letter was resolved already.
        NotFoundError: There is no such dead letter.
    """
    row = await _open(connection, uid)
    check_payload(Envelope.model_validate(row["event"]), payload, registry)
    await connection.execute(_EDIT, uid, dict(payload), by)


def check_payload(event: Envelope, payload: Mapping[str, JsonValue], registry: Registry = REGISTRY) -> None:
    """Hold a corrected payload against the contract of the event it is for.

    Raises:
        BadInputError: It breaks the contract, or is about another task; the message names the fields.
    """
    try:
        registry.check_publication(event.model_copy(update={"payload": dict(payload)}))
    except TerminalError as error:
        raise BadInputError(
            error.message, remedy="Nothing was changed. Correct the fields that are named.", field=error.field
        ) from error
    if event.event_type != TASK_ASSIGNED:
        return
    for name in _IDENTITY:
        if payload.get(name) != event.payload.get(name):
            raise BadInputError(
                f"{name} is {payload.get(name)!r}, but the task has {event.payload.get(name)!r}.",
                remedy="A correction is about the same task; leave what identifies it as it is.",
                field=name,
            )


async def replay(
    connection: Connection,
    bus: EventBus,
    orchestrator: Orchestrator,
    uid: int,
    *,
    by: str,
    reason: str,
    payload: Mapping[str, JsonValue] | None = None,
) -> None:
    """Deliver a dead letter again, and let its project go on where it failed because of it.

    Args:
        connection: In the caller's transaction.
        bus: Delivers it.
        orchestrator: Takes the project up again.
        uid: Number of the dead letter.
        by: Who wants it.
        reason: Why, for the record.
        payload: In place of the event's own and of one that was kept with the letter.

    Raises:
        BadInputError: The payload breaks the contract, or is about another task.
        ConflictError: The dead letter was resolved already, or its task can no longer matter: another round of the
            step was assigned, or the project was compensated.
        NotFoundError: There is no such dead letter.
    """
    row = await _find(connection, uid, _FIND)
    in_project = row["project_id"] != NO_PROJECT
    # The project first, as everything else that touches both does.
    project = await projects.lock_project(connection, row["project_id"]) if in_project else None
    row = await _open(connection, uid)
    event = Envelope.model_validate(row["event"])
    if payload is not None:
        await edit(connection, uid, payload, by=by)
    chosen = payload if payload is not None else row["edited_payload"]
    changed = chosen if chosen is not None and dict(chosen) != dict(event.payload) else None
    if project is not None and event.event_type == TASK_ASSIGNED:
        assigned = TaskAssigned.model_validate(changed or event.payload, extra="ignore")
        await _check_current(connection, project, assigned)
    if event.event_type == ARTIFACT_CREATED and await _is_superseded(connection, event):
        raise ConflictError(f"the artifact of dead letter {uid} was made anew since.", remedy="Discard the letter.")
    try:
        await bus.redrive(connection, uid, by=by, reason=reason, payload=changed)
    except TerminalError as error:
        raise BadInputError(error.message, remedy=error.remedy, field=error.field) from error
    if project is None:
        return
    cause = await first_event(connection, project)
    if event.event_type == TASK_ASSIGNED:
        await tasks.reopen_task(connection, assigned)
        if await orchestrator.reopen_compensation(connection, cause, assigned):
            return
    elif event.event_type == ARTIFACT_CREATED and row["subscription"] not in CONTROL_NAMES:
        subject = event.read(ArtifactCreated).artifact_id
        await connection.execute(_JUDGE_AGAIN, subject, ArtifactStatus.PENDING.value, ArtifactStatus.INVALID.value)
    await orchestrator.reopen(connection, cause)


async def _check_current(connection: Connection, project: Project, task: TaskAssigned) -> None:
    latest = await connection.fetchval(_LATEST_ROUND, project.id, task.revision, task.step)
    if latest is not None and latest > task.round:
        raise ConflictError(
            f"step {task.step!r} was assigned again since, in round {latest}.", remedy="Discard the dead letter."
        )
    if project.status is ProjectStatus.COMPENSATED:
        raise ConflictError("the project is compensated: its steps are not done again.", field="status")
    if not tasks.is_compensation(task) and await saga_records.unfinished(connection, project.id) is not None:
        raise ConflictError(
            "the project is being compensated, or that failed halfway: its steps are not done again.",
            remedy="Replay the dead letter of the compensation instead.",
            field="status",
        )


async def _is_superseded(connection: Connection, event: Envelope) -> bool:
    superseded: bool = await connection.fetchval(_SUPERSEDED, event.read(ArtifactCreated).task_id)
    return superseded


async def _find(connection: Connection, uid: int, query: str) -> asyncpg.Record:
    row = await connection.fetchrow(query, uid)
    if row is None:
        raise NotFoundError(
            f"there is no dead letter {uid}.", remedy="See `factory dead-letter list --state all`.", field="uid"
        )
    return row


async def _open(connection: Connection, uid: int) -> asyncpg.Record:
    row = await _find(connection, uid, _LOCKED)
    if row["state"] != "open":
        raise ConflictError(
            f"dead letter {uid} was {row['state']} by {row['resolved_by']} at {row['resolved_at']:%Y-%m-%d %H:%M:%S}.",
            remedy="Only an open one can be changed.",
            field="uid",
        )
    return row


def _summary(row: asyncpg.Record) -> dict[str, Any]:
    """Return a letter's columns, whatever later versions add to them, with the essentials of its event."""
    event: Mapping[str, Any] = row["event"]
    payload: Mapping[str, Any] = event.get("payload", {})
    columns = {name: value for name, value in row.items() if name not in {"event", "stack", "recorded_at"}}
    told = {name: columns.get(name) or payload.get(name) for name in ("agent", "step")}
    project = None if row["project_id"] == NO_PROJECT else row["project_id"]
    return {
        **columns,
        **told,
        "agent": told["agent"] or row["subscription"],
        "project_id": project,
        "event_type": event.get("event_type"),
        "trace_id": event.get("trace_id"),
    }


def uids(letters: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the numbers of dead letters, the oldest first: the order in which to deliver them again."""
    return [letter["uid"] for letter in reversed(letters)]
