"""The factory as a contestant: one collection with one shard in one process, its registry in the embedded PostgreSQL.

Searches ask `ShardHost.search`, as a shard actor does. `search_latest` asks the fleet, which looks up the collection's
version in the database first, so that a search finds every write that was committed before; writes are measured by it.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers import searcher
from benchmarks.peers.searcher import Condition, Labels, Vectors
from factory.domain.ids import new_id
from factory.domain.memory import DocumentChunks, NewSegment
from factory.memory import registry
from factory.memory.collections import Collection
from factory.memory.documents import Document, segment_schema
from factory.memory.embedding.model import EmbeddingModel
from factory.memory.filters import Filter
from factory.memory.fleet import Fleet
from factory.memory.host import Answer, Request, ShardHost
from factory.memory.local import LocalShard
from factory.memory.segments import Model, write_segment
from factory.memory.writing import write_documents
from factory.settings import Settings
from factory.storage.database import Database

_MODEL = "benchmark"
_NAME = "benchmark"
_PORTION = 8192
_CHUNKS_A_DOCUMENT = 100
_WORD = "written"


class Home:
    """A collection, its only shard, and the registry.

    Args:
        store: For the database, the segments and the indexes.
    """

    # How hard a search tries follows from the size of the segment; there is no knob.
    efforts: Sequence[int] = (0,)
    batches = True

    def __init__(self, store: Path, _: str) -> None:
        self._store = store
        self._settings = Settings(data_dir=store / "data")
        self._segments = f"file://{store / 'segments'}"
        self._runner = asyncio.Runner()
        self._database = self._runner.run(Database.open(self._settings))
        self._serving: tuple[ShardHost, Fleet] | None = None
        self._written: dict[bytes, int] = {}

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Write one segment, register it, and have the shard build its index."""
        url = f"{self._segments}/{_NAME}/first.parquet"
        dimension = vectors.shape[1]
        stored = write_segment(url, _batches(vectors, labels), Model(_MODEL, dimension))
        segment = NewSegment(
            id=new_id(),
            collection=_NAME,
            model=_MODEL,
            dimension=dimension,
            url=url,
            hash=stored.hash,
            rows=stored.rows,
            size=stored.size,
            documents=tuple(_documents(len(vectors))),
        )
        self._runner.run(self._register(segment))
        self._serve(dimension)

    def open(self) -> None:
        """Start the shard; it is told by the registry what to load."""
        self._serve(384)

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> Sequence[Sequence[int]]:
        """Ask the shard."""
        del effort
        return self._numbers(self._host.search(_request(queries, k, condition)))

    def search_latest(self, queries: Vectors, k: int, condition: Condition, effort: int) -> Sequence[Sequence[int]]:
        """Ask the fleet, which sees to it that the answer reflects every write committed before."""
        del effort
        return self._numbers(self._runner.run(self._fleet.search(_request(queries, k, condition))))

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Write one document with one chunk: chunk it, store its segment, register it."""
        document = Document(
            key=f"written-{number}",
            text=f"{_WORD} {number}",
            tenant=labels["tenant"],
            project_id=labels["project"],
            kind=labels["kind"],
        )
        segment = write_documents(
            [document],
            segment_id=new_id(),
            collection=_NAME,
            folder=self._segments,
            embedder=_Given(vector),
            version=1,
        )
        if segment is None:
            raise ValueError("the document came to nothing")
        self._runner.run(self._register(segment))
        self._written[bytes.fromhex(segment.documents[0].chunk_ids[0])] = number

    def close(self) -> None:
        """Leave the shard and the database."""
        if self._serving is not None:
            self._host.close()
        self._runner.run(self._database.close())
        self._runner.close()

    @property
    def _host(self) -> ShardHost:
        return self._open_parts()[0]

    @property
    def _fleet(self) -> Fleet:
        return self._open_parts()[1]

    def _open_parts(self) -> tuple[ShardHost, Fleet]:
        if self._serving is None:
            raise ValueError("the shard was not opened")
        return self._serving

    def _serve(self, dimension: int) -> None:
        collection = Collection(_NAME, _MODEL, dimension)
        # The others keep no keywords either.
        host = ShardHost(collection, self._store / "shard", index=self._settings.memory_index, keywords=False)
        self._serving = (host, Fleet(self._database, collection, [{"shard-0": LocalShard(host)}]))
        self._runner.run(self._fleet.sync())

    async def _register(self, segment: NewSegment) -> None:
        async with self._database.transaction() as connection:
            await registry.register(connection, [segment])

    def _numbers(self, answer: Answer) -> list[list[int]]:
        return [
            [self._written.get(chunk, -1) if chunk in self._written else int.from_bytes(chunk) for chunk, _ in found]
            for found in answer.dense
        ]


class _Given:
    """An embedder that is given the vector: embedding is measured elsewhere."""

    def __init__(self, vector: Vectors) -> None:
        self._vector = vector
        self.model = EmbeddingModel(_MODEL, len(vector))

    def embed(self, texts: Sequence[str]) -> Vectors:
        return np.repeat(self._vector[None], len(texts), axis=0)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def _request(queries: Vectors, k: int, condition: Condition) -> Request:
    return Request((), queries, k, _filter(condition))


def _filter(condition: Condition) -> Filter | None:
    if condition is None:
        return None
    name, value = condition
    if name == "tenant":
        return Filter(tenant=value)
    return Filter(project_ids=(value,)) if name == "project" else Filter(kinds=(value,))


def _documents(rows: int) -> Iterator[DocumentChunks]:
    for begin in range(0, rows, _CHUNKS_A_DOCUMENT):
        numbers = range(begin, min(begin + _CHUNKS_A_DOCUMENT, rows))
        yield DocumentChunks(
            tenant="",
            key=f"document-{begin}",
            project_id="",
            kind="",
            version=1,
            chunk_ids=tuple(number.to_bytes(16).hex() for number in numbers),
        )


def _batches(vectors: Vectors, labels: Labels) -> Iterator[pa.RecordBatch]:
    schema = segment_schema(vectors.shape[1])
    for begin in range(0, len(vectors), _PORTION):
        some = np.ascontiguousarray(vectors[begin : begin + _PORTION])
        end = begin + len(some)
        numbers = range(begin, end)
        same: dict[str, Any] = {"version": 1, "created_at": 0, "agent": "", "path": "", "title": "", "text": ""}
        values: dict[str, Any] = {
            **{name: [value] * len(some) for name, value in same.items()},
            "chunk_id": [number.to_bytes(16) for number in numbers],
            "document_key": [f"document-{number - number % _CHUNKS_A_DOCUMENT}" for number in numbers],
            "tenant": labels["tenant"][begin:end],
            "project_id": labels["project"][begin:end],
            "kind": labels["kind"][begin:end],
            "ordinal": [number % _CHUNKS_A_DOCUMENT for number in numbers],
            "tokens": [0] * len(some),
        }
        arrays = [pa.array(values[column.name], column.type) for column in schema if column.name != "vector"]
        column = pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), some.shape[1])
        yield pa.RecordBatch.from_arrays([*arrays, column], schema=schema)


if __name__ == "__main__":
    searcher.main(Home)
