"""Semantic memory as the gateway searches it: on the cluster's shards, or in this process."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Protocol

from factory.domain.errors import FactoryError
from factory.memory.collections import get_collection
from factory.memory.embedding import Embedder, EmbedderSpec, EmbeddingModel, Vectors
from factory.memory.filters import Filter
from factory.memory.search import Hit, Mode, Searcher
from factory.settings import Settings
from factory.storage.database import Database

if TYPE_CHECKING:
    from factory.memory.cluster_search import ClusterSearch


class QueryEmbedder(Protocol):
    """Embeds texts, as `factory.memory.embedders.RayEmbedder` does."""

    async def embed(self, texts: Sequence[str]) -> tuple[EmbeddingModel, Vectors]:
        """Return the model, and one unit vector per text."""
        ...

    async def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts."""
        ...

    async def model(self) -> EmbeddingModel:
        """Return the model."""
        ...


class MemorySearch(Protocol):
    """Searches collections of semantic memory."""

    async def search(self, collection: str, query: str, k: int, *, mode: Mode, condition: Filter) -> list[Hit]:
        """Return the k best passages that meet a condition, the best first.

        Raises:
            NotFoundError: There is no such collection.
            RetryableError: Memory does not answer at the moment.
        """
        ...

    def embedder(self) -> "QueryEmbedder":
        """Return the embedder that queries are embedded with."""
        ...

    async def close(self) -> None:
        """Leave what was opened."""
        ...


OpenMemory = Callable[[Database, Settings], MemorySearch]


class ClusterMemory:
    """Searches on the shards of the Ray cluster that this process is connected to; they are started when needed."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._opening = asyncio.Lock()
        self._searches: dict[str, ClusterSearch] = {}

    async def search(self, collection: str, query: str, k: int, *, mode: Mode, condition: Filter) -> list[Hit]:
        """Return the k best passages that meet a condition, the best first."""
        search = self._searches.get(collection) or await self._open(collection)
        hits = await search.search([query], k, [condition], mode=mode)
        return hits[:k]

    def embedder(self) -> QueryEmbedder:
        """Return the cluster's embedder; it is started if it is missing."""
        from factory.memory.embedders import cluster_embedder  # noqa: PLC0415 - loads the model's libraries

        return cluster_embedder(self._settings)

    async def close(self) -> None:
        """Leave the shards to others."""
        self._searches.clear()

    async def _open(self, name: str) -> "ClusterSearch":
        async with self._opening:
            if name not in self._searches:
                async with self._database.transaction() as connection:
                    collection = await get_collection(connection, name)
                # It brings the libraries of the indexes along, which a gateway that is never asked does without.
                from factory.memory.cluster_search import ClusterSearch  # noqa: PLC0415

                self._searches[name] = await asyncio.to_thread(
                    ClusterSearch.start, self._database, self._settings, collection
                )
            return self._searches[name]


class LocalEmbedder:
    """An embedder in this process, loaded when it is first asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loading = asyncio.Lock()
        self._loaded: Embedder | None = None

    async def load(self) -> Embedder:
        """Return the embedder.

        Raises:
            FactoryError: There is nothing to embed with, or the model cannot be loaded.
        """
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(EmbedderSpec.of(self._settings).load)
        return self._loaded

    async def embed(self, texts: Sequence[str]) -> tuple[EmbeddingModel, Vectors]:
        """Return the model, and one unit vector per text."""
        embedder = await self.load()
        return embedder.model, await asyncio.to_thread(embedder.embed, texts)

    async def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts."""
        embedder = await self.load()
        return sum(min(embedder.count_tokens(text), embedder.model.max_tokens) for text in texts)

    async def model(self) -> EmbeddingModel:
        """Return the model."""
        return (await self.load()).model


class LocalMemory:
    """Searches in this process, for a gateway without a cluster; by words alone where no model is installed."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._searchers: dict[str, Searcher] = {}
        self._embedder = LocalEmbedder(settings)

    async def search(self, collection: str, query: str, k: int, *, mode: Mode, condition: Filter) -> list[Hit]:
        """Return the k best passages that meet a condition, the best first."""
        async with self._opening:
            if collection not in self._searchers:
                self._searchers[collection] = await self._open(collection)
        (hits,) = await self._searchers[collection].search([query], k, mode=mode, condition=condition)
        return hits

    def embedder(self) -> QueryEmbedder:
        """Return the embedder of this process."""
        return self._embedder

    async def close(self) -> None:
        """Leave the indexes."""
        await self._stack.aclose()

    async def _open(self, name: str) -> Searcher:
        from factory.memory.local import local_fleet  # noqa: PLC0415 - loads the libraries of the indexes

        async with self._database.transaction() as connection:
            collection = await get_collection(connection, name)
        embedder: Embedder | None = None
        with suppress(FactoryError):
            embedder = await self._embedder.load()
        fleet = await self._stack.enter_async_context(local_fleet(self._database, self._settings, collection))
        return Searcher(fleet, embedder)
