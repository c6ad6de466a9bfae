"""A shard in this process. Knows nothing of Ray, whose import takes as long as the rest of a search together."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from factory.domain.errors import ConflictError
from factory.memory.collections import Collection
from factory.memory.fleet import Fleet
from factory.memory.host import Answer, Request, ShardHost
from factory.memory.passages import Passage
from factory.memory.shard import ManifestDelta, ShardStats
from factory.settings import Settings
from factory.storage.database import Database


class LocalShard:
    """A shard in this process."""

    def __init__(self, host: ShardHost) -> None:
        self._host = host

    async def held(self) -> tuple[int, tuple[str, ...]]:
        """Return the version of the collection that the shard has, and its segments."""
        return self._host.held()

    async def apply(self, delta: ManifestDelta, since: int) -> int:
        """Tell the shard of a change."""
        return await asyncio.to_thread(self._host.apply, delta, since)

    async def search(self, request: Request) -> Answer:
        """Ask the shard."""
        return await asyncio.to_thread(self._host.search, request)

    async def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what chunks say."""
        return await asyncio.to_thread(self._host.passages, chunk_ids)

    async def stats(self) -> ShardStats:
        """Return what the shard holds."""
        return self._host.stats()


@asynccontextmanager
async def local_fleet(database: Database, settings: Settings, collection: Collection) -> AsyncIterator[Fleet]:
    """Search a collection in this process, for the length of a block.

    Indexes are kept for the next time; while another process of this machine has them, they are made for this one.
    """
    kept = settings.data_dir / "shards" / collection.name / "local"
    with tempfile.TemporaryDirectory(prefix="factory-shard-") as spare:
        try:
            host = await asyncio.to_thread(ShardHost, collection, kept, index=settings.memory_index)
        except ConflictError:
            host = await asyncio.to_thread(ShardHost, collection, Path(spare), index=settings.memory_index)
        try:
            yield Fleet(database, collection, [{"shard-0": LocalShard(host)}])
        finally:
            await asyncio.to_thread(host.close)
