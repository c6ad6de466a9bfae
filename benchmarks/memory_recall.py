"""Recall@10 of a shard against exact search, with and without filters, and what it costs: proof 1 of semantic memory.

The vectors are those of real texts (`real_texts.py`) as far as they were embedded, `--real` of them; the rest, up to
`--size`, lies between neighbours of them, with noise. The queries are real texts that are not stored. All rows stand
in one segment; the filters select rows at random. Searches run in a process of their own, started after the index is
built, so that its memory and the time to its first answer are those of a restart. Times are CPU seconds of one thread
beside wall seconds: on a machine that does other work only the former mean something.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `benchmarks` is found from anywhere

from benchmarks.real_texts import embedded, enlarge
from factory.memory.documents import segment_schema
from factory.memory.filters import Filter
from factory.memory.index.build import use_threads
from factory.memory.index.exact import nearest_among
from factory.memory.index.kinds import IndexSetting
from factory.memory.index.selectors import Selection
from factory.memory.parts import SegmentRef
from factory.memory.segments import Model, read_columns, write_segment
from factory.memory.shard import ManifestDelta, Shard, ShardOptions

_DIMENSION = 384
_K = 10
_BATCH = 32
_FILTERS = {
    "none": None,
    "50 %": Filter(kinds=("kind-0",)),
    "1 %": Filter(project_ids=("project-7",)),
    "0.01 %": Filter(agents=("agent-7",)),
}

Vectors = npt.NDArray[np.float32]


def _batches(vectors: Vectors, texts: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield rows whose labels are drawn at random: 2 kinds, 100 projects, 10,000 agents."""
    schema = segment_schema(vectors.shape[1])
    choice = np.random.default_rng(11)
    for begin in range(0, len(vectors), 8192):
        some = vectors[begin : begin + 8192]
        numbers = range(begin, begin + len(some))
        drawn = {name: choice.integers(0, many, len(some)) for name, many in _LABELS.items()}
        values: dict[str, Any] = {
            "chunk_id": [number.to_bytes(16, "big") for number in numbers],
            "document_key": [f"document-{number // 10}" for number in numbers],
            "tenant": ["tenant"] * len(some),
            "version": [1] * len(some),
            "created_at": [0] * len(some),
            "path": ["path"] * len(some),
            "title": [""] * len(some),
            "ordinal": [number % 10 for number in numbers],
            "text": [texts[number % len(texts)] for number in numbers],
            "tokens": [40] * len(some),
        } | {name: [f"{_PREFIXES[name]}-{value}" for value in drawn[name]] for name in _LABELS}
        arrays = [pa.array(values[column.name], column.type) for column in schema if column.name != "vector"]
        vector = pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), some.shape[1])
        yield pa.RecordBatch.from_arrays([*arrays, vector], schema=schema)


_LABELS = {"kind": 2, "project_id": 100, "agent": 10_000}
_PREFIXES = {"kind": "kind", "project_id": "project", "agent": "agent"}


def _prepare(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write the segment, build its index, and note what exact search finds; return what that took."""
    texts, known = embedded(arguments.real + arguments.queries, arguments.cache / "vectors", threads=arguments.threads)
    queries, real = known[: arguments.queries], known[arguments.queries :]
    vectors = enlarge(real, arguments.size)
    began = time.perf_counter()
    facts = write_segment(str(folder / "segment.parquet"), _batches(vectors, texts), Model("benchmark", _DIMENSION))
    written = time.perf_counter() - began
    use_threads(1)
    columns = read_columns(facts.url)
    truth = {}
    for name, condition in _FILTERS.items():
        mask = np.ones(len(vectors), np.bool_) if condition is None else columns.matching(condition)
        truth[name] = nearest_among(queries, vectors, _K, Selection(mask).rows).rows
    np.savez(folder / "truth.npz", queries=queries, **truth)
    real_share = min(len(real), arguments.size) / arguments.size
    del vectors, known
    ref = SegmentRef(facts.url, 1, facts.rows, facts.hash)
    shard = Shard(_DIMENSION, folder / "cache", _options(arguments))
    began, spent = time.perf_counter(), time.process_time()
    shard.apply(ManifestDelta(1, added=(ref,)))
    return {
        "hash": facts.hash,
        "real_share": round(real_share, 3),
        "segment_seconds": round(written, 1),
        "build_seconds": round(time.perf_counter() - began, 1),
        "build_cpu_seconds": round(time.process_time() - spent, 1),
        "segment_megabytes": round(facts.size / 1e6),
        "index_megabytes": round(sum(path.stat().st_size for path in folder.glob("segment.*.faiss")) / 1e6),
    }


def _options(arguments: argparse.Namespace) -> ShardOptions:
    return ShardOptions(index=IndexSetting(arguments.index), build_threads=arguments.threads, tail_rows=0)


def _measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start a shard on what is there, and search."""
    pa.array(["warm"])  # the first conversion imports pandas, which is no part of a restart
    stored = np.load(folder / "truth.npz")
    queries: Vectors = stored["queries"]
    began, spent = time.perf_counter(), time.process_time()
    shard = Shard(_DIMENSION, folder / "cache", _options(arguments))
    shard.apply(
        ManifestDelta(1, added=(SegmentRef(str(folder / "segment.parquet"), 1, arguments.size, arguments.hash),))
    )
    shard.fetch(shard.search(queries[:1], _K))
    restart, restart_cpu = time.perf_counter() - began, time.process_time() - spent
    filters = {}
    for name, condition in _FILTERS.items():
        hits = shard.search(queries, _K, condition)
        expected = stored[name]
        found = sum(
            len({*row.tolist()} & {*best.tolist()} - {-1}) for row, best in zip(hits.rows, expected, strict=True)
        )
        filters[name] = {
            "recall": round(found / int((expected >= 0).sum()), 4),
            "single_per_second": _rate(shard, queries, 1, condition),
            "batch_per_second": _rate(shard, queries, _BATCH, condition),
        }
    memory = psutil.Process().memory_full_info()
    return {
        "index": dict(shard.stats().indexes),
        "restart_seconds": round(restart, 2),
        "restart_cpu_seconds": round(restart_cpu, 2),
        "rss_megabytes": round(memory.rss / 1e6),
        "anonymous_megabytes": round((memory.rss - memory.shared) / 1e6),
        "filters": filters,
    }


def _rate(shard: Shard, queries: Vectors, together: int, condition: Filter | None) -> int:
    """Return queries per CPU second."""
    count = 0
    began = time.process_time()
    while (spent := time.process_time() - began) < 1:
        begin = count % (len(queries) - together + 1)
        shard.search(queries[begin : begin + together], _K, condition)
        count += together
    return round(count / spent)


def _print(report: dict[str, Any]) -> None:
    print(f"{report['size']} vectors, {report['real_share']:.0%} of them of real texts; index {report['index']}")
    print(f"{'filter':>8} {'recall@10':>10} {'single/s':>10} {f'batch {_BATCH}/s':>10}")
    for name, row in report["filters"].items():
        print(f"{name:>8} {row['recall']:>10} {row['single_per_second']:>10} {row['batch_per_second']:>10}")
    for name in ("build_seconds", "build_cpu_seconds", "restart_seconds", "restart_cpu_seconds"):
        print(f"{name.replace('_', ' ')}: {report[name]}")
    for name in ("segment_megabytes", "index_megabytes", "rss_megabytes", "anonymous_megabytes"):
        print(f"{name.replace('_', ' ')}: {report[name]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="vectors stored")
    parser.add_argument("--real", type=int, default=20_000, help="how many of them are those of real texts, at most")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--index", choices=[setting.value for setting in IndexSetting], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the embedding and of the build, not of the searches")
    parser.add_argument("--cache", type=Path, default=Path("out/memory-recall"), help="keeps vectors and indexes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--hash", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = arguments.cache / f"{arguments.size}-{arguments.real}-{arguments.index}"
    if arguments.hash:
        print(json.dumps(_measure(arguments, folder)))
        return
    if folder.exists():
        for path in (path for path in folder.rglob("*") if path.is_file()):
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = _prepare(arguments, folder)
    command = [sys.executable, __file__, *sys.argv[1:], "--hash", prepared["hash"]]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    report = {"size": arguments.size, **prepared, **measured}
    if arguments.json:
        print(json.dumps(report))
    else:
        _print(report)


if __name__ == "__main__":
    main()
