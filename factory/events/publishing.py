"""Publishing: append to the log and fan out, in one statement of the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

from factory.events import matching, rows
from factory.events.delivery import NO_PROJECT
from factory.events.envelope import Envelope
from factory.events.registry import Registry
from factory.storage.database import Connection

# event_key decides which ids are new; its rows are locked in order of id, so that two publishers of the same events
# wait for one another instead of deadlocking.
_LOG = f"""
WITH incoming AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[],
        $9::uuid[], $10::uuid[], $11::timestamptz[], $12::text[], $13::jsonb[]
    ) WITH ORDINALITY AS incoming ({rows.COLUMNS}, ordinal)
), fresh AS (
    INSERT INTO event_key (event_id) SELECT event_id FROM incoming ORDER BY event_id
    ON CONFLICT DO NOTHING RETURNING event_id
), logged AS (
    INSERT INTO event ({rows.COLUMNS})
    SELECT {rows.COLUMNS} FROM incoming JOIN fresh USING (event_id) ORDER BY ordinal
    RETURNING position, recorded_at, event_id, event_type, topic, project_id, originating_agent, payload
)"""  # noqa: S608 - put together from constants

# Subscriptions are few: matching reads them whole.
_MATCH = f"""{_LOG}, matched AS (
    SELECT s.name, s.ordered, e.event_id, e.recorded_at, e.position, coalesce(e.project_id, $14) AS project_id
    FROM logged e JOIN subscription s ON s.active AND {matching.PREDICATE}
)"""  # noqa: S608 - put together from constants

# A project's row in project_sequence stays locked until the publisher commits, and only where an ordered
# subscription matched. Rows are locked in order of project.
_NOW = f"""{_MATCH}, lane AS (
    INSERT INTO project_sequence AS p (project_id, last)
    SELECT project_id, count(*) FROM matched WHERE ordered GROUP BY project_id ORDER BY project_id
    ON CONFLICT (project_id) DO UPDATE SET last = p.last + EXCLUDED.last RETURNING project_id, last
), delivered AS (
    INSERT INTO delivery (subscription, event_id, recorded_at, project_id, sequence)
    SELECT m.name, m.event_id, m.recorded_at, m.project_id,
        CASE WHEN m.ordered THEN lane.last
            - count(*) OVER (PARTITION BY m.project_id, m.ordered)
            + row_number() OVER (PARTITION BY m.project_id, m.ordered ORDER BY m.position, m.name) END
    FROM matched m LEFT JOIN lane ON m.ordered AND lane.project_id = m.project_id
    ORDER BY m.position, m.name
)
SELECT count(*) FROM logged
"""  # noqa: S608 - put together from constants

_LATER = f"""{_MATCH}, delayed AS (
    INSERT INTO delivery_delayed (subscription, event_id, recorded_at, project_id, due_at)
    SELECT m.name, m.event_id, m.recorded_at, m.project_id, $15 FROM matched m ORDER BY m.position, m.name
)
SELECT count(*) FROM logged
"""  # noqa: S608 - put together from constants

_LOG_ONLY = f"{_LOG} SELECT recorded_at FROM logged"  # noqa: S608 - put together from constants


async def publish(
    connection: Connection, registry: Registry, events: Sequence[Envelope], available_at: datetime | None
) -> int:
    """Append the events that are new and give each matching subscription its delivery; see `EventBus.publish`."""
    unique = list({event.event_id: event for event in reversed(events)}.values())[::-1]
    for event in unique:
        registry.check_publication(event)
    if not unique:
        return 0
    arguments = [*rows.to_arrays(unique), NO_PROJECT]
    if available_at is None:
        count: int = await connection.fetchval(_NOW, *arguments)
    else:
        count = await connection.fetchval(_LATER, *arguments, available_at)
    return count


async def append(connection: Connection, registry: Registry, event: Envelope) -> datetime:
    """Append one event to the log without delivering it to anyone; return when it was recorded."""
    registry.check_publication(event)
    recorded_at: datetime = await connection.fetchval(_LOG_ONLY, *rows.to_arrays([event]))
    return recorded_at
