"""Which events a subscription receives: the one predicate, and the question asked of history."""

from datetime import datetime
from typing import Any

from factory.events import rows
from factory.events.delivery import Cursor, LoggedEvent
from factory.events.subscriptions import Subscription
from factory.storage.database import Connection, Database

# Of an event e and a subscription s. `@@` answers NULL, which is not true, where a path meets the wrong type.
PREDICATE = """(s.topics = '{}' OR e.topic = ANY (s.topics))
        AND (s.event_types = '{}' OR e.event_type = ANY (s.event_types))
        AND (s.projects = '{}' OR e.project_id = ANY (s.projects))
        AND (s.agents = '{}' OR e.originating_agent = ANY (s.agents))
        AND e.payload @> s.payload
        AND (s.condition_path IS NULL OR e.payload @@ s.condition_path)"""

# event_by_order, in the partitions between the two times. A page is bounded by what it reads, not by what it finds,
# so that no filter makes a statement long; an event whose transaction may not be over belongs to a later page.
SCANNED = f"""scanned AS MATERIALIZED (
    SELECT transaction_id, position, recorded_at, {rows.COLUMNS} FROM event
    WHERE (transaction_id, position) > ($1::text::xid8, $2::bigint)
        AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        AND recorded_at >= $3 AND recorded_at < $4
    ORDER BY transaction_id, position LIMIT $5
)"""  # noqa: S608 - put together from constants
PAGE = 2_000

_MATCHING = f"""
WITH {SCANNED}, last AS (
    SELECT transaction_id, position FROM scanned ORDER BY transaction_id DESC, position DESC LIMIT 1
), given AS (
    SELECT $6::text[] AS topics, $7::text[] AS event_types, $8::uuid[] AS projects, $9::text[] AS agents,
        $10::jsonb AS payload, $11::text::jsonpath AS condition_path
), matched AS (
    SELECT e.* FROM scanned e JOIN given s ON {PREDICATE}
)
SELECT last.transaction_id::text AS last_transaction, last.position AS last_position,
    m.transaction_id::text AS transaction_id, m.position, {rows.COLUMNS}
FROM last LEFT JOIN matched m ON true ORDER BY m.transaction_id, m.position
"""  # noqa: S608 - put together from constants


def filters(
    subscription: Subscription,
) -> tuple[list[str], list[str], list[Any], list[str], dict[str, Any], str | None]:
    """Return the filters as the columns that the predicate reads: topics to condition_path."""
    return (
        [topic.value for topic in subscription.topics],
        list(subscription.event_types),
        list(subscription.projects),
        list(subscription.agents),
        dict(subscription.payload),
        subscription.condition_path,
    )


async def matches(
    database: Database, subscription: Subscription, since: datetime, until: datetime, limit: int
) -> list[LoggedEvent]:
    """Return the events of the past that a subscription would have received; see `EventBus.matches`."""
    found: list[LoggedEvent] = []
    place: Cursor | None = Cursor()
    while place is not None and len(found) < limit:
        async with database.transaction() as connection:
            page, place = await _page(connection, subscription, since, until, place)
        found += page
    return found[:limit]


async def _page(
    connection: Connection, subscription: Subscription, since: datetime, until: datetime, after: Cursor
) -> tuple[list[LoggedEvent], Cursor | None]:
    """Return the matching events of one page and where it ended; None at the end of the log."""
    found = await connection.fetch(
        _MATCHING, str(after.transaction_id), after.position, since, until, PAGE, *filters(subscription)
    )
    if not found:
        return [], None
    events = [
        LoggedEvent(Cursor(int(row["transaction_id"]), row["position"]), rows.to_envelope(row))
        for row in found
        if row["transaction_id"] is not None
    ]
    return events, Cursor(int(found[0]["last_transaction"]), found[0]["last_position"])
