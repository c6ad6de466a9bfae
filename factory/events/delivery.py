"""What the bus hands out and takes back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription

# Stands for "no project" where a column may not be null; no real id is all zero.
NO_PROJECT = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Owner:
    """One run of a process that takes deliveries. A restarted process of the same name is another epoch."""

    name: str
    epoch: UUID


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscription, taken by one owner until the deadline.

    Attributes:
        uid: Identity of (event, subscription) through all attempts.
        id: The present row; changes when the delivery waits for a later attempt.
        fence: Strictly increases with every claim; a superseded fence commits nothing.
        attempt: This attempt, counted from 1.
        crash_count: Workers lost while they ran it.
        losses: Whole supervisors lost while they held it; these attempts are given back.
        deadline: When the delivery is taken away as timed out, by the database's clock.
        replay: The replay that delivered the event once more; None for the first delivery.
    """

    uid: int
    id: int
    subscription: str
    event: Envelope
    fence: int
    attempt: int
    owner: UUID
    deadline: datetime
    crash_count: int
    losses: int
    ordered: bool
    max_attempts: int
    replay: UUID | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits for a subscription. Counts stop at 1,000, which is plenty for scaling.

    Attributes:
        ready: Can be claimed now (for ordered subscriptions: waits in its lane).
        delayed: Waits for a time.
        in_flight: Taken by an owner.
        oldest: Age of the oldest event among the ready deliveries that were counted.
    """

    ready: int
    delayed: int
    in_flight: int
    oldest: timedelta

    @property
    def total(self) -> int:
        """Everything that is not finished."""
        return self.ready + self.delayed + self.in_flight


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when a subscription is held, by whom and why; each None where a former version of the code paused it."""

    since: datetime | None
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription and how it stands.

    Attributes:
        active: Whether it receives new events.
        blocked: Dead letters that hold one of its lanes each.
        pause: Why nothing is delivered; None where deliveries go on.
    """

    subscription: Subscription
    active: bool
    backlog: Backlog
    blocked: int
    pause: Pause | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Events of the past that were delivered once more.

    Attributes:
        id: Stands in `replay` of every delivery that it made.
        count: How many deliveries it made.
    """

    id: UUID
    count: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep mended.

    Attributes:
        due: Delayed deliveries that became ready.
        expired: Deliveries given up because their time to live was over.
        timed_out: Deliveries taken from an owner that kept them past their deadline.
        abandoned: Deliveries taken from owners that fell silent.
        dead: Deliveries given up for other reasons.
    """

    due: int
    expired: int
    timed_out: int
    abandoned: int
    dead: int

    def __bool__(self) -> bool:
        """Tell whether anything became ready or dead."""
        return bool(self.due or self.expired or self.timed_out or self.abandoned or self.dead)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the event log; everything up to it was seen."""

    transaction_id: int = 0
    position: int = 0

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return f"{self.transaction_id}-{self.position}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `str` wrote.

        Raises:
            ValueError: The text is not a cursor.
        """
        transaction_id, separator, position = text.partition("-")
        if not separator:
            raise ValueError(f"{text!r} is not a cursor; expected two numbers joined by a hyphen.")
        return cls(int(transaction_id), int(position))


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event and its place in the log."""

    cursor: Cursor
    event: Envelope
