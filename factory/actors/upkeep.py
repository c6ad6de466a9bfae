"""What a supervisor does beside its work: mend what time does, keep the log and memory in order, look for trouble."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from factory.control import incidents
from factory.events.bus import EventBus
from factory.memory.tending import tend
from factory.recovery.incidents import IncidentRules
from factory.settings import Settings
from factory.storage.database import Database

_SWEEP_SECONDS = 1.0
_MAINTAIN_SECONDS = 6 * 3600.0
_TEND_SECONDS = 60.0


class Upkeep:
    """Steps that are repeated for as long as the supervisor lives; each waits for its time, and may be repeated.

    Args:
        database: Of the factory.
        bus: On it.
        settings: Of the factory.
        ring: Is called where deliveries may have become ready.
    """

    def __init__(self, database: Database, bus: EventBus, settings: Settings, ring: Callable[[], None]) -> None:
        self._database = database
        self._bus = bus
        self._settings = settings
        self._ring = ring
        self._rules = IncidentRules.load(settings.incident_rules)

    @property
    def steps(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """The steps, to be repeated side by side."""
        steps = (self._sweep, self._maintain, self._tend)
        return (*steps, self._observe) if self._settings.observe_seconds else steps

    async def _sweep(self) -> None:
        await asyncio.sleep(_SWEEP_SECONDS)
        if await self._bus.sweep():
            self._ring()

    async def _tend(self) -> None:
        await asyncio.sleep(_TEND_SECONDS)
        await tend(self._database, self._settings.segment_url)

    async def _maintain(self) -> None:
        await self._bus.maintain(self._settings.event_retention)
        await asyncio.sleep(_MAINTAIN_SECONDS)

    async def _observe(self) -> None:
        """Wake the Observability Coordinator where something is wrong that was not, or is over."""
        seconds = self._settings.observe_seconds
        await asyncio.sleep(seconds)
        async with self._database.session() as connection:
            observations = await incidents.observe(connection, self._bus)
            known = await incidents.list_open(connection)
        if any(self._rules.judge(observations, known)):
            turn = incidents.turn_of(datetime.now(UTC), seconds)
            async with self._database.transaction() as connection:
                await incidents.tell(connection, self._bus, observations, turn)
