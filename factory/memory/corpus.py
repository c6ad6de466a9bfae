"""Bulk indexing: a corpus becomes segments of a collection, by a job on Ray Data that can be resumed."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from factory.domain.ids import derived_id
from factory.domain.memory import DocumentChunks, NewSegment
from factory.memory import registry
from factory.memory.chunking import chunk_document
from factory.memory.collections import Collection, ensure_collection
from factory.memory.embedding import EmbedderSpec
from factory.memory.jobs import JobProgress, JobReport, embed_corpus
from factory.memory.jobs.reading import Defaults
from factory.memory.segments import read_batches
from factory.settings import Settings
from factory.storage.database import Database

_FACTS = ("document_key", "tenant", "project_id", "kind", "version", "chunk_id")


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing a corpus did.

    Attributes:
        report: Of the job.
        version: Of the collection, from which on the corpus is searched; None where the corpus has no text.
        job: URL of the job's folder.
    """

    report: JobReport
    version: int | None
    job: str


def job_url(settings: Settings, collection: str, source: str) -> str:
    """Return the folder of the job that indexes a source: the same for the same source, model and collection."""
    facts = "\x1f".join((source, settings.embedding_model, settings.embedding_url or ""))
    name = hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()
    return f"{settings.segment_url.rstrip('/')}/{collection}/jobs/{name}"


async def index_corpus(
    database: Database,
    settings: Settings,
    source: str,
    collection: str,
    *,
    defaults: Defaults,
    job: str | None = None,
    text_column: str = "text",
    workers: int | None = None,
    progress: Callable[[JobProgress], None] | None = None,
) -> Indexed:
    """Embed a corpus and make it part of a collection, all of it in one transaction at the end.

    Ray must run in this process. Interrupted anywhere, the same call goes on where this one stopped.

    Args:
        database: Where the registry is.
        settings: Name the model, and where segments are stored.
        source: A path, an fsspec URL or a glob, of Parquet, JSONL, text or code.
        collection: Made if missing.
        defaults: Of documents that say nothing else.
        job: Folder of the job; by default `job_url`.
        text_column: That holds the text, in Parquet and JSONL.
        workers: Most actors; what the machine has room for by default.
        progress: Called at the start and whenever a partition is done.

    Raises:
        BadInputError: There is nothing at the source, or the model is unknown.
        ConflictError: The collection is of another model, or the files have changed since the job began.
        RetryableError: An endpoint cannot be reached.
    """
    spec = EmbedderSpec.of(settings)
    place = job or job_url(settings, collection, source)
    report = await asyncio.to_thread(
        lambda: embed_corpus(
            source,
            place,
            collection=collection,
            embedder=spec,
            chunk=chunk_document,
            defaults=defaults,
            text_column=text_column,
            workers=workers,
            progress=progress,
        )
    )
    model = report.model
    segments = [
        NewSegment(
            id=derived_id("corpus", collection, item.url),
            collection=collection,
            model=model.name,
            dimension=model.dimension,
            normalised=model.normalised,
            url=item.url,
            hash=item.hash,
            rows=item.rows,
            size=item.size,
            documents=tuple(await asyncio.to_thread(_documents, item.url)),
            embedded=item.rows,
        )
        for item in report.segments
        if item.rows
    ]
    version = None
    async with database.transaction() as connection:
        if segments:
            version = await registry.register(connection, segments)
        else:
            wanted = Collection(collection, model.name, model.dimension, normalised=model.normalised)
            await ensure_collection(connection, wanted)
    return Indexed(report, version, place)


def _documents(url: str) -> Iterable[DocumentChunks]:
    """Return what a segment holds of each document."""
    chunks: dict[tuple[str, str], list[str]] = {}
    facts: dict[tuple[str, str], dict[str, object]] = {}
    for batch in read_batches(url, _FACTS):
        for row in batch.to_pylist():
            key = (row["tenant"], row["document_key"])
            chunks.setdefault(key, []).append(row["chunk_id"].hex())
            facts[key] = {name: row[name] for name in ("project_id", "kind", "version")}
    return [
        DocumentChunks.model_validate({"tenant": key[0], "key": key[1], "chunk_ids": ids, **facts[key]})
        for key, ids in chunks.items()
    ]
