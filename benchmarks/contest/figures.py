"""Figures: what one measurement says, and what several say together."""

import math
import statistics
from collections.abc import Sequence
from typing import TypeAlias

Figure: TypeAlias = dict[str, float]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def chain_figure(seconds: Sequence[float], steps: int) -> Figure:
    """Return the figures of chains that ran alone, in milliseconds."""
    milliseconds = [value * 1000 for value in seconds]
    median = statistics.median(milliseconds)
    return {
        "chains": len(milliseconds),
        "p50": median,
        "p95": percentile(milliseconds, 0.95),
        "p99": percentile(milliseconds, 0.99),
        "per_step": median / steps,
    }


def together(rounds: Sequence[Figure]) -> Figure:
    """Return the median of each figure over the rounds, and the spread of those that rounds may differ in."""
    found: Figure = {}
    for name in rounds[0]:
        values = [figure[name] for figure in rounds]
        found[name] = statistics.median(values)
        if len(rounds) > 1:
            found[f"{name}_min"], found[f"{name}_max"] = min(values), max(values)
    return found
