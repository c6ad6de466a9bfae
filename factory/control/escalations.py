"""Escalations: questions put to people, and their decisions (R18). Each is decided once."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from factory.control.projects import prefix_range
from factory.domain.errors import BadInputError, ConflictError, NotFoundError
from factory.domain.ids import derived_id
from factory.domain.recovery import Criticality, EscalationState, Fallback, Severity
from factory.events.bus import EventBus
from factory.events.contracts.recovery import EscalationDecided, EscalationRaised
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Connection

NAME = "escalations"
OPTIONS = {
    "approve": EscalationState.APPROVED,
    "reject": EscalationState.REJECTED,
    "retry": EscalationState.RETRIED,
}

_COLUMNS = """id, project_id, letter, fence, breach, task_id, step, agent, subscription, severity, criticality, rule,
    question, options, owners, channel, fallback, reassign_to, state, deadline, created_at, decided_at, decided_by,
    note"""

# The unique indexes escalation_one_per_letter and escalation_one_per_breach refuse a second open one.
_INSERT = """
INSERT INTO escalation (id, project_id, letter, fence, breach, task_id, step, agent, subscription, severity,
    criticality, rule, question, options, owners, channel, fallback, reassign_to, deadline, raised)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, now() + $19::interval,
    $20::jsonb)
ON CONFLICT DO NOTHING RETURNING deadline
"""
# A letter that died before an escalation about its breach was decided is covered by that decision: the event that
# tells of it may be slower than the person. escalation_by_breach, then the primary key of dead_letter.
_DROP_IF_COVERED = """
DELETE FROM escalation WHERE id = $1 AND EXISTS (
    SELECT FROM escalation e JOIN dead_letter l ON l.uid = $4
    WHERE e.subscription = $2 AND e.breach = $3 AND e.id <> $1 AND e.decided_at >= l.dead_at
)
RETURNING id
"""
# Primary key.
_DECIDE = """
UPDATE escalation SET state = $2, decided_at = now(), decided_by = $3, note = $4 WHERE id = $1 AND state = 'open'
RETURNING raised
"""
# Primary key.
_FIND = f"SELECT {_COLUMNS} FROM escalation WHERE id = $1"  # noqa: S608 - a constant of this module
# Primary key, as a range: a UUID sorts as its hexadecimal digits do.
_BY_PREFIX = f"SELECT {_COLUMNS} FROM escalation WHERE id BETWEEN $1 AND $2 LIMIT 2"  # noqa: S608
# escalation_open where only open ones of a project are asked for, else escalation_by_age, backwards.
_LIST = f"""
SELECT {_COLUMNS} FROM escalation
WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR project_id = $2) ORDER BY created_at DESC, id LIMIT $3
"""  # noqa: S608
# The same. Questions about no project are for those who see every tenant.
_PAGE = f"""
SELECT {_COLUMNS} FROM escalation
WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR project_id = $2)
    AND ($4::text IS NULL OR EXISTS (SELECT FROM project p WHERE p.id = project_id AND p.tenant = $4))
    AND ($5::uuid[] IS NULL OR project_id = ANY ($5))
    AND ($6::timestamptz IS NULL OR created_at < $6 OR (created_at = $6 AND escalation.id > $7))
ORDER BY created_at DESC, escalation.id LIMIT $3
"""  # noqa: S608


class Escalation(BaseModel):
    """One question, and what became of it.

    Attributes:
        letter: The dead letter in question; None where the question is about an agent.
        breach: The threshold that was exceeded, where the question is about an agent.
        fallback: What approval means, and what happens when the deadline passes.
        reassign_to: The agent that takes over, where the fallback is a reassignment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    project_id: UUID | None
    letter: int | None
    fence: int | None
    breach: str | None
    task_id: UUID | None
    step: str
    agent: str
    subscription: str
    severity: Severity
    criticality: Criticality
    rule: str
    question: str
    options: tuple[str, ...]
    owners: tuple[str, ...]
    channel: str
    fallback: Fallback
    reassign_to: str | None
    state: EscalationState
    deadline: datetime
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    note: str | None


async def record(connection: Connection, event: Envelope) -> tuple[UUID, datetime] | None:
    """Write a raised escalation; return its id and deadline, or None where one is about the same."""
    raised = event.read(EscalationRaised)
    identity = derived_id("escalation", event.event_id)
    letter = raised.letter
    deadline = await connection.fetchval(
        _INSERT,
        identity,
        event.project_id if letter else None,
        letter.uid if letter else None,
        letter.fence if letter else None,
        raised.breach,
        letter.task_id if letter else None,
        letter.step if letter else "",
        raised.agent,
        raised.subscription,
        raised.severity.value,
        raised.criticality.value,
        raised.rule,
        raised.question,
        list(OPTIONS),
        raised.owners,
        raised.channel,
        raised.fallback.value,
        raised.to,
        timedelta(seconds=raised.deadline_seconds),
        event.model_dump(mode="json"),
    )
    if deadline is None:
        return None
    if raised.breach is not None and await connection.fetchval(
        _DROP_IF_COVERED, identity, raised.subscription, raised.breach, raised.last_letter
    ):
        return None
    return identity, deadline


async def close(
    connection: Connection, bus: EventBus, escalation_id: UUID, state: EscalationState, *, by: str, note: str
) -> bool:
    """Decide an open escalation and publish the decision, in the caller's transaction; False where it is not open."""
    raised: Mapping[str, Any] | None = await connection.fetchval(_DECIDE, escalation_id, state.value, by, note)
    if raised is None:
        return False
    payload = EscalationDecided(escalation_id=escalation_id, state=state, by=by, note=note)
    event = Envelope.model_validate(raised).caused(
        payload,
        topic=Topic.SYSTEM,
        originating_agent=NAME,
        event_id=derived_id("EscalationDecided", escalation_id),
    )
    await bus.publish(connection, [event])
    return True


async def decide(
    connection: Connection, bus: EventBus, identifier: str, answer: str, *, by: str, note: str
) -> Escalation:
    """Take a person's decision: `approve`, `reject` or `retry`.

    Raises:
        BadInputError: The answer is none of these, the note is empty, or the identifier is ambiguous.
        NotFoundError: There is no such escalation.
        ConflictError: It was decided before.
    """
    if answer not in OPTIONS:
        raise BadInputError(f"{answer!r} is no answer.", remedy=f"Answers: {', '.join(OPTIONS)}.", field="answer")
    if not note.strip():
        raise BadInputError("a decision needs a reason.", remedy="Say why with --note.", field="note")
    known = await find(connection, identifier)
    if not await close(connection, bus, known.id, OPTIONS[answer], by=by, note=note):
        known = await get(connection, known.id)
        raise ConflictError(
            f"escalation {known.id} was {known.state} by {known.decided_by} at {known.decided_at}.",
            remedy="An escalation is decided once.",
        )
    return await get(connection, known.id)


async def get(connection: Connection, escalation_id: UUID) -> Escalation:
    """Return an escalation by its whole id.

    Raises:
        NotFoundError: There is no such escalation.
    """
    row = await connection.fetchrow(_FIND, escalation_id)
    if row is None:
        raise NotFoundError(f"there is no escalation {escalation_id}.", remedy="See `factory escalation list`.")
    return Escalation(**row)


async def find(connection: Connection, identifier: str) -> Escalation:
    """Return an escalation by its id, or by at least six first digits of it.

    Raises:
        BadInputError: The text is no id and no prefix, or several escalations begin with it.
        NotFoundError: There is no such escalation.
    """
    rows = await connection.fetch(_BY_PREFIX, *prefix_range(identifier, "escalation"))
    if not rows:
        raise NotFoundError(
            f"there is no escalation {identifier!r}.", remedy="See `factory escalation list`.", field="escalation"
        )
    if len(rows) > 1:
        raise BadInputError(
            f"several escalations begin with {identifier!r}.", remedy="Give more digits.", field="escalation"
        )
    return Escalation(**rows[0])


async def listed(
    connection: Connection, *, state: EscalationState | None = None, project_id: UUID | None = None, limit: int = 50
) -> list[Escalation]:
    """Return the newest escalations first."""
    rows = await connection.fetch(_LIST, state.value if state else None, project_id, limit)
    return [Escalation(**row) for row in rows]


async def page(
    connection: Connection,
    *,
    tenant: str | None,
    project_ids: Collection[UUID] | None,
    state: EscalationState | None = None,
    project_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> list[Escalation]:
    """Return one page of escalations, the newest first.

    Args:
        connection: Where to read.
        tenant: Only of projects of this tenant; None for all, those of no project included.
        project_ids: Only of these projects; None for all.
        state: Only in this state.
        project_id: Only of this project.
        before: When the last one of the page before was raised, and its id.
        limit: At most so many; a shorter page is the last.
    """
    rows = await connection.fetch(
        _PAGE,
        state.value if state else None,
        project_id,
        limit,
        tenant,
        None if project_ids is None else list(project_ids),
        *(before or (None, None)),
    )
    return [Escalation(**row) for row in rows]


def document(escalation: Escalation) -> dict[str, JsonValue]:
    """Return an escalation as JSON values."""
    values: dict[str, JsonValue] = escalation.model_dump(mode="json")
    return values
