import json
import math
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.domain.errors import BadInputError, ConflictError
from factory.memory.documents import segment_schema
from factory.memory.filters import Filter
from factory.memory.keywords.analysis import TITLE_REPEATS, names_something, words
from factory.memory.keywords.index import KeywordIndex

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = "order customer invoice payment"
Row = dict[str, Any]


def chunk(number: int) -> bytes:
    return number.to_bytes(16, "big")


def new_row(number: int, text: str = EVERYTHING, **columns: object) -> Row:
    return {
        "chunk_id": chunk(number),
        "document_key": "key",
        "tenant": "",
        "project_id": "",
        "kind": "",
        "version": 1,
        "agent": "",
        "created_at": START,
        "path": "",
        "title": "",
        "ordinal": 0,
        "text": text,
        "tokens": 1,
        **columns,
    }


def found(index: KeywordIndex, query: str, k: int = 100, where: Filter | None = None) -> list[int]:
    return [int.from_bytes(chunk_id, "big") for chunk_id, _ in index.search(query, k, where)]


@pytest.fixture
def index() -> Iterator[KeywordIndex]:
    with KeywordIndex(None) as made:
        yield made


def bm25(rows: Sequence[Row], query: str) -> dict[bytes, float]:
    """Score rows by the textbook, k1 = 1.2 and b = 0.75, as Lucene and tantivy write it."""
    bodies = {row["chunk_id"]: Counter(words(row["title"]) * TITLE_REPEATS + words(row["text"])) for row in rows}
    mean = sum(body.total() for body in bodies.values()) / max(len(bodies), 1)
    scores: dict[bytes, float] = {}
    for word, times in Counter(words(query)).items():
        holders = [chunk_id for chunk_id, body in bodies.items() if body[word]]
        rarity = math.log(1 + (len(bodies) - len(holders) + 0.5) / (len(holders) + 0.5))
        for chunk_id in holders:
            body = bodies[chunk_id]
            count = body[word]
            damped = count / (count + 1.2 * (0.25 + 0.75 * body.total() / mean))
            scores[chunk_id] = scores.get(chunk_id, 0) + times * rarity * 2.2 * damped
    return scores


def meets(row: Row, where: Filter) -> bool:
    low, high = where.versions or (None, None)
    start, end = where.created or (None, None)
    return (
        where.tenant in (None, row["tenant"])
        and (where.project_ids is None or row["project_id"] in where.project_ids)
        and (where.kinds is None or row["kind"] in where.kinds)
        and (where.agents is None or row["agent"] in where.agents)
        and (low is None or row["version"] >= low)
        and (high is None or row["version"] <= high)
        and (start is None or row["created_at"] >= start)
        and (end is None or row["created_at"] < end)
    )


NAMES = st.sampled_from(["", "a", "b", "A", "a b", "é"])
VOCABULARY = ["order", "orders", "Customer", "getOrderById", "order_id", "the", "paid", "X9", "größe", "注文票"]
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=8).map(" ".join)
TIMES = st.integers(0, 5).map(lambda n: START + timedelta(microseconds=n))
ROWS = st.builds(
    new_row,
    number=st.integers(0, 12),
    text=TEXTS,
    title=st.lists(st.sampled_from(VOCABULARY), max_size=2).map(" ".join),
    tenant=NAMES,
    project_id=NAMES,
    kind=NAMES,
    agent=NAMES,
    version=st.integers(1, 5),
    created_at=TIMES,
)
SOME = st.none() | st.lists(NAMES, min_size=1, max_size=3).map(tuple)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    versions = draw(st.none() | st.tuples(st.none() | st.integers(0, 3), st.none() | st.integers(3, 9)))
    created = draw(
        st.none() | st.tuples(st.none() | TIMES, st.none() | TIMES.map(lambda at: at + timedelta(microseconds=6)))
    )
    return Filter(draw(st.none() | NAMES), draw(SOME), draw(SOME), versions, draw(SOME), created)


FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(st.lists(ROWS, max_size=13, unique_by=lambda row: row["chunk_id"]), TEXTS, filters(), st.integers(1, 15))
def test_it_ranks_like_bm25_by_the_textbook(rows: list[Row], query: str, where: Filter, k: int) -> None:
    with KeywordIndex(None) as index:
        index.apply(rows, version=1)
        by_id = {row["chunk_id"]: row for row in rows}
        expected = {i: score for i, score in bm25(rows, query).items() if meets(by_id[i], where)}
        hits = index.search(query, k, where)
        assert len(hits) == min(k, len(expected))
        for chunk_id, score in hits:
            assert score == pytest.approx(expected[chunk_id], rel=1e-4)
        best = sorted(expected.values(), reverse=True)[: len(hits)]
        assert [score for _, score in hits] == pytest.approx(best, rel=1e-4)
        assert hits == sorted(hits, key=lambda hit: (-hit[1], hit[0]))


STEPS = st.lists(
    st.tuples(st.lists(ROWS, max_size=5), st.lists(st.integers(0, 12), max_size=4), st.booleans()), max_size=4
)


@FEW
@given(STEPS, TEXTS, filters())
def test_it_holds_what_was_added_and_not_removed_since(
    steps: list[tuple[list[Row], list[int], bool]], query: str, where: Filter
) -> None:
    held: dict[bytes, Row] = {}
    with KeywordIndex(None) as index:
        for version, (added, removed, twice) in enumerate(steps, 1):
            for _ in range(1 + twice):
                index.apply(added, map(chunk, removed), version=version)
            for number in removed:
                held.pop(chunk(number), None)
            held |= {row["chunk_id"]: row for row in added}
            assert index.version == version
            assert len(index) == len(held)
        # A removed chunk counts in the scores until its files are merged, but is never found.
        expected = {i for i in bm25([*held.values()], query) if meets(held[i], where)}
        assert {chunk_id for chunk_id, _ in index.search(query, 100, where)} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The orders were generated", ["generat", "order"]),
        ("getUserById", ["by", "get", "getuserbyid", "id", "user"]),
        ("MAX_RETRY_COUNT", ["count", "max", "max_retry_count", "retri"]),
        ("__init__", ["init"]),
        ("HTTPServer2", ["2", "http", "httpserver2", "server"]),
        ("utf8 v1.2", ["1", "2", "8", "utf", "utf8", "v", "v1"]),
        ("Größe größe_max", ["größe", "größe", "größe_max", "max"]),
        ("注文票を見る", ["を見", "文票", "注文", "票を", "見る"]),
        ("票", ["票"]),
        ("\ufb01nd \uff21\uff22", ["ab", "find"]),  # a ligature and full-width letters
        ("naïve café", ["café", "naïv"]),
        ("\ud800 \x00 \u200b ?!", []),
        ("x" * 101, []),
    ],
)
def test_text_is_cut_into_words(text: str, expected: list[str]) -> None:
    found = sorted(words(text))
    assert found == sorted(word for word in expected if word != "by")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("how do customers pay", False),
        ("Who may cancel an order?", False),
        ("getUserById", True),
        ("order_id", True),
        ("what raises `Conflict`", True),
        ('the decision "one invoice per order"', True),
        ("POST /orders", True),
        ("parse() of a date", True),
        ("GET /orders/{order_id}", True),
        ("a /boat-tail/ of a body", False),
        ("a method, i.e. a numerical one", False),
        ("orders.models", True),
        ("ADR-12", True),
        ("", False),
    ],
)
def test_a_query_may_name_something(query: str, expected: bool) -> None:  # noqa: FBT001 - a table of cases
    assert names_something(query) is expected


HOSTILE = [
    "", " ", "\x00", '"', "'", "(", ")))", "AND", "OR NOT", "+", "-", "order:", "tenant:x", "body:order", "order^",
    "^9", "order~", "[a TO b]", "{1 TO *}", "*", "?", "/re(/", "\\", "order AND (", '"order', "\ud800", "\u202e order",
    "🛒", "-order", "NOT order", "order " * 2000, " ".join(f"w{n}" for n in range(2000)), "order" * 2000,
    "<b>", "%00", "IN [",
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE)
def test_no_query_is_refused(index: KeywordIndex, query: str) -> None:
    index.apply([new_row(1, tenant="x"), new_row(2, "nothing of the kind")], version=1)
    assert found(index, query) == ([1] if "order" in words(query) else [])


@FEW
@given(st.lists(st.text(max_size=200), min_size=3, max_size=6))
def test_any_text_can_be_kept_and_looked_up(texts: list[str]) -> None:
    with KeywordIndex(None) as index:
        index.apply([new_row(n, text, title=text) for n, text in enumerate(texts)], version=1)
        for n, text in enumerate(texts):
            assert (n in found(index, text)) is bool(words(text))


def test_a_long_query_is_looked_up_by_its_rarest_words(index: KeywordIndex) -> None:
    filler = [f"word{n}" for n in range(1000)]
    index.apply([new_row(n, " ".join(filler)) for n in range(5)], version=1)
    index.apply([new_row(9, "idempotency")], version=2)
    assert 9 in found(index, " ".join([*filler, "idempotency"]))


def test_a_filter_by_what_no_segment_can_hold_finds_nothing(index: KeywordIndex) -> None:
    index.apply([new_row(1, tenant="?"), new_row(2, tenant="\ufffd")], version=1)
    assert found(index, EVERYTHING, where=Filter(tenant="\ud800")) == []
    assert found(index, EVERYTHING, where=Filter(versions=(None, 10**40))) == [1, 2]
    assert found(index, EVERYTHING, where=Filter(versions=(10**40, None))) == []


def test_equals_are_ordered_by_id_across_the_last_place(index: KeywordIndex) -> None:
    for version, number in enumerate((50, 7, 30, 2, 90), 1):
        index.apply([new_row(number + 100 * n) for n in range(20)], version=version)
    everything = found(index, EVERYTHING, 100)
    assert everything == sorted(everything)
    for k in (1, 3, 99):
        assert found(index, EVERYTHING, k) == everything[:k]


def test_a_word_in_the_title_counts_more(index: KeywordIndex) -> None:
    index.apply(
        [new_row(1, "the customer pays an invoice"), new_row(2, "the customer pays it", title="invoice")], version=1
    )
    assert found(index, "invoice") == [2, 1]


def test_it_reads_a_segment(index: KeywordIndex) -> None:
    rows = [new_row(n, "order" if n < 5 else "invoice", vector=[0.0, 1.0]) for n in range(2500)]
    table = pa.Table.from_pylist(rows, schema=segment_schema(2))
    index.apply(table, version=1, segments=["a"])
    index.apply(iter(table.slice(0, 10).to_batches()), version=2, segments=["a", "b"])
    assert len(index) == 2500
    assert index.segments == {"a", "b"}
    assert found(index, "order") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("broken", [{"text": None}, {"tenant": None}, {"chunk_id": b"short"}, {"version": "one"}])
def test_a_broken_row_leaves_everything_as_it_was(index: KeywordIndex, broken: Row) -> None:
    index.apply([new_row(1)], version=1)
    with pytest.raises(BadInputError):
        index.apply([new_row(2), new_row(3) | broken], [chunk(1)], version=2)
    incomplete = new_row(4)
    del incomplete["kind"]
    with pytest.raises(BadInputError, match="kind"):
        index.apply([new_row(5), incomplete], version=2)
    index.apply([new_row(6)], version=2)
    assert found(index, EVERYTHING) == [1, 6]


def test_it_does_not_go_back(index: KeywordIndex) -> None:
    index.apply([new_row(1)], version=3)
    with pytest.raises(ConflictError, match="version 3"):
        index.apply([new_row(2)], version=2)
    with pytest.raises(BadInputError, match="0 results"):
        index.search("order", 0)


def test_a_search_sees_all_of_an_application_or_nothing(index: KeywordIndex) -> None:
    index.apply([new_row(0), new_row(1)], version=1)
    done = threading.Event()
    seen: list[list[int]] = []

    def look() -> None:
        while not done.is_set():
            seen.append(found(index, "order"))

    reader = threading.Thread(target=look)
    reader.start()
    for version in range(2, 12):
        first = 2 * version
        index.apply([new_row(first), new_row(first + 1)], [chunk(first - 2), chunk(first - 1)], version=version)
        index.apply(removed=[chunk(0), chunk(1)], version=version)
    done.set()
    reader.join()
    assert all(len(pair) in (2, 4) and pair[-1] == pair[-2] + 1 for pair in seen)
    assert found(index, "order") == [22, 23]


def test_a_restart_finds_it_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "shard" / "keywords"
    with KeywordIndex(folder) as index:
        assert (index.version, index.segments, len(index)) == (0, frozenset(), 0)
        index.apply([new_row(1), new_row(2)], version=4, segments=["one"])
        index.apply(removed=[chunk(1)], version=5)
        with pytest.raises(ConflictError, match="open on"):
            KeywordIndex(folder)
    with KeywordIndex(folder) as index:
        assert (index.version, index.segments, found(index, "order")) == (5, frozenset({"one"}), [2])
        index.apply([new_row(3)], version=6)
    with KeywordIndex(folder) as index:
        assert found(index, "order") == [2, 3]


def damage_contents(folder: Path) -> None:
    (folder / "contents.json").write_text('{"version": 1')


def damage_format(folder: Path) -> None:
    said = json.loads((folder / "contents.json").read_text())
    (folder / "contents.json").write_text(json.dumps(said | {"format": "0"}))


def lose_contents(folder: Path) -> None:
    (folder / "contents.json").unlink()


def lose_a_file(folder: Path) -> None:
    next((folder / "bm25").glob("*.term")).unlink()


def cut_a_file(folder: Path) -> None:
    next((folder / "bm25").glob("*.idx")).write_bytes(b"")


def lose_the_index(folder: Path) -> None:
    shutil.rmtree(folder / "bm25")


def go_back(folder: Path) -> None:
    said = json.loads((folder / "contents.json").read_text())
    (folder / "contents.json").write_text(json.dumps(said | {"stamp": said["stamp"] + 1}))


@pytest.mark.parametrize(
    "damage",
    [damage_contents, damage_format, lose_contents, lose_a_file, cut_a_file, lose_the_index, go_back],
    ids=lambda damage: damage.__name__,
)
def test_what_cannot_be_used_is_filled_again(tmp_path: Path, damage: Any) -> None:
    with KeywordIndex(tmp_path) as index:
        index.apply([new_row(1)], version=1, segments=["one"])
    damage(tmp_path)
    for _ in range(2):
        with KeywordIndex(tmp_path) as index:
            assert (index.version, index.segments, found(index, "order")) == (0, frozenset(), [])
    with KeywordIndex(tmp_path) as index:
        index.apply([new_row(1)], version=1, segments=["one"])
        assert found(index, "order") == [1]


# Version n adds chunk n and removes chunk n - 2. Killed by itself where the last argument says, otherwise by the test.
WRITER = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from factory.memory.keywords.contents import Contents
    from factory.memory.keywords.index import KeywordIndex
    from tests.memory.test_keywords import chunk, new_row

    write = Contents.write

    def killed_before_it_is_said(contents, folder):
        if contents.version == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        write(contents, folder)

    Contents.write = killed_before_it_is_said
    index = KeywordIndex(Path(sys.argv[1]))
    for version in range(index.version + 1, 10_000):
        index.apply([new_row(version)], [chunk(version - 2)] if version > 2 else [], version=version)
        print(version, flush=True)
    """
)


@pytest.mark.parametrize(("itself_at", "killed_at"), [(1, 0), (4, 0), (0, 1), (0, 6)])
def test_killed_while_it_applies_it_goes_on_where_it_was(tmp_path: Path, itself_at: int, killed_at: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(itself_at)]
    said = 0
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said = int(line)
            if said == killed_at:
                child.kill()
    assert child.returncode == -signal.SIGKILL
    assert said >= max(itself_at - 1, killed_at)
    with KeywordIndex(tmp_path) as index:
        # Between the word on disk and the word on the pipe there is room for one more.
        assert index.version in (said, said + 1)
        last = said + 3
        for version in range(index.version + 1, last + 1):
            index.apply([new_row(version)], [chunk(version - 2)] if version > 2 else [], version=version)
        assert found(index, "order") == [last - 1, last]
