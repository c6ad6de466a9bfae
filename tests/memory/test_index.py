import os
import threading
from collections.abc import Callable
from pathlib import Path

import faiss
import fsspec  # type: ignore[import-untyped]
import numpy as np
import pytest

from factory.domain.errors import BadInputError
from factory.memory.index import files
from factory.memory.index.build import build
from factory.memory.index.files import IndexFiles
from factory.memory.index.kinds import FLAT_UP_TO, HNSW_UP_TO, IndexKind, IndexPlan, IndexSetting, choose
from factory.memory.index.mapped import MappedIndex
from factory.memory.index.selectors import Selection
from factory.memory.segments import write_segment
from tests.memory.rows import DIMENSION, MODEL, Vectors, batch, clustered, identity, unit

ROWS = 20_000
WIDE = 64


def brute_force(queries: Vectors, vectors: Vectors, mask: np.typing.NDArray[np.bool_], k: int) -> list[set[int]]:
    scores = np.where(mask, queries @ vectors.T, -np.inf)
    best = np.argsort(-scores, axis=1)[:, : min(k, int(mask.sum()))]
    return [set(row.tolist()) for row in best]


def recall(found: np.typing.NDArray[np.int64], expected: list[set[int]]) -> float:
    hits = sum(len(set(row.tolist()) & best) for row, best in zip(found, expected, strict=True))
    return hits / sum(len(best) for best in expected)


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clustered(ROWS, WIDE)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    """Give queries near the vectors: others of the same clusters."""
    return clustered(ROWS + 50, WIDE)[ROWS:]


@pytest.fixture(scope="module", params=[IndexSetting.FLAT, IndexSetting.HNSW, IndexSetting.QUANTISED])
def index(request: pytest.FixtureRequest, vectors: Vectors, tmp_path_factory: pytest.TempPathFactory) -> MappedIndex:
    """Give an index of each kind, from its file."""
    setting: IndexSetting = request.param
    plan = choose(ROWS, setting)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    files.write_index(build([vectors[:7000], vectors[7000:]], ROWS, WIDE, plan), path)
    return MappedIndex.read(path, plan)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01, 0.0001])
@pytest.mark.parametrize("together", [1, 50])
def test_a_filter_loses_no_recall(
    index: MappedIndex, vectors: Vectors, queries: Vectors, share: float, together: int
) -> None:
    mask = np.random.default_rng(3).random(ROWS) < share
    expected = brute_force(queries, vectors, mask, 10)
    found = np.concatenate(
        [
            index.search(np.ascontiguousarray(queries[begin : begin + together]), 10, Selection(mask)).rows
            for begin in range(0, len(queries), together)
        ]
    )
    assert mask[found[found >= 0]].all()
    assert recall(found, expected) >= 0.99


def test_a_filter_that_excludes_what_is_near_the_query_loses_no_recall(
    index: MappedIndex, vectors: Vectors, queries: Vectors
) -> None:
    # As for a question that the selected project knows nothing of: a search near the query meets no selected row.
    recalls = []
    for query in queries[:10]:
        scores = vectors @ query
        mask = scores < np.sort(scores)[-500]
        expected = brute_force(query[None], vectors, mask, 10)
        found = index.search(query[None], 10, Selection(mask)).rows
        assert mask[found].all()
        recalls.append(recall(found, expected))
    assert np.mean(recalls) >= 0.98


def test_more_is_asked_for_than_there_is(index: MappedIndex, queries: Vectors) -> None:
    mask = np.zeros(ROWS, np.bool_)
    mask[[5, 77, 300]] = True
    for some in (queries[:1], queries[:8]):
        found = index.search(some, 10, Selection(mask))
        assert [set(row) for row in found.rows.tolist()] == [{5, 77, 300, -1}] * len(some)
    assert (index.search(queries[:3], 10, Selection(np.zeros(ROWS, np.bool_))).rows == -1).all()


def test_searches_side_by_side_agree(index: MappedIndex, queries: Vectors) -> None:
    everything = Selection(np.ones(ROWS, np.bool_))
    some = Selection(np.arange(ROWS) % 2 == 0)
    expected = [index.search(queries, 10, selection).rows for selection in (everything, some)]
    differing: list[int] = []

    def search(number: int) -> None:
        for round_number in range(5):
            which = (number + round_number) % 2
            if not np.array_equal(index.search(queries, 10, (everything, some)[which]).rows, expected[which]):
                differing.append(number)

    threads = [threading.Thread(target=search, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not differing


@pytest.mark.parametrize(
    ("rows", "setting", "kind"),
    [
        (1, "auto", IndexKind.FLAT),
        (FLAT_UP_TO, "auto", IndexKind.FLAT),
        (FLAT_UP_TO + 1, "auto", IndexKind.HNSW),
        (HNSW_UP_TO, "auto", IndexKind.HNSW),
        (HNSW_UP_TO + 1, "auto", IndexKind.QUANTISED),
        (10_000_000, "auto", IndexKind.QUANTISED),
        (1_000_000, "flat", IndexKind.FLAT),
        (100, "hnsw", IndexKind.HNSW),
        (1, "quantised", IndexKind.QUANTISED),
    ],
)
def test_the_kind_follows_the_size_unless_it_is_set(rows: int, setting: str, kind: IndexKind) -> None:
    plan = choose(rows, IndexSetting(setting))
    assert plan.kind is kind
    assert plan.training_rows <= rows
    assert plan.effort <= max(plan.lists, plan.effort * (kind is IndexKind.HNSW))


def test_an_index_of_nothing_is_refused() -> None:
    with pytest.raises(BadInputError):
        choose(0)


@pytest.mark.parametrize("setting", list(IndexSetting))
@pytest.mark.parametrize("rows", [1, 2, 50])
def test_every_kind_can_be_built_of_few_vectors(tmp_path: Path, setting: IndexSetting, rows: int) -> None:
    vectors = clustered(rows, DIMENSION)
    url = _stored(tmp_path, vectors)
    opened = IndexFiles(tmp_path / "cache", setting).open(url, rows, DIMENSION)
    found = opened.search(vectors[:1], 3, Selection(np.ones(rows, np.bool_)))
    assert found.rows[0, 0] == 0
    assert (found.rows >= 0).sum() == min(3, rows)


def _stored(folder: Path | str, vectors: Vectors) -> str:
    url = f"{folder}/a.parquet"
    write_segment(url, [batch([identity(n) for n in range(len(vectors))], vectors)], MODEL)
    return url


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[IndexPlan]:
    """Give a list that grows with every index that is built."""
    built: list[IndexPlan] = []
    original = build

    def count(vectors: object, rows: int, dimension: int, plan: IndexPlan, *, threads: int = 1) -> object:
        built.append(plan)
        return original(vectors, rows, dimension, plan, threads=threads)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "build", count)
    return built


def test_an_index_is_built_once_and_mapped_afterwards(tmp_path: Path, counted: list[IndexPlan]) -> None:
    url = _stored(tmp_path, clustered(200, DIMENSION))
    for _ in range(3):
        assert IndexFiles(tmp_path / "cache").open(url, 200, DIMENSION).rows == 200
    assert len(counted) == 1
    assert len(list(tmp_path.glob("a.*.faiss"))) == 1
    IndexFiles(tmp_path / "cache", IndexSetting.HNSW).open(url, 200, DIMENSION)
    IndexFiles(tmp_path / "cache").open(url, 200, DIMENSION, content_hash="another file")
    assert len(counted) == 3
    IndexFiles(tmp_path / "cache").remove(url, 200)
    assert not list(tmp_path.glob("*.faiss"))


def test_an_index_in_an_object_store_is_copied_once(tmp_path: Path, counted: list[IndexPlan]) -> None:
    store = fsspec.filesystem("memory")
    store.store.clear()
    url = _stored("memory://segments", clustered(200, DIMENSION))
    IndexFiles(tmp_path / "one").open(url, 200, DIMENSION)
    assert len(store.glob("/segments/a.*.faiss")) == 1
    IndexFiles(tmp_path / "two").open(url, 200, DIMENSION)
    assert len(counted) == 1
    IndexFiles(tmp_path / "two").remove(url, 200)
    assert not store.glob("/segments/a.*.faiss")
    assert not list((tmp_path / "two").glob("*.faiss"))
    private = IndexFiles(tmp_path / "three", publish=False)
    private.open(url, 200, DIMENSION)
    assert not store.glob("/segments/a.*.faiss")
    private.forget(url, 200)
    assert not list((tmp_path / "three").iterdir())


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garble(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def _swap(path: Path) -> None:
    other = clustered(30, DIMENSION)
    path.unlink()
    files.write_index(build([other], 30, DIMENSION, choose(30)), path)


@pytest.mark.parametrize("spoil", [_truncate, _empty, _garble, _swap, Path.unlink])
@pytest.mark.parametrize("setting", list(IndexSetting))
def test_a_spoilt_index_is_built_again(
    tmp_path: Path, counted: list[IndexPlan], spoil: Callable[[Path], None], setting: IndexSetting
) -> None:
    vectors = clustered(200, DIMENSION)
    url = _stored(tmp_path, vectors)
    IndexFiles(tmp_path / "cache", setting).open(url, 200, DIMENSION)
    (path,) = tmp_path.glob("a.*.faiss")
    spoil(path)
    opened = IndexFiles(tmp_path / "cache", setting).open(url, 200, DIMENSION)
    assert opened.search(vectors[9:10], 1, Selection(np.ones(200, np.bool_))).rows.tolist() == [[9]]
    assert len(counted) == 2


def test_a_crash_while_an_index_is_written_leaves_nothing_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = clustered(200, DIMENSION)
    url = _stored(tmp_path, vectors)
    child = os.fork()
    if child == 0:  # dies as by kill -9, with half of the file written
        original = faiss.write_index

        def die(index: object, name: str) -> None:
            original(index, name)
            _truncate(Path(name))
            os._exit(9)

        monkeypatch.setattr(faiss, "write_index", die)
        IndexFiles(tmp_path / "cache").open(url, 200, DIMENSION)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    (abandoned,) = tmp_path.glob("staged-*")
    os.utime(abandoned, (0, 0))
    assert os.waitstatus_to_exitcode(status) == 9
    assert not list(tmp_path.glob("a.*.faiss"))
    opened = IndexFiles(tmp_path / "cache").open(url, 200, DIMENSION)
    assert not abandoned.exists()
    assert opened.search(unit(vectors[3:4]), 1, Selection(np.ones(200, np.bool_))).rows.tolist() == [[3]]
