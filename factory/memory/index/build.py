"""Building the index of a segment from its vectors."""

from collections.abc import Iterable
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from factory.memory.index.kinds import IndexPlan

Vectors = npt.NDArray[np.float32]

# Queries times dimensions from which on a flat search multiplies matrices: from 16 queries on rather than 330, which
# is four times as fast in batches of 32.
_BLAS_THRESHOLD = 6144
_SEED = 20_260
_KMEANS_ROUNDS = 10
_PORTION = 65_536


def use_threads(count: int) -> None:
    """Let FAISS use so many threads for what the calling thread asks of it.

    One is best for searches: the threads of one query wait for one another longer than they work.
    """
    faiss.omp_set_num_threads(count)
    faiss.cvar.distance_compute_blas_threshold = _BLAS_THRESHOLD


def build(vectors: Iterable[Vectors], rows: int, dimension: int, plan: IndexPlan, *, threads: int = 1) -> Any:  # noqa: ANN401 - FAISS is untyped
    """Return the FAISS index of a segment, in memory, row number being the id.

    The same vectors and plan give the same index with any number of threads, HNSW excepted.

    Args:
        vectors: In the order of the rows, (m, dimension) each.
        rows: How many vectors there are in all.
        dimension: Of the vectors.
        plan: From `choose`.
        threads: How many threads may work.
    """
    use_threads(threads)
    index = faiss.index_factory(dimension, plan.factory, faiss.METRIC_INNER_PRODUCT)
    if plan.ef_construction:
        index.hnsw.efConstruction = plan.ef_construction
    if plan.training_rows:
        whole = np.empty((rows, dimension), np.float32)
        begin = 0
        for part in vectors:
            whole[begin : begin + len(part)] = part
            begin += len(part)
        lists = faiss.downcast_index(index.base_index)
        lists.cp.niter = _KMEANS_ROUNDS
        lists.cp.max_points_per_centroid = -(-plan.training_rows // plan.lists)
        lists.cp.seed = _SEED
        chosen = np.sort(np.random.default_rng(_SEED).choice(rows, plan.training_rows, replace=False))
        index.train(whole[chosen])
        vectors = (whole[begin : begin + _PORTION] for begin in range(0, rows, _PORTION))
    for part in vectors:
        index.add(np.ascontiguousarray(part, np.float32))
    return index
