"""The doorbell: tells waiting supervisors that there may be work. Polling is the guarantee, this is the speed.

NOTIFY takes a lock of the whole server at commit, so it is never part of a publishing transaction: rings are
collected for a few milliseconds, under load for longer, and sent on their own.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Self, TypeAlias
from uuid import uuid4

from factory.domain.errors import FactoryError
from factory.storage.database import CLIENT_ERRORS, Database

CHANNEL = "factory_events"
_COLLECT_SECONDS = 0.004
_BUSY_SECONDS = 0.05
_RECONNECT_SECONDS = 0.5


OnRing: TypeAlias = Callable[[Collection[str] | None], None]


class Ringer:
    """Rings the doorbell of every other process on the same database.

    Attributes:
        name: Goes with each ring, so that the one who rang need not answer.
        at_home: Called at once, in the process that rings, with the subscriptions that have work; None for any.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending = False
        self._sent_at = -_BUSY_SECONDS
        self.name = uuid4().hex
        self.at_home: OnRing | None = None

    def ring(self, subscriptions: Collection[str] | None = None) -> None:
        """Ring soon; rings in quick succession become one. Failures are left to polling.

        Args:
            subscriptions: Those that have work; any where none is given. Other processes are not told.
        """
        if self.at_home is not None:
            self.at_home(subscriptions)
        if not self._pending:
            self._pending = True
            self._database.spawn(self._send())

    async def _send(self) -> None:
        try:
            await asyncio.sleep(max(_COLLECT_SECONDS, self._sent_at + _BUSY_SECONDS - time.monotonic()))
        finally:
            self._pending = False
            self._sent_at = time.monotonic()
        with suppress(*CLIENT_ERRORS, FactoryError):
            async with self._database.transaction() as connection:
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, self.name)


class Doorbell:
    """Calls back when somebody else rings, and once after every connect, since a ring may have been missed before.

    Use it as an asynchronous context manager. It holds one connection, outside the pool and not through a pooler.

    Args:
        database: To listen on.
        on_ring: What to do; it is given the subscriptions that have work, or None for any.
        ringer: The process's own, which calls back at once instead of through the server.
    """

    def __init__(self, database: Database, on_ring: OnRing, *, ringer: Ringer | None = None) -> None:
        self._database = database
        self._on_ring = on_ring
        self._deaf_to = ringer.name if ringer else None
        if ringer is not None:
            ringer.at_home = on_ring
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.get_running_loop().create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            with suppress(*CLIENT_ERRORS, FactoryError):
                await self._listen_once()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        connection = await self._database.connect()
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._on_ring(None)
            await gone.wait()
        finally:
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, _channel: str, name: object) -> None:
        if name != self._deaf_to:
            self._on_ring(None)
