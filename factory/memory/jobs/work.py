"""The work on one partition: its documents to chunks, the chunks to vectors, the vectors to a segment."""

import hashlib
import importlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from factory.domain.errors import BadInputError, ErrorCategory, TerminalError
from factory.memory.documents import Chunk, Document, chunk_row, chunk_schema, embedded_text
from factory.memory.embedding import Embedder, EmbedderSpec, EmbeddingModel, Vectors
from factory.memory.jobs.reading import Defaults, Refusal, Refusals, read_documents
from factory.memory.jobs.sources import Corpus, Partition
from factory.memory.jobs.store import JobStore
from factory.memory.segments import Model, with_vectors, write_rows

# What a partition's segment says of the job beside the model: the collection, the documents read and what was refused.
PARTITION_KEY = "factory.partition"
SEGMENTS = "segments"
DONE = "done"

Chunker = Callable[[Document, Callable[[str], int], int], Sequence[Chunk]]


def chunker_name(chunk: Chunker) -> str:
    """Return the name under which workers import a chunker.

    Raises:
        BadInputError: It is not a function at the top of a module.
    """
    module, name = getattr(chunk, "__module__", None), getattr(chunk, "__qualname__", "<")
    if module in (None, "__main__") or "<" in name or "." in name:
        raise BadInputError(
            f"the chunker {chunk!r} cannot be imported by workers.",
            remedy="Give a function at the top of a module.",
            field="chunk",
        )
    return f"{module}:{name}"


@dataclass(frozen=True)
class Plan:
    """What every worker of a job is told.

    Attributes:
        store: Where the job's files are.
        corpus: What is read.
        defaults: Of its documents.
        collection: The collection that it is for.
        spec: The embedder to load.
        model: What it must turn out to be.
        chunker: As `chunker_name` gives it.
        limit: Most tokens of a chunk.
    """

    store: JobStore
    corpus: Corpus
    defaults: Defaults
    collection: str
    spec: EmbedderSpec
    model: EmbeddingModel
    chunker: str
    limit: int

    def load_chunker(self) -> Chunker:
        """Import the chunker."""
        module, name = self.chunker.split(":")
        chunk: Chunker = getattr(importlib.import_module(module), name)
        return chunk


def segment_name(number: int) -> str:
    """Return the name of a partition's segment."""
    return f"{SEGMENTS}/{number:06d}.parquet"


def done_name(number: int) -> str:
    """Return the name of the file that says that a partition is done."""
    return f"{DONE}/{number:06d}.json"


def chunk_partition(plan: Plan, partition: Partition, chunk: Chunker, count_tokens: Callable[[str], int]) -> pa.Table:
    """Read and chunk the documents of a partition.

    Returns:
        The columns of a segment without its vectors, no chunk id twice; the schema's metadata have under
        `PARTITION_KEY` what is said of the partition.
    """
    refusals = Refusals()
    rows: dict[bytes, dict[str, Any]] = {}
    documents = 0
    for document in read_documents(plan.corpus, partition, plan.defaults, refusals):
        documents += 1
        try:
            chunks = chunk(document, count_tokens, plan.limit)
        except Exception as error:  # noqa: BLE001 - one odd text must not stop a job of millions
            refusals.add(Refusal.NOT_CHUNKED, document.key, f"{type(error).__name__}: {error}")
            continue
        if not chunks:
            refusals.add(Refusal.EMPTY, document.key)
        rows.update((piece.id, chunk_row(document, piece)) for piece in chunks)
    facts = {"collection": plan.collection, "documents": documents, "refused": refusals.to_json()}
    schema = chunk_schema().with_metadata({PARTITION_KEY: json.dumps(facts)})
    return pa.Table.from_pylist(list(rows.values()), schema=schema)


def embed_partition(plan: Plan, number: int, chunks: pa.Table, embedder: Embedder) -> dict[str, Any]:
    """Embed a partition's chunks, write its segment and what is said of it; return the latter.

    Raises:
        RetryableError: An endpoint cannot be reached.
        TerminalError: The model is another one than the job began with, or the endpoint refuses all texts.
    """
    if embedder.model != plan.model:
        raise TerminalError(
            f"the job began with {plan.model}, and this worker has {embedder.model}.",
            category=ErrorCategory.VALIDATION,
            remedy="Give all workers the same model.",
        )
    facts = json.loads(chunks.schema.metadata[PARTITION_KEY.encode()])
    refusals = Refusals()
    refusals.merge(facts["refused"])
    titles, passages = chunks.column("title").to_pylist(), chunks.column("text").to_pylist()
    texts = [embedded_text(title, passage) for title, passage in zip(titles, passages, strict=True)]
    vectors = _vectors(embedder, texts, chunks, refusals)
    usable = np.isfinite(vectors).all(axis=1)
    facts["refused"] = refusals.to_json()
    data = None
    if usable.any():
        data = _segment(chunks.filter(pa.array(usable)), vectors[usable], plan.model, facts)
    return record_done(plan.store, number, data, facts)


def record_done(store: JobStore, number: int, data: bytes | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write a partition's segment and then the file that says that it is done; return what that says.

    Where another worker was faster, its segment counts and is described: what is written stays as it is.

    Args:
        store: Of the job.
        number: Of the partition.
        data: Of the segment; None where nothing was left to embed.
        facts: Of the partition, as its segment has them.
    """
    name = segment_name(number)
    if data is not None and not store.put(name, data):
        data = store.get(name)
    done: dict[str, Any] = {"partition": number, "segment": None, "rows": 0, "bytes": 0, "sha256": "", **facts}
    if data is not None:
        file = pq.ParquetFile(io.BytesIO(data))
        done |= json.loads(file.schema_arrow.metadata[PARTITION_KEY.encode()])
        done |= {
            "segment": store.uri(name),
            "rows": file.metadata.num_rows,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    store.put(done_name(number), json.dumps(done).encode())
    return done


def _vectors(embedder: Embedder, texts: list[str], chunks: pa.Table, refusals: Refusals) -> Vectors:
    """Return the vectors; a row that there is none for is NaN, and counted."""
    vectors = np.full((len(texts), embedder.model.dimension), np.nan, dtype=np.float32)
    keys = chunks.column("document_key")
    poisoned: set[int] = set()

    def embed(start: int, end: int) -> None:
        try:
            vectors[start:end] = embedder.embed(texts[start:end])
        except TerminalError as error:
            if error.category is not ErrorCategory.POISON:
                raise
            # One of the texts is refused: halves, until it is alone.
            if end - start == 1:
                poisoned.add(start)
                refusals.add(Refusal.REFUSED, keys[start].as_py(), error.message)
                return
            middle = (start + end) // 2
            embed(start, middle)
            embed(middle, end)

    if texts:
        embed(0, len(texts))
    for place in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
        if int(place) not in poisoned:
            refusals.add(Refusal.NO_VECTOR, keys[int(place)].as_py())
    return vectors


def _segment(chunks: pa.Table, vectors: Vectors, model: EmbeddingModel, facts: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    rows = with_vectors(chunks, vectors).to_batches()
    write_rows(
        buffer,
        rows,
        Model(model.name, model.dimension, model.normalised),
        metadata={PARTITION_KEY: json.dumps(facts)},
    )
    return buffer.getvalue()
