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
from typing import Any
from uuid import UUID, uuid4

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events import dead_letters, declarations, journal, matching, owners, publishing, settling, sweeping
from factory.events.claiming import Claims
from factory.events.delivery import Backlog, Cursor, Delivery, LoggedEvent, Owner, Swept
from factory.events.doorbell import Ringer
from factory.events.envelope import Envelope
from factory.events.registry import REGISTRY, Registry
from factory.events.subscriptions import Subscription
from factory.storage.database import Connection, Database


class EventBus:
    """The bus as one process uses it.

    Methods that take a connection are part of the caller's transaction; the others open their own.
    """

    def __init__(self, database: Database, registry: Registry = REGISTRY) -> None:
        self._database = database
        self._registry = registry
        self._claims = Claims(database, registry)
        self._ringer = Ringer(database)

    async def declare(self, subscriptions: Iterable[Subscription]) -> None:
        """Store subscriptions, replacing those of the same name. Only later events are matched against them."""
        async with self._database.transaction() as connection:
            await declarations.declare(connection, subscriptions)

    async def retract(self, names: Iterable[str]) -> None:
        """Stop matching events for these subscriptions; what was already delivered stays."""
        async with self._database.transaction() as connection:
            await declarations.retract(connection, names)

    async def publish(
        self, connection: Connection, events: Sequence[Envelope], *, available_at: datetime | None = None
    ) -> int:
        """Append events to the log and fan them out to the matching subscriptions.

        After the commit the doorbell is rung, so that supervisors need not wait for their next poll.

        Args:
            connection: In the caller's transaction, from `Database.transaction`.
            events: In order; ids published before are skipped.
            available_at: Nothing is delivered before this time.

        Returns:
            How many of the events were new.

        Raises:
            TerminalError: An event does not fulfil its contract; nothing was published.
        """
        count = await publishing.publish(connection, self._registry, events, available_at)
        if count:
            self._database.after_commit(connection, self._ringer.ring)
        return count

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
        """Give a delivery back for another attempt after a delay; False if it was no longer held.

        An error of category `worker-lost` adds to the delivery's crash count.
        """
        return await settling.retry(connection, delivery, error, delay)

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
        return await dead_letters.dead_letter(
            connection,
            self._registry,
            delivery,
            error,
            category=category or error.category,
            reason=reason or error.message,
        )

    async def release(self, connection: Connection, deliveries: Sequence[Delivery]) -> frozenset[int]:
        """Give back deliveries that were not started; their attempts do not count. Return the uids still held."""
        return await settling.release(connection, deliveries)

    async def settled(self, connection: Connection, deliveries: Sequence[Delivery]) -> dict[int, str]:
        """Tell, by uid, how these very attempts ended: for a caller whose COMMIT had an unknown outcome.

        The outcomes are `done`, `retried`, `dead`, `timed-out` and `abandoned`; an attempt that is still held is
        missing from the answer.
        """
        return await settling.settled(connection, deliveries)

    async def redrive(
        self, connection: Connection, uid: int, *, by: str, reason: str, payload: Mapping[str, Any] | None = None
    ) -> None:
        """Deliver a dead letter again, with a fresh count of attempts and the same uid.

        Raises:
            NotFoundError: There is no such dead letter.
            ConflictError: It was resolved already.
            TerminalError: The edited payload does not fulfil the contract.
        """
        await dead_letters.redrive(connection, self._registry, uid, by=by, reason=reason, payload=payload)
        self._database.after_commit(connection, self._ringer.ring)

    async def discard(self, connection: Connection, uid: int, *, by: str, reason: str) -> None:
        """Close a dead letter without delivering it.

        Raises:
            NotFoundError: There is no such dead letter.
            ConflictError: It was resolved already.
        """
        await dead_letters.discard(connection, uid, by=by, reason=reason)

    async def sweep(self) -> Swept:
        """Mend what time does: promote due work, take back what is past its deadline or whose owner fell silent."""
        return await sweeping.sweep(self._database, self._registry)

    async def maintain(self, retention: timedelta) -> None:
        """Prepare partitions for the coming days and drop what is older than the retention. Run it daily."""
        await journal.maintain(self._database, retention)

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
