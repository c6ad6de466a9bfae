"""Documents from memory are written beside the segments first, where a job that is resumed finds them."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from factory.memory.documents import Document
from factory.memory.jobs.reading import Defaults, Refusals, document_of
from factory.memory.jobs.store import JobStore

_SCHEMA = pa.schema(
    {
        **dict.fromkeys(
            ("key", "text", "media_type", "path", "tenant", "project_id", "kind", "agent"), pa.large_string()
        ),
        "version": pa.int32(),
        "created_at": pa.timestamp("us", "UTC"),
    }
)


def spool(
    records: Iterable[Document | Mapping[str, Any]],
    store: JobStore,
    folder: str,
    *,
    text_column: str,
    defaults: Defaults,
    refusals: Refusals,
    size: int,
) -> int:
    """Write documents as Parquet files of about a size; return how many files.

    Args:
        records: Documents, or what `document_of` reads.
        store: Of the job.
        folder: For the files, which nobody else writes to.
        text_column: Of mappings.
        defaults: Of documents that say nothing else.
        refusals: Where those are counted that cannot be used.
        size: Of the text in a file, in bytes.
    """
    documents: list[Document] = []
    filled = files = 0
    for number, record in enumerate(records):
        mapping = _mapping(record, text_column) if isinstance(record, Document) else record
        document = document_of(mapping, f"#{number}", text_column, defaults, refusals)
        if document is None:
            continue
        documents.append(document)
        filled += len(document.text)
        if filled >= size:
            _write(store, f"{folder}/{files:06d}.parquet", documents)
            documents, filled, files = [], 0, files + 1
    if documents:
        _write(store, f"{folder}/{files:06d}.parquet", documents)
        files += 1
    return files


def _mapping(document: Document, text_column: str) -> dict[str, Any]:
    given = {**asdict(document), text_column: document.text}
    if document.created_at == Document("", "").created_at:
        del given["created_at"]  # it says nothing
    return given


def _write(store: JobStore, name: str, documents: list[Document]) -> None:
    buffer = io.BytesIO()
    rows = [asdict(document) for document in documents]
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), buffer, compression="zstd")
    store.put(name, buffer.getvalue())
