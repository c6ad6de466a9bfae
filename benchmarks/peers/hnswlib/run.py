"""hnswlib: the graph alone, which its users put a store of their own around.

Choices:
    - M of 16 and ef_construction of 200, as in its examples; inner product.
    - It stores no metadata. Filters use its filter function over labels kept in memory; it has to call Python for every
      candidate.
    - It has no durable write but saving the whole index, so that a single write is measured in memory only.
"""

import sys
from pathlib import Path

import hnswlib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import searcher
from searcher import Condition, Labels, Vectors

_ROOM_FOR_WRITES = 10_000


class Hnswlib:
    """One index in one file, the labels beside it."""

    efforts = (16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048)
    batches = True

    def __init__(self, store: Path, _: str) -> None:
        self._index = store / "index.bin"
        self._labels = store / "labels.npz"

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Add everything, with as many threads as there are cores, and save the index."""
        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=16, ef_construction=200)
        for begin in range(0, len(vectors), 65536):
            some = vectors[begin : begin + 65536]
            index.add_items(some, np.arange(begin, begin + len(some)))
        index.save_index(str(self._index))
        np.savez(self._labels, **{name: np.array(values) for name, values in labels.items()})

    def open(self) -> None:
        """Load the index."""
        with np.load(self._labels) as stored:
            self._columns = {name: stored[name] for name in stored.files}
        rows = len(self._columns["kind"])
        self._graph = hnswlib.Index("ip", 384)
        self._graph.load_index(str(self._index), max_elements=rows + _ROOM_FOR_WRITES)
        self._graph.set_num_threads(1)
        self._masks = {}

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> list[list[int]]:
        """Walk the graph; where it cannot fill k places it says nothing at all."""
        self._graph.set_ef(max(effort, k))
        selected = None
        if condition is not None:
            if condition not in self._masks:
                name, value = condition
                self._masks[condition] = (self._columns[name] == value).tolist()
            selected = self._masks[condition].__getitem__
        try:
            ids, _ = self._graph.knn_query(queries, k, num_threads=1, filter=selected)
        except RuntimeError:
            return [[] for _ in queries]
        return ids.tolist()

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Add a row in memory."""
        del labels
        self._graph.add_items(vector[None], [number])

    def close(self) -> None:
        """There is nothing to do."""


if __name__ == "__main__":
    searcher.main(Hnswlib)
