import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.artifacts.errors import IntegrityError
from factory.domain.errors import BadInputError, ConflictError, NotFoundError, RetryableError
from factory.memory.compaction import compact
from factory.memory.filters import Filter
from factory.memory.hits import Hits, best
from factory.memory.index.kinds import IndexSetting
from factory.memory.liveness import Deletion
from factory.memory.parts import SegmentRef
from factory.memory.segments import Model
from factory.memory.shard import ManifestDelta, Shard, ShardOptions
from tests.memory.rows import DIMENSION, Vectors, batch, clustered, identity, segment

CHUNKS = 30
POOL = clustered(64, DIMENSION, clusters=8)
KINDS = ("a", "b", "c")

writes = st.lists(st.tuples(st.integers(0, CHUNKS - 1), st.integers(0, 63), st.integers(0, 2)), min_size=1, max_size=12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), writes, st.booleans()),
        st.tuples(st.just("delete"), st.lists(st.integers(0, CHUNKS - 1), min_size=1, max_size=6), st.none()),
        st.tuples(st.just("drop"), st.integers(0, 20), st.none()),
        st.tuples(st.just("compact"), st.integers(0, 20), st.integers(1, 4)),
        st.tuples(st.just("restart"), st.none(), st.none()),
    ),
    min_size=1,
    max_size=12,
)


class Model_:  # noqa: N801 - the test's own idea of a shard, apart from the model of the vectors
    """What a shard should answer: a dictionary a segment, and brute force."""

    def __init__(self) -> None:
        self.segments: dict[int, tuple[SegmentRef, dict[int, tuple[int, int]]]] = {}
        self.deletions: list[Deletion] = []

    def living(self) -> dict[bytes, tuple[int, int]]:
        latest: dict[bytes, tuple[int, tuple[int, int]]] = {}
        for sequence, (_, rows) in sorted(self.segments.items()):
            for chunk, content in rows.items():
                latest[identity(chunk)] = (sequence, content)
        covered = {chunk: deletion.sequence for deletion in self.deletions for chunk in deletion.chunk_ids}
        return {chunk: content for chunk, (when, content) in latest.items() if when > covered.get(chunk, -1)}

    def search(self, query: Vectors, k: int, kind: str | None) -> list[tuple[float, bytes]]:
        ranked = [
            (-round(float(POOL[vector] @ query), 6), chunk)
            for chunk, (vector, which) in self.living().items()
            if kind is None or KINDS[which] == kind
        ]
        return [(-score, chunk) for score, chunk in sorted(ranked)[:k]]


@pytest.mark.parametrize("index", [IndexSetting.FLAT, IndexSetting.QUANTISED])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_a_shard_answers_as_brute_force_does(
    tmp_path_factory: pytest.TempPathFactory, index: IndexSetting, steps: list[tuple[str, object, object]]
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    # Segments of more than six rows get an index, the others go to the tail.
    options = ShardOptions(index=index, tail_rows=6)
    shard = Shard(DIMENSION, folder / "cache", options)
    model = Model_()
    for version, (what, first, second) in enumerate(steps, 1):
        if what == "add":
            rows = {chunk: (vector, kind) for chunk, vector, kind in first}  # type: ignore[attr-defined]
            ref = _written(folder, version, rows)
            model.segments[version] = (ref, rows)
            shard.apply(ManifestDelta(version, added=(ref,)))
            if second:  # a change that is delivered twice
                shard.apply(ManifestDelta(version, added=(ref,)))
        elif what == "delete":
            deletion = Deletion(tuple(identity(n) for n in first), version)  # type: ignore[attr-defined]
            model.deletions.append(deletion)
            shard.apply(ManifestDelta(version, deletions=(deletion,)))
        elif what == "drop" and model.segments:
            sequences = sorted(model.segments)
            ref, _ = model.segments.pop(sequences[int(first) % len(sequences)])  # type: ignore[call-overload]
            shard.apply(ManifestDelta(version, dropped=(ref.url, "nowhere.parquet")))
        elif what == "compact" and model.segments:
            _compact(shard, model, folder, version, chosen=(int(first), int(second)))  # type: ignore[call-overload]
        elif what == "restart":
            shard = Shard(DIMENSION, folder / "cache", options)
            shard.apply(
                ManifestDelta(
                    version, tuple(ref for ref, _ in model.segments.values()), deletions=tuple(model.deletions)
                )
            )
        _compare(shard, model)
    assert shard.stats().live_rows == len(model.living())


def _written(folder: Path, sequence: int, rows: dict[int, tuple[int, int]]) -> SegmentRef:
    vectors = POOL[[vector for vector, _ in rows.values()]]
    kinds = [KINDS[kind] for _, kind in rows.values()]
    return segment(folder, sequence, batch([identity(chunk) for chunk in rows], vectors, kind=kinds))


def _compact(shard: Shard, model: Model_, folder: Path, version: int, *, chosen: tuple[int, int]) -> None:
    first, count = chosen
    sequences = sorted(model.segments)
    begin = first % len(sequences)
    merging = sequences[begin : begin + count]
    before = model.living()
    written = compact(
        [model.segments[sequence][0] for sequence in merging],
        model.deletions,
        str(folder / f"compact-{version}.parquet"),
    )
    merged: dict[int, tuple[int, int]] = {}
    for sequence in merging:
        merged |= model.segments.pop(sequence)[1]
    urls = tuple(str(folder / f"segment-{sequence}.parquet") for sequence in merging)
    urls += tuple(str(path) for path in folder.glob("compact-*.parquet"))
    added: tuple[SegmentRef, ...] = ()
    if written is not None:
        added = (SegmentRef(written.url, merging[-1], written.rows, written.hash),)
    # A compacted segment may itself have been compacted.
    still = {ref.url for ref, _ in model.segments.values()} | {ref.url for ref in added}
    shard.apply(ManifestDelta(version, added=added, dropped=tuple(url for url in urls if url not in still)))
    covered = {chunk: deletion.sequence for deletion in model.deletions for chunk in deletion.chunk_ids}
    if written is not None:
        rows = {chunk: content for chunk, content in merged.items() if identity(chunk) not in covered}
        alive_here = {chunk: merged[chunk] for chunk in merged if before.get(identity(chunk)) == merged[chunk]}
        model.segments[merging[-1]] = (added[0], rows | alive_here)
    assert model.living() == before


def _compare(shard: Shard, model: Model_) -> None:
    queries = POOL[:3] * 1
    for kind in (None, "b"):
        condition = None if kind is None else Filter(kinds=(kind,))
        for k in (1, 5):
            hits = shard.search(queries, k, condition)
            passages = shard.fetch(hits)
            for query in range(len(queries)):
                expected = model.search(queries[query], k, kind)
                found = hits.chunk_ids(query)
                scores = [round(float(score), 6) for score in hits.scores[query][: len(found)]]
                assert scores == pytest.approx([score for score, _ in expected], abs=2e-6)
                # Which of more equal scores than k are taken is open; what is taken must live and be unequal.
                assert len(set(found)) == len(found)
                assert set(found) <= model.living().keys()
                assert [passage.text for passage in passages[query]] == [f"text of {chunk.hex()}" for chunk in found]


def _refs(folder: Path) -> tuple[SegmentRef, SegmentRef]:
    vectors = clustered(400, DIMENSION)
    large = segment(folder, 1, batch([identity(n) for n in range(300)], vectors[:300]))
    small = segment(folder, 2, batch([identity(n) for n in range(300, 400)], vectors[300:]))
    return large, small


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Give a shard that holds small segments of up to 200 rows in memory."""
    return Shard(DIMENSION, tmp_path / "cache", ShardOptions(tail_rows=200, model="test-model"))


def test_stats_tell_what_is_held(shard: Shard, tmp_path: Path) -> None:
    large, small = _refs(tmp_path)
    shard.apply(ManifestDelta(4, added=(large, small), deletions=(Deletion((identity(5), identity(999)), 4),)))
    stats = shard.stats()
    assert (stats.version, stats.segments, stats.rows, stats.live_rows) == (4, 2, 400, 399)
    assert (stats.tail_segments, stats.tail_rows, stats.indexes, stats.tombstones) == (1, 100, {"flat": 1}, 2)
    shard.apply(ManifestDelta(5, dropped=(large.url, small.url), forgotten=(identity(5), identity(999))))
    assert shard.stats().segments == shard.stats().rows == shard.stats().tombstones == 0
    assert shard.search(clustered(2, DIMENSION), 3).counts() == [0, 0]


def test_a_write_can_be_asked_for(shard: Shard, tmp_path: Path) -> None:
    large, _ = _refs(tmp_path)
    with pytest.raises(RetryableError, match=r"at version 0, and version 3"):
        shard.search(clustered(1, DIMENSION), 1, min_version=3)
    shard.apply(ManifestDelta(3, added=(large,)))
    assert shard.search(clustered(1, DIMENSION)[0], 1, min_version=3).chunk_ids(0) == [identity(0)]


def test_equal_scores_are_ordered_by_id_whatever_the_segments(shard: Shard, tmp_path: Path) -> None:
    same = np.repeat(clustered(1, DIMENSION), 5, axis=0)
    shard.apply(
        ManifestDelta(
            2,
            added=(
                segment(tmp_path, 1, batch([identity(n) for n in (900, 20, 3)], same[:3])),
                segment(tmp_path, 2, batch([identity(n) for n in (1, 500)], same[:2])),
            ),
        )
    )
    assert shard.search(same[0], 4).chunk_ids(0) == [identity(n) for n in (1, 3, 20, 500)]


def test_what_cannot_be_served_changes_nothing(shard: Shard, tmp_path: Path) -> None:
    large, small = _refs(tmp_path)
    shard.apply(ManifestDelta(3, added=(large,)))
    before = shard.stats()
    other = segment(tmp_path, 7, batch([identity(1)], clustered(1, DIMENSION)), Model("another", DIMENSION))
    wide = segment(tmp_path, 8, batch([identity(1)], clustered(1, 8)), Model("test-model", 8))
    for refused, error in (
        (SegmentRef(str(tmp_path / "none.parquet"), 4, 1), NotFoundError),
        (SegmentRef(small.url, 4, 99), IntegrityError),
        (SegmentRef(small.url, 1, 100), ConflictError),
        (other, BadInputError),
        (wide, BadInputError),
    ):
        with pytest.raises(error):
            shard.apply(ManifestDelta(4, added=(small, refused), dropped=(large.url,) * (refused.sequence != 1)))
        assert shard.stats() == before
    with pytest.raises(ConflictError, match="version 2 was to be applied to a shard at version 3"):
        shard.apply(ManifestDelta(2))


def test_a_damaged_segment_is_named(shard: Shard, tmp_path: Path) -> None:
    large, small = _refs(tmp_path)
    for ref in (large, small):
        path = Path(ref.url)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match=path.name):
            shard.apply(ManifestDelta(1, added=(ref,)))


def test_wrong_questions_are_refused(shard: Shard, tmp_path: Path) -> None:
    shard.apply(ManifestDelta(1, added=_refs(tmp_path)))
    for queries, k in ((np.ones((2, 3)), 1), (np.full(DIMENSION, np.nan), 1), (np.ones(DIMENSION), 0)):
        with pytest.raises(BadInputError):
            shard.search(queries.astype(np.float32), k)


def test_a_hit_is_read_where_compaction_moved_it(shard: Shard, tmp_path: Path) -> None:
    large, small = _refs(tmp_path)
    shard.apply(ManifestDelta(2, added=(large, small)))
    query = clustered(400, DIMENSION)[350]
    hits = shard.search(query, 3)
    expected = [passage.text for passage in shard.fetch(hits)[0]]
    assert expected[0] == f"text of {identity(350).hex()}"
    written = compact([large, small], [], str(tmp_path / "c.parquet"))
    assert written is not None
    shard.apply(ManifestDelta(3, added=(SegmentRef(written.url, 2, written.rows),), dropped=(large.url, small.url)))
    for ref in (large, small):
        Path(ref.url).unlink()
    assert [passage.text for passage in shard.fetch(hits)[0]] == expected
    shard.apply(ManifestDelta(4, deletions=(Deletion((identity(350),), 4),)))
    assert [passage.text for passage in shard.fetch(hits)[0]] == expected[1:]


def test_searches_see_one_version_while_changes_go_on(shard: Shard, tmp_path: Path) -> None:
    # Every version holds the same chunk once, in another segment and with another text: a search must find one.
    vector = clustered(1, DIMENSION)
    refs = [
        segment(tmp_path, n, batch([identity(1)], vector, text=[f"version {n}"], version=[n])) for n in range(1, 40)
    ]
    shard.apply(ManifestDelta(1, added=(refs[0],)))
    wrong: list[object] = []
    done = threading.Event()

    def search() -> None:
        latest = 0
        while not done.is_set():
            hits = shard.search(vector, 5)
            sequence = int(hits.sequences[0, 0])
            if hits.counts() != [1] or sequence < latest:
                wrong.append(hits)
            latest = sequence

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for before, ref in itertools.pairwise(refs):
        drop = (before.url,) if ref.sequence % 3 else ()
        shard.apply(ManifestDelta(ref.sequence, added=(ref,), dropped=drop))
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert shard.search(vector, 5).sequences[0, 0] == 39


def test_many_small_segments_are_one_part(shard: Shard, tmp_path: Path) -> None:
    vectors = clustered(300, DIMENSION)
    refs = [
        segment(tmp_path, n + 1, batch([identity(3 * n + m) for m in range(3)], vectors[3 * n : 3 * n + 3]))
        for n in range(100)
    ]
    shard.apply(ManifestDelta(60, added=tuple(refs[:60])))
    for ref in refs[60:]:
        shard.apply(ManifestDelta(ref.sequence, added=(ref,)))
    assert shard.stats().tail_segments == 100
    assert not list(tmp_path.glob("*.faiss"))
    found = shard.search(vectors, 1)
    assert [found.chunk_ids(n) for n in range(300)] == [[identity(n)] for n in range(300)]
    assert (found.rows[:, 0] == np.arange(300) % 3).all()


def test_answers_of_shards_become_one() -> None:
    def answer(*rows: tuple[int, float, int]) -> Hits:
        ids = np.array([[[0, chunk] for chunk, _, _ in rows]], np.uint64)
        scores = np.array([[score for _, score, _ in rows]], np.float32)
        sequences = np.array([[sequence for _, _, sequence in rows]], np.int64)
        return Hits(ids, scores, sequences, np.zeros_like(sequences))

    # Chunk 1 was rewritten with a lower score: the shard that still has the old one must not decide.
    merged = best([answer((1, 0.9, 3), (2, 0.5, 3)), answer((1, 0.4, 8), (0, 0.5, 9))], 1, 4)
    assert merged.ids[0, :, 1].tolist()[:3] == [0, 2, 1]
    assert merged.scores[0].tolist() == pytest.approx([0.5, 0.5, 0.4, -np.inf])
    assert merged.counts() == [3]
    assert best([], 2, 3).rows.shape == (2, 3)


@pytest.mark.parametrize("rows", [100, 300])  # in the tail, and with an index of its own
def test_a_tombstone_counts_for_segments_that_come_later_but_are_older(shard: Shard, tmp_path: Path, rows: int) -> None:
    vectors = clustered(rows, DIMENSION)
    content = batch([identity(n) for n in range(rows)], vectors)
    shard.apply(ManifestDelta(5, deletions=(Deletion((identity(7),), 5),)))
    shard.apply(ManifestDelta(6, added=(segment(tmp_path, 5, content),)))
    assert identity(7) not in shard.search(vectors[7], 10).chunk_ids(0)
    shard.apply(ManifestDelta(7, added=(segment(tmp_path, 6, content.slice(0, 8)),)))
    assert shard.search(vectors[7], 1).chunk_ids(0) == [identity(7)]
    assert shard.search(vectors[7], 1).sequences[0, 0] == 6
