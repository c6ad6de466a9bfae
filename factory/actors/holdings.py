"""What a supervisor has in hand, and the leases that must not run out while it is worked on."""

from collections.abc import Iterable

import structlog

from factory.events.bus import EventBus
from factory.events.delivery import Delivery

_log = structlog.stdlib.get_logger(__name__)


class Holdings:
    """The deliveries between their claim and their settlement.

    A lease is shorter than most work: it is begun anew while the work goes on, and only then. So a delivery that got
    lost in this process, whatever the reason, is taken away and delivered again when its lease ends.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._held: dict[int, Delivery] = {}

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """Hold what was claimed."""
        for delivery in deliveries:
            self._held[delivery.uid] = delivery

    def let_go(self, deliveries: Iterable[Delivery]) -> None:
        """Forget what was settled; a later attempt at the same delivery stays."""
        for delivery in deliveries:
            if self._held.get(delivery.uid) is delivery:
                del self._held[delivery.uid]

    async def prolong(self) -> None:
        """Begin the leases of everything in hand anew."""
        deliveries = list(self._held.values())
        if not deliveries:
            return
        held = await self._bus.extend(deliveries)
        lost = [delivery for delivery in deliveries if delivery.uid not in held and delivery.uid in self._held]
        if lost:
            # The fence refuses what its worker may still answer.
            _log.warning("deliveries_lost", uids=[delivery.uid for delivery in lost])
        self.let_go(lost)
