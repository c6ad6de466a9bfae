"""What all contestants store and are asked: vectors, labels, queries, and what exact search finds.

Written once per size, so that every contestant reads the same files.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.peers.searcher import K
from benchmarks.real_texts import embedded, enlarge

Vectors = npt.NDArray[np.float32]

# How many values each label has, drawn evenly: a filter on one selects 50 %, 1 % or 0.01 % of the rows.
LABELS = {"kind": 2, "project": 100, "tenant": 10_000}
FILTERS: dict[str, tuple[str, str] | None] = {
    "none": None,
    "50 %": ("kind", "kind-0"),
    "1 %": ("project", "project-7"),
    "0.01 %": ("tenant", "tenant-7"),
}
_SELECTED = {"kind": 0, "project": 7, "tenant": 7}
_SEED = 11
_BLOCK = 65_536
_INSERTS = 400
# Embedded at once.
_TEXTS_A_PART = 2048


@dataclass(frozen=True, slots=True)
class DataPlan:
    """Which rows there are.

    Attributes:
        size: How many.
        real: How many texts to embed, queries included; the vectors beyond lie between those of texts.
        queries: How many of the texts are kept apart to search with.
        vectors: A .npy file to take the place of embedded texts.
    """

    size: int
    real: int
    queries: int
    vectors: Path | None = None


def prepare(plan: DataPlan, cache: Path) -> Path:
    """Return the folder with the files of a plan, made where they are missing.

    Args:
        plan: Which rows.
        cache: Where embedded texts and these folders are kept.
    """
    if plan.vectors is None:
        folder = cache / f"store-{plan.size}-{plan.real}-{plan.queries}"
        if folder.exists():
            return folder
        count = -(-plan.real // _TEXTS_A_PART) * _TEXTS_A_PART
        _, known = embedded(count, cache / "vectors", threads=2)
        known = known[: plan.real]
    else:
        folder = cache / f"store-{plan.size}-given-{plan.queries}"
        shutil.rmtree(folder, ignore_errors=True)
        known = np.load(plan.vectors).astype(np.float32)
    staged = cache / f"{folder.name}.partial"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    _write(plan, known, staged)
    staged.rename(folder)
    return folder


def _write(plan: DataPlan, known: Vectors, folder: Path) -> None:
    choice = np.random.default_rng(_SEED)
    queries, real = known[: plan.queries], known[plan.queries :]
    vectors = enlarge(real, plan.size)
    labels = {name: choice.integers(0, many, plan.size, np.int32) for name, many in LABELS.items()}
    for name, code in _SELECTED.items():
        labels[name][choice.integers(0, plan.size)] = code  # at least one row is selected, however few there are
    noise = choice.normal(0, 0.5 / np.sqrt(known.shape[1]), (_INSERTS, known.shape[1])).astype(np.float32)
    inserts = real[choice.integers(0, len(real), _INSERTS)] + noise
    inserts /= np.linalg.norm(inserts, axis=1, keepdims=True)
    truth = {name: _nearest(queries, vectors, _rows(value, labels, plan.size)) for name, value in FILTERS.items()}
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "inserts.npy", inserts)
    np.savez(folder / "labels.npz", **labels)  # type: ignore[arg-type]  # its stub takes the names for options
    np.savez(folder / "truth.npz", **truth)  # type: ignore[arg-type]  # same
    (folder / "filters.json").write_text(json.dumps(FILTERS), encoding="utf-8")


def _rows(value: tuple[str, str] | None, labels: dict[str, npt.NDArray[np.int32]], size: int) -> npt.NDArray[np.int64]:
    if value is None:
        return np.arange(size)
    name, text = value
    return np.flatnonzero(labels[name] == int(text.rpartition("-")[2]))


def _nearest(queries: Vectors, vectors: Vectors, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return (q, K) numbers of the selected rows that are nearest; -1 where there are no more."""
    scores = np.full((len(queries), K), -np.inf, np.float32)
    found = np.full((len(queries), K), -1, np.int64)
    for begin in range(0, len(rows), _BLOCK):
        some = rows[begin : begin + _BLOCK]
        scores = np.concatenate([scores, queries @ vectors[some].T], axis=1)
        found = np.concatenate([found, np.broadcast_to(some, (len(queries), len(some)))], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        scores, found = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)
    return found
