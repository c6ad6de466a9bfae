"""Sweeping: what time does to deliveries. Any process may sweep, any number of them at once."""

from collections.abc import Callable
from uuid import UUID

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events import dead_letters, loading, owners
from factory.events.delivery import Delivery, Swept
from factory.events.registry import Registry
from factory.storage.database import Connection, Database

_BATCH = 1000

# delivery_delayed_due.
_PROMOTE = """
WITH due AS (
    DELETE FROM delivery_delayed WHERE uid IN (
        SELECT uid FROM delivery_delayed WHERE due_at <= clock_timestamp() ORDER BY due_at, uid LIMIT $1
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
        (uid, subscription, event_id, recorded_at, project_id, attempt, crash_count, losses, fence, sequence)
    SELECT t.uid, t.subscription, t.event_id, t.recorded_at, t.project_id, t.attempt, t.crash_count, t.losses, t.fence,
        CASE WHEN t.ordered THEN lane.last
            - count(*) OVER (PARTITION BY t.project_id, t.ordered)
            + row_number() OVER (PARTITION BY t.project_id, t.ordered ORDER BY t.due_at, t.uid) END
    FROM target t LEFT JOIN lane ON t.ordered AND lane.project_id = t.project_id
    ORDER BY t.due_at, t.uid
)
SELECT count(*) FROM due
"""

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
    RETURNING d.uid, d.subscription, d.event_id, d.project_id, d.attempt, d.crash_count, d.losses, d.fence, late.owner
), logged AS (
    INSERT INTO delivery_log
        (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, owner, outcome, category)
    SELECT *, 'timed-out', 'timeout' FROM released
)
SELECT count(*) FROM released
"""


async def promote(connection: Connection) -> int:
    """Make delayed deliveries ready whose time has come; return their number."""
    count: int = await connection.fetchval(_PROMOTE, _BATCH)
    return count


async def sweep(database: Database, registry: Registry) -> Swept:
    """Mend what time does; see `EventBus.sweep`."""
    sweeper = _Sweeper(registry)
    due = await database.run(promote)
    abandoned, lost = await database.run(sweeper.take_from_the_silent)
    timed_out, late = await database.run(sweeper.take_the_late)
    return Swept(due=due, timed_out=timed_out, abandoned=abandoned, dead=lost + late)


class _Sweeper:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def take_from_the_silent(self, connection: Connection) -> tuple[int, int]:
        silent = [row["epoch"] for row in await connection.fetch(_SILENT)]
        if silent:
            await owners.end(connection, silent)
        epochs: list[UUID] = [row["epoch"] for row in await connection.fetch(_ENDED_HOLDERS)]
        if not epochs:
            return 0, 0
        hopeless = await loading.load(connection, await connection.fetch(_LOST_TOO_OFTEN, epochs, _BATCH))
        dead = await self._give_up(
            connection,
            hopeless,
            ErrorCategory.WORKER_LOST,
            lambda d: f"{d.losses + 1} supervisors were lost while they held this delivery.",
        )
        return await owners.take_back(connection, epochs, limit=_BATCH), dead

    async def take_the_late(self, connection: Connection) -> tuple[int, int]:
        hopeless = await loading.load(connection, await connection.fetch(_TIMED_OUT_FOR_GOOD, _BATCH))
        dead = await self._give_up(
            connection,
            hopeless,
            ErrorCategory.TIMEOUT,
            lambda d: f"attempt {d.attempt} of {d.max_attempts} was not finished by {d.deadline}.",
        )
        released: int = await connection.fetchval(_TIME_OUT, _BATCH)
        return released, dead

    async def _give_up(
        self,
        connection: Connection,
        deliveries: list[Delivery],
        category: ErrorCategory,
        reason: Callable[[Delivery], str],
    ) -> int:
        for delivery in deliveries:
            error = TaskError(message=reason(delivery), category=category, retryable=False, error_type=category.name)
            await dead_letters.dead_letter(
                connection, self._registry, delivery, error, category=category, reason=reason(delivery)
            )
        return len(deliveries)
