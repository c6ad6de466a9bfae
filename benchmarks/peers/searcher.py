"""What the scripts of the vector stores have in common: the conversation, the clock and the count of what was found.

A script serves one contestant: it reads a command as a line of JSON from its standard input and answers each with a
line. Runs in every peer's environment, so it knows the standard library and numpy alone.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

K = 10
BATCH = 32
# A write that is not found after so long will not be.
_PATIENCE_SECONDS = 30.0
_WARM_UP_QUERIES = 20
# A recall means something from so many queries on.
_LEAST_QUERIES = 50
# Steps of the knob that bring nothing, after which it is left where it is.
_VAIN_STEPS = 2

Vectors = npt.NDArray[np.float32]
Condition = tuple[str, str] | None
Labels = dict[str, list[str]]


class Searcher(Protocol):
    """A vector store as a contestant. A row's id is its number.

    Attributes:
        efforts: The knob between speed and recall, from the quickest value to the surest; its meaning is the store's.
        batches: Whether it takes several queries at once.
    """

    efforts: Sequence[int]
    batches: bool

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Store the rows and build whatever makes the search quick; everything is on disk afterwards."""
        ...

    def open(self) -> None:
        """Make ready to search what an earlier process has built."""
        ...

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> Sequence[Sequence[int]]:
        """Return the ids of the best k rows of each query, among those whose label has a value."""
        ...

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Store one more row, durably where the store can."""
        ...

    def close(self) -> None:
        """Leave everything in order."""
        ...


class Conversation:
    """Answers the commands of the benchmark for one contestant.

    Args:
        searcher: The contestant.
        data: Folder with the rows, the queries and what exact search finds.
    """

    def __init__(self, searcher: Searcher, data: Path) -> None:
        self._searcher = searcher
        self._data = data
        self._queries: Vectors = np.load(data / "queries.npy")
        with np.load(data / "truth.npz") as stored:
            self._truth = {name: stored[name] for name in stored.files}
        self._conditions: dict[str, Condition] = {
            name: tuple(value) if value else None
            for name, value in json.loads((data / "filters.json").read_text()).items()
        }
        self._inserted = 0

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what a command says."""
        commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "build": self._build,
            "open": self._open,
            "tune": self._tune,
            "singles": self._singles,
            "batches": self._batches,
            "insert": self._insert,
        }
        return commands[asked["do"]](asked)

    def _build(self, _: dict[str, Any]) -> dict[str, Any]:
        vectors = np.load(self._data / "vectors.npy", mmap_mode="r")
        with np.load(self._data / "labels.npz") as stored:
            labels = {name: [f"{name}-{code}" for code in stored[name].tolist()] for name in stored.files}
        began = time.perf_counter()
        self._searcher.build(vectors, labels)
        return {"seconds": time.perf_counter() - began}

    def _open(self, _: dict[str, Any]) -> dict[str, Any]:
        began = time.perf_counter()
        self._searcher.open()
        found = self._searcher.search(self._queries[:1], K, None, self._searcher.efforts[0])
        return {"seconds": time.perf_counter() - began, "found": len(found[0])}

    def _tune(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Raise the effort until enough is found of what exact search finds."""
        name = asked["filter"]
        recall, in_vain = -1.0, 0
        for effort in self._searcher.efforts:
            if effort < asked["from"]:
                continue
            found = self._asked(name, effort, asked.get("seconds", _PATIENCE_SECONDS))
            expected = self._truth[name][: len(found)]
            hits = sum(len({*got} & {*best.tolist()} - {-1}) for got, best in zip(found, expected, strict=True))
            before, recall = recall, hits / int((expected >= 0).sum())
            in_vain = in_vain + 1 if recall <= before else 0
            if recall >= asked["recall"] or in_vain == _VAIN_STEPS:
                break
        return {"effort": effort, "recall": recall}

    def _asked(self, name: str, effort: int, seconds: float) -> list[Sequence[int]]:
        """Return what the queries find, or the first of them where all take too long."""
        found: list[Sequence[int]] = []
        began = time.perf_counter()
        for query in self._queries:
            if len(found) >= _LEAST_QUERIES and time.perf_counter() - began > seconds:
                break
            found.append(self._searcher.search(query[None], K, self._conditions[name], effort)[0])
        return found

    def _singles(self, asked: dict[str, Any]) -> dict[str, Any]:
        search = self._searcher.search
        if asked.get("latest"):
            search = self._searcher.search_latest  # type: ignore[attr-defined]  # only the factory has it
        condition, effort = self._conditions[asked["filter"]], asked["effort"]
        for query in self._queries[:_WARM_UP_QUERIES]:
            search(query[None], K, condition, effort)
        spent: list[float] = []
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < asked["seconds"]:
            search(self._queries[len(spent) % len(self._queries)][None], K, condition, effort)
            spent.append(time.perf_counter() - now)
        return {"queries": len(spent), "seconds": time.perf_counter() - began, **_latency(spent)}

    def _batches(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not self._searcher.batches:
            return {}
        condition = self._conditions[asked["filter"]]
        count = 0
        began = time.perf_counter()
        while time.perf_counter() - began < asked["seconds"]:
            rows = np.arange(count, count + BATCH) % len(self._queries)
            self._searcher.search(self._queries[rows], K, condition, asked["effort"])
            count += BATCH
        return {"queries": count, "seconds": time.perf_counter() - began}

    def _insert(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write rows one after another, and search for each until it is found; the first only imports what it needs."""
        search = getattr(self._searcher, "search_latest", self._searcher.search)
        vectors: Vectors = np.load(self._data / "inserts.npy")
        rows = len(np.load(self._data / "vectors.npy", mmap_mode="r"))
        spent = []
        for vector in vectors[self._inserted : self._inserted + asked["count"] + 1]:
            number = rows + self._inserted
            self._inserted += 1
            began = time.perf_counter()
            self._searcher.insert(number, vector, {"kind": "kind-0", "project": "project-1", "tenant": "tenant-1"})
            while number not in search(vector[None], K, None, asked["effort"])[0]:
                if time.perf_counter() - began > _PATIENCE_SECONDS:
                    raise TimeoutError(f"a row was not found {_PATIENCE_SECONDS:g} s after it was written")
            spent.append(time.perf_counter() - began)
        return {"count": len(spent) - 1, **_latency(spent[1:])}


def _latency(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = max(0, -(-99 * len(ordered) // 100) - 1)
    return {"p50_ms": statistics.median(ordered) * 1000, "p99_ms": ordered[at] * 1000}


def main(searcher: Callable[[Path, str], Searcher]) -> None:
    """Answer commands until there are no more.

    Args:
        searcher: Makes the contestant; takes the folder for what it stores and the URL of a database of its own.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--dsn", default="")
    options = parser.parse_args()
    # Whatever a library prints is not to stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contestant = searcher(options.store, options.dsn)
    conversation = Conversation(contestant, options.data)
    for line in sys.stdin:
        answers.write(json.dumps(conversation.answer(json.loads(line))) + "\n")
        answers.flush()
    contestant.close()
