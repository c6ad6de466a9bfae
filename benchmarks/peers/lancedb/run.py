"""LanceDB: one table with a vector index and bitmap or B-tree indexes on the labels, after `optimize()`.

Choices:
    - IVF_RQ, which its documentation recommends beside IVF_PQ where searches are filtered, with the best candidates
      compared exactly (`refine_factor`); filters are applied before the search, its default. On 20,000 rows IVF_PQ was
      as quick and took eight times as long to build; IVF_HNSW_SQ was no quicker and found less.
    - The knob raises the partitions looked at and the candidates compared together.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import searcher
from searcher import Condition, Labels, Vectors

# Partitions, and candidates per hit, for each step of the knob.
_STEPS = {1: (5, 4), 2: (10, 4), 3: (20, 6), 4: (30, 10), 5: (40, 16), 6: (60, 20), 7: (100, 30), 8: (200, 60)}
_PORTION = 8192


class Lancedb:
    """One table in one folder."""

    efforts = tuple(_STEPS)
    batches = True

    def __init__(self, store: Path, _: str) -> None:
        self._database = lancedb.connect(str(store / "lancedb"))

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Write the rows, build the indexes, optimise."""
        schema = pa.schema(
            [("id", pa.int64()), *((name, pa.string()) for name in labels), ("vector", pa.list_(pa.float32(), 384))]
        )

        def batches() -> Iterator[pa.RecordBatch]:
            for begin in range(0, len(vectors), _PORTION):
                some = np.ascontiguousarray(vectors[begin : begin + _PORTION])
                end = begin + len(some)
                column = pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), some.shape[1])
                yield pa.RecordBatch.from_arrays(
                    [pa.array(np.arange(begin, end)), *(pa.array(labels[name][begin:end]) for name in labels), column],
                    schema=schema,
                )

        table = self._database.create_table(
            "items", pa.RecordBatchReader.from_batches(schema, batches()), mode="overwrite"
        )
        table.create_index(metric="dot", vector_column_name="vector", index_type="IVF_RQ")
        table.create_scalar_index("kind", index_type="BITMAP")
        table.create_scalar_index("project", index_type="BITMAP")
        table.create_scalar_index("tenant", index_type="BTREE")
        table.optimize()

    def open(self) -> None:
        """Open the table."""
        self._table = self._database.open_table("items")

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> list[list[int]]:
        """Ask once, or with several queries at once."""
        probes, refine = _STEPS[effort]
        asked = self._table.search(queries[0] if len(queries) == 1 else list(queries), vector_column_name="vector")
        asked = asked.distance_type("dot").nprobes(probes).refine_factor(refine).limit(k).select(["id"])
        if condition is not None:
            asked = asked.where(f"{condition[0]} = '{condition[1]}'", prefilter=True)
        table = asked.to_arrow()
        ids = table.column("id").to_pylist()
        if len(queries) == 1:
            return [ids]
        found = [[] for _ in queries]
        for query, number in zip(table.column("query_index").to_pylist(), ids, strict=True):
            found[query].append(number)
        return found

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Add a row; it is committed when the call returns, and compared one by one until the next `optimize()`."""
        self._table.add([{"id": number, **labels, "vector": vector}])

    def close(self) -> None:
        """There is nothing to do."""


if __name__ == "__main__":
    searcher.main(Lancedb)
