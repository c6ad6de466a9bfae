"""Qdrant Edge: the engine of the Qdrant server inside the process; the local mode of qdrant-client is brute force.

Choices:
    - m of 16 and ef_construct of 100, the server's defaults; one segment; vectors and graph mapped from disk.
    - Keyword indexes on the labels before the graph is built, so that it gets the extra links for filtered search.
    - One search thread.
    - With a filter, ACORN is on for any share of selected rows: without it the recall of a filter that selects half of
      the rows stays below 0.97 whatever the `ef`.
    - A write is in the write-ahead log when the call returns; it is not flushed to disk, which takes 0.3 s a time.
"""

import sys
from pathlib import Path

from qdrant_edge import (
    AcornSearchParams,
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    MatchValue,
    PayloadSchemaType,
    Point,
    Query,
    QueryBatchRequest,
    QueryRequest,
    SearchParams,
    UpdateOperation,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import searcher
from searcher import Condition, Labels, Vectors

_PORTION = 2000


class Qdrant:
    """One shard in one folder."""

    efforts = (16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048)
    batches = True

    def __init__(self, store: Path, _: str) -> None:
        self._folder = store / "shard"

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Upsert everything, then let the optimizers build the graph."""
        self._folder.mkdir()
        config = EdgeConfig(
            vectors=EdgeVectorParams(size=vectors.shape[1], distance=Distance.Dot),
            hnsw_config=HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000),
            optimizers=EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1000),
            max_search_threads=1,
        )
        shard = EdgeShard.create(str(self._folder), config)
        for name in labels:
            shard.update(UpdateOperation.create_field_index(name, PayloadSchemaType.Keyword))
        for begin in range(0, len(vectors), _PORTION):
            some = vectors[begin : begin + _PORTION].tolist()
            points = [
                Point(begin + at, vector, {name: labels[name][begin + at] for name in labels})
                for at, vector in enumerate(some)
            ]
            shard.update(UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()

    def open(self) -> None:
        """Load the shard."""
        self._shard = EdgeShard.load(str(self._folder))

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> list[list[int]]:
        """Ask once, or in one batch."""
        chosen, acorn = None, None
        if condition is not None:
            name, value = condition
            chosen = Filter(must=[FieldCondition(key=name, match=MatchValue(value))])
            acorn = AcornSearchParams(enable=True, max_selectivity=1.0)
        how = SearchParams(hnsw_ef=effort, acorn=acorn)
        asked = [
            QueryRequest(limit=k, query=Query.Nearest(query.tolist()), filter=chosen, params=how) for query in queries
        ]
        answers = (
            [self._shard.query(asked[0])] if len(asked) == 1 else self._shard.query_batch(QueryBatchRequest(asked))
        )
        return [[point.id for point in points] for points in answers]

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Upsert a point."""
        self._shard.update(UpdateOperation.upsert_points([Point(number, vector.tolist(), labels)]))

    def close(self) -> None:
        """There is nothing to do."""


if __name__ == "__main__":
    searcher.main(Qdrant)
