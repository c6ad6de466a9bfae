"""Dead letters: deliveries that were given up, kept with everything needed to understand and to redo them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncpg import Record

from factory.domain.errors import ConflictError, ErrorCategory, NotFoundError
from factory.domain.ids import derived_id, new_id
from factory.domain.task import TaskError
from factory.events.contracts.system import DeadLettered
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.publishing import Publisher
from factory.events.settling import storable
from factory.events.topics import Topic
from factory.storage.database import Connection

_LONGEST_REASON = 2_000

# The primary key. A delivery that nobody holds has the owner that is all zero here. A letter of a lane that blocks
# leaves its place in the lane behind.
_GIVE_UP = """
WITH input AS (
    SELECT * FROM unnest(
        $1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[]
    ) AS i (id, fence, owner, category, reason, error_type, error, stack, event)
), gone AS (
    DELETE FROM delivery d USING input i
    WHERE d.id = i.id AND d.fence = i.fence AND coalesce(d.owner, '00000000-0000-0000-0000-000000000000') = i.owner
    RETURNING d.*, i.category, i.reason, i.error_type, i.error, i.stack, i.event
), letter AS (
    INSERT INTO dead_letter (uid, subscription, event_id, recorded_at, project_id, category, reason, error_type,
        error, stack, attempts, crash_count, losses, fence, event, priority, replay)
    SELECT uid, subscription, event_id, recorded_at, project_id, category, reason, error_type, error, stack, attempt,
        crash_count, losses, fence, event, priority, replay
    FROM gone
    ON CONFLICT (uid) DO UPDATE SET
        event_id = EXCLUDED.event_id, recorded_at = EXCLUDED.recorded_at, category = EXCLUDED.category,
        reason = EXCLUDED.reason, error_type = EXCLUDED.error_type, error = EXCLUDED.error, stack = EXCLUDED.stack,
        attempts = EXCLUDED.attempts, crash_count = EXCLUDED.crash_count, losses = EXCLUDED.losses,
        fence = EXCLUDED.fence, event = EXCLUDED.event, dead_at = now(), state = 'open', resolved_at = NULL,
        resolved_by = NULL, resolution = NULL
), blocked AS (
    INSERT INTO lane_block (uid, subscription, project_id, sequence)
    SELECT g.uid, g.subscription, g.project_id, g.sequence
    FROM gone g JOIN subscription s ON s.name = g.subscription AND s.ordered AND s.after_dead_letter = 'block'
    WHERE g.sequence IS NOT NULL
)
INSERT INTO delivery_log (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, outcome,
    category, error, replay)
SELECT uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, 'dead', category, error,
    replay
FROM gone
RETURNING uid
"""

_FIND = "SELECT * FROM dead_letter WHERE uid = $1 FOR UPDATE"

# The primary key of one partition. The retention of the log may be over before somebody redrives.
_IS_LOGGED = "SELECT EXISTS (SELECT FROM event WHERE event_id = $1 AND recorded_at = $2)"

_RESOLVE = """
WITH resolved AS (
    UPDATE dead_letter SET state = $2, resolved_at = now(), resolved_by = $3, resolution = $4 WHERE uid = $1 RETURNING *
), opened AS (
    DELETE FROM lane_block WHERE uid = $1 RETURNING sequence
), logged AS (
    INSERT INTO delivery_log
        (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, outcome, details, replay)
    SELECT uid, subscription, event_id, project_id, attempts, crash_count, losses, fence, $2,
        jsonb_build_object('by', $3::text, 'reason', $4::text), replay
    FROM resolved
)
SELECT (SELECT sequence FROM opened)
"""

# Back to its place where it held the lane, else to the end. Whoever redrives wants it done: it no longer expires.
_DELIVER_AGAIN = """
WITH target AS (
    SELECT name, ordered FROM subscription WHERE name = $2
), lane AS (
    INSERT INTO project_sequence AS p (project_id, last)
    SELECT $5, 1 FROM target WHERE ordered AND $7::bigint IS NULL
    ON CONFLICT (project_id) DO UPDATE SET last = p.last + 1 RETURNING last
)
INSERT INTO delivery (uid, subscription, event_id, recorded_at, project_id, fence, sequence, priority, replay)
SELECT $1, name, $3, $4, $5, $6, CASE WHEN ordered THEN coalesce($7, (SELECT last FROM lane)) END, $8, $9 FROM target
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery to give up, and why."""

    delivery: Delivery
    error: TaskError
    category: ErrorCategory
    reason: str


async def give_up(connection: Connection, publisher: Publisher, letters: Sequence[Letter]) -> frozenset[int]:
    """Give deliveries up and announce it; return the uids of those that were still where they were said to be."""
    if not letters:
        return frozenset()
    columns = zip(
        *(
            (
                letter.delivery.id,
                letter.delivery.fence,
                letter.delivery.owner,
                letter.category.value,
                _line(letter.reason),
                letter.error.error_type,
                storable(letter.error.message),
                storable(letter.error.stack),
                letter.delivery.event.model_dump(mode="json"),
            )
            for letter in letters
        ),
        strict=True,
    )
    gone = frozenset(row["uid"] for row in await connection.fetch(_GIVE_UP, *map(list, columns)))
    # A dead letter about a dead letter would have no end.
    announced = [
        _announcement(letter)
        for letter in letters
        if letter.delivery.uid in gone and letter.delivery.event.event_type != DeadLettered.event_type
    ]
    if announced:
        await publisher.publish(connection, announced)
    return gone


async def redrive(
    connection: Connection,
    publisher: Publisher,
    uid: int,
    *,
    by: str,
    reason: str,
    payload: Mapping[str, Any] | None,
) -> None:
    """Deliver a dead letter again; see `EventBus.redrive`."""
    letter = await _open_letter(connection, uid)
    event_id, recorded_at = letter["event_id"], letter["recorded_at"]
    original = Envelope.model_validate(letter["event"])
    if payload is not None or not await connection.fetchval(_IS_LOGGED, event_id, recorded_at):
        event = _renewed(original, original.payload if payload is None else payload)
        recorded_at = await publisher.append(connection, event)
        event_id = event.event_id
    place = await connection.fetchval(_RESOLVE, uid, "redriven", by, reason)
    row = await connection.fetchval(
        _DELIVER_AGAIN,
        uid,
        letter["subscription"],
        event_id,
        recorded_at,
        letter["project_id"],
        letter["fence"],
        place,
        letter["priority"],
        letter["replay"],
    )
    if row is None:
        raise NotFoundError(
            f"the subscription {letter['subscription']!r} of dead letter {uid} is gone.",
            remedy="Declare it again, or discard the dead letter.",
        )


async def discard(connection: Connection, uid: int, *, by: str, reason: str) -> None:
    """Close a dead letter; see `EventBus.discard`."""
    await _open_letter(connection, uid)
    await connection.execute(_RESOLVE, uid, "discarded", by, reason)


async def _open_letter(connection: Connection, uid: int) -> Record:
    letter = await connection.fetchrow(_FIND, uid)
    if letter is None:
        raise NotFoundError(f"there is no dead letter {uid}.", remedy="List them to see their numbers.")
    if letter["state"] != "open":
        raise ConflictError(
            f"dead letter {uid} was {letter['state']} by {letter['resolved_by']} at {letter['resolved_at']}.",
            remedy="Only an open one can be resolved.",
        )
    return letter


def _announcement(letter: Letter) -> Envelope:
    delivery = letter.delivery
    return delivery.event.caused(
        DeadLettered(
            subscription=delivery.subscription,
            event_id=delivery.event.event_id,
            category=letter.category,
            reason=_line(letter.reason),
            letter=delivery.uid,
            fence=delivery.fence,
            failed_type=delivery.event.event_type,
            error_type=letter.error.error_type,
            attempts=delivery.attempt,
        ),
        topic=Topic.SYSTEM,
        originating_agent=delivery.subscription,
        event_id=derived_id("dead-letter", delivery.uid, delivery.fence),
    )


def _line(reason: str) -> str:
    """Return a reason that fits into the announcement, whatever an error said."""
    return storable(reason)[:_LONGEST_REASON]


def _renewed(event: Envelope, payload: Mapping[str, Any]) -> Envelope:
    """Return the event that stands for one that was edited, or is no longer in the log: new, caused by the original."""
    return event.model_copy(
        update={
            "event_id": new_id(),
            "causation_id": event.event_id,
            "timestamp": datetime.now(UTC),
            "payload": dict(payload),
        }
    )
