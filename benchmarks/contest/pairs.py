"""Two factories that differ in one thing, alive at once and measured in turn, so that a slow minute hits both alike."""

import statistics
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from benchmarks.contest.contest import STEPS
from benchmarks.contest.home import Home


async def measure_in_turn(
    homes: Mapping[str, Home], *, rounds: int, seconds: float, console: Console
) -> dict[str, Any]:
    """Measure the throughput of two factories so many times, the first one first in every other round.

    Returns:
        The rates of each in steps per second, their medians, and `share`: the median over the rounds of the second's
        rate divided by the first's, with all of them as `shares`.
    """
    rates: dict[str, list[float]] = {name: [] for name in homes}
    first, second = homes
    for number in range(rounds):
        for name in (first, second) if number % 2 == 0 else (second, first):
            figure = await homes[name].throughput(seconds, STEPS)
            rates[name].append(figure["steps_per_second"])
            console.print(f"{name}: {rates[name][-1]:,.0f} steps/s", style="dim", highlight=False)
    shares = [mine / other for other, mine in zip(rates[first], rates[second], strict=True)]
    return {
        **rates,
        "median": {name: statistics.median(values) for name, values in rates.items()},
        "shares": shares,
        "share": statistics.median(shares),
    }
