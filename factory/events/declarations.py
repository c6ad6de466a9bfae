"""The table of subscriptions, and how much waits for each."""

from collections.abc import Iterable
from datetime import timedelta

from asyncpg import Record

from factory.domain.errors import NotFoundError
from factory.events import matching
from factory.events.delivery import Backlog, Pause, Standing
from factory.events.subscriptions import Subscription
from factory.storage.database import Connection, Database

# Counting a long queue exactly would cost more than serving it.
COUNT_LIMIT = 1_000

_RULES = (
    "topics", "event_types", "projects", "agents", "payload", "condition_path", "conditions", "max_attempts",
    "max_losses", "lease", "ordered", "priority", "time_to_live", "after_dead_letter", "max_backlog",
)  # fmt: skip
# jsonpath has no equality; the conditions that it was made from stand for it.
_COMPARED = tuple(name for name in _RULES if name != "condition_path")

_DECLARE = f"""
INSERT INTO subscription AS s (name, {", ".join(_RULES)})
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonpath, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (name) DO UPDATE SET
    ({", ".join(_RULES)}, active, declared_at) = ROW ({", ".join(f"excluded.{name}" for name in _RULES)}, true, now())
WHERE ({", ".join(f"s.{name}" for name in _COMPARED)}, s.active)
    IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _COMPARED)}, true)
"""  # noqa: S608 - put together from constants

# A subscription that stops asking for order lets its lanes go.
_OPEN_LANES = """
UPDATE delivery d SET sequence = NULL, not_before = NULL
FROM subscription s WHERE s.name = d.subscription AND NOT s.ordered AND d.sequence IS NOT NULL AND s.name = ANY ($1)
"""

# A subscription that stops holding its lanes lets them go on; the dead letters that held them stay.
_UNBLOCK_LANES = """
DELETE FROM lane_block b USING subscription s
WHERE s.name = b.subscription AND NOT (s.ordered AND s.after_dead_letter = 'block') AND s.name = ANY ($1)
"""

_RETRACT = "UPDATE subscription SET active = false WHERE name = ANY ($1)"

# delivery_ready_by_priority and delivery_lane for what is ready, delivery_taken for what is in flight.
_BACKLOG = """
SELECT w.name, u.count + l.count AS ready, d.count AS delayed, f.count AS in_flight,
    now() - least(u.oldest, l.oldest) AS oldest
FROM unnest($1::text[]) AS w (name)
CROSS JOIN LATERAL (
    SELECT count(*), min(recorded_at) AS oldest FROM (
        SELECT recorded_at FROM delivery WHERE subscription = w.name AND owner IS NULL AND sequence IS NULL LIMIT $2
    ) AS unordered
) u
CROSS JOIN LATERAL (
    SELECT count(*), min(recorded_at) AS oldest FROM (
        SELECT recorded_at FROM delivery WHERE subscription = w.name AND owner IS NULL AND sequence IS NOT NULL LIMIT $2
    ) AS lanes
) l
CROSS JOIN LATERAL (
    SELECT count(*) FROM (SELECT FROM delivery_delayed WHERE subscription = w.name LIMIT $2) AS delayed
) d
CROSS JOIN LATERAL (
    SELECT count(*) FROM (SELECT FROM delivery WHERE subscription = w.name AND owner IS NOT NULL LIMIT $2) AS taken
) f
"""

# lane_block_by_lane.
_ALL = """
SELECT s.*, (SELECT count(*) FROM lane_block b WHERE b.subscription = s.name) AS blocked
FROM subscription s WHERE $1::text IS NULL OR s.name = $1 ORDER BY s.name
"""

# Who paused it first stays on record.
_PAUSE = """
UPDATE subscription SET paused = true, paused_at = coalesce(paused_at, now()), paused_by = coalesce(paused_by, $2),
    pause_reason = coalesce(pause_reason, $3)
WHERE name = $1 RETURNING name
"""

_RESUME = """
UPDATE subscription SET paused = false, paused_at = NULL, paused_by = NULL, pause_reason = NULL
WHERE name = $1 RETURNING name
"""


async def declare(connection: Connection, subscriptions: Iterable[Subscription]) -> None:
    """Store the subscriptions. In order of name, so that processes that start together do not deadlock."""
    ordered = sorted(subscriptions, key=lambda s: s.name)
    await connection.executemany(
        _DECLARE,
        [
            (
                s.name,
                *matching.filters(s),
                [condition.model_dump(mode="json") for condition in s.conditions],
                s.max_attempts,
                s.max_losses,
                s.lease,
                s.ordered,
                s.priority,
                s.time_to_live,
                s.after_dead_letter,
                s.max_backlog,
            )
            for s in ordered
        ],
    )
    names = [s.name for s in ordered]
    await connection.execute(_OPEN_LANES, names)
    await connection.execute(_UNBLOCK_LANES, names)


async def retract(connection: Connection, names: Iterable[str]) -> None:
    """Stop matching events for the subscriptions."""
    await connection.execute(_RETRACT, sorted(names))


async def pause(connection: Connection, name: str, *, by: str, reason: str) -> None:
    """Hold a subscription; see `EventBus.pause`."""
    if await connection.fetchval(_PAUSE, name, by, reason) is None:
        raise _unknown(name)


async def resume(connection: Connection, name: str) -> None:
    """Let a subscription go on; see `EventBus.resume`."""
    if await connection.fetchval(_RESUME, name) is None:
        raise _unknown(name)


async def standings(database: Database, name: str | None) -> list[Standing]:
    """Return subscriptions as they stand; see `EventBus.standings`."""
    async with database.transaction() as connection:
        found = await connection.fetch(_ALL, name)
    if name is not None and not found:
        raise _unknown(name)
    waiting = await backlog(database, [row["name"] for row in found])
    return [
        Standing(
            subscription=_read(row),
            active=row["active"],
            backlog=waiting[row["name"]],
            blocked=row["blocked"],
            pause=Pause(row["paused_at"], row["paused_by"], row["pause_reason"]) if row["paused"] else None,
        )
        for row in found
    ]


async def find(connection: Connection, name: str) -> Subscription:
    """Return a declared subscription.

    Raises:
        NotFoundError: There is none of this name.
    """
    row = await connection.fetchrow(_ALL, name)
    if row is None:
        raise _unknown(name)
    return _read(row)


def _read(row: Record) -> Subscription:
    return Subscription(**{field: row[field] for field in Subscription.model_fields})


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(
        f"there is no subscription {name!r}.", remedy="See `factory subscription list`.", field="subscription"
    )


async def backlog(database: Database, names: Iterable[str]) -> dict[str, Backlog]:
    """Count what waits; see `EventBus.backlog`."""
    async with database.transaction(hot=True) as connection:
        found = await connection.fetch(_BACKLOG, sorted(set(names)), COUNT_LIMIT)
    return {
        row["name"]: Backlog(
            ready=row["ready"],
            delayed=row["delayed"],
            in_flight=row["in_flight"],
            oldest=row["oldest"] or timedelta(),
        )
        for row in found
    }
