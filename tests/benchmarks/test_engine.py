"""The benchmark of the engine: its arithmetic, its picture, its agent, and one short run of the whole."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from benchmarks.contest import contest, peers
from benchmarks.contest.chart import ChartError, write_chart
from benchmarks.contest.contest import Contest, Plan
from benchmarks.contest.figures import chain_figure, percentile, together
from benchmarks.contest.peers import PEERS, PeerError
from benchmarks.contest.server import Server
from benchmarks.engine_agents import BenchDone, BenchStep, Relay
from factory.artifacts.blobs import BlobStore
from factory.domain.ids import new_id
from factory.domain.task import Task
from factory.events.registry import REGISTRY
from factory.settings import Settings
from factory.skills.catalogue import Catalogue
from factory.storage.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
FOUND: dict[str, Any] = {
    "steps_per_second": {"factory": 800.0, "dbos": 50.0, "langgraph": "not installed"},
    "chain_ms": {"factory": 40.0, "dbos": 80.0, "langgraph": "not installed"},
    "steps": 12,
    "machine": {"cpu": "A & B", "cores": 2, "postgresql": {"server_version": "18"}},
}


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, 5), (0.95, 10), (0.99, 10), (0.1, 1), (0.0, 1)],
    ids=["p50", "p95", "p99", "p10", "p0"],
)
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == expected


def test_a_chain_is_reported_in_milliseconds_and_per_step() -> None:
    figure = chain_figure([0.012, 0.024, 0.120], 12)
    assert figure == {"chains": 3, "p50": 24.0, "p95": 120.0, "p99": 120.0, "per_step": 2.0}


def test_rounds_are_summed_up_by_their_median_and_their_spread() -> None:
    assert together([{"rate": 3}, {"rate": 1}, {"rate": 2}]) == {"rate": 2, "rate_min": 1, "rate_max": 3}
    assert together([{"rate": 3}]) == {"rate": 3}


def test_what_is_given_changes_the_plan() -> None:
    assert Plan(rounds=1, seconds=2, chains=3).changed(rounds=None, seconds=0.5) == Plan(1, 0.5, 3)


def test_the_picture_has_a_bar_for_every_figure(tmp_path: Path) -> None:
    write_chart(FOUND, tmp_path / "engine.svg")
    root = ET.fromstring((tmp_path / "engine.svg").read_text())  # noqa: S314 - written a line above
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    widths = [int(element.attrib["width"]) for element in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert [texts.count(name) for name in ("factory", "dbos", "langgraph")] == [2, 2, 0]
    assert widths[0] == pytest.approx(16 * widths[1], rel=0.02)
    assert widths[3] == pytest.approx(2 * widths[2], rel=0.02)


@pytest.mark.parametrize(
    ("found", "name", "message"), [(FOUND, "engine.png", r"\.svg"), ({"growth": {}}, "engine.svg", "contest")]
)
def test_what_cannot_be_drawn_is_said(found: dict[str, Any], name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match=message):
        write_chart(found, tmp_path / name)
    assert not list(tmp_path.iterdir())


async def test_a_peer_that_is_not_installed_is_reported(
    postgres: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    run = Contest(Server(postgres), tmp_path, Plan(rounds=1, seconds=1, chains=1), Console(quiet=True))
    found = await run.run(PEERS)
    assert found["steps_per_second"] == dict.fromkeys(PEERS, contest.NOT_INSTALLED)
    assert found["chain_ms"] == dict.fromkeys(PEERS, contest.NOT_INSTALLED)


async def test_a_peer_whose_script_fails_stops_the_contest_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    folder = tmp_path / ".venv-bench" / "dbos" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    script = tmp_path / "benchmarks" / "peers" / "dbos" / "run.py"
    script.parent.mkdir(parents=True)
    script.write_text("raise SystemExit('the database said no')")
    with pytest.raises(PeerError, match="dbos ended with 1: the database said no"):
        await peers.run("dbos", "postgresql:///none", seconds=1, chains=1, steps=12)


@pytest.mark.parametrize("peer", PEERS)
def test_what_a_peer_imports_is_pinned_for_it(peer: str) -> None:
    folder = ROOT / "benchmarks" / "peers" / peer
    pinned = [line.split("==") for line in (folder / "requirements.txt").read_text().splitlines()]
    tree = ast.parse((folder / "run.py").read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"peer"}
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for _, version in pinned)
    assert names <= {name.lower() for name, _ in pinned}


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (1, ("BenchStep", {"chain": 7, "step": 2, "steps": 3, "sleep_seconds": 0.0})),
        (3, ("BenchDone", {"chain": 7})),
    ],
)
async def test_the_relay_hands_over_to_the_next_step(
    step: int, expected: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    relay = Relay(BlobStore(tmp_path.as_uri()), Catalogue(()), Settings(data_dir=tmp_path))
    task = Task(
        id=new_id(),
        project=None,
        step="",
        agent="relay",
        goal="BenchStep",
        attempt=1,
        cause_id=new_id(),
        correlation_id=new_id(),
        traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
        event_type="BenchStep",
        payload={"chain": 7, "step": step, "steps": 3},
    )
    outcome = await relay.run_one(task)
    assert outcome.error is None
    assert [(event.event_type, event.payload) for event in outcome.events] == [expected]


def test_the_plugin_has_brought_its_contracts() -> None:
    assert REGISTRY.find("BenchStep", 1) is BenchStep
    assert REGISTRY.find("BenchDone", 1) is BenchDone


def test_the_factory_runs_its_part_of_the_contest() -> None:
    command = [sys.executable, "benchmarks/engine.py", "--quick", "--json", "--only", "factory"]
    command += ["--seconds", "0.5", "--chains", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["steps_per_second"]["factory"] > 0
    assert found["details"]["factory"]["chain"]["chains"] == 2
    assert found["machine"]["postgresql"]["fsync"] == "on"
