"""The event log as a reader sees it, and the care of its partitions."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg

from factory.events import rows
from factory.events.delivery import Cursor, LoggedEvent
from factory.storage.database import Database

_DAYS_AHEAD = 3

# event_by_order and event_by_project. A transaction that is still running may commit events before those already
# visible, so reading stops at the oldest running transaction. Ordered by the column, not by its text of the same name.
_TAIL = f"""
SELECT transaction_id::text AS transaction_id, position, {rows.COLUMNS} FROM event
WHERE (transaction_id, position) > ($1::text::xid8, $2)
    AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    AND (%s)
ORDER BY event.transaction_id, event.position LIMIT $3
"""  # noqa: S608 - put together from constants
_TAIL_ALL = _TAIL % "true"
_TAIL_PROJECT = _TAIL % "project_id = $4"

_CREATE_PARTITIONS = "SELECT create_day_partitions($1, $2)"

_PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('event'::regclass, 'delivery_log'::regclass) AND c.relname ~ '_[0-9]{8}$'
"""

# An event is kept as long as somebody has still to receive it.
_OLDEST_WAITING = """
SELECT least((SELECT min(recorded_at) FROM delivery), (SELECT min(recorded_at) FROM delivery_delayed))
"""

_KEY_PAGES = "SELECT pg_relation_size('event_key') / current_setting('block_size')::bigint"

# A range of pages, so that a statement's length does not depend on how much there is, and no page is read twice.
_FORGET_KEYS = """
DELETE FROM event_key WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid
    AND recorded_at <= now() - $3::interval
"""
_PAGES = 500

_FORGET_OWNERS = """
DELETE FROM delivery_owner o
WHERE ended_at < now() - interval '1 day' AND NOT EXISTS (SELECT FROM delivery WHERE owner = o.epoch)
"""


async def tail(database: Database, after: Cursor, project_id: UUID | None, limit: int) -> list[LoggedEvent]:
    """Read the log after a place; see `EventBus.tail`."""
    arguments = (str(after.transaction_id), after.position, limit)
    async with database.transaction() as connection:
        if project_id is None:
            found = await connection.fetch(_TAIL_ALL, *arguments)
        else:
            found = await connection.fetch(_TAIL_PROJECT, *arguments, project_id)
    return [LoggedEvent(Cursor(int(row["transaction_id"]), row["position"]), rows.to_envelope(row)) for row in found]


async def maintain(database: Database, retention: timedelta, duplicate_window: timedelta) -> None:
    """Prepare the coming days and drop the old ones; see `EventBus.maintain`."""
    now = datetime.now(UTC)
    async with database.transaction() as connection:
        await connection.execute(_CREATE_PARTITIONS, now.date(), _DAYS_AHEAD)
        oldest_waiting: datetime | None = await connection.fetchval(_OLDEST_WAITING)
        names = [row["relname"] for row in await connection.fetch(_PARTITIONS)]
    keep_from = min(now - retention, oldest_waiting or now)
    for name in names:
        if _day(name) < keep_from.date():
            await _drop(database, name)
    async with database.transaction() as connection:
        await connection.execute(_FORGET_OWNERS)
        pages: int = await connection.fetchval(_KEY_PAGES)
    for first in range(0, pages, _PAGES):
        async with database.transaction() as connection:
            await connection.execute(_FORGET_KEYS, first, first + _PAGES, duplicate_window)


def _day(partition: str) -> date:
    return datetime.strptime(partition[-8:], "%Y%m%d").replace(tzinfo=UTC).date()


async def _drop(database: Database, partition: str) -> None:
    """Drop a partition. Publishers come first: if the lock is not free, the next maintenance tries again."""
    try:
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            await connection.execute(f'DROP TABLE IF EXISTS "{partition}"')
    except asyncpg.LockNotAvailableError:
        return
