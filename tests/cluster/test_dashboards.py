"""Dashboards: written by the code, valid, and about figures that exist."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import ROOT, queries_of, rules_of, run

FOLDER = ROOT / "cluster" / "observability"
PATHS = sorted((FOLDER / "dashboards").glob("*.json"))


def test_files_are_what_the_script_writes() -> None:
    run(sys.executable, ROOT / "scripts" / "dashboards.py", "--check")


def test_the_cluster_is_given_all_of_them() -> None:
    maps = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    (given,) = [item["files"] for item in maps if item["name"] == "factory-dashboards"]
    assert {FOLDER / name for name in given} == set(PATHS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_panels_do_not_overlap_and_each_asks_for_something(path: Path) -> None:
    document = json.loads(path.read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["title"] and panel["targets"] for panel in document["panels"])
    assert document["uid"] == f"factory-{path.stem}"


def test_queries_can_be_parsed_and_recorded_figures_are_recorded(tmp_path: Path) -> None:
    asked = [query for path in PATHS for query in queries_of(path)]
    rules = [{"record": f"trial:{number}", "expr": query} for number, query in enumerate(asked)]
    trial = tmp_path / "trial.yaml"
    trial.write_text(yaml.safe_dump({"groups": [{"name": "trial", "rules": rules}]}))
    run("promtool", "check", "rules", trial)
    recorded = {rule["record"] for rule in rules_of(FOLDER / "rules" / "recording.yaml")}
    assert set(re.findall(r"factory:[a-z0-9_:]+", " ".join(asked))) <= recorded
