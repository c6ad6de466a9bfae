"""The event bus: publish, claim, finish, inside PostgreSQL transactions.

Guarantees:
    - An event published in a transaction exists if and only if the transaction commits, and then once: a second
      publication of the same `event_id` is ignored.
    - Every active subscription that matches at publication gets exactly one delivery, which ends exactly once:
      finished, or among the dead letters.
    - A delivery may be attempted several times, but only the holder of its latest fence can finish it. Effects
      written in the transaction of `finish`, for the deliveries it returns, happen at most once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events import dead_letters, declarations, journal, matching, owners, replaying, settling, sweeping
from factory.events.claiming import Claims
from factory.events.dead_letters import Letter
from factory.events.delivery import Backlog, Cursor, Delivery, LoggedEvent, Owner, Replay, Standing, Swept
from factory.events.doorbell import Doorbell, OnRing, Ringer
from factory.events.envelope import Envelope
from factory.events.publishing import Publisher, Terms
from factory.events.registry import REGISTRY, Registry
from factory.events.rules import Rules
from factory.events.subscriptions import Subscription
from factory.storage.database import Connection, Database


class EventBus:
    """The bus as one process uses it.

    Methods that take a connection are part of the caller's transaction; the others open their own.
    """

    def __init__(self, database: Database, registry: Registry = REGISTRY, rules: Rules | None = None) -> None:
        self._database = database
        self._rules = rules or Rules.of(database.settings)
        self._publisher = Publisher(registry, self._rules)
        self._claims = Claims(database, registry, self._publisher, self._rules)
        self._ringer = Ringer(database)

    async def declare(self, subscriptions: Iterable[Subscription]) -> None:
        """Store subscriptions, replacing those of the same name. Only later events are matched against them."""
        async with self._database.transaction() as connection:
            await declarations.declare(connection, subscriptions)

    async def retract(self, names: Iterable[str]) -> None:
        """Stop matching events for these subscriptions; what was already delivered stays."""
        async with self._database.transaction() as connection:
            await declarations.retract(connection, names)

    async def pause(self, connection: Connection, name: str, *, by: str, reason: str) -> None:
        """Deliver nothing more of a subscription until it is resumed; it still collects, and what is in flight ends.

        Raises:
            NotFoundError: There is no such subscription.
        """
        await declarations.pause(connection, name, by=by, reason=reason)

    async def resume(self, connection: Connection, name: str) -> None:
        """Deliver a paused subscription again.

        Raises:
            NotFoundError: There is no such subscription.
        """
        await declarations.resume(connection, name)
        self._database.after_commit(connection, self._ringer.ring)

    def doorbell(self, on_ring: OnRing) -> Doorbell:
        """Return an asynchronous context manager in which there is a call whenever work may have come.

        At once where this bus published, soon where another process did.

        Args:
            on_ring: Is given the names of the subscriptions that have work, or None where any may have.
        """
        return Doorbell(self._database, on_ring, ringer=self._ringer)

    async def standings(self, name: str | None = None) -> list[Standing]:
        """Return every subscription, or one, with its rules, its backlog and whether it is paused.

        Raises:
            NotFoundError: There is no such subscription.
        """
        return await declarations.standings(self._database, name)

    async def publish(
        self,
        connection: Connection,
        events: Sequence[Envelope],
        *,
        available_at: datetime | None = None,
        priority: int = 0,
        time_to_live: timedelta | None = None,
        refuse_when_full: bool = False,
    ) -> int:
        """Append events to the log and fan them out to the matching subscriptions.

        After the commit the doorbell is rung, so that supervisors need not wait for their next poll.

        Args:
            connection: In the caller's transaction, from `Database.transaction`.
            events: In order; ids published before, within the duplicate window, are skipped.
            available_at: Nothing is delivered before this time.
            priority: From -100 to 100; within a subscription larger is delivered first, except where it is ordered.
            time_to_live: How long after they are available deliveries may be started; the subscription's own unless
                given.
            refuse_when_full: Whether the limits of backlogs count. For publishers from outside: what follows from a
                commit cannot be refused.

        Returns:
            How many of the events were new.

        Raises:
            BadInputError: The priority or a time is out of range.
            BacklogFullError: `refuse_when_full`, and a matching subscription has reached its `max_backlog`.
            TerminalError: An event does not fulfil its contract, is too large, or comes from the future; nothing was
                published.
        """
        terms = Terms(available_at, priority, time_to_live)
        if refuse_when_full:
            await self._publisher.refuse_when_full(connection, events)
        published = await self._publisher.publish(connection, events, terms)
        if published.count:
            self._database.after_commit(connection, partial(self._ringer.ring, published.subscriptions))
        return published.count

    async def cancel(self, connection: Connection, event_id: UUID, *, by: str, reason: str) -> int:
        """Take back every delivery of an event that waits: scheduled, deferred, or ready and not yet taken.

        Returns:
            How many were taken back; those in flight are not.
        """
        return await settling.cancel(connection, event_id, by=by, reason=reason)

    async def register(self, name: str, *, lease: timedelta = timedelta(seconds=30)) -> Owner:
        """Start an epoch under a name. Deliveries held by earlier epochs of that name are released at once."""
        owner = Owner(name, uuid4())
        await owners.register(self._database, owner, lease)
        return owner

    async def renew(self, owner: Owner, *, lease: timedelta = timedelta(seconds=30)) -> bool:
        """Prolong an epoch. False means that it was declared dead: stop its work and register again."""
        return await owners.renew(self._database, owner, lease)

    async def retire(self, owner: Owner) -> int:
        """End an epoch in good order: what it still holds is released as if it had never been started."""
        return await owners.retire(self._database, owner)

    async def abandon(self, name: str) -> int:
        """Declare every live epoch of a name dead and release what it held; return the number released."""
        return await owners.abandon(self._database, name)

    async def claim(self, capacity: Mapping[str, int], owner: Owner) -> list[Delivery]:
        """Take deliveries, spread over projects. An event that breaks its contract is dead-lettered, not returned.

        Args:
            capacity: How many deliveries each subscription can take now.
            owner: From `register`; a dead epoch gets nothing.

        Returns:
            Deliveries of subscriptions of higher priority first.
        """
        return await self._claims.claim(capacity, owner)

    async def finish(
        self,
        connection: Connection,
        deliveries: Sequence[Delivery],
        details: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> frozenset[int]:
        """End deliveries as done, in the caller's transaction.

        Args:
            connection: In the caller's transaction.
            deliveries: As claimed.
            details: By uid: what to record in the delivery log (cost, tokens, duration).

        Returns:
            Uids of those still held. Write effects only for these.
        """
        return await settling.finish(connection, deliveries, details or {})

    async def retry(self, connection: Connection, delivery: Delivery, error: TaskError, delay: timedelta) -> bool:
        """Give a delivery back for another attempt after a delay; the last attempt of its subscription ends it instead.

        An error of category `worker-lost` adds to the delivery's crash count.

        Returns:
            Whether there will be another attempt: not if it was no longer held, or is now among the dead letters.
        """
        if delivery.attempt < delivery.max_attempts:
            return await settling.retry(connection, delivery, error, delay)
        reason = f"attempt {delivery.attempt} of {delivery.max_attempts} failed: {error.message}"
        await self.dead_letter(connection, delivery, error, reason=reason)
        return False

    async def defer(self, connection: Connection, delivery: Delivery, until: datetime) -> bool:
        """Give a delivery back until a time, without counting the attempt; False if it was no longer held."""
        return await settling.defer(connection, delivery, until)

    async def finish_and_publish(
        self,
        deliveries: Sequence[Delivery],
        following: Mapping[int, Sequence[Envelope]],
        details: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> frozenset[int]:
        """End deliveries as done and publish what follows from them, in one statement that is a transaction of its own.

        Args:
            deliveries: At most one attempt of each.
            following: Events by the uid of the delivery they follow from; those of a delivery that is no longer held
                are not published.
            details: As for `finish`.

        Returns:
            Uids of the deliveries that were held.

        Raises:
            ConflictError: Two attempts of one delivery are among them.
            TerminalError: An event breaks its contract or a limit; nothing was ended.
            Exception: The connection was lost; calling it again is safe, and the answer then names what is ended now.
        """
        async with self._database.session(hot=True) as connection:
            finished, published = await self._publisher.finish_and_publish(
                connection, deliveries, details or {}, following
            )
        if published.count:
            self._ringer.ring(published.subscriptions)
        return finished

    async def extend(self, deliveries: Sequence[Delivery]) -> frozenset[int]:
        """Begin the leases of deliveries anew, while they are worked on.

        Returns:
            Uids of those still held. Stop the work on the others: what it commits is refused.
        """
        return await self._database.run(lambda connection: settling.extend(connection, deliveries))

    async def dead_letter(
        self,
        connection: Connection,
        delivery: Delivery,
        error: TaskError,
        *,
        category: ErrorCategory | None = None,
        reason: str | None = None,
    ) -> bool:
        """Give a delivery up and publish `DeadLettered`; False if it was no longer held.

        Args:
            connection: In the caller's transaction.
            delivery: As claimed.
            error: The last error.
            category: The error's own unless given.
            reason: One line for people; the error's message unless given.
        """
        letter = Letter(delivery, error, category or error.category, reason or error.message)
        if not await dead_letters.give_up(connection, self._publisher, [letter]):
            return False
        self._database.after_commit(connection, self._ringer.ring)
        return True

    async def release(self, connection: Connection, deliveries: Sequence[Delivery]) -> frozenset[int]:
        """Give back deliveries that were not started; their attempts do not count. Return the uids still held."""
        return await settling.release(connection, deliveries)

    async def settled(self, connection: Connection, deliveries: Sequence[Delivery]) -> dict[int, str]:
        """Tell, by uid, how these very attempts ended: for a caller whose COMMIT had an unknown outcome.

        The outcomes are `done`, `retried`, `deferred`, `dead`, `timed-out` and `abandoned`; an attempt that is still
        held is missing from the answer.
        """
        return await settling.settled(connection, deliveries)

    async def redrive(
        self, connection: Connection, uid: int, *, by: str, reason: str, payload: Mapping[str, Any] | None = None
    ) -> None:
        """Deliver a dead letter again, with a fresh count of attempts, no time to live, and the same uid.

        A dead letter that holds its lane goes back to its place there; otherwise it goes to the end.

        Raises:
            NotFoundError: There is no such dead letter.
            ConflictError: It was resolved already.
            TerminalError: The edited payload does not fulfil the contract.
        """
        await dead_letters.redrive(connection, self._publisher, uid, by=by, reason=reason, payload=payload)
        self._database.after_commit(connection, self._ringer.ring)

    async def discard(self, connection: Connection, uid: int, *, by: str, reason: str) -> None:
        """Close a dead letter without delivering it; a lane that it held goes on.

        Raises:
            NotFoundError: There is no such dead letter.
            ConflictError: It was resolved already.
        """
        await dead_letters.discard(connection, uid, by=by, reason=reason)
        self._database.after_commit(connection, self._ringer.ring)

    async def sweep(self) -> Swept:
        """Mend what time does: promote due work, take back what is past its deadline or whose owner fell silent."""
        return await sweeping.sweep(self._database, self._publisher)

    async def maintain(self, retention: timedelta) -> None:
        """Prepare partitions for the coming days, drop what is older than the retention, forget ids past their window.

        Run it daily.
        """
        await journal.maintain(self._database, retention, self._rules.duplicate_window)

    async def backlog(self, names: Iterable[str]) -> dict[str, Backlog]:
        """Count what waits for each subscription."""
        return await declarations.backlog(self._database, names)

    async def tail(
        self, after: Cursor | None = None, *, project_id: UUID | None = None, limit: int = 100
    ) -> list[LoggedEvent]:
        """Read the log after a place, in order of transactions. No event that commits late is ever missed."""
        return await journal.tail(self._database, after or Cursor(), project_id, limit)

    async def matches(
        self, subscription: Subscription, since: datetime, until: datetime, limit: int = 100
    ) -> list[LoggedEvent]:
        """Tell what a subscription would have received, had it been declared: the first matches in a stretch of time.

        Args:
            subscription: Declared or not; its filters alone count.
            since: Events recorded from here on.
            until: Events recorded before this.
            limit: Most events returned.
        """
        return await matching.matches(self._database, subscription, since, until, limit)

    async def replay(
        self, connection: Connection, event_id: UUID, *, to: str | None = None, by: str, reason: str
    ) -> Replay:
        """Deliver one event of the log once more, as a new delivery that says so.

        Args:
            connection: In the caller's transaction.
            event_id: In the log.
            to: One subscription; every active one that matches unless given.
            by: Who wants it.
            reason: Why.

        Raises:
            BadInputError: The filters of `to` do not let the event pass.
            NotFoundError: There is no such event, or no such subscription.
        """
        replay = await replaying.replay_one(connection, event_id, to, by=by, reason=reason)
        self._database.after_commit(connection, self._ringer.ring)
        return replay

    async def begin_replay(
        self,
        to: str,
        since: datetime,
        until: datetime,
        *,
        event_types: Sequence[str] = (),
        by: str,
        reason: str,
    ) -> UUID:
        """Record that a stretch of time is to be delivered once more; `continue_replay` does it.

        Args:
            to: The subscription, whose filters apply.
            since: Events recorded from here on.
            until: Events recorded before this, and before now.
            event_types: Only these, of what its filters let pass.
            by: Who wants it.
            reason: Why.

        Raises:
            BadInputError: `since` is not before `until`.
            NotFoundError: There is no such subscription.
        """
        return await replaying.begin(self._database, to, since, until, event_types, by=by, reason=reason)

    async def continue_replay(self, replay: UUID) -> Replay:
        """Carry a replay out to its end, in pages that are committed one by one.

        Call it again after an interruption: no event is delivered twice or left out.

        Raises:
            NotFoundError: There is no such replay.
        """
        done = await replaying.carry_on(self._database, replay)
        self._ringer.ring()
        return done

    async def count_replay(self, to: str, since: datetime, until: datetime, *, event_types: Sequence[str] = ()) -> int:
        """Tell how many deliveries a replay would make, without making one; see `begin_replay`."""
        return await replaying.count(self._database, to, since, until, event_types)
