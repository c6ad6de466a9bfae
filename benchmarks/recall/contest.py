"""The contest: every contestant builds, starts anew, searches and writes, one after another, round by round."""

import dataclasses
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.recall import contestants
from benchmarks.recall.contestants import Contestant, ContestantError
from benchmarks.recall.data import FILTERS
from benchmarks.recall.watch import Watch

NOT_INSTALLED = "not installed"
NO_TIME = "left out: the time was up"
_RECALL = 0.99
# A contestant that takes longer hangs.
_PATIENCE_SECONDS = 7200.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: How often everything is repeated.
        seconds: How long each rate is measured.
        inserts: How many rows are written one by one, in each round.
        limit: Seconds after which the contestant at work is stopped and no other begins; None for as long as it takes.
    """

    rounds: int
    seconds: float
    inserts: int
    limit: float | None = None

    def changed(self, **given: float | None) -> "Plan":
        """Return the plan with what was given instead."""
        wanted: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(self, **wanted)


class Contest:
    """Measures contestants on the same rows.

    Args:
        data: Folder from `prepare`.
        folder: For what the contestants store.
        plan: How much.
        console: For what is to be seen meanwhile.
    """

    def __init__(self, data: Path, folder: Path, plan: Plan, console: Console) -> None:
        self._data = data
        self._folder = folder
        self._plan = plan
        self._console = console
        self._core = psutil.Process().cpu_affinity()[-1] if hasattr(psutil.Process, "cpu_affinity") else 0
        self._figures: dict[str, list[dict[str, Any]]] = {}
        self._absent: dict[str, str] = {}
        self._deadline = time.perf_counter() + plan.limit if plan.limit is not None else None

    def run(self, names: Sequence[str]) -> dict[str, Any]:
        """Measure all of them in turn, as often as the plan says; one that fails is reported with what it said."""
        for number in range(self._plan.rounds):
            for name in names:
                started = time.perf_counter()
                if not contestants.is_installed(name):
                    self._absent[name] = NOT_INSTALLED
                elif self._left() <= 0:
                    self._absent.setdefault(name, NO_TIME)
                elif name not in self._absent:
                    self._measure(name)
                    self._say(f"round {number + 1}: {name} took {time.perf_counter() - started:.1f} s")
        return {name: together(self._figures[name]) if name in self._figures else self._absent[name] for name in names}

    def _measure(self, name: str) -> None:
        store = self._folder / name
        shutil.rmtree(store, ignore_errors=True)
        try:
            figure = {**self._built(name, store), **self._searched(name, store)}
        except ContestantError as error:
            self._absent[name] = f"failed: {error}" if self._left() > 0 else NO_TIME
            self._say(self._absent[name])
            return
        finally:
            shutil.rmtree(store, ignore_errors=True)
        self._figures.setdefault(name, []).append(figure)

    def _built(self, name: str, store: Path) -> dict[str, Any]:
        with Contestant.running(name, self._data, store, seconds=self._left()) as contestant:
            before = contestant.use()
            with Watch(contestant.use) as watch:
                seconds = contestant.ask("build")["seconds"]
            spent = contestant.use().cpu_seconds - before.cpu_seconds
        self._say(f"{name} build: {seconds:.1f} s")
        return {
            "build_seconds": seconds,
            "build_cpu_seconds": spent,
            "build_memory_mib": watch.memory_mib,
            "disk_mib": _disk(store) / 1024**2,
        }

    def _searched(self, name: str, store: Path) -> dict[str, Any]:
        plan = self._plan
        with contestants.restarted(name, self._data, store, self._core, self._left()) as (contestant, whole, opening):
            with Watch(contestant.use) as watch:
                searches = self._all_rates(name, contestant)
            plain = searches.pop("none")
            latest = {}
            if name == "factory":
                latest["latest"] = contestant.ask("singles", filter="none", effort=0, seconds=plan.seconds, latest=True)
            inserted = contestant.ask("insert", count=plan.inserts, effort=plain["effort"])
            self._say(f"{name} insert to searchable: p50 {inserted['p50_ms']:.1f} ms, p99 {inserted['p99_ms']:.1f} ms")
        return {
            **plain,
            "filtered": searches,
            "restart_seconds": whole,
            "open_seconds": opening,
            "insert_to_searchable_ms": {"p50": inserted["p50_ms"], "p99": inserted["p99_ms"]},
            "memory_mib": watch.memory_mib,
            "private_memory_mib": watch.private_mib,
            **latest,
        }

    def _all_rates(self, name: str, contestant: Contestant) -> dict[str, dict[str, Any]]:
        searches = {}
        effort = 0
        for filtered in FILTERS:
            found = self._rates(contestant, filtered, effort)
            effort = effort or found["effort"]
            searches[filtered] = found
            self._say(f"{name} {filtered}: " + _in_words(found))
        return searches

    def _rates(self, contestant: Contestant, filtered: str, effort: int) -> dict[str, Any]:
        # Ten times: the recall needs more answers than the rate does.
        seconds = 10 * self._plan.seconds
        tuned = contestant.ask("tune", filter=filtered, recall=_RECALL, seconds=seconds, **{"from": effort})
        how = {"filter": filtered, "effort": tuned["effort"], "seconds": self._plan.seconds}
        began = contestant.use().cpu_seconds
        singles = contestant.ask("singles", **how)
        between = contestant.use().cpu_seconds
        batches = contestant.ask("batches", **how)
        ended = contestant.use().cpu_seconds
        return {
            "recall": tuned["recall"],
            "effort": tuned["effort"],
            "queries_per_second": singles["queries"] / singles["seconds"],
            "queries_per_cpu_second": _per(singles["queries"], between - began),
            "batch_queries_per_second": batches["queries"] / batches["seconds"] if batches else None,
            "batch_queries_per_cpu_second": _per(batches["queries"], ended - between) if batches else None,
            "p50_ms": singles["p50_ms"],
            "p99_ms": singles["p99_ms"],
        }

    def _left(self) -> float:
        return _PATIENCE_SECONDS if self._deadline is None else self._deadline - time.perf_counter()

    def _say(self, text: str) -> None:
        self._console.print(text, style="dim", highlight=False, soft_wrap=True)


def together(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure over the rounds, to four digits."""
    found: dict[str, Any] = {}
    for name, first in rounds[0].items():
        values = [figure[name] for figure in rounds]
        if isinstance(first, dict):
            found[name] = together(values)
        elif first is None:
            found[name] = None
        else:
            found[name] = float(f"{statistics.median(values):.4g}")
    return found


def _per(queries: int, cpu_seconds: float) -> float:
    # The system counts processor time in hundredths of a second.
    return queries / max(cpu_seconds, 0.01)


def _in_words(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:,.4g}" for name, value in found.items() if value is not None)


def _disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
