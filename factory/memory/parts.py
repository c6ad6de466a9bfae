"""The parts that a shard searches: one for each large segment, and one for all small ones together."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from factory.memory.columns import Columns, Mask, joined
from factory.memory.index.exact import Found, nearest, nearest_among
from factory.memory.index.mapped import MappedIndex
from factory.memory.index.selectors import Selection, Selections
from factory.memory.liveness import IdTable

Vectors = npt.NDArray[np.float32]
_GROWTH = 2


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """A segment as a shard is told of it.

    Attributes:
        url: Where it lies.
        sequence: Its place in the history of the collection: of two segments with the same chunk the higher wins. No
            two segments of a collection share one.
        rows: How many chunks it holds.
        hash: SHA-256 of the file, if known.
    """

    url: str
    sequence: int
    rows: int
    hash: str = ""


@dataclass(frozen=True, slots=True)
class LoadedSegment:
    """What was read of a segment: its index, or its vectors where it is small."""

    ref: SegmentRef
    columns: Columns
    source: MappedIndex | Vectors


@dataclass(frozen=True)
class Part:
    """Rows that are searched together. It never changes; a change makes a new one.

    Attributes:
        segments: Whose rows, by rising first row.
        starts: (s,), the first row of each segment.
        columns: What the rows are selected by.
        table: Their ids.
        source: The index, or the vectors of the rows.
        selections: Of the living rows.
    """

    segments: tuple[SegmentRef, ...]
    starts: npt.NDArray[np.int64]
    columns: Columns
    table: IdTable
    source: MappedIndex | Vectors
    selections: Selections

    @classmethod
    def sealed(cls, loaded: LoadedSegment) -> "Part":
        """Return the part of one large segment, all of whose rows live."""
        return cls._of([loaded.ref], loaded.columns, loaded.source)

    @classmethod
    def _of(cls, refs: Sequence[SegmentRef], columns: Columns, source: MappedIndex | Vectors) -> "Part":
        counts = [ref.rows for ref in refs]
        table = IdTable(columns.ids, np.repeat(np.asarray([ref.sequence for ref in refs], np.int64), counts))
        starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        return cls(tuple(refs), starts, columns, table, source, Selections(columns, np.ones(len(columns), np.bool_)))

    def search(self, queries: Vectors, k: int, selection: Selection) -> Found:
        """Return the best of the selected rows; see `MappedIndex.search`."""
        if isinstance(self.source, MappedIndex):
            return self.source.search(queries, k, selection)
        if selection.everything:
            return nearest(queries, self.source, k)
        return nearest_among(queries, self.source, k, selection.rows)

    def place(self, row: int) -> tuple[SegmentRef, int]:
        """Return the segment of a row, and its number there."""
        at = int(np.searchsorted(self.starts, row, "right")) - 1
        return self.segments[at], row - int(self.starts[at])

    def row_of(self, sequence: int, number: int) -> int | None:
        """Return the row that has a number in the segment of a sequence number, if that segment is here."""
        for ref, start in zip(self.segments, self.starts, strict=True):
            if ref.sequence == sequence:
                return int(start) + number
        return None

    def with_alive(self, rows: npt.NDArray[np.intp], alive: Mask) -> "Part":
        """Return the part with some rows alive or dead as given, the others as they are."""
        before = self.selections.alive.mask
        if (before[rows] == alive).all():
            return self
        after = before.copy()
        after[rows] = alive
        return replace(self, selections=Selections(self.columns, after, self.selections))


@dataclass
class _Buffer:
    """Room for vectors, filled from the front; what is filled never changes, so that older tails may go on reading."""

    room: Vectors
    used: int = 0


@dataclass(frozen=True)
class Tail:
    """All small segments, their vectors in memory: thousands of tiny indexes would each cost a search.

    Attributes:
        part: None where there is no small segment.
    """

    part: Part | None = None
    _buffer: _Buffer | None = field(default=None, repr=False)

    def extended(self, loaded: Sequence[LoadedSegment]) -> "Tail":
        """Return the tail with more segments, whose rows are alive; the liveness of others is kept."""
        if not loaded:
            return self
        fresh = np.concatenate([_vectors(segment.source) for segment in loaded])
        have = len(self.part.columns) if self.part else 0
        need = have + len(fresh)
        buffer = self._buffer
        # Only the newest tail may write behind its end; an older one would overwrite what a newer has there.
        if buffer is None or buffer.used != have or len(buffer.room) < need:
            buffer = _Buffer(np.empty((need * _GROWTH, fresh.shape[1]), np.float32))
            if self.part is not None:
                buffer.room[:have] = _vectors(self.part.source)
        buffer.room[have:need] = fresh
        buffer.used = need
        refs = [segment.ref for segment in loaded]
        columns = [segment.columns for segment in loaded]
        if self.part is not None:
            refs = [*self.part.segments, *refs]
            columns = [self.part.columns, *columns]
        part = Part._of(refs, joined(columns), buffer.room[:need])  # noqa: SLF001 - the same module
        if self.part is not None:
            part = part.with_alive(np.arange(have), self.part.selections.alive.mask)
        return Tail(part, buffer)

    def without(self, urls: frozenset[str]) -> "Tail":
        """Return the tail with some segments left out."""
        if self.part is None or not any(ref.url in urls for ref in self.part.segments):
            return self
        kept = [ref for ref in self.part.segments if ref.url not in urls]
        if not kept:
            return Tail()
        stays = np.repeat([ref.url not in urls for ref in self.part.segments], [ref.rows for ref in self.part.segments])
        rows = np.flatnonzero(stays)
        vectors = _vectors(self.part.source)[rows]
        part = Part._of(kept, self.part.columns.taken(rows), vectors)  # noqa: SLF001 - the same module
        alive = self.part.selections.alive.mask[rows]
        return Tail(part.with_alive(np.arange(len(rows)), alive), _Buffer(vectors, len(vectors)))

    def with_part(self, part: Part) -> "Tail":
        """Return the tail with another liveness of the same rows."""
        return Tail(part, self._buffer)


def _vectors(source: MappedIndex | Vectors) -> Vectors:
    if isinstance(source, MappedIndex):
        raise TypeError("a tail holds vectors, and no index")
    return source
