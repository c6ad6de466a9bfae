"""Everything the gateway's routes work with, opened once per replica."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from factory.identity.audit import AuditTrail
from factory.identity.authority import Authority
from factory.identity.flags import Flags
from factory.identity.identity import Identity
from factory.identity.policy import PolicyEngine
from factory.integrations.notifications import Channels
from factory.observability.traces import Tracing, start_tracing
from factory.serve.cursors import Cursors
from factory.serve.feed import EventFeed
from factory.serve.idempotency import forget_old
from factory.serve.limits import Limits
from factory.serve.memory import MemorySearch, OpenMemory
from factory.service import FactoryService
from factory.settings import Settings
from factory.storage.database import Connection, Database

_SECRET_BYTES = 32
_TIDY_SECONDS = 3_600
# Primary key.
_SHARED = """
INSERT INTO gateway_secret (name, value) VALUES ('gateway', $1)
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING value
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What routes are given."""

    settings: Settings
    url: str
    service: FactoryService
    identity: Identity
    authority: Authority
    engine: PolicyEngine
    audit: AuditTrail
    limits: Limits
    cursors: Cursors
    feed: EventFeed
    memory: MemorySearch
    channels: Channels
    flags: Flags
    tracing: Tracing

    @property
    def database(self) -> Database:
        """The factory's database."""
        return self.service.database

    @property
    def https(self) -> bool:
        """Whether clients come over HTTPS."""
        return self.url.startswith("https://")


@asynccontextmanager
async def open_gateway(settings: Settings, url: str, memory: OpenMemory) -> AsyncIterator[Gateway]:
    """Open what the routes work with, and close it at the end.

    Args:
        settings: Of the factory.
        url: How clients reach the gateway, without a slash at the end.
        memory: Starts the search of semantic memory.

    Raises:
        BadInputError: A file named in the settings cannot be used.
        DatabaseUnavailableError: The database does not answer.
    """
    async with AsyncExitStack() as stack:
        tracing = start_tracing(settings, service="gateway")
        stack.push_async_callback(asyncio.to_thread, tracing.close)
        service = await stack.enter_async_context(await FactoryService.open(settings))
        database = service.database
        secret: bytes = await database.run(_secret)
        engine = PolicyEngine.load(settings.policy_dir)
        identity = await Identity.open(database, settings, url)
        stack.push_async_callback(identity.close)
        authority = Authority(database, engine)
        audit = await AuditTrail.open(database, settings)
        stack.push_async_callback(audit.close)
        limits = Limits(settings)
        stack.push_async_callback(limits.close)
        feed = EventFeed(database)
        stack.push_async_callback(feed.close)
        database.spawn(_tidy(database))
        cursors = Cursors(secret)
        channels = Channels.load(settings.notification_channels)
        search = memory(database, settings)
        stack.push_async_callback(search.close)
        yield Gateway(
            settings=settings,
            url=url,
            service=service,
            identity=identity,
            authority=authority,
            engine=engine,
            audit=audit,
            limits=limits,
            cursors=cursors,
            feed=feed,
            memory=search,
            channels=channels,
            flags=Flags(settings.feature_flags),
            tracing=tracing,
        )


async def _secret(connection: Connection) -> bytes:
    value: bytes = await connection.fetchval(_SHARED, os.urandom(_SECRET_BYTES))
    return value


async def _tidy(database: Database) -> None:
    while True:
        await database.run(forget_old)
        await asyncio.sleep(_TIDY_SECONDS)
