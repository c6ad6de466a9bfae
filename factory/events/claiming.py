"""Claiming: take deliveries, urgent ones first, fairly over projects, at most one per lane.

A subscription's deliveries fall into bands of equal priority. A claim serves the highest band first and shares its
capacity there between the projects; only what is left goes to the next band. So that a stream of urgent work cannot
starve the rest, every tenth claim of a process begins one band lower than the last such claim did.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from factory.domain.errors import TerminalError
from factory.domain.task import TaskError
from factory.events import dead_letters, loading, sweeping
from factory.events.dead_letters import Letter
from factory.events.delivery import Delivery, Owner
from factory.events.publishing import HIGHEST_PRIORITY, LOWEST_PRIORITY, Publisher
from factory.events.registry import Registry
from factory.events.rules import Rules
from factory.storage.database import Connection, Database, is_connection_lost

_FIRST = UUID(int=0)
# Lanes looked at beyond the capacity, because some of them are busy.
_SPARE_LANES = 256
_GUARD_EVERY = 10
# How long the word of the last claim is taken for it that a subscription asks for order.
_TRUST_SECONDS = 1.0

# The owner's row is locked against being declared dead until the claim commits.
_LIVE = """
WITH RECURSIVE live AS (
    SELECT epoch FROM delivery_owner WHERE epoch = $1 AND ended_at IS NULL FOR KEY SHARE
)"""

# delivery_ready_by_priority, hopping from project to project within one band; each gets an equal share of the
# capacity. One row comes back for each subscription at least: which band was served, and which comes below.
_TAKE_UNORDERED = f"""{_LIVE}, wanted AS (
    SELECT s.*, w.capacity, w.floor, (
        SELECT d.priority FROM delivery d
        WHERE d.subscription = w.name AND d.owner IS NULL AND d.sequence IS NULL
            AND d.priority BETWEEN w.floor AND w.ceiling
        ORDER BY d.priority DESC LIMIT 1) AS band
    FROM live, unnest($2::text[], $3::integer[], $4::smallint[], $5::smallint[]) AS w (name, capacity, floor, ceiling)
        JOIN subscription s ON s.name = w.name AND NOT s.paused
), started AS (
    SELECT w.name, w.capacity, w.lease, w.band, coalesce(p.start, '00000000-0000-0000-0000-000000000000') AS start
    FROM wanted w LEFT JOIN unnest($6::text[], $7::smallint[], $8::uuid[]) AS p (name, band, start)
        ON p.name = w.name AND p.band = w.band
    WHERE w.band IS NOT NULL
), lane (name, capacity, lease, band, project_id, number) AS (
    SELECT w.name, w.capacity, w.lease, w.band, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = w.name AND d.owner IS NULL AND d.sequence IS NULL AND d.priority = w.band
            AND d.project_id >= w.start
        ORDER BY d.project_id LIMIT 1), 1
    FROM started w
    UNION ALL
    SELECT l.name, l.capacity, l.lease, l.band, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = l.name AND d.owner IS NULL AND d.sequence IS NULL AND d.priority = l.band
            AND d.project_id > l.project_id
        ORDER BY d.project_id LIMIT 1), l.number + 1
    FROM lane l WHERE l.project_id IS NOT NULL AND l.number < l.capacity
), share AS (
    SELECT name, lease, band, project_id, count(*) OVER by_name AS lanes, capacity / count(*) OVER by_name AS size
    FROM lane WHERE project_id IS NOT NULL WINDOW by_name AS (PARTITION BY name)
), chosen AS (
    SELECT c.id, s.lease, s.lanes, s.size FROM share s CROSS JOIN LATERAL (
        SELECT d.id FROM delivery d
        WHERE d.subscription = s.name AND d.owner IS NULL AND d.sequence IS NULL AND d.priority = s.band
            AND d.project_id = s.project_id AND coalesce(d.expires_at > clock_timestamp(), true)
        ORDER BY d.id LIMIT s.size FOR UPDATE SKIP LOCKED
    ) c
), taken AS (
    UPDATE delivery d SET owner = $1, claim = $9, fence = d.fence + 1, attempt = d.attempt + 1,
        deadline = clock_timestamp() + chosen.lease
    FROM chosen WHERE d.id = chosen.id
    RETURNING d.*, chosen.lanes, chosen.size
), served AS MATERIALIZED (
    SELECT w.*, (
        SELECT d.priority FROM delivery d
        WHERE d.subscription = w.name AND d.owner IS NULL AND d.sequence IS NULL
            AND d.priority >= w.floor AND d.priority < w.band
        ORDER BY d.priority DESC LIMIT 1) AS below
    FROM wanted w
)
SELECT s.name, s.ordered AS in_order, s.band, s.below, d.lanes, d.size, d.project_id AS place,
    {loading.FIELDS}, {loading.EVENT_FIELDS}
FROM served s LEFT JOIN taken d ON d.subscription = s.name LEFT JOIN {loading.EVENT}
"""  # noqa: S608 - put together from constants

# delivery_lane, hopping from project to project; the head of a lane says whether the lane can move. lane_block_by_lane
# says whether it stands behind a dead letter.
_LANE_HEADS = f"""{_LIVE}, wanted AS (
    SELECT s.name, w.capacity, w.start
    FROM live, unnest($2::text[], $3::integer[], $4::uuid[]) AS w (name, capacity, start)
        JOIN subscription s ON s.name = w.name AND NOT s.paused AND s.ordered
), lane (name, capacity, project_id, number) AS (
    SELECT w.name, w.capacity, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = w.name AND d.sequence IS NOT NULL AND d.project_id >= w.start
        ORDER BY d.project_id LIMIT 1), 1
    FROM wanted w
    UNION ALL
    SELECT l.name, l.capacity, (
        SELECT d.project_id FROM delivery d
        WHERE d.subscription = l.name AND d.sequence IS NOT NULL AND d.project_id > l.project_id
        ORDER BY d.project_id LIMIT 1), l.number + 1
    FROM lane l WHERE l.project_id IS NOT NULL AND l.number < l.capacity + {_SPARE_LANES}
)
SELECT l.name, l.project_id, h.id, h.owner IS NULL AND coalesce(h.not_before <= clock_timestamp(), true)
    AND coalesce(h.expires_at > clock_timestamp(), true)
    AND NOT EXISTS (
        SELECT FROM lane_block b
        WHERE b.subscription = l.name AND b.project_id = l.project_id AND b.sequence < h.sequence
    ) AS ready
FROM lane l CROSS JOIN LATERAL (
    SELECT d.id, d.owner, d.not_before, d.expires_at, d.sequence FROM delivery d
    WHERE d.subscription = l.name AND d.project_id = l.project_id AND d.sequence IS NOT NULL
    ORDER BY d.sequence LIMIT 1
) h
WHERE l.project_id IS NOT NULL ORDER BY l.name, l.project_id
"""  # noqa: S608 - put together from constants

# A head stays the head until it is gone, so locking it by id is enough: its lane grows at the end, or before a place
# that was blocked until then.
_TAKE_HEADS = f"""{_LIVE}, head AS (
    SELECT d.id FROM live, delivery d
    WHERE d.id = ANY ($3) AND d.owner IS NULL AND coalesce(d.not_before <= clock_timestamp(), true)
        AND coalesce(d.expires_at > clock_timestamp(), true)
    FOR UPDATE OF d SKIP LOCKED
), taken AS (
    UPDATE delivery d SET owner = $1, claim = $2, fence = d.fence + 1, attempt = d.attempt + 1, not_before = NULL,
        deadline = clock_timestamp() + s.lease
    FROM head, subscription s WHERE d.id = head.id AND s.name = d.subscription
    RETURNING d.*
)
SELECT {loading.FIELDS}, {loading.EVENT_FIELDS}
FROM taken d JOIN subscription s ON s.name = d.subscription LEFT JOIN {loading.EVENT}
"""  # noqa: S608 - put together from constants


@dataclass(slots=True)
class _Want:
    """What one subscription can still take in one claim, and between which priorities it looks."""

    left: int
    ceiling: int = HIGHEST_PRIORITY
    floor: int = LOWEST_PRIORITY
    # Where a claim that began low goes on once it has reached the bottom.
    rest: int | None = None


# The server may still be committing a claim whose client is gone; until then that claim holds FOR KEY SHARE.
_AWAIT_CLAIMS = "SELECT FROM delivery_owner WHERE epoch = $1 FOR UPDATE"


class Claims:
    """Claims of one process. Remembers, per subscription and band, where the last round over the projects ended."""

    def __init__(self, database: Database, registry: Registry, publisher: Publisher, rules: Rules) -> None:
        self._database = database
        self._registry = registry
        self._publisher = publisher
        self._rules = rules
        self._start: dict[tuple[str, int], UUID] = {}
        self._lane_start: dict[str, UUID] = {}
        self._promoted_at = 0.0
        self._guards: dict[str, _Guard] = {}
        # By subscription: whether it asks for order, and when the database said so.
        self._in_order: dict[str, tuple[bool, float]] = {}

    async def claim(self, capacity: Mapping[str, int], owner: Owner) -> list[Delivery]:
        """Take deliveries; see `EventBus.claim`."""
        capacity = {name: room for name, room in capacity.items() if room > 0}
        if not capacity:
            return []
        good: list[Delivery] = []
        for delivery in await self._take(capacity, owner, uuid4()):
            try:
                self._registry.check_consumption(delivery.event)
            except TerminalError as error:
                await self._give_up(delivery, error)
            else:
                good.append(delivery)
        return good

    async def _take(self, capacity: Mapping[str, int], owner: Owner, claim: UUID) -> list[Delivery]:
        """Take, each statement a transaction of its own. If an outcome is unknown, the claim's id tells afterwards."""
        unknown = False
        while True:
            try:
                async with self._database.session(hot=True) as connection:
                    if unknown:
                        await connection.execute(_AWAIT_CLAIMS, owner.epoch)
                        if found := await loading.load_claim(connection, owner.epoch, claim):
                            return found
                    await self._promote(connection)
                    taken = await self._take_unordered(connection, capacity, owner, claim)
                    taken += await self._take_ordered(connection, capacity, owner, claim)
                    return [loading.to_delivery(row) for row in sorted(taken, key=_urgency)]
            except Exception as error:
                if not is_connection_lost(error):
                    raise
                unknown = True

    async def _promote(self, connection: Connection) -> None:
        if time.monotonic() - self._promoted_at >= self._rules.promote_seconds:
            async with connection.transaction():
                await sweeping.promote(connection, self._publisher)
            self._promoted_at = time.monotonic()

    async def _take_unordered(
        self, connection: Connection, capacity: Mapping[str, int], owner: Owner, claim: UUID
    ) -> list[asyncpg.Record]:
        wanted = {name: self._want(name, room) for name, room in capacity.items() if not self._only_lanes(name)}
        starts = {key: start for key, start in self._start.items() if key[0] in wanted}
        found: list[asyncpg.Record] = []
        while wanted:
            answer = await connection.fetch(
                _TAKE_UNORDERED,
                owner.epoch,
                list(wanted),
                [want.left for want in wanted.values()],
                [want.floor for want in wanted.values()],
                [want.ceiling for want in wanted.values()],
                [name for name, _ in starts],
                [band for _, band in starts],
                list(starts.values()),
                claim,
            )
            by_name: dict[str, list[asyncpg.Record]] = {}
            for row in answer:
                by_name.setdefault(row["name"], []).append(row)
            for name, want in list(wanted.items()):
                rows = by_name.get(name)
                if rows is None:  # paused, unknown, or the owner is dead
                    del wanted[name]
                    continue
                self._in_order[name] = (rows[0]["in_order"], time.monotonic())
                mine = [row for row in rows if row["id"] is not None]
                found += mine
                if not self._go_on(name, want, rows[0], mine, starts):
                    del wanted[name]
        return found

    def _want(self, name: str, room: int) -> _Want:
        guard = self._guards.setdefault(name, _Guard())
        begin = guard.begin()
        return _Want(room) if begin is None else _Want(room, ceiling=begin, rest=begin + 1)

    def _go_on(
        self,
        name: str,
        want: _Want,
        first: asyncpg.Record,
        mine: Sequence[asyncpg.Record],
        starts: dict[tuple[str, int], UUID],
    ) -> bool:
        """Take note of what one round took; tell whether the subscription needs another."""
        band, below = first["band"], first["below"]
        self._guards[name].saw(band, below, began=want.rest)
        if band is None:
            return _turn(want)
        key = (name, band)
        following = _successor(max(row["place"] for row in mine)) if mine else _FIRST
        full = want.left
        want.left -= len(mine)
        if not want.left:
            self._start[key] = following
            return False
        if not _exhausted(mine, full):
            starts[key] = following
            want.ceiling = band
            return True
        if starts.get(key, _FIRST) != _FIRST:
            starts[key] = _FIRST
            want.ceiling = band
            return True
        self._start.pop(key, None)
        starts.pop(key, None)
        if below is None:
            return _turn(want)
        want.ceiling = below
        return True

    def _only_lanes(self, name: str) -> bool:
        in_order, said_at = self._in_order.get(name, (False, 0.0))
        return in_order and time.monotonic() - said_at < _TRUST_SECONDS

    async def _take_ordered(
        self, connection: Connection, capacity: Mapping[str, int], owner: Owner, claim: UUID
    ) -> list[asyncpg.Record]:
        left = {name: room for name, room in capacity.items() if self._in_order.get(name, (False, 0.0))[0]}
        starts = {name: self._lane_start.get(name, _FIRST) for name in left}
        found: list[asyncpg.Record] = []
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
                found += await connection.fetch(_TAKE_HEADS, owner.epoch, claim, chosen)
        return found

    async def _give_up(self, delivery: Delivery, error: TerminalError) -> None:
        reason = TaskError(
            message=str(error), category=error.category, retryable=False, error_type=type(error).__name__
        )
        letter = Letter(delivery, reason, error.category, error.message)
        await self._database.run(lambda connection: dead_letters.give_up(connection, self._publisher, [letter]))


class _Guard:
    """Keeps low bands of one subscription from starving."""

    def __init__(self) -> None:
        self._claims = 0
        self._below: int | None = None
        self._began: int | None = None

    def begin(self) -> int | None:
        """Return the priority that the next claim begins at; None for the top."""
        self._claims += 1
        if self._claims % _GUARD_EVERY or self._below is None:
            return None
        self._began = self._below if self._began is None else max(self._began - 1, LOWEST_PRIORITY)
        return self._began

    def saw(self, band: int | None, below: int | None, *, began: int | None) -> None:
        """Take note of a round: the band it served and the one below."""
        if began is None:
            if band is not None:
                self._below = below
        elif band is None or below is None:
            self._began = None  # the bottom was reached: next time begin again below the top
        elif self._began is not None:
            self._began = band


def _turn(want: _Want) -> bool:
    """Let a claim that began low go on at the top; False where it has seen everything."""
    if want.rest is None or want.rest > HIGHEST_PRIORITY:
        return False
    want.ceiling, want.floor, want.rest = HIGHEST_PRIORITY, want.rest, None
    return True


def _urgency(row: asyncpg.Record) -> tuple[int, int, int]:
    return (-row["priority"], -row["urgency"], row["id"])


def _successor(project_id: UUID) -> UUID:
    return UUID(int=min(project_id.int + 1, (1 << 128) - 1))


def _exhausted(rows: Sequence[asyncpg.Record], capacity: int) -> bool:
    """Tell whether everything from the starting place on was taken: all projects seen, none used up its share."""
    if not rows:
        return True
    by_project = Counter(row["place"] for row in rows)
    return bool(rows[0]["lanes"] < capacity and max(by_project.values()) < rows[0]["size"])
