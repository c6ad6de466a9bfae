"""Which rows count: of a chunk that stands in several segments the latest, and none that a tombstone covers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from factory.memory.columns import Ids, Mask, words_of

Sequences = npt.NDArray[np.int64]
# The first eight bytes of chunk ids: enough to find rows, not to tell them apart.
Prefixes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class IdTable:
    """The chunk ids of n rows, and when each was written.

    Attributes:
        ids: (n, 2), as in `Columns`.
        sequences: (n,), the sequence number of every row's segment.
    """

    ids: Ids
    sequences: Sequences

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def order(self) -> Rows:
        """(n,), the rows by rising prefix."""
        return np.argsort(self.ids[:, 0], kind="stable")

    @cached_property
    def prefixes(self) -> Prefixes:
        """(n,), the prefixes, rising."""
        prefixes: Prefixes = self.ids[self.order, 0]
        return prefixes

    def rows_with(self, wanted: Prefixes) -> Rows:
        """Return the rows whose ids begin with one of some prefixes, which must rise and differ."""
        if len(wanted) > len(self):
            places = np.minimum(np.searchsorted(wanted, self.prefixes), len(wanted) - 1)
            matching: Rows = self.order[wanted[places] == self.prefixes]
            return matching
        first = np.searchsorted(self.prefixes, wanted, "left")
        last = np.searchsorted(self.prefixes, wanted, "right")
        counts = last - first
        starts = np.repeat(first - np.concatenate(([0], counts[:-1].cumsum())), counts) if len(counts) else first
        rows: Rows = self.order[starts + np.arange(counts.sum())]
        return rows

    def shared_with(self, other: "IdTable") -> Prefixes:
        """Return the prefixes that stand in both tables; a few more or less by chance do no harm."""
        small, large = sorted((self, other), key=len)
        if not len(small):
            return np.empty(0, np.uint64)
        found = large.prefixes[np.minimum(np.searchsorted(large.prefixes, small.prefixes), len(large) - 1)]
        return np.unique(found[found == small.prefixes])


@dataclass(frozen=True, slots=True)
class Deletion:
    """Chunks that were deleted.

    Attributes:
        chunk_ids: 16 bytes each.
        sequence: They are dead in every segment of this sequence number or a lower one; a higher one brings them back.
    """

    chunk_ids: tuple[bytes, ...]
    sequence: int


def deletions_of(tombstones: Mapping[bytes, int]) -> tuple[Deletion, ...]:
    """Return the deletions of a manifest's tombstones: one for each sequence number, rising."""
    by_sequence: dict[int, list[bytes]] = {}
    for chunk, sequence in tombstones.items():
        by_sequence.setdefault(sequence, []).append(chunk)
    return tuple(Deletion(tuple(chunks), sequence) for sequence, chunks in sorted(by_sequence.items()))


def no_tombstones() -> IdTable:
    """Return an empty table."""
    return IdTable(np.empty((0, 2), np.uint64), np.empty(0, np.int64))


def with_deletions(known: IdTable, deletions: Iterable[Deletion]) -> IdTable:
    """Return the tombstones after some deletions, of each chunk only the latest."""
    ids, sequences = [known.ids], [known.sequences]
    for deletion in deletions:
        words = words_of(deletion.chunk_ids)
        ids.append(words)
        sequences.append(np.full(len(words), deletion.sequence, np.int64))
    if len(ids) == 1:
        return known
    every, when = np.concatenate(ids), np.concatenate(sequences)
    order = np.lexsort((when, every[:, 1], every[:, 0]))
    latest = order[_ends(every[order])]
    return IdTable(every[latest], when[latest])


def without(known: IdTable, chunk_ids: Sequence[bytes]) -> IdTable:
    """Return the tombstones but those of some chunks."""
    gone = set(chunk_ids)
    if not gone:
        return known
    packed = known.ids.astype(">u8").tobytes()
    kept = np.fromiter((packed[16 * n : 16 * n + 16] not in gone for n in range(len(known))), np.bool_, len(known))
    return IdTable(known.ids[kept], known.sequences[kept])


def survivors(tables: Sequence[IdTable], tombstones: IdTable, prefixes: Prefixes) -> list[tuple[Rows, Mask]]:
    """Decide anew which rows of some chunks are alive.

    Args:
        tables: All rows that there are.
        tombstones: All that are known.
        prefixes: Of the chunks in question, rising and different.

    Returns:
        For each table the numbers of the rows in question, and whether each is alive.
    """
    rows = [table.rows_with(prefixes) for table in tables]
    covered = tombstones.rows_with(prefixes)
    ids = np.concatenate(
        [*(table.ids[some] for table, some in zip(tables, rows, strict=True)), tombstones.ids[covered]]
    )
    when = np.concatenate(
        [*(table.sequences[some] for table, some in zip(tables, rows, strict=True)), tombstones.sequences[covered]]
    )
    deletes = np.zeros(len(ids), np.int8)
    deletes[len(ids) - len(covered) :] = 1
    # The last of each chunk decides: a tombstone comes after a row of the same sequence number.
    order = np.lexsort((deletes, when, ids[:, 1], ids[:, 0]))
    alive = np.zeros(len(ids), np.bool_)
    alive[order[_ends(ids[order])]] = True
    bounds = np.cumsum([len(some) for some in rows])
    return [(some, alive[end - len(some) : end]) for some, end in zip(rows, bounds, strict=True)]


def _ends(ordered: Ids) -> Mask:
    """Return (n,): where a run of equal ids ends."""
    ends = np.ones(len(ordered), np.bool_)
    ends[:-1] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ends
