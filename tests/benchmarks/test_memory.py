"""The benchmark of semantic memory: its rows, its arithmetic, its peers' pins, and one short run of the factory."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.contest import peers
from benchmarks.recall import contest
from benchmarks.recall.contest import Contest, Plan, together
from benchmarks.recall.contestants import PEERS, Contestant, ContestantError
from benchmarks.recall.data import FILTERS, DataPlan, prepare

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {"qdrant_edge": "qdrant-edge-py"}


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Return a file of 520 unit vectors around 20 places."""
    choice = np.random.default_rng(3)
    places = choice.normal(size=(20, 384))
    found = places[choice.integers(0, 20, 520)] + choice.normal(0, 0.5, (520, 384))
    path = tmp_path / "vectors.npy"
    np.save(path, (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32))
    return path


def test_the_rows_are_written_with_what_exact_search_finds(vectors: Path, tmp_path: Path) -> None:
    data = prepare(DataPlan(size=500, real=0, queries=20, vectors=vectors), tmp_path)
    stored, queries = np.load(data / "vectors.npy"), np.load(data / "queries.npy")
    with np.load(data / "labels.npz") as labels, np.load(data / "truth.npz") as truth:
        half = np.flatnonzero(labels["kind"] == 0)
        assert set(truth.files) == set(FILTERS)
        assert (truth["none"] == np.argsort(-(queries @ stored.T), axis=1)[:, :10]).all()
        assert (truth["50 %"] == half[np.argsort(-(queries @ stored[half].T), axis=1)[:, :10]]).all()
        assert (truth["0.01 %"][:, 0] >= 0).all()
        assert (truth["0.01 %"][:, -1] == -1).all()


def test_rounds_are_summed_up_by_their_median() -> None:
    rounds: list[dict[str, Any]] = [
        {"rate": rate, "batch": None, "filtered": {"1 %": {"rate": 10 * rate}}} for rate in (3.0, 1.0, 2.00001)
    ]
    assert together(rounds) == {"rate": 2.0, "batch": None, "filtered": {"1 %": {"rate": 20.0}}}


def test_what_cannot_be_measured_is_reported(vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = prepare(DataPlan(size=500, real=0, queries=20, vectors=vectors), tmp_path)
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    out_of_time = Contest(data, tmp_path, Plan(rounds=1, seconds=1, inserts=1, limit=0), Console(quiet=True))
    assert out_of_time.run(["factory", "chroma"]) == {"factory": contest.NO_TIME, "chroma": contest.NOT_INSTALLED}


def test_a_peer_whose_script_fails_is_reported_with_its_own_words(
    vectors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare(DataPlan(size=500, real=0, queries=20, vectors=vectors), tmp_path)
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    folder = tmp_path / ".venv-bench" / "chroma" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    script = tmp_path / "benchmarks" / "peers" / "chroma" / "run.py"
    script.parent.mkdir(parents=True)
    script.write_text("raise SystemExit('the disk said no')")
    with (
        Contestant.running("chroma", data, tmp_path / "store") as contestant,
        pytest.raises(ContestantError, match="chroma ended at 'build': the disk said no"),
    ):
        contestant.ask("build")


@pytest.mark.parametrize("peer", PEERS)
def test_what_a_peer_imports_is_pinned_for_it(peer: str) -> None:
    folder = ROOT / "benchmarks" / "peers" / peer
    pinned = [line.split("==") for line in (folder / "requirements.txt").read_text().splitlines()]
    tree = ast.parse((folder / "run.py").read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"searcher"}
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for _, version in pinned)
    assert {DISTRIBUTIONS.get(name, name) for name in names} | {"numpy"} <= {name.lower() for name, _ in pinned}


def test_the_factory_runs_its_part_of_the_contest(vectors: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/memory.py", "--json", "--only", "factory", "--vectors", str(vectors)]
    command += ["--size", "500", "--queries", "20", "--rounds", "1", "--seconds", "0.1", "--inserts", "3"]
    done = subprocess.run(
        [*command, "--cache", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    figure = found["factory"]
    assert not isinstance(figure, str), figure
    assert figure["recall"] == 1
    assert set(figure["filtered"]) == {"50 %", "1 %", "0.01 %"}
    positive = ("queries_per_second", "p99_ms", "build_seconds", "restart_seconds", "memory_mib", "disk_mib")
    assert all(figure[name] > 0 for name in positive)
    assert all(filtered["recall"] == 1 for filtered in figure["filtered"].values())
    assert set(figure["insert_to_searchable_ms"]) == {"p50", "p99"}
    assert found["machine"]["cores"] > 0
