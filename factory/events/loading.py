"""Read deliveries together with their events."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from factory.events import rows
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.storage.database import Connection

FIELDS = """d.uid, d.id, d.subscription, d.event_id, d.recorded_at, d.fence, d.attempt, d.owner, d.deadline,
    d.crash_count, d.losses, d.sequence IS NOT NULL AS ordered, d.replay, d.priority AS urgency,
    s.max_attempts, s.max_losses, s.priority"""

# What `to_delivery` reads besides; the caller joins the event as e.
EVENT_FIELDS = ", ".join(f"e.{column.strip()}" for column in rows.COLUMNS.split(",") if column != "event_id")
EVENT = "event e ON e.event_id = d.event_id AND e.recorded_at = d.recorded_at"

# delivery_taken.
_CLAIMED = f"""
SELECT {FIELDS} FROM delivery d JOIN subscription s ON s.name = d.subscription
WHERE d.owner = $1 AND d.claim = $2
ORDER BY s.priority DESC, d.priority DESC, d.id
"""  # noqa: S608 - put together from constants

# The primary key of the partitions between the two times.
_EVENTS = f"""
SELECT recorded_at, {rows.COLUMNS} FROM event WHERE event_id = ANY ($1) AND recorded_at BETWEEN $2 AND $3
"""  # noqa: S608 - put together from constants


async def load_claim(connection: Connection, epoch: UUID, claim: UUID) -> list[Delivery]:
    """Return what an owner holds through one claim, by priority of the subscription, then of the event, then by age."""
    return await load(connection, await connection.fetch(_CLAIMED, epoch, claim))


async def load(connection: Connection, taken: Sequence[Record]) -> list[Delivery]:
    """Return deliveries for rows of `FIELDS`, in the same order."""
    if not taken:
        return []
    times = [row["recorded_at"] for row in taken]
    found = await connection.fetch(_EVENTS, list({row["event_id"] for row in taken}), min(times), max(times))
    events = {(row["event_id"], row["recorded_at"]): rows.to_envelope(row) for row in found}
    return [_delivery(row, events[row["event_id"], row["recorded_at"]]) for row in taken]


def to_delivery(row: Record) -> Delivery:
    """Return the delivery of a row of `FIELDS` and `EVENT_FIELDS`."""
    return _delivery(row, rows.to_envelope(row))


def _delivery(row: Record, event: Envelope) -> Delivery:
    return Delivery(
        uid=row["uid"],
        id=row["id"],
        subscription=row["subscription"],
        event=event,
        fence=row["fence"],
        attempt=row["attempt"],
        owner=row["owner"],
        deadline=row["deadline"],
        crash_count=row["crash_count"],
        losses=row["losses"],
        ordered=row["ordered"],
        max_attempts=row["max_attempts"],
        replay=row["replay"],
    )
