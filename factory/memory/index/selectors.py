"""Which rows a search may answer with, as a bitmap over row numbers."""

import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from factory.memory.columns import Columns, Mask
from factory.memory.filters import Filter

_KEPT_FILTERS = 64
_KEPT_ROWS = 32_768

Rows = npt.NDArray[np.int64]


class Selection:
    """Some rows of a table, kept as one bit a row.

    Args:
        mask: (n,), true for the rows that count.
    """

    def __init__(self, mask: Mask) -> None:
        self.size = len(mask)
        self.count = int(np.count_nonzero(mask))
        self.bitmap = np.packbits(mask, bitorder="little")  # the order in which FAISS reads bits
        self._rows: Rows | None = None

    @property
    def everything(self) -> bool:
        """Whether no row is left out."""
        return self.count == self.size

    @property
    def mask(self) -> Mask:
        """(n,), true for the rows that count."""
        return np.unpackbits(self.bitmap, count=self.size, bitorder="little").view(np.bool_)

    def holds(self, rows: Rows) -> Mask:
        """Return which of some row numbers are selected; -1 is not."""
        bits = self.bitmap[rows >> 3] >> (rows & 7).astype(np.uint8)
        held: Mask = (bits & 1).astype(np.bool_) & (rows >= 0)
        return held

    def holds_row(self, row: int) -> bool:
        """Return whether one row is selected."""
        return bool(self.bitmap[row >> 3] >> (row & 7) & 1)

    @property
    def rows(self) -> Rows:
        """The numbers of the selected rows, rising; kept where they are few."""
        if self._rows is not None:
            return self._rows
        rows = np.flatnonzero(self.mask).astype(np.int64, copy=False)
        if len(rows) <= _KEPT_ROWS:
            self._rows = rows
        return rows


class Selections:
    """The selections of one table of rows, remembered by filter; rows that died are in none of them.

    Safe to use from several threads.

    Args:
        columns: What the filters look at.
        alive: (n,), which rows are neither deleted nor superseded. It must not change afterwards.
        earlier: Selections of the same columns with other rows alive, whose work on filters is taken over.
    """

    def __init__(self, columns: Columns, alive: Mask, earlier: "Selections | None" = None) -> None:
        self._columns = columns
        self._alive = Selection(alive)
        self._lock = threading.Lock()
        # Without regard to death, so that a tombstone does not throw away the work on a filter.
        self._matching: OrderedDict[Filter, Selection] = OrderedDict(earlier.known() if earlier else ())
        self._living: OrderedDict[Filter, Selection] = OrderedDict()

    @property
    def alive(self) -> Selection:
        """All rows that live."""
        return self._alive

    def of(self, condition: Filter | None) -> Selection:
        """Return the living rows that meet a filter."""
        if condition is None or condition == Filter():
            return self._alive
        with self._lock:
            if condition in self._living:
                self._living.move_to_end(condition)
                return self._living[condition]
            matching = self._matching.get(condition)
        if matching is None:
            matching = Selection(self._columns.matching(condition))
        living = matching if self._alive.everything else Selection(matching.mask & self._alive.mask)
        with self._lock:
            _keep(self._matching, condition, matching)
            _keep(self._living, condition, living)
        return living

    def known(self) -> list[tuple[Filter, Selection]]:
        """Return the filters seen last, each with the rows that meet it, dead ones among them."""
        with self._lock:
            return list(self._matching.items())


def _keep(kept: OrderedDict[Filter, Selection], condition: Filter, selection: Selection) -> None:
    kept[condition] = selection
    if len(kept) > _KEPT_FILTERS:
        kept.popitem(last=False)
