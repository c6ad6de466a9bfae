"""Dead letters: deliveries that were given up, kept with everything needed to understand and to redo them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from factory.domain.errors import ConflictError, ErrorCategory, NotFoundError
from factory.domain.ids import derived_id, new_id
from factory.domain.task import TaskError
from factory.events import publishing
from factory.events.contracts.system import DeadLettered
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.registry import Registry
from factory.events.settling import storable
from factory.events.topics import Topic
from factory.storage.database import Connection

_GIVE_UP = """
WITH held AS (
    DELETE FROM delivery d WHERE d.id = $1 AND d.fence = $2 AND d.owner = $3 RETURNING d.*
), letter AS (
    INSERT INTO dead_letter (uid, subscription, event_id, recorded_at, project_id, category, reason, error_type,
        error, stack, attempts, crash_count, losses, fence, event)
    SELECT uid, subscription, event_id, recorded_at, project_id, $4, $5, $6, $7, $8, attempt, crash_count, losses,
        fence, $9::jsonb
    FROM held
    ON CONFLICT (uid) DO UPDATE SET
        event_id = EXCLUDED.event_id, recorded_at = EXCLUDED.recorded_at, category = EXCLUDED.category,
        reason = EXCLUDED.reason, error_type = EXCLUDED.error_type, error = EXCLUDED.error, stack = EXCLUDED.stack,
        attempts = EXCLUDED.attempts, crash_count = EXCLUDED.crash_count, losses = EXCLUDED.losses,
        fence = EXCLUDED.fence, event = EXCLUDED.event, dead_at = now(), state = 'open', resolved_at = NULL,
        resolved_by = NULL, resolution = NULL
)
INSERT INTO delivery_log (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, outcome,
    category, error)
SELECT uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, 'dead', $4, $7 FROM held
RETURNING uid
"""

_FIND = "SELECT * FROM dead_letter WHERE uid = $1 FOR UPDATE"

_RESOLVE = """
WITH resolved AS (
    UPDATE dead_letter SET state = $2, resolved_at = now(), resolved_by = $3, resolution = $4 WHERE uid = $1 RETURNING *
)
INSERT INTO delivery_log
    (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, outcome, details)
SELECT uid, subscription, event_id, project_id, attempts, crash_count, losses, fence, $2,
    jsonb_build_object('by', $3::text, 'reason', $4::text)
FROM resolved
"""

_DELIVER_AGAIN = """
WITH target AS (
    SELECT name, ordered FROM subscription WHERE name = $2
), lane AS (
    INSERT INTO project_sequence AS p (project_id, last) SELECT $5, 1 FROM target WHERE ordered
    ON CONFLICT (project_id) DO UPDATE SET last = p.last + 1 RETURNING last
)
INSERT INTO delivery (uid, subscription, event_id, recorded_at, project_id, fence, sequence)
SELECT $1, name, $3, $4, $5, $6, (SELECT last FROM lane) FROM target
RETURNING id
"""


async def dead_letter(
    connection: Connection,
    registry: Registry,
    delivery: Delivery,
    error: TaskError,
    *,
    category: ErrorCategory,
    reason: str,
) -> bool:
    """Give a delivery up; see `EventBus.dead_letter`."""
    event = delivery.event
    uid = await connection.fetchval(
        _GIVE_UP,
        delivery.id,
        delivery.fence,
        delivery.owner,
        category.value,
        storable(reason),
        error.error_type,
        storable(error.message),
        storable(error.stack),
        event.model_dump(mode="json"),
    )
    if uid is None:
        return False
    # A dead letter about a dead letter would have no end.
    if event.event_type != DeadLettered.event_type:
        await publishing.publish(connection, registry, [_announcement(delivery, category, storable(reason))], None)
    return True


async def redrive(
    connection: Connection,
    registry: Registry,
    uid: int,
    *,
    by: str,
    reason: str,
    payload: Mapping[str, Any] | None,
) -> None:
    """Deliver a dead letter again; see `EventBus.redrive`."""
    letter = await _open_letter(connection, uid)
    event_id, recorded_at = letter["event_id"], letter["recorded_at"]
    if payload is not None:
        event = _edited(Envelope.model_validate(letter["event"]), payload)
        recorded_at = await publishing.append(connection, registry, event)
        event_id = event.event_id
    await connection.execute(_RESOLVE, uid, "redriven", by, reason)
    row = await connection.fetchval(
        _DELIVER_AGAIN, uid, letter["subscription"], event_id, recorded_at, letter["project_id"], letter["fence"]
    )
    if row is None:
        raise NotFoundError(
            f"the subscription {letter['subscription']!r} of dead letter {uid} is gone.",
            remedy="Declare it again, or discard the dead letter.",
        )


async def discard(connection: Connection, uid: int, *, by: str, reason: str) -> None:
    """Close a dead letter; see `EventBus.discard`."""
    await _open_letter(connection, uid)
    await connection.execute(_RESOLVE, uid, "discarded", by, reason)


async def _open_letter(connection: Connection, uid: int) -> Record:
    letter = await connection.fetchrow(_FIND, uid)
    if letter is None:
        raise NotFoundError(f"there is no dead letter {uid}.", remedy="List them to see their numbers.")
    if letter["state"] != "open":
        raise ConflictError(
            f"dead letter {uid} was {letter['state']} by {letter['resolved_by']} at {letter['resolved_at']}.",
            remedy="Only an open one can be resolved.",
        )
    return letter


def _announcement(delivery: Delivery, category: ErrorCategory, reason: str) -> Envelope:
    return delivery.event.caused(
        DeadLettered(
            subscription=delivery.subscription,
            event_id=delivery.event.event_id,
            category=category,
            reason=reason,
        ),
        topic=Topic.SYSTEM,
        originating_agent=delivery.subscription,
        event_id=derived_id("dead-letter", delivery.uid, delivery.fence),
    )


def _edited(event: Envelope, payload: Mapping[str, Any]) -> Envelope:
    """Return the event that stands for an edited one: a new event, caused by the original."""
    return event.model_copy(
        update={
            "event_id": new_id(),
            "causation_id": event.event_id,
            "timestamp": datetime.now(UTC),
            "payload": dict(payload),
        }
    )
