"""The work on partitions, without Ray; tests/memory_cluster has the job as a whole."""

import gzip
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError, ConflictError, ErrorCategory, TerminalError
from factory.memory.documents import Chunk, Document, segment_schema
from factory.memory.embedding import EmbedderSpec, EmbeddingModel, Vectors
from factory.memory.jobs import Defaults, embed_corpus
from factory.memory.jobs.reading import Refusals, read_documents
from factory.memory.jobs.sources import Corpus, Partition
from factory.memory.jobs.store import JobStore
from factory.memory.jobs.work import Plan, chunk_partition, chunker_name, embed_partition
from factory.memory.passages import PassageReader
from factory.memory.segments import ROW_GROUP_ROWS
from tests.memory_cluster.chunkers import by_paragraph

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
LITTLE = EmbeddingModel("little", 4, max_tokens=64)


class LittleEmbedder:
    """Embeds by length; what it can not embed is told by its content."""

    model = LITTLE

    def embed(self, texts: Sequence[str]) -> Vectors:
        if any("poison" in text for text in texts):
            raise TerminalError("this input is not accepted", category=ErrorCategory.POISON)
        rows = np.tile(np.array([1, 0, 0, 0], np.float32), (len(texts), 1))
        rows[[place for place, text in enumerate(texts) if "nothing" in text]] = np.nan
        return rows

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def corpus_of(path: Path | str, text_column: str = "text") -> Corpus:
    return Corpus(str(path), {}, text_column)


def documents_of(corpus: Corpus, size: int = 1_000_000, refusals: Refusals | None = None) -> list[list[Document]]:
    found = refusals if refusals is not None else Refusals()
    return [list(read_documents(corpus, part, Defaults(), found)) for part in corpus.partitions(size, 1)]


def plan_for(folder: Path, corpus: Corpus) -> Plan:
    return Plan(
        store=JobStore(str(folder)),
        corpus=corpus,
        defaults=Defaults(tenant="north", kind="note", created_at=MOMENT),
        collection="notes",
        spec=EmbedderSpec("little"),
        model=LITTLE,
        chunker=chunker_name(by_paragraph),
        limit=64,
    )


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=30),
    size=st.integers(1, 400),
    pad=st.sampled_from(["", "\n", "  \n"]),
)
def test_every_line_is_read_once_however_the_file_is_cut(texts: list[str], size: int, pad: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl"
        path.write_bytes(b"".join(f"{json.dumps({'text': text})}\n{pad}".encode() for text in texts))
        corpus = corpus_of(path)
        pieces = [(start, min(start + size, path.stat().st_size)) for start in range(0, path.stat().st_size, size)]
        parts = [Partition.from_json({"format": "jsonl", "pieces": [[str(path), *piece]]}) for piece in pieces]
        found = [doc for part in parts for doc in read_documents(corpus, part, Defaults(), Refusals())]
    assert [document.text for document in found] == texts
    assert len({document.key for document in found}) == len(texts)


@given(rows=st.integers(1, 60), group=st.integers(1, 25), step=st.integers(1, 30))
def test_every_row_is_read_once_however_the_file_is_cut(rows: int, group: int, step: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(pa.table({"text": [f"text {row}" for row in range(rows)]}), path, row_group_size=group)
        corpus = corpus_of(path)
        pieces = [[str(path), start, min(start + step, rows)] for start in range(0, rows, step)]
        parts = [Partition.from_json({"format": "parquet", "pieces": [piece]}) for piece in pieces]
        found = [doc for part in parts for doc in read_documents(corpus, part, Defaults(), Refusals())]
    assert [document.text for document in found] == [f"text {row}" for row in range(rows)]
    assert [document.key for document in found] == [f"{path}#{row}" for row in range(rows)]


def test_a_large_file_is_cut_and_small_ones_go_together(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.md").write_text(f"# Note {number}\n" + "words " * 200)
    with (tmp_path / "big.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": "words " * 2_000}) + "\n" for _ in range(80))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    corpus = corpus_of(tmp_path)

    partitions = corpus.partitions(1_000_000, 2)
    found = [list(read_documents(corpus, part, Defaults(), Refusals())) for part in partitions]

    assert [Partition.from_json(json.loads(json.dumps(part.to_json()))) for part in partitions] == partitions
    assert sum(map(len, found)) == 120
    # A corpus of a megabyte is cut for two workers into eight parts, or a little more.
    assert 8 <= len(partitions) <= 10
    assert len({document.key for part in found for document in part}) == 120


def test_columns_are_the_fields_of_documents(tmp_path: Path) -> None:
    table = pa.table(
        {
            "body": ["first", "second"],
            "key": ["a", None],
            "kind": ["note", None],
            "version": [3, None],
            "created_at": [MOMENT, None],
            "other": [1, 2],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    corpus = corpus_of(tmp_path / "*.parquet", "body")

    (partition,) = corpus.partitions(1_000, 1)
    first, second = read_documents(corpus, partition, Defaults(tenant="north", kind="page"), Refusals())

    assert first == Document("a", "first", tenant="north", kind="note", version=3, created_at=MOMENT)
    assert second.key == f"{tmp_path / 'rows.parquet'}#1"
    assert (second.kind, second.version) == ("page", 1)


def test_odd_content_is_refused_by_reason_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.bin").write_bytes(b"\x7fELF\x00\x00")
    (tmp_path / "c.txt").write_text("fine")
    (tmp_path / "d.txt").write_bytes(b"\xef\xbb\xbfmarked")
    lines = [
        b'{"text": "fine"}',
        b"{",
        b"[1]",
        b'{"text": 1}',
        b'{"text": "v", "version": "x"}',
        b'{"text": "\\ud800"}',
        b'{"text": "a", "created_at": "0001-01-01T00:00+14:00"}',
        b'{"text": "a", "version": 1e999}',
    ]
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    (tmp_path / "g.jsonl.gz").write_bytes(gzip.compress(b'{"text": "fine"}\n' * 50_000)[:-100])
    times = pa.array([10**18, 1], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["far", "fine"], "created_at": times}), tmp_path / "h.parquet")
    damaged = pa.array([b"fine", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": damaged}), tmp_path / "f.parquet")
    refusals = Refusals()

    found = [doc.text for part in documents_of(corpus_of(tmp_path), refusals=refusals) for doc in part]

    assert set(found) == {"fine", "marked", "\ufffd"}
    assert refusals.counts == {
        "not UTF-8": 2,
        "binary": 1,
        "not a JSON object": 2,
        "no text": 1,
        "a field of the wrong type": 4,
        "the rest of a damaged file": 1,
    }
    assert any("b.bin" in example for example in refusals.examples["binary"])


def test_a_line_that_is_too_long_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("factory.memory.jobs.reading.MOST_BYTES", 100)
    lines = [json.dumps({"text": text}) for text in ("first", "x" * 1_000, "last", "y" * 500)]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    refusals = Refusals()
    (found,) = documents_of(corpus_of(tmp_path), refusals=refusals)
    assert [document.text for document in found] == ["first", "last"]
    assert refusals.counts == {"too large": 2}


def test_a_corpus_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no files"):
        corpus_of(tmp_path / "nothing").partitions(1, 1)
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "rows.parquet")
    with pytest.raises(BadInputError, match=r"no column 'text', but words"):
        corpus_of(tmp_path).partitions(1, 1)
    (tmp_path / "other.parquet").write_text("none")
    with pytest.raises(BadInputError, match=r"other\.parquet is not a Parquet file"):
        corpus_of(tmp_path, "words").partitions(1, 1)


def test_a_segment_has_the_chunks_with_their_vectors_and_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text(
        "\n".join(
            json.dumps({"key": key, "text": text})
            for key, text in [
                ("a", "one\n\ntwo\n\none"),
                ("b", "some poison\n\nthree"),
                ("c", "nothing"),
                ("d", ""),
                ("e", "do not chunk me"),
            ]
        )
    )
    corpus = corpus_of(tmp_path / "notes.jsonl")
    plan = plan_for(tmp_path / "job", corpus)
    (partition,) = corpus.partitions(1_000, 1)

    embedder = LittleEmbedder()
    done = embed_partition(plan, 7, chunk_partition(plan, partition, by_paragraph, embedder.count_tokens), embedder)

    data = plan.store.get("segments/000007.parquet")
    assert data is not None
    table = pq.read_table(io.BytesIO(data))
    assert table.schema.equals(segment_schema(4))
    assert table.column("text").to_pylist() == ["one", "two", "one", "three"]
    assert table.column("document_key").to_pylist() == ["a", "a", "a", "b"]
    assert set(table.column("tenant").to_pylist()) == {"north"}
    assert set(table.column("created_at").to_pylist()) == {MOMENT}
    assert len(set(table.column("chunk_id").to_pylist())) == 4
    metadata = table.schema.metadata
    assert (metadata[b"factory.model"], metadata[b"factory.dimension"]) == (b"little", b"4")
    assert metadata[b"factory.normalised"] == b"true"
    assert (done["rows"], done["documents"], done["bytes"]) == (4, 5, len(data))
    assert done["refused"]["counts"] == {
        "refused by the endpoint": 1,
        "the model gave no vector": 1,
        "nothing to embed": 1,
        "the chunker failed": 1,
    }


def test_a_segment_that_is_there_stays_and_is_what_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("one\n\ntwo")
    corpus = corpus_of(tmp_path / "notes.txt")
    plan = plan_for(tmp_path / "job", corpus)
    (partition,) = corpus.partitions(1_000, 1)
    embedder = LittleEmbedder()
    chunks = chunk_partition(plan, partition, by_paragraph, embedder.count_tokens)
    first = embed_partition(plan, 0, chunks, embedder)

    second = embed_partition(plan, 0, chunks.slice(0, 1), embedder)

    assert second == first
    assert not (tmp_path / "job" / "staging").exists()


def test_a_worker_with_another_model_is_refused(tmp_path: Path) -> None:
    plan = plan_for(tmp_path, corpus_of(tmp_path))
    embedder = LittleEmbedder()
    embedder.model = EmbeddingModel("other", 4)
    with pytest.raises(TerminalError, match="other"):
        embed_partition(plan, 0, pa.table({}), embedder)


def test_files_are_written_once(tmp_path: Path) -> None:
    for url in (str(tmp_path), "memory://written-once"):
        store = JobStore(url)
        assert store.contents("folder") == {}
        assert store.get("folder/a") is None
        assert store.put("folder/a", b"1")
        assert not store.put("folder/a", b"2")
        assert store.contents("folder") == {"a": b"1"}


def nested() -> Callable[..., list[Chunk]]:
    def inner(*_: Any) -> list[Chunk]:
        return []

    return inner


@pytest.mark.parametrize("chunk", [lambda *_: [], nested(), LittleEmbedder().embed])
def test_a_chunker_that_workers_cannot_import_is_refused(chunk: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be imported"):
        embed_corpus("x", str(tmp_path), collection="c", embedder=EmbedderSpec(), chunk=chunk)


def test_a_job_without_ray_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(ConflictError, match="needs Ray"):
        embed_corpus(str(tmp_path), str(tmp_path / "job"), collection="c", embedder=EmbedderSpec(), chunk=by_paragraph)


def test_every_row_of_a_large_segment_can_be_read(tmp_path: Path) -> None:
    count = 2 * ROW_GROUP_ROWS + 5
    (tmp_path / "many.txt").write_text("\n\n".join(f"line {number}" for number in range(count)))
    plan = plan_for(tmp_path / "job", corpus_of(tmp_path / "many.txt"))
    (partition,) = plan.corpus.partitions(10_000_000, 1)
    embedder = LittleEmbedder()
    done = embed_partition(plan, 0, chunk_partition(plan, partition, by_paragraph, embedder.count_tokens), embedder)
    read = PassageReader(1 << 20, {}).read(done["segment"], range(count))
    assert [row["text"] for row in read] == [f"line {number}" for number in range(count)]
