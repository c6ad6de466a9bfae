"""How long and how often is measured."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often both are measured, in turns.
        seconds: How long each rate is.
        clients: Connections at once for the throughput.
    """

    rounds: int
    seconds: float
    clients: int = 32

    def changed(self, *, rounds: int | None = None, seconds: float | None = None) -> Self:
        """Return the plan with what is given in place of its own."""
        return replace(self, rounds=rounds or self.rounds, seconds=seconds or self.seconds)


QUICK = Plan(rounds=1, seconds=3)
FULL = Plan(rounds=3, seconds=10)
