"""Batches of texts of like length: what a batch costs is its longest text times their number."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def batches_by_length(lengths: Sequence[int], budget: int) -> Iterator[NDArray[np.int64]]:
    """Yield positions of texts, each once, so that no batch holds more than a budget once it is padded.

    The longest come first, so that a batch that does not fit into memory fails at the start rather than at the end.

    Args:
        lengths: Of the texts, in tokens.
        budget: Most tokens of one batch with its padding; a single text may be longer and is then alone.
    """
    order = np.argsort(np.negative(lengths), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        end = start + max(1, budget // longest)
        yield order[start:end]
        start = end
