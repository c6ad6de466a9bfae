"""Owners: the epochs that hold deliveries, their heartbeat and their end."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from factory.events.delivery import Owner
from factory.storage.database import Connection, Database

_BEGIN = """
INSERT INTO delivery_owner (epoch, name, lease, expires_at) VALUES ($1, $2, $3, clock_timestamp() + $3)
ON CONFLICT (epoch) DO NOTHING
"""

_RENEW = """
UPDATE delivery_owner SET lease = $2, expires_at = clock_timestamp() + $2
WHERE epoch = $1 AND ended_at IS NULL RETURNING epoch
"""

# Locked against claims under way, which hold FOR KEY SHARE.
_LIVE_BY_NAME = """
SELECT epoch FROM delivery_owner WHERE name = $1 AND epoch <> $2 AND ended_at IS NULL ORDER BY epoch FOR UPDATE
"""

_END = "UPDATE delivery_owner SET ended_at = clock_timestamp() WHERE epoch = ANY ($1) AND ended_at IS NULL"

# delivery_taken. Rows that a transaction has locked are passed over: the lost owner may be about to finish them, and
# a claim locks for a moment what another has just taken. A supervisor's death says nothing against the work it held,
# so the attempt is given back and only the loss is counted; what was lost too often is left to the sweep, which gives
# it up.
_TAKE_BACK = """
WITH orphan AS (
    SELECT id FROM delivery d WHERE owner = ANY ($1)
        AND ($3 = 0 OR losses + $3 < (SELECT max_losses FROM subscription s WHERE s.name = d.subscription))
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE delivery d SET owner = NULL, claim = NULL, deadline = NULL, attempt = greatest(d.attempt - 1, 0),
        losses = d.losses + $3
    FROM orphan o WHERE d.id = o.id
    RETURNING d.uid, d.subscription, d.event_id, d.project_id, d.attempt, d.crash_count, d.losses, d.fence,
        d.replay
), logged AS (
    INSERT INTO delivery_log
        (uid, subscription, event_id, project_id, attempt, crash_count, losses, fence, replay, outcome)
    SELECT *, 'abandoned' FROM released WHERE $3 > 0
)
SELECT count(*) FROM released
"""

_ENDED_HOLDERS = """
SELECT epoch FROM delivery_owner o
WHERE name = $1 AND ended_at IS NOT NULL AND EXISTS (SELECT FROM delivery WHERE owner = o.epoch)
"""

_ROUNDS = 20
_PAUSE_SECONDS = 0.01
_EVERYTHING = 2_000_000_000
_NOBODY = UUID(int=0)


async def register(database: Database, owner: Owner, lease: timedelta) -> None:
    """Start an epoch and end its predecessors of the same name; see `EventBus.register`."""

    async def work(connection: Connection) -> None:
        await _end_by_name(connection, owner.name, owner.epoch)
        await connection.execute(_BEGIN, owner.epoch, owner.name, lease)

    await database.run(work)
    await _take_back_the_rest(database, owner.name, losses=1)


async def renew(database: Database, owner: Owner, lease: timedelta) -> bool:
    """Prolong an epoch; see `EventBus.renew`."""
    return await database.run(lambda connection: connection.fetchval(_RENEW, owner.epoch, lease)) is not None


async def retire(database: Database, owner: Owner) -> int:
    """End an epoch in good order; see `EventBus.retire`."""

    async def work(connection: Connection) -> int:
        await connection.execute(_END, [owner.epoch])
        return await take_back(connection, [owner.epoch], losses=0)

    return await database.run(work) + await _take_back_the_rest(database, owner.name, losses=0)


async def abandon(database: Database, name: str) -> int:
    """End every live epoch of a name; see `EventBus.abandon`."""
    released = await database.run(lambda connection: _end_by_name(connection, name, _NOBODY))
    return released + await _take_back_the_rest(database, name, losses=1)


async def end(connection: Connection, epochs: Sequence[UUID]) -> None:
    """Mark epochs, whose rows the caller has locked, as ended."""
    await connection.execute(_END, epochs)


async def take_back(
    connection: Connection, epochs: Sequence[UUID], *, losses: int = 1, limit: int = _EVERYTHING
) -> int:
    """Release what ended epochs hold; return the number released."""
    released: int = await connection.fetchval(_TAKE_BACK, epochs, limit, losses)
    return released


async def _take_back_the_rest(database: Database, name: str, *, losses: int) -> int:
    """Release what was passed over because it was locked; what stays locked is left to the sweep."""

    async def work(connection: Connection) -> int | None:
        epochs = [row["epoch"] for row in await connection.fetch(_ENDED_HOLDERS, name)]
        return await take_back(connection, epochs, losses=losses) if epochs else None

    released = 0
    for _ in range(_ROUNDS):
        count = await database.run(work)
        if count is None:
            break
        released += count
        await asyncio.sleep(_PAUSE_SECONDS)
    return released


async def _end_by_name(connection: Connection, name: str, keep: UUID) -> int:
    epochs = [row["epoch"] for row in await connection.fetch(_LIVE_BY_NAME, name, keep)]
    if not epochs:
        return 0
    await end(connection, epochs)
    return await take_back(connection, epochs)
