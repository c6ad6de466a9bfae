"""The contest: every measurement of every contestant, round by round, so that a slow minute hits all alike."""

import dataclasses
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.contest import microscope, peers
from benchmarks.contest.figures import Figure, together
from benchmarks.contest.home import PROJECTS, Home
from benchmarks.contest.server import Server

STEPS = 12
MODEL_SECONDS = 2.0
NOT_INSTALLED = "not installed"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often each measurement is repeated.
        seconds: About how long each throughput measurement takes.
        chains: How many chains run alone.
        model_steps: Steps of the chains that wait as for a model; 0 leaves that out.
    """

    rounds: int
    seconds: float
    chains: int
    model_steps: int = 0

    def changed(self, **given: float | None) -> "Plan":
        """Return the plan with what was given instead."""
        wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(self, **wanted)


class Contest:
    """Measures contestants on one server."""

    def __init__(self, server: Server, folder: Path, plan: Plan, console: Console, *, profile: bool = False) -> None:
        self._server = server
        self._folder = folder
        self._plan = plan
        self._console = console
        self._profile = profile
        self._figures: dict[str, dict[str, list[Figure]]] = {}

    async def run(self, contestants: Sequence[str]) -> dict[str, Any]:
        """Measure all of them in turn, as often as the plan says."""
        present = [name for name in contestants if name == "factory" or peers.is_installed(name)]
        for number in range(self._plan.rounds):
            for name in present:
                started = time.perf_counter()
                await (self._factory(number) if name == "factory" else self._peer(name))
                self._say(f"round {number + 1}: {name} took {time.perf_counter() - started:.1f} s")
        return self._result(contestants)

    async def _factory(self, number: int) -> None:
        dsn = await self._server.fresh(f"factory_{number}")
        async with Home.running(dsn, self._folder) as home:
            async with self._watched(home, "throughput"):
                self._note("factory", "throughput", await home.throughput(self._plan.seconds, STEPS))
            async with self._watched(home, "chain"):
                self._note("factory", "chain", await home.chains_alone(self._plan.chains, STEPS))
            if self._plan.model_steps:
                async with self._watched(home, "model"):
                    figure = await home.model_calls(PROJECTS, self._plan.model_steps, MODEL_SECONDS)
                self._note("factory", "model", figure)

    def _watched(self, home: Home, measurement: str) -> AbstractAsyncContextManager[None]:
        if not self._profile:
            return nullcontext()
        return microscope.sampled(lambda: [*home.processes, *self._server.processes], self._console, measurement)

    async def _peer(self, name: str) -> None:
        dsn = await self._server.fresh(name)
        plan = self._plan
        figures = await peers.run(name, dsn, seconds=plan.seconds, chains=plan.chains, steps=STEPS)
        for measurement, figure in figures.items():
            self._note(name, measurement, figure)

    def _note(self, contestant: str, measurement: str, figure: Figure) -> None:
        self._figures.setdefault(contestant, {}).setdefault(measurement, []).append(figure)
        self._say(f"{contestant} {measurement}: " + ", ".join(f"{key} {value:,.4g}" for key, value in figure.items()))

    def _say(self, text: str) -> None:
        self._console.print(text, style="dim", highlight=False, soft_wrap=True)

    def _result(self, contestants: Sequence[str]) -> dict[str, Any]:
        whole = {
            name: {measurement: together(rounds) for measurement, rounds in figures.items()}
            for name, figures in self._figures.items()
        }
        rates = {name: round(figures["throughput"]["steps_per_second"], 1) for name, figures in whole.items()}
        absent: dict[str, Any] = {name: NOT_INSTALLED for name in contestants if name not in whole}
        found: dict[str, Any] = {
            "steps_per_second": {**rates, **absent},
            "chain_ms": {**{name: round(figures["chain"]["p50"], 2) for name, figures in whole.items()}, **absent},
            "ratios": {
                f"factory/{name}": round(rates["factory"] / rate, 2)
                for name, rate in rates.items()
                if name != "factory" and "factory" in rates
            },
            "details": whole,
            "rounds": self._plan.rounds,
            "steps": STEPS,
        }
        if "model" in whole.get("factory", {}):
            found["model_calls"] = _rounded(whole["factory"]["model"])
        return found


def _rounded(figure: Figure) -> Figure:
    return {name: round(value, 3) for name, value in figure.items()}
