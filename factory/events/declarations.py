"""The table of subscriptions, and how much waits for each."""

from collections.abc import Iterable
from datetime import timedelta

from factory.events import matching
from factory.events.delivery import Backlog
from factory.events.subscriptions import Subscription
from factory.storage.database import Connection, Database

# Counting a long queue exactly would cost more than serving it.
COUNT_LIMIT = 1_000

# The statistics of a queue are always wrong, and a plan made while it was empty must not scan it when it is full.
USE_INDEXES = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"

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


async def backlog(database: Database, names: Iterable[str]) -> dict[str, Backlog]:
    """Count what waits; see `EventBus.backlog`."""
    async with database.transaction() as connection:
        await connection.execute(USE_INDEXES)
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
