import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError
from factory.memory.columns import Columns, joined
from factory.memory.filters import Filter
from factory.memory.index.selectors import Selection, Selections
from factory.memory.segments import columns_of, read_columns
from tests.memory.rows import DAY_ZERO, DIMENSION, batch, clustered, identity, segment

COUNT = 120
ROWS = batch([identity(n) for n in range(COUNT)], clustered(COUNT, DIMENSION))
COLUMNS = columns_of(pa.table(ROWS))

some_days = st.none() | st.integers(-1, 11).map(lambda day: DAY_ZERO + timedelta(days=day))
some_names = {
    "project_ids": [f"project-{n}" for n in range(6)],
    "kinds": [f"kind-{n}" for n in range(4)],
    "agents": [f"agent-{n}" for n in range(3)],
}


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    lists = {
        name: draw(st.none() | st.lists(st.sampled_from(values), min_size=1, unique=True).map(tuple))
        for name, values in some_names.items()
    }
    low, high = draw(st.none() | st.integers(0, 5)), draw(st.none() | st.integers(0, 5))
    if low is not None and high is not None and low > high:
        low, high = high, low
    start, end = draw(some_days), draw(some_days)
    if start is not None and end is not None and start >= end:
        start, end = end, start + timedelta(microseconds=1)
    return Filter(
        tenant=draw(st.none() | st.sampled_from(["tenant-0", "tenant-1", "nobody"])),
        versions=draw(st.sampled_from([None, (low, high)])),
        created=draw(st.sampled_from([None, (start, end)])),
        **lists,
    )


def meets(row: dict[str, object], condition: Filter) -> bool:
    """Decide as the documentation of `Filter` says."""
    low, high = condition.versions or (None, None)
    start, end = condition.created or (None, None)
    version, created = row["version"], row["created_at"]
    assert isinstance(version, int)
    assert isinstance(created, datetime)
    return (
        (condition.tenant is None or row["tenant"] == condition.tenant)
        and (condition.project_ids is None or row["project_id"] in condition.project_ids)
        and (condition.kinds is None or row["kind"] in condition.kinds)
        and (condition.agents is None or row["agent"] in condition.agents)
        and (low is None or version >= low)
        and (high is None or version <= high)
        and (start is None or created >= start)
        and (end is None or created < end)
    )


@given(filters())
def test_a_filter_selects_the_rows_that_meet_it(condition: Filter) -> None:
    expected = [meets(row, condition) for row in ROWS.to_pylist()]
    assert COLUMNS.matching(condition).tolist() == expected


@given(filters(), st.lists(st.booleans(), min_size=COUNT, max_size=COUNT))
def test_dead_rows_are_never_selected(condition: Filter, alive: list[bool]) -> None:
    all_alive = Selections(COLUMNS, np.ones(COUNT, np.bool_))
    all_alive.of(condition)
    # With the work on the filter taken over, and without.
    for selections in (Selections(COLUMNS, np.array(alive), all_alive), Selections(COLUMNS, np.array(alive))):
        for _again in range(2):
            selection = selections.of(condition)
            expected = [n for n, row in enumerate(ROWS.to_pylist()) if alive[n] and meets(row, condition)]
            assert selection.rows.tolist() == expected
            assert selection.count == len(expected)
            assert np.flatnonzero(selection.mask).tolist() == expected


@given(st.lists(st.integers(0, COUNT), min_size=1, max_size=5))
def test_tables_joined_select_as_one(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), COUNT]
    parts = [columns_of(pa.table(ROWS.slice(a, b - a))) for a, b in itertools.pairwise(bounds)]
    whole = joined(parts)
    for condition in (Filter(), Filter(kinds=("kind-1",), tenant="tenant-1"), Filter(agents=("agent-0", "none"))):
        assert whole.matching(condition).tolist() == COLUMNS.matching(condition).tolist()
    assert np.array_equal(whole.ids, COLUMNS.ids)


def test_columns_come_from_the_file_as_from_memory(tmp_path: Path) -> None:
    stored: Columns = read_columns(segment(tmp_path, 1, ROWS).url)
    condition = Filter(kinds=("kind-2",), created=(DAY_ZERO + timedelta(days=2), None))
    assert stored.matching(condition).tolist() == COLUMNS.matching(condition).tolist()
    assert np.array_equal(stored.created, COLUMNS.created)


def test_a_bitmap_is_made_once_for_a_repeated_filter() -> None:
    selections = Selections(COLUMNS, np.ones(COUNT, np.bool_))
    first = selections.of(Filter(kinds=("kind-1",)))
    for number in range(20):
        selections.of(Filter(versions=(number, None)))
    assert selections.of(Filter(kinds=("kind-1",))) is first
    assert selections.of(Filter()) is selections.alive
    assert first.bitmap.nbytes == COUNT // 8


def test_a_selection_of_nothing() -> None:
    selection = Selection(np.zeros(0, np.bool_))
    assert selection.everything
    assert not len(selection.rows)


def test_filters_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"kinds": ()},
        {"versions": (3, 2)},
        {"created": (DAY_ZERO, DAY_ZERO)},
        {"created": (datetime(2026, 1, 1), None)},  # noqa: DTZ001 - what is refused
    ):
        with pytest.raises(BadInputError):
            Filter(**wrong)
    assert Filter(created=(datetime(2026, 1, 1, tzinfo=UTC), None)).created is not None
