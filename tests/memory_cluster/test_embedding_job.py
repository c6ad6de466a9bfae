import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from factory.domain.errors import ConflictError, TerminalError
from factory.memory.documents import Document
from factory.memory.embedding import EmbedderSpec, EmbeddingModel, load_embedder
from factory.memory.jobs import Chunker, Defaults, JobProgress, JobReport, embed_corpus
from tests.memory.endpoint import API_KEY, DIMENSION, Endpoint, serving
from tests.memory_cluster.chunkers import by_paragraph, deadly

ROOT = Path(__file__).parents[2]
PARTITIONS = 6
PER_PARTITION = 20
PATIENCE_SECONDS = 120
NORTH = Defaults(tenant="north", created_at=datetime(2026, 1, 31, tzinfo=UTC))


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with serving() as served:
        yield served


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six files that are too long to share a partition, each with twenty documents of two paragraphs."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for part in range(PARTITIONS):
        texts = [f"{part} {number} " + "word " * 700 + f"\n\nend {part} {number}" for number in range(PER_PARTITION)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


def run(source: str | Iterable[Any], output: str, url: str, chunk: Chunker = by_paragraph, **more: Any) -> JobReport:
    spec = EmbedderSpec("little", url=url, api_key=SecretStr(API_KEY))
    return embed_corpus(source, output, collection="notes", embedder=spec, chunk=chunk, **more)


def rows_of(report: JobReport) -> list[dict[str, Any]]:
    return [
        row for segment in report.segments for row in pq.read_table(segment.url.removeprefix("file://")).to_pylist()
    ]


def test_a_job_whose_driver_was_killed_does_the_rest_and_nothing_twice(
    cluster: str, endpoint: Endpoint, corpus: Path, tmp_path: Path
) -> None:
    output = tmp_path / "job"
    endpoint.hold_after = 2
    endpoint.max_model_len = 4_096  # so that texts arrive as they are
    arguments = [sys.executable, "-m", "tests.memory_cluster.driver", cluster, str(corpus), str(output), endpoint.url]
    driver = subprocess.Popen(arguments, cwd=ROOT)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(list((output / "done").glob("*.json"))) < 2:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    finished = {path.name for path in (output / "done").glob("*.json")}
    before = {path.name: path.read_bytes() for path in (output / "segments").glob("*.parquet")}
    spared = [row["text"] for path in before for row in pq.read_table(output / "segments" / path).to_pylist()]
    endpoint.release.set()

    report = run(str(corpus), str(output), endpoint.url)

    assert report.resumed >= len(finished) == 2
    assert (report.documents, report.chunks, report.refused) == (120, 240, {})
    rows = rows_of(report)
    assert len({row["chunk_id"] for row in rows}) == 240
    assert {row["text"][:4].strip() for row in rows} >= {"0 0", "5 19", "end"}
    assert {name: (output / "segments" / name).read_bytes() for name in before} == before
    assert {endpoint.texts[text] for text in spared} == {1}
    again = run(str(corpus), str(output), endpoint.url)
    assert (again.segments, again.resumed) == (report.segments, len(report.segments))


def test_a_job_goes_on_when_a_worker_is_killed(cluster: str, endpoint: Endpoint, tmp_path: Path) -> None:
    assert cluster
    marker = tmp_path / "seen"
    documents = [Document(f"key {number}", f"text {number}\n\nmore") for number in range(9)]
    documents.append(Document("deadly", "text of death", path=str(marker)))
    records = [*documents, {"key": "empty", "text": ""}, {"key": "none"}, {"key": "bad", "text": "some poison"}]
    seen: list[JobProgress] = []
    output = str(tmp_path / "job")

    report = run(records, output, endpoint.url, deadly, progress=seen.append, partition_bytes=50, defaults=NORTH)

    assert marker.exists()
    assert (report.documents, report.chunks) == (12, 19)
    assert report.refused == {"nothing to embed": 1, "no text": 1, "refused by the endpoint": 1}
    assert report.model == EmbeddingModel("little", DIMENSION, max_tokens=256)
    rows = rows_of(report)
    assert {row["document_key"] for row in rows} == {document.key for document in documents}
    assert {(row["tenant"], row["created_at"]) for row in rows} == {("north", NORTH.created_at)}
    np.testing.assert_allclose(np.linalg.norm([row["vector"] for row in rows], axis=1), 1, atol=1e-5)
    assert (seen[0].done, seen[-1].done, seen[-1].chunks) == (0, seen[-1].total, 19)

    # What the job is cannot change under way, and the documents of the first run count.
    assert run([], output, endpoint.url, deadly).segments == report.segments
    with pytest.raises(ConflictError, match="by_paragraph"):
        run(records, output, endpoint.url, by_paragraph)


def test_what_changes_under_a_job_and_what_the_endpoint_refuses_is_told(
    cluster: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    assert cluster
    (tmp_path / "a.md").write_text("# A\n\ntext")
    source, output = str(tmp_path / "*.md"), str(tmp_path / "job")
    spec = EmbedderSpec("unknown", url=endpoint.url, api_key=SecretStr(API_KEY))
    with pytest.raises(TerminalError, match="no such model"):
        embed_corpus(source, output, collection="notes", embedder=spec, chunk=by_paragraph)
    assert run(source, output, endpoint.url).chunks == 2
    (tmp_path / "b.md").write_text("# B")
    with pytest.raises(ConflictError, match="have changed"):
        run(source, output, endpoint.url)


def test_the_local_model_embeds_with_chunking_apart(cluster: str, tmp_path: Path) -> None:
    assert cluster
    spec = EmbedderSpec(device="cpu", precision="float32")
    documents = [
        {"key": f"{number}", "text": f"Patient {number} books.\n\nThe invoice is late."} for number in range(5)
    ]

    report = embed_corpus(
        documents, str(tmp_path), collection="notes", embedder=spec, chunk=by_paragraph, chunk_apart=True
    )

    rows = rows_of(report)
    assert len(rows) == report.chunks == 10
    embedder = load_embedder(device="cpu", precision="float32")
    assert report.model == embedder.model
    expected = embedder.embed([row["text"] for row in rows])
    assert (expected * np.array([row["vector"] for row in rows])).sum(axis=1).min() > 0.9999
    assert [row["tokens"] for row in rows] == [embedder.count_tokens(row["text"]) for row in rows]
