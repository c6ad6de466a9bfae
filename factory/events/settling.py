"""Settling: end an attempt, under its fence, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events.delivery import Delivery
from factory.storage.database import Connection

# Every effect selects from what was held, so that a superseded fence leaves no trace. Uses the primary key.
_HELD = "d.id = i.id AND d.fence = i.fence AND d.owner = i.owner"
_LOGGED = "uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner"

_FINISH = f"""
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::jsonb[]) AS i (id, fence, owner, details)
), held AS (
    DELETE FROM delivery d USING input i WHERE {_HELD} RETURNING d.*, i.details
)
INSERT INTO delivery_log ({_LOGGED}, outcome, details) SELECT {_LOGGED}, 'done', details FROM held
RETURNING uid
"""  # noqa: S608 - put together from constants

# A lane waits with its head, so an ordered delivery stays in its place; any other waits in delivery_delayed and comes
# back with a new id, which keeps the ids of ready work rising.
_RETRY = f"""
WITH input AS (
    SELECT $1::bigint AS id, $2::bigint AS fence, $3::uuid AS owner, $4::interval AS delay
), held AS (
    SELECT d.*, i.delay, d.sequence IS NULL AND i.delay > interval '0' AS waits_outside
    FROM delivery d JOIN input i ON {_HELD} FOR UPDATE OF d
), moved AS (
    DELETE FROM delivery d USING held h WHERE d.id = h.id AND h.waits_outside RETURNING d.uid
), delayed AS (
    INSERT INTO delivery_delayed
        (uid, subscription, event_id, recorded_at, project_id, attempt, crash_count, losses, fence, due_at)
    SELECT h.uid, subscription, event_id, recorded_at, project_id, attempt, crash_count + $5, losses, fence,
        clock_timestamp() + delay
    FROM held h JOIN moved USING (uid)
), kept AS (
    UPDATE delivery d SET owner = NULL, claim = NULL, deadline = NULL, crash_count = d.crash_count + $5,
        not_before = CASE WHEN d.sequence IS NOT NULL THEN clock_timestamp() + h.delay END
    FROM held h WHERE d.id = h.id AND NOT h.waits_outside
)
INSERT INTO delivery_log ({_LOGGED}, outcome, category, error)
SELECT {_LOGGED}, 'retried', $6, $7 FROM held RETURNING uid
"""  # noqa: S608 - put together from constants

_RELEASE = f"""
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS i (id, fence, owner)
)
UPDATE delivery d SET owner = NULL, claim = NULL, deadline = NULL, attempt = greatest(d.attempt - 1, 0)
FROM input i WHERE {_HELD} RETURNING d.uid
"""  # noqa: S608 - put together from constants

# delivery_log_by_uid.
_SETTLED = """
SELECT l.uid, l.outcome FROM unnest($1::bigint[], $2::bigint[]) AS i (uid, fence)
JOIN delivery_log l ON l.uid = i.uid AND l.fence = i.fence
"""


async def finish(
    connection: Connection, deliveries: Sequence[Delivery], details: Mapping[int, Mapping[str, Any]]
) -> frozenset[int]:
    """End deliveries as done; see `EventBus.finish`."""
    recorded = [dict(details[d.uid]) if d.uid in details else None for d in deliveries]
    found = await connection.fetch(_FINISH, *_handles(deliveries), recorded)
    return frozenset(row["uid"] for row in found)


async def retry(connection: Connection, delivery: Delivery, error: TaskError, delay: timedelta) -> bool:
    """Give a delivery back for another attempt; see `EventBus.retry`."""
    uid = await connection.fetchval(
        _RETRY,
        delivery.id,
        delivery.fence,
        delivery.owner,
        max(delay, timedelta()),
        int(error.category is ErrorCategory.WORKER_LOST),
        error.category.value,
        storable(error.message),
    )
    return uid is not None


async def release(connection: Connection, deliveries: Sequence[Delivery]) -> frozenset[int]:
    """Give back deliveries that were not started; see `EventBus.release`."""
    found = await connection.fetch(_RELEASE, *_handles(deliveries))
    return frozenset(row["uid"] for row in found)


async def settled(connection: Connection, deliveries: Sequence[Delivery]) -> dict[int, str]:
    """Tell how these attempts ended; see `EventBus.settled`."""
    found = await connection.fetch(_SETTLED, [d.uid for d in deliveries], [d.fence for d in deliveries])
    return {row["uid"]: row["outcome"] for row in found}


def storable(text: str) -> str:
    """Return the text without the one character that PostgreSQL cannot store."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _handles(deliveries: Sequence[Delivery]) -> tuple[list[int], list[int], list[Any]]:
    return [d.id for d in deliveries], [d.fence for d in deliveries], [d.owner for d in deliveries]
