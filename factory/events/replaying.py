"""Replays: events of the past delivered once more, marked as such in the delivery, its log and its dead letter."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from factory.domain.errors import BadInputError, NotFoundError
from factory.domain.ids import new_id
from factory.events import declarations, matching
from factory.events.delivery import NO_PROJECT, Replay
from factory.storage.database import Connection, Database

_MATCHED = """matched AS (
    SELECT s.name, s.ordered, s.time_to_live, e.event_id, e.recorded_at, e.transaction_id, e.position,
        coalesce(e.project_id, {no_project}) AS project_id
    FROM scanned e JOIN subscription s ON {which} AND {predicate}
)"""

# Replays are new deliveries at the end of their lanes; they begin to age now.
_DELIVERED = """lane AS (
    INSERT INTO project_sequence AS p (project_id, last)
    SELECT project_id, count(*) FROM matched WHERE ordered GROUP BY project_id ORDER BY project_id
    ON CONFLICT (project_id) DO UPDATE SET last = p.last + EXCLUDED.last RETURNING project_id, last
), delivered AS (
    INSERT INTO delivery (subscription, event_id, recorded_at, project_id, replay, expires_at, sequence)
    SELECT m.name, m.event_id, m.recorded_at, m.project_id, {replay}, now() + m.time_to_live,
        CASE WHEN m.ordered THEN lane.last
            - count(*) OVER (PARTITION BY m.project_id, m.ordered)
            + row_number() OVER (PARTITION BY m.project_id, m.ordered ORDER BY m.transaction_id, m.position, m.name)
        END
    FROM matched m LEFT JOIN lane ON m.ordered AND lane.project_id = m.project_id
    ORDER BY m.transaction_id, m.position, m.name
    RETURNING *
), logged AS (
    INSERT INTO delivery_log
        (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, outcome)
    SELECT uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, 'replayed'
    FROM delivered
)"""

# The primary key of event. An id that was published again after its window stands for its last event.
_REPLAY_ONE = f"""
WITH scanned AS (
    SELECT * FROM event WHERE event_id = $1 ORDER BY recorded_at DESC LIMIT 1
), {
    _MATCHED.format(
        no_project="$2::uuid", which="($3::text IS NULL AND s.active OR s.name = $3)", predicate=matching.PREDICATE
    )
}, {_DELIVERED.format(replay="$4::uuid")}, recorded AS (
    INSERT INTO replay (id, subscription, event_id, requested_by, reason, count, finished_at)
    SELECT $4, $3, $1, $5, $6, (SELECT count(*) FROM matched), now() WHERE EXISTS (SELECT FROM matched)
)
SELECT (SELECT count(*) FROM matched) AS count, EXISTS (SELECT FROM scanned) AS known
"""  # noqa: S608 - put together from constants

_PAGE = f"""
WITH {matching.SCANNED}, {
    _MATCHED.format(
        no_project="$6::uuid",
        which="s.name = $7 AND ($8::text[] = '{{}}' OR e.event_type = ANY ($8))",
        predicate=matching.PREDICATE,
    )
}"""
_LAST = """
SELECT transaction_id::text AS transaction_id, position, (SELECT count(*) FROM matched) AS count
FROM scanned ORDER BY scanned.transaction_id DESC, position DESC LIMIT 1
"""
_COUNT_PAGE = f"{_PAGE} {_LAST}"
_REPLAY_PAGE = f"{_PAGE}, {_DELIVERED.format(replay='$9::uuid')} {_LAST}"

_BEGIN = """
INSERT INTO replay (id, subscription, since, until, event_types, requested_by, reason)
VALUES ($1, $2, $3, least($4, now()), $5, $6, $7)
"""

_HOLD = """
SELECT *, transaction_id::text AS transaction FROM replay WHERE id = $1 AND since IS NOT NULL FOR UPDATE
"""

_ADVANCE = """
UPDATE replay SET transaction_id = $2::text::xid8, position = $3, count = count + $4 WHERE id = $1
"""

_END = "UPDATE replay SET finished_at = now() WHERE id = $1"


async def replay_one(connection: Connection, event_id: UUID, to: str | None, *, by: str, reason: str) -> Replay:
    """Deliver one event once more; see `EventBus.replay`."""
    if to is not None:
        await declarations.find(connection, to)
    replay = new_id()
    (answer,) = await connection.fetch(_REPLAY_ONE, event_id, NO_PROJECT, to, replay, by, reason)
    if not answer["known"]:
        raise NotFoundError(
            f"there is no event {event_id} in the log.", remedy="See `factory event tail`.", field="event"
        )
    if to is not None and not answer["count"]:
        raise BadInputError(
            f"the filters of {to!r} do not let the event {event_id} pass.",
            remedy=f"See `factory subscription show {to}`.",
            field="to",
        )
    return Replay(replay, answer["count"])


async def count(database: Database, to: str, since: datetime, until: datetime, event_types: Sequence[str]) -> int:
    """Tell how many deliveries a replay of a stretch of time would make."""
    _check_stretch(since, until)
    async with database.transaction() as connection:
        await declarations.find(connection, to)
    total, place = 0, ("0", 0)
    while True:
        async with database.transaction() as connection:
            last = await connection.fetchrow(
                _COUNT_PAGE, *place, since, until, matching.PAGE, NO_PROJECT, to, list(event_types)
            )
        if last is None:
            return total
        total += last["count"]
        place = (last["transaction_id"], last["position"])


async def begin(
    database: Database,
    to: str,
    since: datetime,
    until: datetime,
    event_types: Sequence[str],
    *,
    by: str,
    reason: str,
) -> UUID:
    """Record a replay of a stretch of time, to be carried out by `carry_on`; return its id."""
    _check_stretch(since, until)
    replay = new_id()
    async with database.transaction() as connection:
        await declarations.find(connection, to)
        await connection.execute(_BEGIN, replay, to, since, until, list(event_types), by, reason)
    return replay


async def carry_on(database: Database, replay: UUID) -> Replay:
    """Carry a replay out from where it stands, a page per transaction; see `EventBus.continue_replay`."""
    while True:
        async with database.transaction() as connection:
            held = await connection.fetchrow(_HOLD, replay)
            if held is None:
                raise NotFoundError(f"there is no replay {replay} of a stretch of time.", field="replay")
            if held["finished_at"] is not None:
                return Replay(replay, held["count"])
            await _advance(connection, held)


async def _advance(connection: Connection, held: Record) -> None:
    last = await connection.fetchrow(
        _REPLAY_PAGE,
        held["transaction"],
        held["position"],
        held["since"],
        held["until"],
        matching.PAGE,
        NO_PROJECT,
        held["subscription"],
        held["event_types"],
        held["id"],
    )
    if last is None:
        await connection.execute(_END, held["id"])
    else:
        await connection.execute(_ADVANCE, held["id"], last["transaction_id"], last["position"], last["count"])


def _check_stretch(since: datetime, until: datetime) -> None:
    if since >= until:
        raise BadInputError(f"{since} is not before {until}.", remedy="Give the earlier time first.", field="since")
