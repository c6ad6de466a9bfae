"""Exact search: every row that counts is compared."""

from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from factory.memory.index.selectors import Rows, Selection

Vectors = npt.NDArray[np.float32]

# From so many queries on, copying the selected rows together pays off: matrix products want them in one piece.
_GATHER_FROM_QUERIES = 4
_GATHERED_ROWS = 16_384
_SPARSE = 16


class Found(NamedTuple):
    """What a search found.

    Attributes:
        scores: (q, k), inner products, falling; without meaning where there is no row.
        rows: (q, k), row numbers; -1 where there are no more.
    """

    scores: Vectors
    rows: Rows


def nothing(queries: int, k: int) -> Found:
    """Return that no query found anything."""
    return Found(np.full((queries, k), -np.inf, np.float32), np.full((queries, k), -1, np.int64))


def nearest(queries: Vectors, vectors: Vectors, k: int) -> Found:
    """Return the rows with the highest inner products.

    Args:
        queries: (q, d), contiguous.
        vectors: (n, d), contiguous; they may lie in a mapped file.
        k: How many for each query.
    """
    return _knn(queries, vectors, k, None)


def nearest_among(queries: Vectors, vectors: Vectors, k: int, selected: Selection | Rows) -> Found:
    """Return the selected rows with the highest inner products.

    Args:
        queries: (q, d), contiguous.
        vectors: (n, d), contiguous; they may lie in a mapped file.
        k: How many for each query.
        selected: A selection, or row numbers where they are few.
    """
    if isinstance(selected, Selection):
        # Going through the bits of all rows costs as much as comparing a good part of them.
        many = selected.count * _SPARSE > selected.size
        if many and len(queries) < _GATHER_FROM_QUERIES:
            return _knn(queries, vectors, k, faiss.IDSelectorBitmap(selected.bitmap))
        selected = selected.rows
    if not len(selected):
        return nothing(len(queries), k)
    if len(queries) < _GATHER_FROM_QUERIES:
        return _knn(queries, vectors, k, faiss.IDSelectorArray(selected))
    best = nothing(len(queries), k)
    for begin in range(0, len(selected), _GATHERED_ROWS):
        some = selected[begin : begin + _GATHERED_ROWS]
        scores, places = _knn(queries, vectors[some], k, None)
        best = merged(best, Found(scores, np.where(places >= 0, some[places], -1)), k)
    return best


def merged(first: Found, second: Found, k: int) -> Found:
    """Return the k best of two searches among different rows."""
    scores = np.concatenate((first.scores, second.scores), axis=1)
    rows = np.concatenate((first.rows, second.rows), axis=1)
    scores = np.where(rows >= 0, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Found(np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1))


def _knn(queries: Vectors, vectors: Vectors, k: int, selector: Any) -> Found:  # noqa: ANN401 - FAISS is untyped
    scores = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    faiss.knn_inner_product(
        faiss.swig_ptr(queries),
        faiss.swig_ptr(vectors),
        vectors.shape[1],
        len(queries),
        len(vectors),
        k,
        faiss.swig_ptr(scores),
        faiss.swig_ptr(rows),
        selector,
    )
    return Found(scores, rows)
