"""What the bus as a whole allows, whatever the subscription."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from factory.settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of one bus.

    Attributes:
        duplicate_window: How long an id that was published is refused as a duplicate.
        payload_limit: Most bytes of one payload as JSON.
        clock_ahead: How far an event's own time may be ahead of the database's.
        promote_seconds: How often at most a claim looks for deliveries whose time has come or is over.
    """

    duplicate_window: timedelta = timedelta(days=90)
    payload_limit: int = 256 * 1024
    clock_ahead: timedelta = timedelta(days=1)
    promote_seconds: float = 0.05

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the rules that the settings ask for."""
        return cls(
            duplicate_window=settings.duplicate_window or settings.event_retention,
            payload_limit=settings.event_payload_limit,
            clock_ahead=settings.event_clock_ahead,
        )
