import threading
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pyarrow.parquet as pq
import pytest

from factory.artifacts.errors import IntegrityError
from factory.domain.errors import BadInputError, ConflictError, NotFoundError
from factory.memory.columns import bytes_of
from factory.memory.compaction import compact
from factory.memory.documents import segment_schema
from factory.memory.liveness import Deletion
from factory.memory.segments import (
    ROW_GROUP_ROWS,
    Model,
    SegmentFile,
    read_batches,
    read_columns,
    read_group,
    read_model,
    read_vectors,
    remove_segment,
    verify_segment,
    write_segment,
)
from tests.memory.rows import DIMENSION, MODEL, batch, clustered, identity, segment, unit


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a folder on a local disk, and one in an object store."""
    if request.param == "local":
        return str(tmp_path / "segments")
    fsspec.filesystem("memory").store.clear()
    return "memory://segments"


def test_what_is_written_is_read(place: str) -> None:
    count = ROW_GROUP_ROWS + 100
    vectors = clustered(count, DIMENSION)
    rows = batch([identity(n) for n in range(count)], vectors)
    # However the rows come, a row's group follows from its number.
    written = write_segment(f"{place}/a.parquet", [rows.slice(0, 7), rows.slice(7, 1500), rows.slice(1507)], MODEL)
    assert written.rows == count
    assert np.array_equal(np.concatenate(list(read_vectors(written.url))), vectors)
    columns = read_columns(written.url)
    assert [bytes_of(words) for words in columns.ids[:250]] == [identity(n) for n in range(250)]
    assert [columns.kind.values[code] for code in columns.kind.codes[:4]] == ["kind-0", "kind-1", "kind-2", "kind-0"]
    assert columns.kind.codes.dtype == np.uint8
    assert read_group(written.url, 1, ["text"])["text"][0].as_py() == f"text of {identity(ROW_GROUP_ROWS).hex()}"
    assert read_model(written.url) == MODEL
    verify_segment(written)


def test_columns_stand_in_the_order_that_everybody_shares(tmp_path: Path) -> None:
    ref = segment(tmp_path, 1, batch([identity(1)], clustered(1, DIMENSION)))
    stored = pq.read_schema(ref.url)
    assert stored.names == segment_schema(DIMENSION).names
    assert pq.ParquetFile(ref.url).metadata.row_group(0).column(1).compression == "ZSTD"


def test_a_segment_never_replaces_another(place: str) -> None:
    rows = batch([identity(1)], clustered(1, DIMENSION))
    url = f"{place}/a.parquet"
    write_segment(url, [rows], MODEL)
    with pytest.raises(ConflictError, match=r"a\.parquet"):
        write_segment(url, [batch([identity(2)], clustered(1, DIMENSION))], MODEL)
    assert bytes_of(read_columns(url).ids[0]) == identity(1)


def test_of_many_writers_of_one_name_one_wins(tmp_path: Path) -> None:
    outcomes: list[str] = []

    def write(number: int) -> None:
        try:
            write_segment(str(tmp_path / "a.parquet"), [batch([identity(number)], clustered(1, DIMENSION))], MODEL)
            outcomes.append("written")
        except ConflictError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 7 + ["written"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3.0])
def test_vectors_that_no_search_could_rank_are_refused(tmp_path: Path, bad: float) -> None:
    vectors = clustered(5, DIMENSION)
    vectors[3, 0] = bad
    with pytest.raises(BadInputError, match=f"{identity(3).hex()} in row 3"):
        write_segment(str(tmp_path / "a.parquet"), [batch([identity(n) for n in range(5)], vectors)], MODEL)
    assert not list(tmp_path.iterdir())


def test_refusals_name_the_cause(tmp_path: Path) -> None:
    url = str(tmp_path / "a.parquet")
    rows = batch([identity(1), identity(1)], clustered(2, DIMENSION))
    with pytest.raises(BadInputError, match="comes twice"):
        write_segment(url, [rows], MODEL)
    with pytest.raises(BadInputError, match="without a row"):
        write_segment(url, [], MODEL)
    with pytest.raises(BadInputError, match="text"):
        write_segment(url, [rows.drop_columns(["text"])], MODEL)
    with pytest.raises(BadInputError, match="dimension 8"):
        write_segment(url, [rows.slice(0, 1)], Model("other", 8))
    with pytest.raises(NotFoundError):
        read_columns(url)
    assert not list(tmp_path.iterdir())


def test_damage_is_found_and_named(tmp_path: Path) -> None:
    ref = segment(tmp_path, 1, batch([identity(n) for n in range(300)], clustered(300, DIMENSION)))
    path = Path(ref.url)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF  # among the vectors, by far the largest column
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"segment-1\.parquet.*damaged"):
        list(read_vectors(ref.url))
    with pytest.raises(IntegrityError, match="its hash is"):
        verify_segment(SegmentFile(ref.url, ref.rows, hash=ref.hash))
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(IntegrityError, match=r"segment-1\.parquet"):
        read_columns(ref.url)


def test_compaction_keeps_what_lives(tmp_path: Path) -> None:
    vectors = clustered(6, DIMENSION)
    old = segment(tmp_path, 1, batch([identity(n) for n in range(4)], vectors[:4]))
    new = segment(tmp_path, 2, batch([identity(n) for n in (1, 7)], vectors[4:]))
    deletions = [Deletion((identity(0),), 1), Deletion((identity(1),), 1), Deletion((identity(7), identity(3)), 2)]
    compacted = compact([new, old], deletions, str(tmp_path / "c.parquet"))
    assert compacted is not None
    ids = [bytes_of(words) for words in read_columns(compacted.url).ids]
    assert ids == [identity(2), identity(1)]
    assert np.array_equal(np.concatenate(list(read_vectors(compacted.url))), vectors[[2, 4]])
    assert read_model(compacted.url) == MODEL


def test_compaction_of_nothing_alive_writes_nothing(tmp_path: Path) -> None:
    ref = segment(tmp_path, 1, batch([identity(0)], clustered(1, DIMENSION)))
    url = str(tmp_path / "c.parquet")
    assert compact([ref], [Deletion((identity(0),), 5)], url) is None
    with pytest.raises(NotFoundError):
        list(read_batches(url))
    with pytest.raises(BadInputError):
        compact([], [], url)


def test_models_are_not_mixed_by_compaction(tmp_path: Path) -> None:
    first = segment(tmp_path, 1, batch([identity(0)], clustered(1, DIMENSION)))
    other = segment(tmp_path, 2, batch([identity(1)], clustered(1, DIMENSION)), Model("another", DIMENSION))
    with pytest.raises(BadInputError, match="'another', 'test-model'"):
        compact([first, other], [], str(tmp_path / "c.parquet"))


def test_a_removed_segment_may_be_removed_again(place: str) -> None:
    url = f"{place}/a.parquet"
    write_segment(url, [batch([identity(0)], unit(np.ones((1, DIMENSION))))], MODEL)
    remove_segment(url)
    remove_segment(url)
    with pytest.raises(NotFoundError):
        read_model(url)
