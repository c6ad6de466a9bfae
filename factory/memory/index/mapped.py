"""An index file in mapped memory, and the search in it: approximate where that is quicker, exact where it is safer."""

from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
import numpy.typing as npt

from factory.memory.index.exact import Found, nearest, nearest_among, nothing
from factory.memory.index.kinds import IndexKind, IndexPlan
from factory.memory.index.selectors import Selection

Vectors = npt.NDArray[np.float32]

# Up to so many selected rows, comparing each of them is as quick as any index and loses nothing.
EXACT_UP_TO = 10_000
# Beyond so many neighbours, a walk through the graph costs as much as comparing a good part of the rows.
_HNSW_EF_LIMIT = 2048
_HNSW_EFFORT_PER_HIT = 4
# How many neighbours are taken from the lists for each of the best that is wanted: the last of them are not sure.
_LISTS_MARGIN = 2
# Selected rows are not spread evenly: so much less of a margin is accepted before more neighbours are looked at.
_TOLERANCE = 1.6
_STEP = 2


class MappedIndex:
    """The index of one segment, read-only: FAISS ends the process where a mapped index is added to.

    Safe to search from several threads. The file may be removed meanwhile; its pages live as long as this object.

    Args:
        index: From `faiss.read_index` with `IO_FLAG_MMAP_IFC`.
        plan: How it was built and is to be searched.
    """

    def __init__(self, index: Any, plan: IndexPlan) -> None:  # noqa: ANN401 - FAISS is untyped
        self._index = index
        self.plan = plan
        self.rows = int(index.ntotal)
        self.dimension = int(index.d)
        storage = index
        if plan.kind is IndexKind.HNSW:
            storage = faiss.downcast_index(index.storage)
        elif plan.kind is IndexKind.QUANTISED:
            storage = faiss.downcast_index(index.refine_index)
        flat: Vectors = faiss.rev_swig_ptr(storage.get_xb(), self.rows * self.dimension)
        self._vectors = flat.reshape(self.rows, self.dimension)

    @classmethod
    def read(cls, path: Path, plan: IndexPlan) -> Self:
        """Map an index file.

        Raises:
            FileNotFoundError: There is none.
            RuntimeError: FAISS cannot make sense of it.
        """
        if not path.exists():
            raise FileNotFoundError(path)
        # Already of its own class; `downcast_index` would give a second wrapper that owns nothing.
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        expected = {
            IndexKind.FLAT: faiss.IndexFlat,
            IndexKind.HNSW: faiss.IndexHNSWFlat,
            IndexKind.QUANTISED: faiss.IndexRefineFlat,
        }[plan.kind]
        if not isinstance(index, expected):
            raise RuntimeError(f"{path} holds a {type(index).__name__} instead of a {expected.__name__}")  # noqa: TRY004 - as FAISS
        return cls(index, plan)

    def search(self, queries: Vectors, k: int, selection: Selection) -> Found:
        """Return the best rows of a selection for each query.

        Args:
            queries: (q, dimension), contiguous.
            k: How many rows; 1 or more.
            selection: Of this index's rows.

        Returns:
            Scores, falling, and row numbers, (q, k) each; -1 stands where there are no more rows.
        """
        if selection.everything and self.plan.kind is IndexKind.FLAT:
            return nearest(queries, self._vectors, k)
        if selection.count <= max(EXACT_UP_TO, k):
            return nearest_among(queries, self._vectors, k, selection.rows)
        if self.plan.kind is IndexKind.FLAT:
            return nearest_among(queries, self._vectors, k, selection)
        if not selection.everything:
            return self._search_among(queries, k, selection)
        if self.plan.kind is IndexKind.HNSW:
            return self._walk(queries, k, max(self.plan.effort, _HNSW_EFFORT_PER_HIT * k))
        found = self._probe(queries, k, self.plan.effort, self.plan.refine)
        short = np.flatnonzero((found.rows < 0).any(axis=1))
        if len(short):
            found.scores[short], found.rows[short] = nearest(queries[short], self._vectors, k)
        return found

    def _search_among(self, queries: Vectors, k: int, selection: Selection) -> Found:
        """Look at so many neighbours of a query that the best selected ones lie well within them.

        A selector inside FAISS is no help where the query's neighbourhood holds few selected rows: the answer has k
        rows, and not the best. Here that is seen, and more neighbours are looked at, or all selected rows.
        """
        result = nothing(len(queries), k)
        waiting = np.arange(len(queries))
        if self.plan.kind is IndexKind.HNSW:
            margin, limit = max(self.plan.effort / k, _HNSW_EFFORT_PER_HIT), float(_HNSW_EF_LIMIT)
        else:
            margin = _LISTS_MARGIN
            limit = margin * k * self.plan.lists / self.plan.effort
        count = round(margin * k * selection.size / selection.count)
        while len(waiting) and count <= limit:
            scores, rows = self._neighbours(queries[waiting], count, count / (margin * k))
            kept = selection.holds(rows)
            place = (kept.cumsum(axis=1) < k).sum(axis=1) + 1
            settled = place * margin <= _TOLERANCE * count
            # The selected ones come first, in the order they had.
            order = np.argsort(~kept[settled], axis=1, kind="stable")[:, :k]
            result.rows[waiting[settled]] = np.take_along_axis(rows[settled], order, 1)
            result.scores[waiting[settled]] = np.take_along_axis(scores[settled], order, 1)
            waiting = waiting[~settled]
            count *= _STEP
        if len(waiting):
            exact = nearest_among(queries[waiting], self._vectors, k, selection)
            result.scores[waiting], result.rows[waiting] = exact
        return result

    def _neighbours(self, queries: Vectors, count: int, times: float) -> Found:
        """Return the nearest rows, for which so many times the work of a search without a filter is done."""
        if self.plan.kind is IndexKind.HNSW:
            return self._walk(queries, count, count)
        probes = min(self.plan.lists, round(self.plan.effort * times))
        return self._probe(queries, count, probes, self.plan.refine / _LISTS_MARGIN)

    def _walk(self, queries: Vectors, k: int, effort: int) -> Found:
        return Found(*self._index.search(queries, k, params=faiss.SearchParametersHNSW(efSearch=effort)))

    def _probe(self, queries: Vectors, k: int, probes: int, refine: float) -> Found:
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=refine, base_index_params=faiss.SearchParametersIVF(nprobe=probes)
        )
        return Found(*self._index.search(queries, k, params=parameters))
