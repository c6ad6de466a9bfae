"""The bulk embedding job: a corpus to segments, by a pool of Ray actors; killed anywhere, a re-run does the rest."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayError

from factory.domain.errors import ConflictError, FactoryError
from factory.memory.documents import Document
from factory.memory.embedding import EmbedderSpec, EmbeddingModel
from factory.memory.jobs.execution import cluster_size, execute
from factory.memory.jobs.reading import Defaults, Refusals
from factory.memory.jobs.sources import Corpus, Partition
from factory.memory.jobs.spool import spool
from factory.memory.jobs.store import JobStore
from factory.memory.jobs.work import DONE, Chunker, Plan, chunker_name
from factory.memory.segments import SegmentFile

PARTITION_BYTES = 4 * 1024 * 1024
_MANIFEST = "job.json"
_FORMAT = 1
_AGAIN = "Run it again: it goes on where it stopped."

Source = str | Iterable[Document | Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is.

    Attributes:
        done: Partitions that are finished.
        total: All partitions.
        chunks: In the finished ones.
        texts_per_second: Chunks embedded by this run, over the time since it began; workers load the model first.
    """

    done: int
    total: int
    chunks: int
    texts_per_second: float


@dataclass(frozen=True, slots=True)
class JobReport:
    """What came of a corpus.

    Attributes:
        model: That the vectors are of.
        segments: In the order of the corpus.
        documents: That were read.
        chunks: In all segments. One that occurs in several partitions, because a document does, is counted in each.
        refused: How many documents, lines, files or chunks were left out, by reason.
        examples: A few of them, by reason.
        resumed: Partitions that an earlier run had finished.
    """

    model: EmbeddingModel
    segments: tuple[SegmentFile, ...]
    documents: int
    chunks: int
    refused: Mapping[str, int]
    examples: Mapping[str, list[str]]
    resumed: int


def embed_corpus(
    source: Source,
    output_url: str,
    *,
    collection: str,
    embedder: EmbedderSpec,
    chunk: Chunker,
    defaults: Defaults | None = None,
    chunk_tokens: int | None = None,
    text_column: str = "text",
    source_options: Mapping[str, Any] | None = None,
    output_options: Mapping[str, Any] | None = None,
    partition_bytes: int = PARTITION_BYTES,
    workers: int | None = None,
    cpus_per_worker: int = 1,
    chunk_apart: bool | None = None,
    progress: Callable[[JobProgress], None] | None = None,
) -> JobReport:
    """Chunk and embed a corpus into segments. Blocks; Ray must run in this process unless the job is done already.

    The corpus is cut into partitions, and the list of them is written first, once. Each partition becomes one segment
    (`factory.memory.documents.segment_schema`), which appears complete or not at all and never changes. So a job that
    was killed anywhere is run again by the same call: it reads the list and does the partitions that have no segment.
    Two runs at one time do no harm but waste. Texts that cannot be read, chunked or embedded are counted and left out.

    Args:
        source: A path, an fsspec URL or a glob of files, see `Corpus`; or documents, which are first written beside the
            segments and then not asked for again when the job is resumed. A mapping has `key` and `text_column`, and
            may have the other fields of a `Document`.
        output_url: A folder of this job's own, as a path or an fsspec URL that all workers reach.
        collection: That the segments are for; recorded in them.
        embedder: The same for all workers.
        chunk: A function at the top of a module: (document, token counter, most tokens) to chunks.
        defaults: Of documents that say nothing else.
        chunk_tokens: Most tokens of a chunk; None, or more than the model reads, takes what the model reads.
        text_column: That holds the text.
        source_options: What fsspec needs beside the URL of the source, such as credentials.
        output_options: Same for the output.
        partition_bytes: Text of one partition, about, in bytes: what a kill loses, and what a worker holds in memory
            several times over.
        workers: Most actors; None takes one per GPU, or where there is none, what the CPUs have room for.
        cpus_per_worker: Cores of one actor. Two actors of one core are faster than one of two, and need two models.
        chunk_apart: Whether other processes read and chunk, if the workers leave a core for them; None does so where
            workers have a GPU, which would idle.
        progress: Called at the start and whenever a partition is done.

    Returns:
        All segments of the job, also those of earlier runs.

    Raises:
        BadInputError: There is nothing at the source, it has no such column, or the model is unknown.
        ConflictError: The job in that folder is another one, its corpus has changed, or Ray does not run.
        RetryableError: An endpoint cannot be reached; the same call goes on where this one stopped.
        TerminalError: The endpoint refuses the key or the model.
        FactoryError: Ray gave up; the same call goes on where this one stopped.
    """
    store = JobStore(_absolute(output_url), dict(output_options or {}))
    source = _absolute(source) if isinstance(source, str) else source
    # What may differ between two runs of one job, such as the key or the device, is not in here.
    identity: dict[str, Any] = {
        "format": _FORMAT,
        "collection": collection,
        "model": embedder.name,
        "endpoint": embedder.url,
        "chunker": chunker_name(chunk),
        "chunk_tokens": chunk_tokens,
        "text_column": text_column,
        "source": source if isinstance(source, str) else None,
    }
    options = dict(source_options or {})
    manifest = _read_manifest(store, identity)
    if manifest is None:
        _require_ray()
        manifest = _begin(
            store,
            identity,
            source,
            options=options,
            defaults=defaults or Defaults(),
            spec=embedder,
            partition_bytes=partition_bytes,
            slots=workers or max(1, sum(cluster_size()) // cpus_per_worker),
        )
    corpus = _corpus(store, identity, options, manifest["inputs"])
    if isinstance(source, str) and corpus.fingerprint() != manifest["fingerprint"]:
        raise ConflictError(
            f"the files at {source!r} have changed since the job in {output_url!r} began.",
            remedy="Give another output URL, and the job begins anew.",
            field="output_url",
        )
    model = EmbeddingModel(**manifest["model_facts"])
    plan = Plan(
        store=store,
        corpus=corpus,
        defaults=Defaults.from_json(manifest["defaults"]),
        collection=collection,
        spec=embedder,
        model=model,
        chunker=identity["chunker"],
        limit=min(chunk_tokens or model.chunk_tokens, model.chunk_tokens),
    )
    partitions = [Partition.from_json(value) for value in manifest["partitions"]]
    done = {entry["partition"]: entry for entry in map(json.loads, store.contents(DONE).values())}
    resumed = len(done)
    left = {number: value for number, value in enumerate(partitions) if number not in done}
    watched = _Watch(progress, len(partitions), done)
    if left:
        _require_ray()
        with _errors_of_workers():
            for entry in execute(plan, left, workers, cpus_per_worker, chunk_apart=chunk_apart):
                done[entry["partition"]] = entry
                watched.add(entry)
    missing = [number for number in range(len(partitions)) if number not in done]
    if missing:
        raise FactoryError(
            f"Ray reported nothing of {len(missing)} partitions, the first of them {missing[0]}.", remedy=_AGAIN
        )
    return _report(model, manifest, [done[number] for number in range(len(partitions))], resumed)


class _Watch:
    """Tells how far the job is."""

    def __init__(
        self, callback: Callable[[JobProgress], None] | None, total: int, done: Mapping[int, Mapping[str, Any]]
    ) -> None:
        self._callback = callback
        self._total = total
        self._done = len(done)
        self._chunks = sum(entry["rows"] for entry in done.values())
        self._new = 0
        self._begun = time.monotonic()
        self._tell()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Count a finished partition."""
        self._done += 1
        self._new += entry["rows"]
        self._tell()

    def _tell(self) -> None:
        if self._callback is not None:
            rate = self._new / max(time.monotonic() - self._begun, 1e-6)
            self._callback(JobProgress(self._done, self._total, self._chunks + self._new, rate))


def _read_manifest(store: JobStore, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    data = store.get(_MANIFEST)
    if data is None:
        return None
    manifest: dict[str, Any] = json.loads(data)
    other = {name: value for name, value in manifest["identity"].items() if identity.get(name) != value}
    if other:
        described = ", ".join(f"{name} {value!r} and not {identity.get(name)!r}" for name, value in other.items())
        raise ConflictError(
            f"the job in {store.url!r} is another one: it has {described}.",
            remedy="Give another output URL.",
            field="output_url",
        )
    return manifest


def _begin(
    store: JobStore,
    identity: Mapping[str, Any],
    source: Source,
    *,
    options: dict[str, Any],
    defaults: Defaults,
    spec: EmbedderSpec,
    partition_bytes: int,
    slots: int,
) -> dict[str, Any]:
    if defaults.created_at is None:
        defaults = replace(defaults, created_at=datetime.now(UTC))
    model = _describe(spec)
    refusals = Refusals()
    inputs, is_empty = None, False
    if not isinstance(source, str):
        records = source.iter_rows() if isinstance(source, ray.data.Dataset) else source
        # A folder of this attempt's own: the one that the list names counts, whatever else was begun.
        inputs = f"inputs-{uuid4().hex}"
        is_empty = not spool(
            records,
            store,
            inputs,
            text_column=identity["text_column"],
            defaults=defaults,
            refusals=refusals,
            size=partition_bytes,
        )
    corpus = _corpus(store, identity, options, inputs)
    manifest = {
        "identity": identity,
        "fingerprint": "" if is_empty else corpus.fingerprint(),
        "model_facts": asdict(model),
        "defaults": defaults.to_json(),
        "inputs": inputs,
        "refused": refusals.to_json(),
        "partitions": [] if is_empty else [part.to_json() for part in corpus.partitions(partition_bytes, slots)],
    }
    store.put(_MANIFEST, json.dumps(manifest).encode())
    written = _read_manifest(store, identity)
    if written is None:
        raise ConflictError(f"the folder {store.url!r} was emptied while the job began.", field="output_url")
    return written


def _corpus(store: JobStore, identity: Mapping[str, Any], options: dict[str, Any], inputs: str | None) -> Corpus:
    if inputs is None:
        return Corpus(identity["source"], options, identity["text_column"])
    return Corpus(store.uri(inputs), store.options, "text")


def _absolute(url: str) -> str:
    """Return a path that means the same in a worker, whose working directory is another."""
    return url if "://" in url or "::" in url else str(Path(url).expanduser().absolute())


def _require_ray() -> None:
    if not ray.is_initialized():
        raise ConflictError(
            "an embedding job needs Ray, which does not run in this process.", remedy="Call ray.init() before."
        )


def _describe(spec: EmbedderSpec) -> EmbeddingModel:
    """Load the model once where the work is to be done, so that an unknown one is told before anything else."""
    task: Any = ray.remote(_model_of).options(num_cpus=1)
    with _errors_of_workers():
        model: EmbeddingModel = ray.get(task.remote(replace(spec, device=None)))
    return model


def _model_of(spec: EmbedderSpec) -> EmbeddingModel:
    return spec.load(threads=1).model


@contextmanager
def _errors_of_workers() -> Iterator[None]:
    """Raise the errors of workers as what they were."""
    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, FactoryError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, FactoryError):
            raise cause from None
        raise FactoryError(f"the embedding job stopped: {error}", remedy=_AGAIN) from error


def _report(model: EmbeddingModel, manifest: Mapping[str, Any], done: list[dict[str, Any]], resumed: int) -> JobReport:
    refusals = Refusals()
    refusals.merge(manifest["refused"])
    for entry in done:
        refusals.merge(entry["refused"])
    segments = tuple(
        SegmentFile(entry["segment"], entry["rows"], entry["bytes"], entry["sha256"])
        for entry in done
        if entry["segment"] is not None
    )
    return JobReport(
        model=model,
        segments=segments,
        documents=sum(entry["documents"] for entry in done),
        chunks=sum(segment.rows for segment in segments),
        refused=dict(refusals.counts),
        examples=refusals.examples,
        resumed=resumed,
    )
