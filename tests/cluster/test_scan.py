"""Checkov: whatever it finds in what a cluster is given stands in a file, with a reason, and nothing else does."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import OVERLAYS, ROOT, only, pod_templates, rendered

# In an environment of its own: it pins much of what the factory needs in other versions.
CHECKOV = ROOT / ".venv-scan" / "bin" / "checkov"
ACCEPTED: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "cluster" / "accepted.yaml").read_text())
PIPELINES = {
    "github.yaml": ".github/workflows/github.yaml",
    "github-smoke.yaml": ".github/workflows/github-smoke.yaml",
    "azure.yaml": "azure-pipelines.yml",
    "azure-smoke.yaml": "smoke/azure-pipelines.yml",
}


def pods_of(service: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the pods that the operator makes of a RayService: checkov does not know its kind."""
    for name, template in pod_templates(service).items():
        metadata = {**template.get("metadata", {}), "name": name, "namespace": service["metadata"]["namespace"]}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def scan(folder: Path) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Return how many checks passed, by kind of file, and what was found: the check and `file:resource`."""
    if not CHECKOV.exists():
        pytest.fail("checkov is not installed: make .venv-scan/.installed")
    command = (CHECKOV, "--directory", folder, "--quiet", "--compact", "--skip-download", "--output", "json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    reports = json.loads(done.stdout)
    passed, found = {}, set()
    for report in reports if isinstance(reports, list) else [reports]:
        kind = report["check_type"]
        assert not report["summary"]["parsing_errors"], kind
        passed[kind] = report["summary"]["passed"]
        for finding in report["results"]["failed_checks"]:
            # A secret's resource is a hash of it.
            resource = "" if kind == "secrets" else finding["resource"].removeprefix(f"{finding['file_path']}.")
            found.add((finding["check_id"], f"{finding['file_path'].lstrip('/')}:{resource}"))
    return passed, found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with what is scanned, named and placed as checkov expects it."""
    for overlay in OVERLAYS:
        objects = rendered(overlay)
        documents = [*objects, *pods_of(only(objects, "RayService"))]
        (tmp_path / f"{overlay}.yaml").write_text(yaml.safe_dump_all(documents))
    shutil.copy(ROOT / "cluster" / "images" / "Dockerfile", tmp_path)
    for name, place in PIPELINES.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "cluster" / "pipelines" / name, tmp_path / place)
    return tmp_path


def test_nothing_is_found_that_is_not_accepted_with_a_reason(folder: Path) -> None:
    passed, found = scan(folder)
    assert passed.keys() >= {"kubernetes", "dockerfile", "github_actions", "azure_pipelines"}
    assert all(passed[kind] for kind in passed if kind != "secrets")
    known = {
        (check, place): pattern
        for check, place in found
        for pattern in ACCEPTED.get(check, {"where": ()})["where"]
        if fnmatchcase(place, pattern)
    }
    assert sorted(found - known.keys()) == []
    used = {(check, pattern) for (check, _), pattern in known.items()}
    stale = {(check, pattern) for check, entry in ACCEPTED.items() for pattern in entry["where"]} - used
    assert sorted(stale) == []
    assert all(entry["reason"] for entry in ACCEPTED.values())


def test_a_pod_that_is_not_confined_is_found(tmp_path: Path) -> None:
    (pod, *_) = pods_of(only(rendered("dev"), "RayService"))
    (tmp_path / "confined.yaml").write_text(yaml.safe_dump(pod))
    pod["spec"] = {**pod["spec"], "hostNetwork": True}
    (tmp_path / "open.yaml").write_text(yaml.safe_dump(pod))
    _, found = scan(tmp_path)
    assert [place for check, place in found if check == "CKV_K8S_19"] == ["open.yaml:Pod.factory.head"]
