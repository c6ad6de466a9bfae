"""Search over the Ray cluster from a process that holds neither shards nor a model."""

import asyncio
from collections.abc import Sequence

import structlog

from factory.domain.errors import ConflictError
from factory.memory.collections import Collection
from factory.memory.embedders import RayEmbedder, cluster_embedder
from factory.memory.embedding import Vectors
from factory.memory.filters import Filter
from factory.memory.fleet import Fleet
from factory.memory.search import Hit, Mode, Searcher
from factory.memory.shards import cluster_fleet
from factory.settings import Settings
from factory.storage.database import Database

_log = structlog.stdlib.get_logger(__name__)
# A query is embedded in milliseconds by a model that is loaded; one that is not is not waited for.
_EMBED_SECONDS = 2.0


class ClusterSearch:
    """Searches one collection by meaning and by words; by words alone while the embedder does not answer.

    Args:
        fleet: The collection's shards.
        embedder: Of the cluster.
    """

    def __init__(self, fleet: Fleet, embedder: RayEmbedder) -> None:
        self._fleet = fleet
        self._embedder = embedder
        self._searcher = Searcher(fleet, None)

    @classmethod
    def start(cls, database: Database, settings: Settings, collection: Collection) -> "ClusterSearch":
        """Return the search; actors that are missing are started, and not waited for."""
        return cls(cluster_fleet(database, settings, collection), cluster_embedder(settings))

    async def warm(self) -> None:
        """Wait until the shards are loaded and the model is.

        Raises:
            FactoryError: One of them cannot be.
        """
        await asyncio.gather(self._fleet.sync(), self._embed(["warm"]))

    async def search(
        self, queries: Sequence[str], k: int, conditions: Sequence[Filter], *, mode: Mode = Mode.HYBRID
    ) -> list[Hit]:
        """Return what is best for any of the queries and meets any of the conditions, each passage once.

        In the order of their best places, so that each query has its say.

        Args:
            queries: As for `Searcher.search`.
            k: Passages for each query and condition at most.
            conditions: At least one.
            mode: How to search; by words alone, whatever it is, while the embedder does not answer.

        Raises:
            ShardLostError: Some of the collection cannot be searched at the moment.
        """
        vectors = await self._vectors(queries) if mode is not Mode.KEYWORD else None
        if vectors is None:
            mode = Mode.KEYWORD
        answers = await asyncio.gather(
            *(
                self._searcher.search(queries, k, mode=mode, condition=condition, vectors=vectors)
                for condition in conditions
            )
        )
        places: dict[bytes, tuple[tuple[int, float, bytes], Hit]] = {}
        for answer in answers:
            for hits in answer:
                for place, hit in enumerate(hits):
                    chunk = hit.passage.chunk_id
                    key = (place, -hit.score, chunk)
                    if chunk not in places or key < places[chunk][0]:
                        places[chunk] = (key, hit)
        return [hit for _, hit in sorted(places.values(), key=lambda item: item[0])]

    async def _vectors(self, queries: Sequence[str]) -> Vectors | None:
        try:
            async with asyncio.timeout(_EMBED_SECONDS):
                return await self._embed(queries)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the embedder, words are searched for
            _log.warning("embedder_unavailable", collection=self._fleet.collection.name, reason=repr(error))
            return None

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        model, vectors = await self._embedder.embed(texts)
        collection = self._fleet.collection
        if (model.name, model.dimension) != (collection.model, collection.dimension):
            raise ConflictError(
                f"the collection {collection.name!r} is of the model {collection.model!r}, and queries would be "
                f"embedded by {model.name!r}.",
                remedy=f"Set FACTORY_EMBEDDING_MODEL={collection.model}.",
                field="model",
            )
        return vectors
