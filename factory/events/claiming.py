"""Claiming: take deliveries, fairly over projects, at most one per lane."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import asyncpg

from factory.domain.errors import TerminalError
from factory.domain.task import TaskError
from factory.events import dead_letters, declarations, loading, sweeping
from factory.events.delivery import Delivery, Owner
from factory.events.registry import Registry
from factory.storage.database import Connection, Database, is_connection_lost

_FIRST = UUID(int=0)
# Lanes looked at beyond the capacity, because some of them are busy.
_SPARE_LANES = 256
_PROMOTE_SECONDS = 0.05

# The owner's row is locked against being declared dead until the claim commits.
_WANTED = """
WITH RECURSIVE live AS (
    SELECT epoch FROM delivery_owner WHERE epoch = $1 AND ended_at IS NULL FOR KEY SHARE
), wanted AS (
    SELECT s.*, w.capacity, w.start
    FROM live, unnest($2::text[], $3::integer[], $4::uuid[]) AS w (name, capacity, start)
        JOIN subscription s ON s.name = w.name AND NOT s.paused
)"""

# delivery_ready, hopping from project to project; each gets an equal share of the capacity.
_TAKE_UNORDERED = f"""{_WANTED}, lane (name, capacity, lease, project_id, number) AS (
    SELECT w.name, w.capacity, w.lease, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = w.name AND d.owner IS NULL AND d.sequence IS NULL AND d.project_id >= w.start
        ORDER BY d.project_id LIMIT 1), 1
    FROM wanted w
    UNION ALL
    SELECT l.name, l.capacity, l.lease, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = l.name AND d.owner IS NULL AND d.sequence IS NULL AND d.project_id > l.project_id
        ORDER BY d.project_id LIMIT 1), l.number + 1
    FROM lane l WHERE l.project_id IS NOT NULL AND l.number < l.capacity
), share AS (
    SELECT name, lease, project_id, count(*) OVER by_name AS lanes, capacity / count(*) OVER by_name AS size
    FROM lane WHERE project_id IS NOT NULL WINDOW by_name AS (PARTITION BY name)
), chosen AS (
    SELECT c.id, s.lease, s.lanes, s.size FROM share s CROSS JOIN LATERAL (
        SELECT d.id FROM delivery d
        WHERE d.subscription = s.name AND d.owner IS NULL AND d.sequence IS NULL AND d.project_id = s.project_id
        ORDER BY d.id LIMIT s.size FOR UPDATE SKIP LOCKED
    ) c
)
UPDATE delivery d SET owner = $1, claim = $5, fence = d.fence + 1, attempt = d.attempt + 1,
    deadline = clock_timestamp() + chosen.lease
FROM chosen WHERE d.id = chosen.id
RETURNING d.id, d.subscription, d.project_id, chosen.lanes, chosen.size
"""  # noqa: S608 - put together from constants

# delivery_lane, hopping from project to project; the head of a lane says whether the lane can move.
_LANE_HEADS = f"""{_WANTED}, lane (name, capacity, project_id, number) AS (
    SELECT w.name, w.capacity, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = w.name AND d.sequence IS NOT NULL AND d.project_id >= w.start
        ORDER BY d.project_id LIMIT 1), 1
    FROM wanted w WHERE w.ordered
    UNION ALL
    SELECT l.name, l.capacity, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = l.name AND d.sequence IS NOT NULL AND d.project_id > l.project_id
        ORDER BY d.project_id LIMIT 1), l.number + 1
    FROM lane l WHERE l.project_id IS NOT NULL AND l.number < l.capacity + {_SPARE_LANES}
)
SELECT l.name, l.project_id, h.id, h.owner IS NULL AND coalesce(h.not_before <= clock_timestamp(), true) AS ready
FROM lane l CROSS JOIN LATERAL (
    SELECT d.id, d.owner, d.not_before FROM delivery d
    WHERE d.subscription = l.name AND d.project_id = l.project_id AND d.sequence IS NOT NULL
    ORDER BY d.sequence LIMIT 1
) h
WHERE l.project_id IS NOT NULL ORDER BY l.name, l.project_id
"""  # noqa: S608 - put together from constants

# A head stays the head until it is gone: its lane only grows at the end. So locking it by id is enough.
_TAKE_HEADS = """
WITH head AS (
    SELECT d.id FROM delivery d
    WHERE d.id = ANY ($3) AND d.owner IS NULL AND coalesce(d.not_before <= clock_timestamp(), true)
    FOR UPDATE SKIP LOCKED
)
UPDATE delivery d SET owner = $1, claim = $2, fence = d.fence + 1, attempt = d.attempt + 1, not_before = NULL,
    deadline = clock_timestamp() + s.lease
FROM head, subscription s WHERE d.id = head.id AND s.name = d.subscription
"""


class Claims:
    """Claims of one process. Remembers per subscription where the last round over the projects ended."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry
        self._start: dict[str, UUID] = {}
        self._lane_start: dict[str, UUID] = {}
        self._promoted_at = 0.0

    async def claim(self, capacity: Mapping[str, int], owner: Owner) -> list[Delivery]:
        """Take deliveries; see `EventBus.claim`."""
        capacity = {name: room for name, room in capacity.items() if room > 0}
        if not capacity:
            return []
        deliveries = await self._take(capacity, owner, uuid4())
        good: list[Delivery] = []
        for delivery in deliveries:
            try:
                self._registry.check_consumption(delivery.event)
            except TerminalError as error:
                await self._give_up(delivery, error)
            else:
                good.append(delivery)
        return good

    async def _take(self, capacity: Mapping[str, int], owner: Owner, claim: UUID) -> list[Delivery]:
        """Take in one transaction. If its outcome is unknown, the claim's id tells afterwards."""
        while True:
            try:
                async with self._database.transaction() as connection:
                    await self._promote(connection)
                    await connection.execute(declarations.USE_INDEXES)
                    await self._take_unordered(connection, capacity, owner, claim)
                    await self._take_ordered(connection, capacity, owner, claim)
                    return await loading.load_claim(connection, owner.epoch, claim)
            except Exception as error:
                if not is_connection_lost(error):
                    raise
            async with self._database.transaction() as connection:
                if found := await loading.load_claim(connection, owner.epoch, claim):
                    return found

    async def _promote(self, connection: Connection) -> None:
        if time.monotonic() - self._promoted_at >= _PROMOTE_SECONDS:
            await sweeping.promote(connection)
            self._promoted_at = time.monotonic()

    async def _take_unordered(
        self, connection: Connection, capacity: Mapping[str, int], owner: Owner, claim: UUID
    ) -> None:
        left = dict(capacity)
        starts = {name: self._start.get(name, _FIRST) for name in capacity}
        while left:
            names = list(left)
            taken = await connection.fetch(
                _TAKE_UNORDERED, owner.epoch, names, list(left.values()), [starts[name] for name in names], claim
            )
            for name in names:
                mine = [row for row in taken if row["subscription"] == name]
                following = _successor(max(row["project_id"] for row in mine)) if mine else _FIRST
                left[name] -= len(mine)
                if left[name] and not _exhausted(mine, left[name] + len(mine)):
                    starts[name] = following
                elif left[name] and starts[name] != _FIRST:
                    starts[name] = _FIRST
                else:
                    self._start[name] = _FIRST if left[name] else following
                    del left[name]

    async def _take_ordered(
        self, connection: Connection, capacity: Mapping[str, int], owner: Owner, claim: UUID
    ) -> None:
        left = dict(capacity)
        starts = {name: self._lane_start.get(name, _FIRST) for name in capacity}
        while left:
            names = list(left)
            heads = await connection.fetch(
                _LANE_HEADS, owner.epoch, names, list(left.values()), [starts[name] for name in names]
            )
            chosen: list[int] = []
            for name in names:
                lanes = [row for row in heads if row["name"] == name]
                ready = [row for row in lanes if row["ready"]][: left[name]]
                chosen += [row["id"] for row in ready]
                whole = len(lanes) < left[name] + _SPARE_LANES
                full = len(ready) == left[name]
                if whole and not full and starts[name] != _FIRST:
                    left[name] -= len(ready)
                    starts[name] = _FIRST
                    continue
                last = ready[-1] if full else lanes[-1] if lanes and not whole else None
                self._lane_start[name] = _successor(last["project_id"]) if last else _FIRST
                del left[name]
            if chosen:
                await connection.execute(_TAKE_HEADS, owner.epoch, claim, chosen)

    async def _give_up(self, delivery: Delivery, error: TerminalError) -> None:
        reason = TaskError(
            message=str(error), category=error.category, retryable=False, error_type=type(error).__name__
        )
        await self._database.run(
            lambda connection: dead_letters.dead_letter(
                connection, self._registry, delivery, reason, category=error.category, reason=error.message
            )
        )


def _successor(project_id: UUID) -> UUID:
    return UUID(int=min(project_id.int + 1, (1 << 128) - 1))


def _exhausted(rows: Sequence[asyncpg.Record], capacity: int) -> bool:
    """Tell whether everything from the starting place on was taken: all projects seen, none used up its share."""
    if not rows:
        return True
    by_project = Counter(row["project_id"] for row in rows)
    return bool(rows[0]["lanes"] < capacity and max(by_project.values()) < rows[0]["size"])
