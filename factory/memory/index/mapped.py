"""An index file in mapped memory, and the search in it: approximate where that is quicker, exact where it is safer."""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import faiss
import numpy as np
import numpy.typing as npt

from factory.memory.index.exact import Found, nearest, nearest_among
from factory.memory.index.kinds import IndexKind, IndexPlan
from factory.memory.index.selectors import Selection

Vectors = npt.NDArray[np.float32]

# Up to so many selected rows, comparing each of them is as quick as any index and loses nothing.
EXACT_UP_TO = 10_000
# HNSW walks through rows that are not selected; below this share it finds too few of those that are.
_HNSW_MINIMUM_SHARE = 0.2
_HNSW_EF_LIMIT = 2048


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
            self._lists = faiss.downcast_index(index.base_index)
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
        if self.plan.kind is IndexKind.HNSW:
            found = self._search_graph(queries, k, selection)
        elif selection.everything:
            found = self._search_lists(queries, k, self.plan.effort, None)
        else:
            found = self._search_some_lists(queries, k, selection)
        return self._completed(queries, k, selection, found)

    def _search_graph(self, queries: Vectors, k: int, selection: Selection) -> Found:
        effort = max(self.plan.effort, 2 * k)
        if selection.everything:
            parameters = faiss.SearchParametersHNSW(efSearch=effort)
        else:
            share = selection.count / selection.size
            if share < _HNSW_MINIMUM_SHARE:
                return nearest_among(queries, self._vectors, k, selection)
            # Never bounded_queue=False: FAISS then answers with rows that the selector excludes.
            parameters = faiss.SearchParametersHNSW(
                efSearch=min(round(effort / share), _HNSW_EF_LIMIT), sel=_selector(selection)
            )
        scores, rows = self._index.search(queries, k, params=parameters)
        return Found(scores, rows)

    def _search_lists(self, queries: Vectors, k: int, probes: int, selection: Selection | None) -> Found:
        within = faiss.SearchParametersIVF(nprobe=probes)
        if selection is not None:
            within = faiss.SearchParametersIVF(nprobe=probes, sel=_selector(selection))
        parameters = faiss.IndexRefineSearchParameters(k_factor=self.plan.refine, base_index_params=within)
        scores, rows = self._index.search(queries, k, params=parameters)
        return Found(scores, rows)

    def _search_some_lists(self, queries: Vectors, k: int, selection: Selection) -> Found:
        """Probe as many lists as hold so many selected rows as an unfiltered search compares.

        The selected rows may lie in a few lists far from the query: a fixed number of probes would miss them.
        """
        wanted = self.plan.effort * self.rows / self.plan.lists
        held = np.bincount(self._list_of_row[selection.mask], minlength=self.plan.lists)
        _, order = self._lists.quantizer.search(queries, self.plan.lists)
        reached = held[order].cumsum(axis=1)
        probes = np.minimum((reached < wanted).sum(axis=1) + 1, self.plan.lists)
        # Queries of similar need go together, none with less than it needs.
        rounded = np.minimum(1 << np.ceil(np.log2(probes)).astype(np.int64), self.plan.lists)
        scores = np.empty((len(queries), k), np.float32)
        rows = np.empty((len(queries), k), np.int64)
        for count in np.unique(rounded):
            these = np.flatnonzero(rounded == count)
            most = int(probes[these].max())
            scores[these], rows[these] = self._search_lists(queries[these], k, most, selection)
        return Found(scores, rows)

    def _completed(self, queries: Vectors, k: int, selection: Selection, found: Found) -> Found:
        """Search exactly for the queries that got fewer rows than there are."""
        short = np.flatnonzero((found.rows[:, : min(k, selection.count)] < 0).any(axis=1))
        if not len(short):
            return found
        exact = nearest_among(queries[short], self._vectors, k, selection)
        found.scores[short], found.rows[short] = exact
        return found

    @cached_property
    def _list_of_row(self) -> npt.NDArray[np.integer]:
        """(n,): which inverted list holds a row."""
        result = np.empty(self.rows, np.min_scalar_type(self.plan.lists - 1))
        lists = self._lists.invlists
        for number in range(self.plan.lists):
            if size := lists.list_size(number):
                result[faiss.rev_swig_ptr(lists.get_ids(number), size)] = number
        return result


def _selector(selection: Selection) -> Any:  # noqa: ANN401 - FAISS is untyped
    return faiss.IDSelectorBitmap(selection.bitmap)
