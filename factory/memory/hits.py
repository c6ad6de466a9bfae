"""What a search answers with, and how the answers of several parts or shards become one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from factory.memory.columns import Ids
from factory.memory.documents import ID_BYTES

# Cosines that differ by less come from another order of summing: the way of computing must not decide between ties.
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Hits:
    """The best k chunks of q queries, the best first; of equal scores the lower chunk id.

    Attributes:
        ids: (q, k, 2), chunk ids as big-endian words.
        scores: (q, k), cosines to six decimals; -inf where there are no more chunks.
        sequences: (q, k), the sequence number of each chunk's segment; -1 where there is none.
        rows: (q, k), the row in that segment; -1 where there is none.
    """

    ids: Ids
    scores: npt.NDArray[np.float32]
    sequences: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    @classmethod
    def none(cls, queries: int) -> Self:
        """Return that no query found anything."""
        return cls(
            np.zeros((queries, 0, 2), np.uint64),
            np.zeros((queries, 0), np.float32),
            np.zeros((queries, 0), np.int64),
            np.zeros((queries, 0), np.int64),
        )

    def chunk_ids(self, query: int) -> list[bytes]:
        """Return the chunk ids that one query found, the best first."""
        packed = self.ids[query][self.rows[query] >= 0].astype(">u8").tobytes()
        return [packed[place : place + ID_BYTES] for place in range(0, len(packed), ID_BYTES)]

    def counts(self) -> list[int]:
        """Return how many chunks each query found."""
        return [int(count) for count in (self.rows >= 0).sum(axis=1)]


def best(answers: Sequence[Hits], queries: int, k: int) -> Hits:
    """Return the k best of several answers to the same queries.

    A chunk that stands in several answers, as after a write that only one shard knows of, counts once: that of the
    highest sequence number.

    Args:
        answers: Of different rows each.
        queries: How many there are.
        k: How many chunks for each.
    """
    if not answers:
        return _padded(Hits.none(queries), k)
    ids = np.concatenate([answer.ids for answer in answers], axis=1)
    scores = np.concatenate([answer.scores for answer in answers], axis=1)
    sequences = np.concatenate([answer.sequences for answer in answers], axis=1)
    rows = np.concatenate([answer.rows for answer in answers], axis=1)
    found = rows >= 0
    scores = np.where(found, np.round(np.where(found, scores, 0), _DECIMALS), -np.inf).astype(np.float32)
    if len(answers) > 1:
        scores, rows = _once(ids, scores, sequences, rows)
    order = np.lexsort((ids[..., 1], ids[..., 0], -scores))[:, :k]
    # What `take_along_axis` does, which takes half as long as a walk through an index does.
    chosen = np.arange(queries)[:, None], order
    rows = rows[chosen]
    return _padded(Hits(ids[chosen], scores[chosen], np.where(rows >= 0, sequences[chosen], -1), rows), k)


def _once(
    ids: Ids, scores: npt.NDArray[np.float32], sequences: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Strike out all but the latest of each chunk."""
    order = np.lexsort((-sequences, rows < 0, ids[..., 1], ids[..., 0]))
    ordered = np.take_along_axis(ids, order[..., None], 1)
    repeated = np.zeros(order.shape, np.bool_)
    repeated[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]).all(axis=2)
    struck = np.zeros(order.shape, np.bool_)
    np.put_along_axis(struck, order, repeated, 1)
    return np.where(struck, np.float32(-np.inf), scores), np.where(struck, -1, rows)


def _padded(hits: Hits, k: int) -> Hits:
    missing = k - hits.rows.shape[1]
    if missing <= 0:
        return hits
    wide = ((0, 0), (0, missing))
    return Hits(
        np.pad(hits.ids, (*wide, (0, 0))),
        np.pad(hits.scores, wide, constant_values=-np.inf),
        np.pad(hits.sequences, wide, constant_values=-1),
        np.pad(hits.rows, wide, constant_values=-1),
    )
