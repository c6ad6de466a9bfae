"""Writing documents into memory as they come: chunk, embed what is new, store one small segment."""

import contextlib
from collections.abc import Iterable, Sequence
from uuid import UUID

import numpy as np
import pyarrow as pa

from factory.domain.errors import NotFoundError
from factory.domain.memory import DocumentChunks, HeldDocument, NewSegment
from factory.memory.chunking import chunk_document
from factory.memory.documents import Chunk, Document, chunk_row, chunk_schema, embedded_text
from factory.memory.embedding import Embedder
from factory.memory.embedding.model import Vectors
from factory.memory.segments import Model, new_segment_url, read_batches, vectors_of, with_vectors, write_segment


def write_documents(
    documents: Sequence[Document],
    *,
    segment_id: UUID,
    collection: str,
    folder: str,
    embedder: Embedder,
    version: int,
    known: Sequence[HeldDocument] = (),
) -> NewSegment | None:
    """Store documents as one segment, ready to be registered; embeds only chunks that memory does not hold.

    What is known and not among the documents is recorded as empty, so that registering the segment removes it.

    Args:
        documents: All files of one artifact in one version, for instance.
        segment_id: Derived from the work, so that a second attempt is recognised.
        collection: It is for.
        folder: URL that the segment is stored under, with a name of its own for each attempt.
        embedder: Of the collection's model.
        version: Of the documents, for those that are gone.
        known: Documents that these replace.

    Returns:
        None where there is nothing to store.

    Raises:
        RetryableError: The embedding endpoint cannot be reached.
        TerminalError: It refuses the texts.
    """
    limit = embedder.model.chunk_tokens
    chunked = [(document, chunk_document(document, embedder.count_tokens, limit)) for document in documents]
    chunks = [(document, chunk) for document, found in chunked for chunk in found]
    vectors, embedded = _vectors([chunk for _, chunk in chunks], known, embedder)
    usable = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    kept = [chunks[number] for number in usable]
    if not kept:
        return None
    model = embedder.model
    url = new_segment_url(folder, collection, segment_id)
    chosen = pa.Table.from_pylist([chunk_row(document, chunk) for document, chunk in kept], schema=chunk_schema())
    rows = with_vectors(chosen, vectors[usable])
    stored = write_segment(url, rows.to_batches(), Model(model.name, model.dimension, model.normalised))
    by_key: dict[tuple[str, str], list[str]] = {}
    for document, chunk in kept:
        by_key.setdefault((document.tenant, document.key), []).append(chunk.id.hex())
    states = [
        DocumentChunks(
            tenant=document.tenant,
            key=document.key,
            project_id=document.project_id,
            kind=document.kind,
            version=document.version,
            chunk_ids=tuple(by_key.get((document.tenant, document.key), ())),
        )
        for document in documents
    ]
    present = {(document.tenant, document.key) for document in documents}
    states += [
        DocumentChunks(
            tenant=old.tenant, key=old.key, project_id=old.project_id, kind=old.kind, version=version, chunk_ids=()
        )
        for old in known
        if (old.tenant, old.key) not in present
    ]
    return NewSegment(
        id=segment_id,
        collection=collection,
        model=model.name,
        dimension=model.dimension,
        normalised=model.normalised,
        url=url,
        hash=stored.hash,
        rows=stored.rows,
        size=stored.size,
        documents=tuple(states),
        embedded=embedded,
    )


def _vectors(chunks: Sequence[Chunk], known: Iterable[HeldDocument], embedder: Embedder) -> tuple[Vectors, int]:
    """Return a vector for each chunk, and how many of them had to be made."""
    found = _known_vectors({chunk.id for chunk in chunks}, known)
    new = [number for number, chunk in enumerate(chunks) if chunk.id not in found]
    vectors = np.zeros((len(chunks), embedder.model.dimension), np.float32)
    for number, chunk in enumerate(chunks):
        if chunk.id in found:
            vectors[number] = found[chunk.id]
    if new:
        vectors[new] = embedder.embed([embedded_text(chunks[number].title, chunks[number].text) for number in new])
    return vectors, len(new)


def _known_vectors(wanted: set[bytes], known: Iterable[HeldDocument]) -> dict[bytes, Vectors]:
    urls = {old.url for old in known if wanted.intersection(map(bytes.fromhex, old.chunk_ids))}
    found: dict[bytes, Vectors] = {}
    for url in sorted(urls):
        # A segment that was compacted away meanwhile is no loss: its chunks are embedded again.
        with contextlib.suppress(NotFoundError):
            for batch in read_batches(url, ("chunk_id", "vector")):
                ids = batch.column("chunk_id").to_pylist()
                rows = [row for row, chunk in enumerate(ids) if chunk in wanted]
                if rows:
                    vectors = vectors_of(batch)
                    found.update((ids[row], vectors[row].copy()) for row in rows)
    return found
