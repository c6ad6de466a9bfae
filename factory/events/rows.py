"""Between envelopes and rows of the event log."""

from collections.abc import Sequence
from typing import Any

from asyncpg import Record

from factory.events.envelope import Envelope
from factory.events.topics import Topic

COLUMNS = (
    "event_id, event_type, version, topic, project_id, originating_agent, trace_id, traceparent, correlation_id, "
    'causation_id, "timestamp", artifact_uri, payload'
)


def to_arrays(events: Sequence[Envelope]) -> list[list[Any]]:
    """Return one array per column of `COLUMNS`, for `unnest`."""
    rows = [
        (
            event.event_id,
            event.event_type,
            event.version,
            event.topic.value,
            event.project_id,
            event.originating_agent,
            event.trace_id,
            event.traceparent,
            event.correlation_id,
            event.causation_id,
            event.timestamp,
            event.artifact_uri,
            dict(event.payload),
        )
        for event in events
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def to_envelope(row: Record) -> Envelope:
    """Read an event back from its row."""
    return Envelope.trusted(
        event_id=row["event_id"],
        event_type=row["event_type"],
        version=row["version"],
        topic=Topic(row["topic"]),
        project_id=row["project_id"],
        originating_agent=row["originating_agent"],
        trace_id=row["trace_id"],
        traceparent=row["traceparent"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        timestamp=row["timestamp"],
        artifact_uri=row["artifact_uri"],
        payload=row["payload"],
    )
