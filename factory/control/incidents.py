"""Incidents in the control plane: what is observed, and what was raised and closed. Each is raised and closed once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from factory.domain.ids import derived_id
from factory.domain.telemetry import FACTORY, Figure, Incident, Observation
from factory.events.bus import EventBus
from factory.events.contracts.observability import IncidentClosed, IncidentRaised, TelemetryObserved
from factory.events.contracts.recovery import NotificationRequested
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.observability.traceparents import root_traceparent
from factory.storage.database import Connection

NAME = "observability"
EVENT_TYPES = (IncidentRaised.event_type, IncidentClosed.event_type)

# dead_letter_open.
_DEAD = """
SELECT subscription, count(*) AS count FROM dead_letter
WHERE state = 'open' AND dead_at > now() - interval '10 minutes' GROUP BY subscription
"""
# task_unfinished. What a person is asked about hangs for a reason, and what an ended project left does not hang.
_OLDEST_TASKS = """
SELECT t.agent, extract(epoch FROM max(now() - t.assigned_at))::float8 AS seconds
FROM task t JOIN project p ON p.id = t.project_id
WHERE t.status IN ('assigned', 'running') AND p.status NOT IN ('released', 'failed', 'compensated')
    AND NOT EXISTS (SELECT FROM escalation e WHERE e.project_id = t.project_id AND e.state = 'open')
GROUP BY t.agent
"""
# A server that was down took no heartbeats.
_LATE = """
SELECT count(*) FROM delivery_owner WHERE ended_at IS NULL AND expires_at + lease < clock_timestamp()
    AND pg_postmaster_start_time() + 2 * lease < clock_timestamp()
"""
_COLUMNS = 'id, rule, subject, severity, figure, value, "limit", opened_at, closed_at'
# incident_open.
_OPEN = f"SELECT {_COLUMNS} FROM incident WHERE closed_at IS NULL ORDER BY opened_at, id"  # noqa: S608 - a constant
# incident_by_age, backwards.
_LATEST = f"SELECT {_COLUMNS} FROM incident ORDER BY opened_at DESC, id LIMIT $1"  # noqa: S608 - a constant
# incident_open refuses a second one.
_RAISE = """
INSERT INTO incident (id, rule, subject, severity, figure, value, "limit", opened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id
"""
# Primary key.
_CLOSE = "UPDATE incident SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL RETURNING severity"


async def observe(connection: Connection, bus: EventBus) -> list[Observation]:
    """Look at every subscription, at the agents that have tasks, and at the supervisors.

    What waits for a paused subscription waits on purpose.
    """
    dead = {row["subscription"]: row["count"] for row in await connection.fetch(_DEAD)}
    found: list[tuple[str, Figure, float]] = []
    for standing in await bus.standings():
        name, backlog = standing.subscription.name, standing.backlog
        found.append((name, Figure.DEAD_LETTERS, dead.get(name, 0)))
        if standing.active and standing.pause is None:
            found.append((name, Figure.READY, backlog.ready))
            found.append((name, Figure.WAITING_SECONDS, backlog.oldest.total_seconds()))
    found += [(row["agent"], Figure.TASK_SECONDS, row["seconds"]) for row in await connection.fetch(_OLDEST_TASKS)]
    found.append((FACTORY, Figure.LATE_OWNERS, await connection.fetchval(_LATE)))
    # Clocks of two machines differ, so that an age may be less than nothing.
    return [Observation(subject=subject, figure=figure, value=max(value, 0)) for subject, figure, value in found]


async def list_open(connection: Connection) -> list[Incident]:
    """Return the open incidents, the oldest first."""
    return [_incident(row) for row in await connection.fetch(_OPEN)]


async def list_latest(connection: Connection, limit: int) -> list[Incident]:
    """Return incidents, open or closed, the newest first."""
    return [_incident(row) for row in await connection.fetch(_LATEST, limit)]


async def tell(connection: Connection, bus: EventBus, observations: list[Observation], turn: int) -> None:
    """Publish what was observed; of several processes that observe in the same turn, one is heard."""
    identity = derived_id("TelemetryObserved", turn)
    event = Envelope.of(
        TelemetryObserved(observations=observations),
        topic=Topic.SYSTEM,
        project_id=None,
        originating_agent=NAME,
        traceparent=root_traceparent(identity.hex),
        event_id=identity,
    )
    await bus.publish(connection, [event])


async def handle(connection: Connection, bus: EventBus, event: Envelope) -> None:
    """Record that an incident was raised, or closed, and tell the owners; what is known already changes nothing."""
    if event.event_type == IncidentRaised.event_type:
        await _record(connection, bus, event)
    else:
        await connection.fetchval(_CLOSE, event.read(IncidentClosed).incident_id, event.timestamp)


async def _record(connection: Connection, bus: EventBus, event: Envelope) -> None:
    raised = event.read(IncidentRaised)
    new: UUID | None = await connection.fetchval(
        _RAISE,
        derived_id("incident", event.event_id),
        raised.rule,
        raised.subject,
        raised.severity.value,
        raised.figure.value,
        raised.value,
        raised.limit,
        event.timestamp,
    )
    if new is None or not raised.notify:
        return
    wanted = NotificationRequested(
        channel=raised.channel,
        recipients=raised.notify,
        subject=f"{raised.rule}: {raised.subject}",
        body=raised.summary,
        severity=raised.severity,
    )
    await bus.publish(connection, [event.caused(wanted, topic=Topic.SYSTEM, originating_agent=NAME)])


def _incident(row: Any) -> Incident:  # noqa: ANN401 - asyncpg's record
    return Incident(**dict(row))


def turn_of(moment: datetime, seconds: float) -> int:
    """Return the number of the period of so many seconds that a moment falls into."""
    return int(moment.timestamp() // seconds)
