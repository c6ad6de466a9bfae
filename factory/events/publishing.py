"""Publishing: append to the log and fan out, in one statement of the caller's transaction."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from factory.domain.errors import BacklogFullError, BadInputError, ErrorCategory, TerminalError
from factory.events import matching, rows, settling
from factory.events.conditions import holds_nul
from factory.events.delivery import NO_PROJECT, Delivery
from factory.events.envelope import Envelope
from factory.events.registry import Registry
from factory.events.rules import Rules
from factory.events.subscriptions import LONGEST_TIME_TO_LIVE
from factory.storage.database import Connection

HIGHEST_PRIORITY = 100
LOWEST_PRIORITY = -100

# Made once: `json.dumps` makes one for every call with options.
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_VALUES = rows.COLUMNS.removesuffix("payload") + "payload::jsonb"

# event_key decides which ids are new: those never seen, and those last seen before the window. Its rows are locked in
# order of id, so that two publishers of the same events wait for one another instead of deadlocking. One event from
# the future keeps the whole batch out.
_ARRAYS = """$1::uuid[], $2::text[], $3::smallint[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[],
        $9::uuid[], $10::uuid[], $11::timestamptz[], $12::text[], $13::text[]"""
_EARLY = """SELECT event_id, "timestamp" - now() AS ahead FROM {} WHERE "timestamp" > now() + $15::interval LIMIT 1"""
_INCOMING = f"""
WITH incoming AS (
    SELECT * FROM unnest({_ARRAYS}) WITH ORDINALITY AS incoming ({rows.COLUMNS}, ordinal)
), early AS (
    {_EARLY.format("incoming")}
)"""  # noqa: S608 - put together from constants

# What follows from deliveries, with the uid of the delivery that each event follows from: only from those that end.
_FOLLOWING = f"""
WITH arrived AS (
    SELECT * FROM unnest({_ARRAYS}, $19::bigint[]) WITH ORDINALITY AS arrived ({rows.COLUMNS}, cause, ordinal)
), early AS (
    {_EARLY.format("arrived")}
), {settling.finishing(20, unless="EXISTS (SELECT FROM early)")}, incoming AS (
    SELECT arrived.* FROM arrived JOIN done ON done.uid = arrived.cause
)"""  # noqa: S608 - put together from constants

_LOG = f""", fresh AS (
    INSERT INTO event_key AS k (event_id)
    SELECT event_id FROM incoming WHERE NOT EXISTS (SELECT FROM early) ORDER BY event_id
    ON CONFLICT (event_id) DO UPDATE SET recorded_at = now() WHERE k.recorded_at <= now() - $14::interval
    RETURNING event_id
), logged AS (
    INSERT INTO event ({rows.COLUMNS})
    SELECT {_VALUES} FROM incoming JOIN fresh USING (event_id) ORDER BY ordinal
    RETURNING position, recorded_at, event_id, event_type, topic, project_id, originating_agent, payload
)"""  # noqa: S608 - put together from constants

# Subscriptions are few: matching reads them whole.
_MATCH = f"""{_LOG}, matched AS (
    SELECT s.name, s.ordered, e.event_id, e.recorded_at, e.position, coalesce(e.project_id, $16) AS project_id,
        $17::smallint AS priority, coalesce($18::interval, s.time_to_live) AS time_to_live
    FROM logged e JOIN subscription s ON s.active AND {matching.PREDICATE}
)"""  # noqa: S608 - put together from constants

_ANSWER = (
    "SELECT (SELECT count(*) FROM logged) AS count, ARRAY(SELECT DISTINCT name FROM matched) AS subscriptions, "
    "event_id, ahead FROM (VALUES (1)) AS one LEFT JOIN early ON true"
)

# A project's row in project_sequence stays locked until the publisher commits, and only where an ordered
# subscription matched. Rows are locked in order of project.
_DELIVER = f"""{_MATCH}, lane AS (
    INSERT INTO project_sequence AS p (project_id, last)
    SELECT project_id, count(*) FROM matched WHERE ordered GROUP BY project_id ORDER BY project_id
    ON CONFLICT (project_id) DO UPDATE SET last = p.last + EXCLUDED.last RETURNING project_id, last
), delivered AS (
    INSERT INTO delivery (subscription, event_id, recorded_at, project_id, priority, expires_at, sequence)
    SELECT m.name, m.event_id, m.recorded_at, m.project_id, m.priority, now() + m.time_to_live,
        CASE WHEN m.ordered THEN lane.last
            - count(*) OVER (PARTITION BY m.project_id, m.ordered)
            + row_number() OVER (PARTITION BY m.project_id, m.ordered ORDER BY m.position, m.name) END
    FROM matched m LEFT JOIN lane ON m.ordered AND lane.project_id = m.project_id
    ORDER BY m.position, m.name
)"""  # noqa: S608 - put together from constants

_NOW = f"{_INCOMING}{_DELIVER} {_ANSWER}"
_FINISH_AND_PUBLISH = f"""{_FOLLOWING}{_DELIVER}
SELECT answer.*, ARRAY(SELECT uid FROM done) AS finished FROM ({_ANSWER}) AS answer
"""  # noqa: S608 - put together from constants

# The time to live begins when the event becomes available.
_LATER = f"""{_INCOMING}{_MATCH}, delayed AS (
    INSERT INTO delivery_delayed (subscription, event_id, recorded_at, project_id, priority, expires_at, due_at)
    SELECT m.name, m.event_id, m.recorded_at, m.project_id, m.priority,
        greatest($19, now()) + m.time_to_live, $19::timestamptz
    FROM matched m ORDER BY m.position, m.name
)
{_ANSWER}
"""  # noqa: S608 - put together from constants

_LOG_ONLY = f"""{_INCOMING}{_LOG}
SELECT logged.recorded_at, early.event_id, early.ahead
FROM (VALUES (1)) AS one LEFT JOIN logged ON true LEFT JOIN early ON true
"""  # noqa: S608 - put together from constants

# delivery_ready_by_priority, delivery_lane and delivery_delayed_by_subscription, each read no further than the limit.
_FULL = f"""
WITH incoming AS (
    SELECT event_type, topic, project_id, originating_agent, payload::jsonb FROM unnest(
        $1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[]
    ) AS incoming (event_type, topic, project_id, originating_agent, payload)
)
SELECT s.name, s.max_backlog, s.paused FROM subscription s
WHERE s.active AND s.max_backlog IS NOT NULL
    AND EXISTS (SELECT FROM incoming e WHERE {matching.PREDICATE})
    AND EXISTS (
        SELECT 1 FROM (
            SELECT 1 FROM delivery d WHERE d.subscription = s.name AND d.owner IS NULL AND d.sequence IS NULL
            UNION ALL
            SELECT 1 FROM delivery d WHERE d.subscription = s.name AND d.sequence IS NOT NULL AND d.owner IS NULL
            UNION ALL
            SELECT 1 FROM delivery_delayed d WHERE d.subscription = s.name
        ) AS waiting OFFSET s.max_backlog - 1 LIMIT 1
    )
ORDER BY s.name LIMIT 1
"""  # noqa: S608 - put together from constants


@dataclass(frozen=True, slots=True)
class Terms:
    """How events are delivered, beyond what their subscriptions say.

    Attributes:
        available_at: Nothing is delivered before this time.
        priority: Within a subscription, from -100 to 100; larger first.
        time_to_live: From when the event is available; None leaves it to the subscription.

    Raises:
        BadInputError: A value is out of its range.
    """

    available_at: datetime | None = None
    priority: int = 0
    time_to_live: timedelta | None = None

    def __post_init__(self) -> None:
        if not LOWEST_PRIORITY <= self.priority <= HIGHEST_PRIORITY:
            raise BadInputError(
                f"the priority is {self.priority}.",
                remedy=f"Give one from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}.",
                field="priority",
            )
        if self.time_to_live is not None and not timedelta() < self.time_to_live <= LONGEST_TIME_TO_LIVE:
            raise BadInputError(
                f"the time to live is {self.time_to_live}.",
                remedy=f"Give one longer than 0 and of at most {LONGEST_TIME_TO_LIVE.days} days.",
                field="time_to_live",
            )
        if self.available_at is not None and self.available_at.tzinfo is None:
            raise BadInputError(
                f"the time {self.available_at} has no time zone.", remedy="Add an offset.", field="available_at"
            )


_PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Published:
    """What became of events.

    Attributes:
        count: How many were new.
        subscriptions: Those that have a delivery to claim because of them; None where that is a matter of time.
    """

    count: int
    subscriptions: tuple[str, ...] | None = ()


class Publisher:
    """Publishes what fulfils its contract and the rules of the bus."""

    def __init__(self, registry: Registry, rules: Rules) -> None:
        self._registry = registry
        self._rules = rules

    async def publish(self, connection: Connection, events: Sequence[Envelope], terms: Terms = _PLAIN) -> Published:
        """Append the events that are new and give each matching subscription its delivery; see `EventBus.publish`."""
        unique = list({event.event_id: event for event in reversed(events)}.values())[::-1]
        if not unique:
            return Published(0)
        common = (*self._columns(unique), NO_PROJECT, terms.priority, terms.time_to_live)
        if terms.available_at is None:
            (answer,) = await connection.fetch(_NOW, *common)
        else:
            (answer,) = await connection.fetch(_LATER, *common, terms.available_at)
        self._check_time(answer)
        return Published(answer["count"], tuple(answer["subscriptions"]) if terms.available_at is None else None)

    async def finish_and_publish(
        self,
        connection: Connection,
        deliveries: Sequence[Delivery],
        details: Mapping[int, Mapping[str, Any]],
        following: Mapping[int, Sequence[Envelope]],
    ) -> tuple[frozenset[int], Published]:
        """End deliveries and publish what follows from those that were held; see `EventBus.finish_and_publish`."""
        causes = {event.event_id: (uid, event) for uid, events in following.items() for event in events}
        if not causes:
            return await settling.finish(connection, deliveries, details), Published(0)
        (answer,) = await connection.fetch(
            _FINISH_AND_PUBLISH,
            *self._columns([event for _, event in causes.values()]),
            NO_PROJECT,
            _PLAIN.priority,
            _PLAIN.time_to_live,
            [uid for uid, _ in causes.values()],
            *settling.finish_arguments(deliveries, details),
        )
        self._check_time(answer)
        return frozenset(answer["finished"]), Published(answer["count"], tuple(answer["subscriptions"]))

    async def append(self, connection: Connection, event: Envelope) -> datetime:
        """Append one event to the log without delivering it to anyone; return when it was recorded."""
        (answer,) = await connection.fetch(_LOG_ONLY, *self._columns([event]))
        self._check_time(answer)
        recorded_at: datetime = answer["recorded_at"]
        return recorded_at

    async def refuse_when_full(self, connection: Connection, events: Sequence[Envelope]) -> None:
        """Raise if a subscription that would receive one of the events has reached its limit.

        Raises:
            BacklogFullError: Its message names the subscription.
        """
        columns = [
            [event.event_type for event in events],
            [event.topic.value for event in events],
            [event.project_id for event in events],
            [event.originating_agent for event in events],
            [self._encoded(event) for event in events],
        ]
        await connection.execute(settling.PLAN_BY_INDEX)
        full = await connection.fetchrow(_FULL, *columns)
        await connection.execute(settling.PLAN_AS_EVER)
        if full is not None:
            raise BacklogFullError(full["name"], full["max_backlog"], paused=full["paused"])

    def _columns(self, events: Sequence[Envelope]) -> list[object]:
        for event in events:
            self._registry.check_publication(event)
        columns: list[object] = [*rows.to_arrays(events)]
        columns[-1] = [self._encoded(event) for event in events]
        return [*columns, self._rules.duplicate_window, self._rules.clock_ahead]

    def _encoded(self, event: Envelope) -> str:
        """Return the payload as the JSON that is stored."""
        try:
            text = _JSON.encode(dict(event.payload))
            length = len(text.encode())
        except (ValueError, RecursionError) as error:
            raise TerminalError(
                f"the payload of {event.event_type} cannot be stored: {error}.",
                category=ErrorCategory.SCHEMA,
                remedy="Use finite numbers and whole texts.",
                field="payload",
            ) from None
        if length > self._rules.payload_limit:
            raise TerminalError(
                f"the payload of {event.event_type} has {length} bytes; the limit is {self._rules.payload_limit}.",
                category=ErrorCategory.SCHEMA,
                remedy="Store the large part as an artifact and publish a reference to it.",
                field="payload",
            )
        if holds_nul(text):
            raise TerminalError(
                f"the payload of {event.event_type} holds the character NUL.",
                category=ErrorCategory.SCHEMA,
                remedy="Leave it out: PostgreSQL cannot store it.",
                field="payload",
            )
        return text

    def _check_time(self, answer: Record) -> None:
        if answer["event_id"] is not None:
            raise TerminalError(
                f"the event {answer['event_id']} says that it happened {answer['ahead']} from now, by the clock of the "
                f"database; {self._rules.clock_ahead} are allowed.",
                category=ErrorCategory.SCHEMA,
                remedy="Set the clock of its publisher.",
                field="timestamp",
            )
