"""Which subscriptions may have work waiting, so that a claim asks for nothing else."""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Mapping


class Demand:
    """Collects rings. All methods must be called from one event loop.

    Args:
        names: Of all subscriptions.
        poll_seconds: How often all of them are asked for, whatever was rung.
    """

    def __init__(self, names: Iterable[str], poll_seconds: float) -> None:
        self._all = frozenset(names)
        self._waiting: set[str] = set()
        self._poll_seconds = poll_seconds
        self._poll_at = 0.0
        self._rung = asyncio.Event()

    def ring(self, names: Collection[str] | None = None) -> None:
        """Say that there may be work for these subscriptions; for any where no name is given."""
        wanted = self._all if names is None else self._all.intersection(names)
        if wanted:
            self._waiting |= wanted
            self._rung.set()

    def nudge(self) -> None:
        """Say that there is room now: whatever still waits may be asked for."""
        if self._waiting:
            self._rung.set()

    def take(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return what to ask for now and how much of it; what there is no room for goes on waiting.

        Args:
            room: By subscription, those without any left out.
        """
        self._rung.clear()
        now = asyncio.get_running_loop().time()
        if now >= self._poll_at:
            self._poll_at = now + self._poll_seconds
            self._waiting |= self._all
        chosen = {name: room[name] for name in self._waiting if name in room}
        self._waiting -= chosen.keys()
        return chosen

    async def wait(self) -> None:
        """Return when there was a ring since the last `take`, or it is time to ask for everything."""
        with contextlib.suppress(TimeoutError):
            # Not wait_for, which in Python 3.11 swallows a cancellation that comes together with the event.
            async with asyncio.timeout_at(self._poll_at):
                await self._rung.wait()
