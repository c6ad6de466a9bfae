"""How much the bus was used: events, deliveries, attempts and the time they took (R14)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from factory.events.delivery import NO_PROJECT
from factory.storage.database import Connection


class Grouping(StrEnum):
    """What the figures are summed by."""

    AGENT = "agent"
    PROJECT = "project"
    EVENT_TYPE = "event-type"


class Usage(BaseModel):
    """The figures of one agent, project or event type.

    Attributes:
        name: The agent or component, the project's id (empty for what belongs to none), or the event type.
        events: Events published: by the agent, about the project, of the type.
        deliveries: Deliveries that were attempted or resolved.
        attempts: Attempts that ended, well or badly.
        retries: Attempts after which another one followed.
        dead_letters: Deliveries given up; one that died again after a redrive counts again.
        redrives: Dead letters delivered again.
        seconds: Time that agents worked, as far as it was recorded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    events: int
    deliveries: int
    attempts: int
    retries: int
    dead_letters: int
    redrives: int
    seconds: float


_NAMES = {
    Grouping.AGENT: ("e.originating_agent", "regexp_replace(l.subscription, '\\.events$', '')"),
    Grouping.PROJECT: ("coalesce(e.project_id::text, '')", "coalesce(nullif(l.project_id, $3)::text, '')"),
    Grouping.EVENT_TYPE: ("e.event_type", "e.event_type"),
}

# Partitions of the days since; within them event_by_project where a project is given. Only the figures by event type
# need the event of each attempt: by its primary key.
_QUERY = """
WITH published AS (
    SELECT {event_name} AS name, count(*) AS events FROM event e
    WHERE ($1::timestamptz IS NULL OR e.recorded_at >= $1) AND ($2::uuid IS NULL OR e.project_id = $2)
        AND ($4::text IS NULL OR EXISTS (SELECT FROM project p WHERE p.id = e.project_id AND p.tenant = $4))
    GROUP BY 1
), worked AS (
    SELECT {log_name} AS name,
        count(DISTINCT l.uid) AS deliveries,
        count(*) FILTER (WHERE l.outcome IN ('done', 'retried', 'dead', 'timed-out', 'abandoned')) AS attempts,
        count(*) FILTER (WHERE l.outcome IN ('retried', 'timed-out', 'abandoned')) AS retries,
        count(*) FILTER (WHERE l.outcome = 'dead') AS dead_letters,
        count(*) FILTER (WHERE l.outcome = 'redriven') AS redrives,
        coalesce(sum((l.details ->> 'seconds')::float8), 0) AS seconds
    FROM delivery_log l {join}
    WHERE ($1::timestamptz IS NULL OR l.logged_at >= $1) AND ($2::uuid IS NULL OR l.project_id = $2)
        AND $3::uuid IS NOT NULL
        AND ($4::text IS NULL OR EXISTS (SELECT FROM project p WHERE p.id = l.project_id AND p.tenant = $4))
    GROUP BY 1
)
SELECT coalesce(p.name, w.name) AS name, coalesce(events, 0) AS events, coalesce(deliveries, 0) AS deliveries,
    coalesce(attempts, 0) AS attempts, coalesce(retries, 0) AS retries, coalesce(dead_letters, 0) AS dead_letters,
    coalesce(redrives, 0) AS redrives, coalesce(seconds, 0) AS seconds
FROM published p FULL JOIN worked w ON w.name = p.name
ORDER BY attempts DESC, events DESC, name
"""


async def read_usage(
    connection: Connection,
    by: Grouping,
    *,
    project_id: UUID | None = None,
    since: datetime | None = None,
    tenant: str | None = None,
) -> list[Usage]:
    """Return the figures, the busiest first.

    Args:
        connection: In a transaction.
        by: What they are summed by.
        project_id: Only what belongs to this project.
        since: Only what happened at or after this time; as far back as events are kept where it is None.
        tenant: Only what belongs to projects of this tenant; None for everything.
    """
    event_name, log_name = _NAMES[by]
    join = "JOIN event e ON e.event_id = l.event_id" if by is Grouping.EVENT_TYPE else ""
    query = _QUERY.format(event_name=event_name, log_name=log_name, join=join)
    return [Usage(**row) for row in await connection.fetch(query, since, project_id, NO_PROJECT, tenant)]
