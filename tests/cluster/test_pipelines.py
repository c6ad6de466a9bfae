"""Pipelines: what their services accept, without what an attacker looks for, with files that exist."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import BIN, ROOT, run

FOLDER = ROOT / "cluster" / "pipelines"


@pytest.mark.parametrize("name", ["github", "github-smoke", "azure", "azure-smoke"])
def test_the_service_would_take_it(name: str) -> None:
    schema = "github-workflows" if name.startswith("github") else "azure-pipelines"
    # A pattern of Azure's schema is none of ECMAScript's unicode mode.
    options = ("--regex-variant", "nonunicode", "--builtin-schema", f"vendor.{schema}")
    run(BIN / "check-jsonschema", *options, FOLDER / f"{name}.yaml")


def test_the_schema_is_asked(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.yaml"
    spoilt.write_text((FOLDER / "github.yaml").read_text().replace("timeout-minutes: 90", "timeout-minuets: 90"))
    with pytest.raises(AssertionError):
        run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", spoilt)


def test_the_auditor_finds_nothing(tmp_path: Path) -> None:
    place = tmp_path / ".github" / "workflows"
    place.mkdir(parents=True)
    for path in FOLDER.glob("github*.yaml"):
        shutil.copy(path, place)
    assert len(list(place.iterdir())) == 2
    run(BIN / "zizmor", "--offline", place)


@pytest.mark.parametrize("name", ["github", "azure"])
def test_every_stage_of_a_delivery_is_there(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    steps = ("make test", "buildx build", "trivy", "--sbom=true --provenance=mode=max", "cosign sign")
    assert [step for step in steps if step not in text] == []
    assert re.search(r"promote-\$TAG", text)
    # A proposal of an image that began another image would never end.
    assert re.search(r"(paths-ignore|paths: \{exclude).*cluster/kuberay/overlays", text)
    assert "cluster/pipelines/smoke-test" in (FOLDER / f"{name}-smoke.yaml").read_text()


@pytest.mark.parametrize("name", ["github", "azure"])
def test_production_is_proposed_by_a_change_that_really_changes_it(name: str, tmp_path: Path) -> None:
    overlay = "cluster/kuberay/overlays/production/kustomization.yaml"
    (command,) = re.findall(r"sed -i -E \"([^\"]+)\"", (FOLDER / f"{name}.yaml").read_text())
    copy = tmp_path / "kustomization.yaml"
    shutil.copy(ROOT / overlay, copy)
    run("sed", "-i", "-E", command.replace("$TAG", "1.2.3"), copy)
    images: list[dict[str, Any]] = yaml.safe_load(copy.read_text())["images"]
    assert {image["newTag"] for image in images} == {"1.2.3"}
    assert overlay in (FOLDER / f"{name}.yaml").read_text()


def test_the_smoke_test_is_a_script_that_bash_accepts() -> None:
    script = FOLDER / "smoke-test"
    run("bash", "-n", script)
    assert script.stat().st_mode & 0o111
