"""Sweeping: what time does to deliveries. Any process may sweep, any number of them at once."""

from collections.abc import Callable
from uuid import UUID

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events import dead_letters, loading, owners
from factory.events.dead_letters import Letter
from factory.events.delivery import Delivery, Swept
from factory.events.publishing import Publisher
from factory.storage.database import Connection, Database

_BATCH = 1000

# delivery_delayed_due. An index can be asked about the time of the statement, not about clock_timestamp().
_PROMOTE = """
WITH due AS (
    DELETE FROM delivery_delayed WHERE uid IN (
        SELECT uid FROM delivery_delayed WHERE due_at <= statement_timestamp() ORDER BY due_at, uid LIMIT $1
        FOR UPDATE SKIP LOCKED
    ) RETURNING *
), target AS (
    SELECT due.*, coalesce(s.ordered, false) AS ordered
    FROM due LEFT JOIN subscription s ON s.name = due.subscription
), lane AS (
    INSERT INTO project_sequence AS p (project_id, last)
    SELECT project_id, count(*) FROM target WHERE ordered GROUP BY project_id ORDER BY project_id
    ON CONFLICT (project_id) DO UPDATE SET last = p.last + EXCLUDED.last RETURNING project_id, last
), ready AS (
    INSERT INTO delivery
        (uid, subscription, event_id, recorded_at, project_id, attempt, crash_count, losses, fence, priority,
        expires_at, replay, sequence)
    SELECT t.uid, t.subscription, t.event_id, t.recorded_at, t.project_id, t.attempt, t.crash_count, t.losses, t.fence,
        t.priority, t.expires_at, t.replay,
        CASE WHEN t.ordered THEN lane.last
            - count(*) OVER (PARTITION BY t.project_id, t.ordered)
            + row_number() OVER (PARTITION BY t.project_id, t.ordered ORDER BY t.due_at, t.uid) END
    FROM target t LEFT JOIN lane ON t.ordered AND lane.project_id = t.project_id
    ORDER BY t.due_at, t.uid
)
SELECT count(*) FROM due
"""

# delivery_delayed_due and delivery_mortal.
_TIME_HAS_COME = """
SELECT EXISTS (SELECT FROM delivery_delayed WHERE due_at <= statement_timestamp()) AS due,
    EXISTS (SELECT FROM delivery WHERE expires_at <= statement_timestamp() AND owner IS NULL) AS expired
"""

# delivery_mortal. Nobody holds these, which loading calls an owner that is all zero.
_EXPIRED = f"""
WITH d AS MATERIALIZED (
    SELECT uid, id, subscription, event_id, recorded_at, fence, attempt, crash_count, losses, sequence, priority,
        replay, '00000000-0000-0000-0000-000000000000'::uuid AS owner, expires_at AS deadline
    FROM delivery WHERE expires_at <= statement_timestamp() AND owner IS NULL
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
SELECT {loading.FIELDS} FROM d JOIN subscription s ON s.name = d.subscription ORDER BY d.id
"""  # noqa: S608 - put together from constants

# A server that was down could not take heartbeats, so nobody is declared dead until it has been up for a lease.
_SILENT = """
SELECT epoch FROM delivery_owner
WHERE ended_at IS NULL AND expires_at < clock_timestamp() AND pg_postmaster_start_time() + lease < clock_timestamp()
ORDER BY epoch FOR UPDATE SKIP LOCKED
"""

_ENDED_HOLDERS = """
SELECT epoch FROM delivery_owner o
WHERE ended_at IS NOT NULL AND EXISTS (SELECT FROM delivery WHERE owner = o.epoch)
"""

_LOST_TOO_OFTEN = f"""
SELECT {loading.FIELDS} FROM delivery d JOIN subscription s ON s.name = d.subscription
WHERE d.owner = ANY ($1) AND d.losses + 1 >= s.max_losses ORDER BY d.id LIMIT $2 FOR UPDATE OF d SKIP LOCKED
"""  # noqa: S608 - put together from constants

_TIMED_OUT_FOR_GOOD = f"""
SELECT {loading.FIELDS} FROM delivery d JOIN subscription s ON s.name = d.subscription
WHERE d.owner IS NOT NULL AND d.deadline < clock_timestamp() AND d.attempt >= s.max_attempts
ORDER BY d.id LIMIT $1 FOR UPDATE OF d SKIP LOCKED
"""  # noqa: S608 - put together from constants

_TIME_OUT = """
WITH late AS (
    SELECT d.id, d.owner FROM delivery d WHERE d.owner IS NOT NULL AND d.deadline < clock_timestamp()
    ORDER BY d.id LIMIT $1 FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE delivery d SET owner = NULL, claim = NULL, deadline = NULL FROM late WHERE d.id = late.id
    RETURNING d.uid, d.subscription, d.event_id, d.project_id, d.attempt, d.crash_count, d.losses, d.fence, late.owner,
        d.replay
), logged AS (
    INSERT INTO delivery_log
        (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, replay, outcome,
        category)
    SELECT *, 'timed-out', 'timeout' FROM released
)
SELECT count(*) FROM released
"""


async def promote(connection: Connection, publisher: Publisher) -> tuple[int, int]:
    """Make delayed deliveries ready whose time has come, and give up those whose time is over; return both numbers.

    What expires while it is delayed becomes due at that moment, to be given up here: so it is promoted first.
    """
    (come,) = await connection.fetch(_TIME_HAS_COME)
    due = await connection.fetchval(_PROMOTE, _BATCH) if come["due"] else 0
    if not (come["due"] or come["expired"]):
        return 0, 0
    late = await loading.load(connection, await connection.fetch(_EXPIRED, _BATCH))
    return due, await _give_up(
        connection,
        publisher,
        late,
        ErrorCategory.EXPIRED,
        lambda d: f"its time to live was over at {d.deadline}, before an attempt could begin.",
    )


async def sweep(database: Database, publisher: Publisher) -> Swept:
    """Mend what time does; see `EventBus.sweep`."""
    due, expired = await database.run(lambda connection: promote(connection, publisher))
    abandoned, lost = await database.run(lambda connection: _take_from_the_silent(connection, publisher))
    timed_out, late = await database.run(lambda connection: _take_the_late(connection, publisher))
    return Swept(due=due, expired=expired, timed_out=timed_out, abandoned=abandoned, dead=lost + late)


async def _take_from_the_silent(connection: Connection, publisher: Publisher) -> tuple[int, int]:
    silent = [row["epoch"] for row in await connection.fetch(_SILENT)]
    if silent:
        await owners.end(connection, silent)
    epochs: list[UUID] = [row["epoch"] for row in await connection.fetch(_ENDED_HOLDERS)]
    if not epochs:
        return 0, 0
    hopeless = await loading.load(connection, await connection.fetch(_LOST_TOO_OFTEN, epochs, _BATCH))
    dead = await _give_up(
        connection,
        publisher,
        hopeless,
        ErrorCategory.WORKER_LOST,
        lambda d: f"{d.losses + 1} supervisors were lost while they held this delivery.",
    )
    return await owners.take_back(connection, epochs, limit=_BATCH), dead


async def _take_the_late(connection: Connection, publisher: Publisher) -> tuple[int, int]:
    hopeless = await loading.load(connection, await connection.fetch(_TIMED_OUT_FOR_GOOD, _BATCH))
    dead = await _give_up(
        connection,
        publisher,
        hopeless,
        ErrorCategory.TIMEOUT,
        lambda d: f"attempt {d.attempt} of {d.max_attempts} was not finished by {d.deadline}.",
    )
    released: int = await connection.fetchval(_TIME_OUT, _BATCH)
    return released, dead


async def _give_up(
    connection: Connection,
    publisher: Publisher,
    deliveries: list[Delivery],
    category: ErrorCategory,
    reason: Callable[[Delivery], str],
) -> int:
    letters = [
        Letter(
            delivery,
            TaskError(message=reason(delivery), category=category, retryable=False, error_type=category.name),
            category,
            reason(delivery),
        )
        for delivery in deliveries
    ]
    return len(await dead_letters.give_up(connection, publisher, letters))
