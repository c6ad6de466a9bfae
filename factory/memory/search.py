"""Search: by meaning, by words, or by both; narrowed by filters, and kept within what one may read."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from factory.domain.errors import BadInputError
from factory.memory.documents import embedded_text
from factory.memory.embedding import Embedder, Vectors
from factory.memory.filters import Filter
from factory.memory.fleet import Fleet
from factory.memory.fusion import Content, Ranking, Scored, Source, content_of, fuse
from factory.memory.host import Found, Request
from factory.memory.passages import Passage
from factory.memory.rerank import Passage as Candidate
from factory.memory.rerank import Reranker

MOST_HITS = 200
MOST_QUERIES = 256
_LONGEST_QUERY = 20_000
# How deep each search is looked into before they are fused: what one found late cannot come to the top.
_DEPTH = 50
_FACTOR = 3


class Mode(StrEnum):
    """How to search."""

    DENSE = "dense"
    KEYWORD = "keyword"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    Attributes:
        passage: What it says and where it is from.
        score: The cosine for a dense search, BM25 for keywords, from 0 to 1 for a hybrid one, what the reranker says
            where there is one; comparable within one answer only.
        dense_rank: Its place in the search by vectors, from 1; None where that did not find it.
        keyword_rank: The same for keywords.
    """

    passage: Passage
    score: float
    dense_rank: int | None = None
    keyword_rank: int | None = None


class Searcher:
    """Searches one collection.

    Args:
        fleet: Its shards.
        embedder: Of the collection's model; None where only keywords are searched for.
        reranker: Looks at the best candidates once more.

    Raises:
        BadInputError: The embedder is of another model than the collection.
    """

    def __init__(self, fleet: Fleet, embedder: Embedder | None, reranker: Reranker | None = None) -> None:
        collection = fleet.collection
        if embedder and (embedder.model.name, embedder.model.dimension) != (collection.model, collection.dimension):
            raise BadInputError(
                f"the collection {collection.name!r} is of the model {collection.model!r}, and queries would be "
                f"embedded by {embedder.model.name!r}.",
                remedy=f"Set FACTORY_EMBEDDING_MODEL={collection.model}, or search by keywords.",
                field="model",
            )
        self._fleet = fleet
        self._embedder = embedder
        self._reranker = reranker

    async def search(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        mode: Mode = Mode.HYBRID,
        condition: Filter | None = None,
        min_version: int = 0,
        vectors: Vectors | None = None,
    ) -> list[list[Hit]]:
        """Return the best passages for each query.

        Args:
            queries: 1 to 256 texts that are not empty.
            k: How many passages at most, 1 to 200.
            mode: See `Mode`.
            condition: What the passages must meet.
            min_version: The version of the collection that the answer must reflect, such as that of an
                `EmbeddingCompleted`. What was committed before the call is always found.
            vectors: (q, dimension), of the queries, where the collection's model has embedded them elsewhere.

        Raises:
            BadInputError: A query is empty or too long, there are too many, or `k` is out of bounds.
            ShardLostError: Some of the collection cannot be searched at the moment.
        """
        _check(queries, k)
        depth = max(_DEPTH, _FACTOR * k) if mode is Mode.HYBRID or self._reranker else k
        vectors = None if mode is Mode.KEYWORD else await self._vectors(queries, vectors)
        texts = tuple(queries) if mode is not Mode.DENSE else ()
        answer = await self._fleet.search(Request(texts, vectors, depth, condition, min_version))
        nothing: tuple[Found, ...] = ((),) * len(queries)  # type: ignore[assignment]
        dense, keyword = answer.dense or nothing, answer.keyword or nothing
        wanted = {chunk for found in (*dense, *keyword) for chunk, _ in found}
        passages = await self._fleet.passages(sorted(wanted))
        return [
            await self._ranked(query, k, mode, dense[number], keyword[number], passages)
            for number, query in enumerate(queries)
        ]

    async def _vectors(self, queries: Sequence[str], given: Vectors | None) -> Vectors:
        if given is None:
            if self._embedder is None:
                raise BadInputError(
                    "there is no embedder to search by meaning.", remedy="Search by keywords.", field="mode"
                )
            given = await asyncio.to_thread(self._embedder.embed, list(queries))
        if not np.isfinite(given).all():
            raise BadInputError("a query has no meaning to the model.", remedy="Use words.", field="query")
        return given

    async def _ranked(  # noqa: PLR0917 - one thought, cut off from its only caller for its length
        self, query: str, k: int, mode: Mode, dense: Found, keyword: Found, passages: dict[bytes, Passage]
    ) -> list[Hit]:
        def content(chunk: bytes) -> Content:
            return content_of(passages[chunk].path) if chunk in passages else Content.PROSE

        rankings = [
            Ranking(Source.DENSE, [chunk for chunk, _ in dense]),
            Ranking(Source.KEYWORD, [chunk for chunk, _ in keyword]),
        ]
        most = max(len(dense) + len(keyword), 1)
        fused = fuse(rankings, most, query=query, content=content)
        if mode is not Mode.HYBRID:
            scores = dict(dense or keyword)
            fused = sorted(
                (replace(item, score=scores[item.id]) for item in fused), key=lambda item: (-item.score, item.id)
            )
        # What died between the two questions is left out.
        alive = [item for item in fused if item.id in passages]
        if self._reranker is not None:
            alive = await asyncio.to_thread(self._reranked, query, alive[: max(_DEPTH, k)], passages, k)
        return [
            Hit(
                replace(passages[item.id], score=item.score),
                item.score,
                item.ranks.get(Source.DENSE),
                item.ranks.get(Source.KEYWORD),
            )
            for item in alive[:k]
        ]

    def _reranked(self, query: str, fused: Sequence[Scored], passages: dict[bytes, Passage], k: int) -> list[Scored]:
        assert self._reranker is not None  # noqa: S101 - the caller has looked
        by_id = {item.id: item for item in fused}
        candidates = [
            Candidate(item.id, embedded_text(passages[item.id].title, passages[item.id].text)) for item in fused
        ]
        return [replace(by_id[chunk], score=score) for chunk, score in self._reranker.rank(query, candidates, k)]


def _check(queries: Sequence[str], k: int) -> None:
    if not 1 <= len(queries) <= MOST_QUERIES:
        raise BadInputError(f"{len(queries)} queries were given.", remedy=f"Give 1 to {MOST_QUERIES}.", field="queries")
    for query in queries:
        if not query.strip():
            raise BadInputError("the query is empty.", remedy="Say what to look for.", field="query")
        if len(query) > _LONGEST_QUERY:
            raise BadInputError(
                f"the query has {len(query)} characters.", remedy=f"Give at most {_LONGEST_QUERY}.", field="query"
            )
    if not 1 <= k <= MOST_HITS:
        raise BadInputError(f"{k} hits were asked for.", remedy=f"Ask for 1 to {MOST_HITS}.", field="k")
