"""What Ray Data runs: a worker that holds the model, and, beside a GPU, the reading and chunking on the CPUs."""

import functools
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from factory.memory.embedding import EmbedderSpec
from factory.memory.jobs.sources import Partition
from factory.memory.jobs.work import Plan, chunk_partition, embed_partition, record_done, segment_name

# One row is one partition on the way through Ray Data: it must never be cut or joined with another, because one
# segment is written from it at once.
_NUMBER = "number"
_WHAT = "what"


def partition_row(number: int, partition: Partition) -> dict[str, Any]:
    """Return the row that stands for a partition before it is read."""
    return {_NUMBER: number, _WHAT: json.dumps(partition.to_json()).encode()}


def read_and_chunk(rows: pa.Table, plan: Plan) -> pa.Table:
    """Put the chunks of partitions in place of the partitions, for workers that have no time for that."""
    chunk, count_tokens = plan.load_chunker(), _counter(plan.spec)
    done = []
    for row in rows.to_pylist():
        table = chunk_partition(plan, Partition.from_json(json.loads(row[_WHAT])), chunk, count_tokens)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        done.append({_NUMBER: row[_NUMBER], _WHAT: sink.getvalue()})
    return pa.Table.from_pylist(done, schema=pa.schema({_NUMBER: pa.int64(), _WHAT: pa.large_binary()}))


@functools.cache
def _counter(spec: EmbedderSpec) -> Callable[[str], int]:
    return spec.counter()


class EmbeddingWorker:
    """An actor that loads the model once and writes one segment per row.

    Args:
        plan: Of the job.
        threads: Cores that this actor owns.
        are_chunked: Whether the rows hold chunks, or partitions still to be read.
    """

    def __init__(self, plan: Plan, threads: int, *, are_chunked: bool) -> None:
        self._plan = plan
        self._embedder = plan.spec.load(threads=threads)
        self._chunk = plan.load_chunker()
        self._are_chunked = are_chunked

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return what is said of each partition once it is done."""
        done = [self._finish(row[_NUMBER], row[_WHAT]) for row in rows.to_pylist()]
        return pa.table({"done": [json.dumps(entry) for entry in done]})

    def _finish(self, number: int, what: bytes) -> dict[str, Any]:
        data = self._plan.store.get(segment_name(number))
        if data is not None:
            # Written by a worker that was killed before it could say so.
            return record_done(self._plan.store, number, data, {})
        if self._are_chunked:
            chunks = pa.ipc.open_stream(what).read_all()
        else:
            partition = Partition.from_json(json.loads(what))
            chunks = chunk_partition(self._plan, partition, self._chunk, self._embedder.count_tokens)
        return embed_partition(self._plan, number, chunks, self._embedder)
