"""Dashboards: written by the code, valid, and about figures that exist."""

import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from factory.settings import Settings
from factory.storage.database import Database
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


async def test_tables_can_be_asked_of_the_database(new_database_url: Callable[[], Awaitable[str]]) -> None:
    panels = [panel for path in PATHS for panel in json.loads(path.read_text())["panels"] if panel["type"] == "table"]
    assert panels
    async with await Database.open(Settings(database_url=await new_database_url())) as database:
        for panel in panels:
            (target,) = panel["targets"]
            await database.fetch(re.sub(r"\$__timeFilter\((.*?)\)", r"\1 > now() - interval '1 day'", target["rawSql"]))


def test_those_of_ray_are_written_by_the_installed_ray(tmp_path: Path) -> None:
    run(sys.executable, ROOT / "scripts" / "dashboards.py", "--ray", tmp_path)
    titles = [json.loads(path.read_text())["title"] for path in tmp_path.glob("*.json")]
    assert len(titles) == 4
    assert all(titles)
