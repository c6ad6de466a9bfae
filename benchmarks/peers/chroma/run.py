"""Chroma: a persistent client with one collection.

Choices:
    - Its defaults of 16 neighbours and ef_construction of 100; inner product.
    - A new `ef_search` counts from the next opening on, as the recall shows, so the client is opened again for it.
    - Rows come in batches of the size that the client allows.
"""

import sys
from pathlib import Path

import chromadb
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import searcher
from searcher import Condition, Labels, Vectors


class Chroma:
    """One collection in one folder."""

    efforts = (16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048)
    batches = True

    def __init__(self, store: Path, _: str) -> None:
        self._folder = str(store / "chroma")
        self._effort = 0
        self._connect()

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Add everything; the index grows with it."""
        collection = self._client.create_collection(
            "items",
            embedding_function=None,
            configuration={"hnsw": {"space": "ip", "ef_construction": 100, "max_neighbors": 16}},
        )
        portion = min(5000, self._client.get_max_batch_size())
        for begin in range(0, len(vectors), portion):
            some = vectors[begin : begin + portion]
            numbers = range(begin, begin + len(some))
            collection.add(
                ids=[str(number) for number in numbers],
                embeddings=some,
                metadatas=[{name: labels[name][number] for name in labels} for number in numbers],
            )
        collection.query(query_embeddings=vectors[:1], n_results=1, include=[])

    def open(self) -> None:
        """Look the collection up."""
        self._collection = self._client.get_collection("items", embedding_function=None)

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> list[list[int]]:
        """Ask for ids alone."""
        if effort != self._effort:
            self._collection.modify(configuration={"hnsw": {"ef_search": effort}})
            SharedSystemClient.clear_system_cache()
            self._connect()
            self.open()
            self._effort = effort
        where = {condition[0]: condition[1]} if condition is not None else None
        found = self._collection.query(query_embeddings=queries, n_results=k, where=where, include=[])
        return [[int(number) for number in ids] for ids in found["ids"]]

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Add a row; it is in SQLite when the call returns."""
        self._collection.add(ids=[str(number)], embeddings=vector[None], metadatas=[labels])

    def _connect(self) -> None:
        self._client = chromadb.PersistentClient(self._folder, Settings(anonymized_telemetry=False))

    def close(self) -> None:
        """There is nothing to do."""


if __name__ == "__main__":
    searcher.main(Chroma)
