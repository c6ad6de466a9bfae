"""Settling: end an attempt, under its fence, in the caller's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from factory.domain.errors import ConflictError, ErrorCategory
from factory.domain.task import TaskError
from factory.events.delivery import Delivery
from factory.storage.database import Connection

# For statements about a queue in a transaction of the caller's, the rest of which is planned as ever: the statistics of
# a queue are always wrong.
PLAN_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
PLAN_AS_EVER = "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_bitmapscan TO DEFAULT"

# Every effect selects from what was held, so that a superseded fence leaves no trace. Uses the primary key.
_HELD = "d.id = i.id AND d.fence = i.fence AND d.owner = i.owner"
_LOGGED = "uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, replay"


def finishing(first: int, *, unless: str = "false") -> str:
    """Return the common table expressions that end deliveries; `done` has the uids of those that were held.

    Args:
        first: Number of the first of four parameters, which are those of `finish_arguments`.
        unless: Nothing is ended where this holds.
    """
    ids, fences, owners, details = (f"${number}" for number in range(first, first + 4))
    return f"""input AS (
    SELECT * FROM unnest({ids}::bigint[], {fences}::bigint[], {owners}::uuid[], {details}::jsonb[])
        AS i (id, fence, owner, details)
), held AS (
    DELETE FROM delivery d USING input i WHERE {_HELD} AND NOT {unless} RETURNING d.*, i.details
), done AS (
    INSERT INTO delivery_log ({_LOGGED}, outcome, details) SELECT {_LOGGED}, 'done', details FROM held RETURNING uid
)"""  # noqa: S608 - put together from constants


_FINISH = f"WITH {finishing(1)} SELECT uid FROM done"  # noqa: S608 - put together from constants

# A lane waits with its head, so an ordered delivery stays in its place; any other waits in delivery_delayed and comes
# back with a new id, which keeps the ids of ready work rising. What expires while it waits is due when it expires.
_GIVE_BACK = f"""
WITH input AS (
    SELECT $1::bigint AS id, $2::bigint AS fence, $3::uuid AS owner,
        coalesce($4::timestamptz, clock_timestamp() + $5::interval) AS due_at
), held AS (
    SELECT d.*, i.due_at, d.sequence IS NULL AND i.due_at > clock_timestamp() AS waits_outside
    FROM delivery d JOIN input i ON {_HELD} FOR UPDATE OF d
), moved AS (
    DELETE FROM delivery d USING held h WHERE d.id = h.id AND h.waits_outside RETURNING d.uid
), delayed AS (
    INSERT INTO delivery_delayed (uid, subscription, event_id, recorded_at, project_id, attempt, crash_count, losses,
        fence, priority, expires_at, replay, due_at)
    SELECT h.uid, subscription, event_id, recorded_at, project_id, greatest(attempt - $6::integer, 0),
        crash_count + $7::integer, losses, fence, priority, expires_at, replay, least(due_at, expires_at)
    FROM held h JOIN moved USING (uid)
), kept AS (
    UPDATE delivery d SET owner = NULL, claim = NULL, deadline = NULL, attempt = greatest(d.attempt - $6::integer, 0),
        crash_count = d.crash_count + $7::integer, not_before = CASE WHEN d.sequence IS NOT NULL THEN h.due_at END
    FROM held h WHERE d.id = h.id AND NOT h.waits_outside
)
INSERT INTO delivery_log ({_LOGGED}, outcome, category, error)
SELECT {_LOGGED}, $8, $9, $10 FROM held RETURNING uid
"""  # noqa: S608 - put together from constants

_EXTEND = f"""
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS i (id, fence, owner)
), held AS (
    SELECT d.id FROM delivery d JOIN input i ON {_HELD} ORDER BY d.id FOR UPDATE OF d
)
UPDATE delivery d SET deadline = clock_timestamp() + s.lease
FROM held h, subscription s WHERE d.id = h.id AND s.name = d.subscription RETURNING d.uid
"""  # noqa: S608 - put together from constants

_RELEASE = f"""
WITH input AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS i (id, fence, owner)
)
UPDATE delivery d SET owner = NULL, claim = NULL, deadline = NULL, attempt = greatest(d.attempt - 1, 0)
FROM input i WHERE {_HELD} RETURNING d.uid
"""  # noqa: S608 - put together from constants

# delivery_delayed_by_event.
_CANCEL_DELAYED = """
WITH gone AS (
    DELETE FROM delivery_delayed WHERE event_id = $1 RETURNING *
)
INSERT INTO delivery_log
    (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, outcome, details)
SELECT uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, 'cancelled', $2 FROM gone
RETURNING uid
"""

# delivery_ready_by_priority and delivery_lane, within the event's own project. A row that is being claimed is waited
# for, and then no longer without an owner.
_CANCEL_READY = """
WITH origin AS (
    SELECT DISTINCT coalesce(project_id, '00000000-0000-0000-0000-000000000000') AS project_id FROM event
    WHERE event_id = $1
), found AS (
    SELECT d.id FROM subscription s CROSS JOIN origin o CROSS JOIN LATERAL (
        SELECT id, event_id FROM delivery
        WHERE subscription = s.name AND project_id = o.project_id AND owner IS NULL AND sequence IS NULL OFFSET 0
    ) d WHERE d.event_id = $1
    UNION ALL
    SELECT d.id FROM subscription s CROSS JOIN origin o CROSS JOIN LATERAL (
        SELECT id, event_id FROM delivery
        WHERE subscription = s.name AND project_id = o.project_id AND owner IS NULL AND sequence IS NOT NULL OFFSET 0
    ) d WHERE d.event_id = $1
), gone AS (
    DELETE FROM delivery d USING found f WHERE d.id = f.id AND d.owner IS NULL RETURNING d.*
)
INSERT INTO delivery_log
    (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, outcome, details)
SELECT uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, 'cancelled', $2 FROM gone
RETURNING uid
"""

# delivery_log_by_uid.
_SETTLED = """
SELECT l.uid, l.outcome FROM unnest($1::bigint[], $2::bigint[]) AS i (uid, fence)
JOIN delivery_log l ON l.uid = i.uid AND l.fence = i.fence
"""


async def finish(
    connection: Connection, deliveries: Sequence[Delivery], details: Mapping[int, Mapping[str, Any]]
) -> frozenset[int]:
    """End deliveries as done; see `EventBus.finish`."""
    found = await connection.fetch(_FINISH, *finish_arguments(deliveries, details))
    return frozenset(row["uid"] for row in found)


def finish_arguments(
    deliveries: Sequence[Delivery], details: Mapping[int, Mapping[str, Any]]
) -> tuple[list[int], list[int], list[Any], list[Any]]:
    """Return the parameters of `finishing`."""
    recorded = [dict(details[d.uid]) if d.uid in details else None for d in deliveries]
    return (*_handles(deliveries), recorded)


async def retry(connection: Connection, delivery: Delivery, error: TaskError, delay: timedelta) -> bool:
    """Give a delivery back for another attempt; see `EventBus.retry`."""
    crashes = int(error.category is ErrorCategory.WORKER_LOST)
    wait = max(delay, timedelta())
    return await _give_back(
        connection, delivery, None, wait, 0, crashes, "retried", error.category.value, storable(error.message)
    )


async def defer(connection: Connection, delivery: Delivery, until: datetime) -> bool:
    """Give a delivery back until a time; see `EventBus.defer`."""
    return await _give_back(connection, delivery, until, None, 1, 0, "deferred", None, None)


async def extend(connection: Connection, deliveries: Sequence[Delivery]) -> frozenset[int]:
    """Prolong the deadlines of deliveries; see `EventBus.extend`."""
    found = await connection.fetch(_EXTEND, *_handles(deliveries))
    return frozenset(row["uid"] for row in found)


async def cancel(connection: Connection, event_id: UUID, *, by: str, reason: str) -> int:
    """Take back what waits of an event; see `EventBus.cancel`.

    First what waits for a time, then what is ready: a delivery moves in this direction only.
    """
    details = {"by": by, "reason": reason}
    await connection.execute(PLAN_BY_INDEX)
    gone = await connection.fetch(_CANCEL_DELAYED, event_id, details)
    gone += await connection.fetch(_CANCEL_READY, event_id, details)
    await connection.execute(PLAN_AS_EVER)
    return len(gone)


async def release(connection: Connection, deliveries: Sequence[Delivery]) -> frozenset[int]:
    """Give back deliveries that were not started; see `EventBus.release`."""
    found = await connection.fetch(_RELEASE, *_handles(deliveries))
    return frozenset(row["uid"] for row in found)


async def settled(connection: Connection, deliveries: Sequence[Delivery]) -> dict[int, str]:
    """Tell how these attempts ended; see `EventBus.settled`."""
    found = await connection.fetch(_SETTLED, [d.uid for d in deliveries], [d.fence for d in deliveries])
    return {row["uid"]: row["outcome"] for row in found}


async def _give_back(connection: Connection, delivery: Delivery, *how: object) -> bool:
    uid = await connection.fetchval(_GIVE_BACK, delivery.id, delivery.fence, delivery.owner, *how)
    return uid is not None


def storable(text: str) -> str:
    """Return the text without the one character that PostgreSQL cannot store."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _handles(deliveries: Sequence[Delivery]) -> tuple[list[int], list[int], list[Any]]:
    if len({delivery.uid for delivery in deliveries}) < len(deliveries):
        # The answer names uids, so it could not tell a superseded attempt from the one that replaced it.
        raise ConflictError(
            "two attempts of one delivery cannot be settled in one call.", remedy="Keep the one with the higher fence."
        )
    return [d.id for d in deliveries], [d.fence for d in deliveries], [d.owner for d in deliveries]
