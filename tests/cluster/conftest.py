"""The manifests as kustomize renders them, and schemas that refuse what a cluster would silently drop."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
OVERLAYS = ("dev", "staging", "production")


def run(*command: str | Path) -> str:
    """Return what a program that must succeed says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def kustomized(folder: str) -> tuple[dict[str, Any], ...]:
    """Return the objects that a folder of the repository renders to."""
    return tuple(yaml.safe_load_all(run(BIN / "kubectl", "kustomize", ROOT / folder)))


def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    """Return the objects of an environment."""
    return kustomized(f"cluster/kuberay/overlays/{overlay}")


def rules_of(path: Path) -> list[dict[str, Any]]:
    """Return the rules of a file for Prometheus."""
    return [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def queries_of(path: Path) -> list[str]:
    """Return what the panels of a dashboard ask Prometheus."""
    panels = json.loads(path.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"] if "expr" in target]


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> tuple[dict[str, Any], ...]:
    """Give the objects of each environment in turn."""
    return rendered(request.param)


def only(objects: tuple[dict[str, Any], ...], kind: str) -> dict[str, Any]:
    """Return the one object of a kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found


@pytest.fixture
def service(objects: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Give the RayService."""
    return only(objects, "RayService")


def pod_templates(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the templates of a RayService's pods: that of the head, and those of the worker groups by name."""
    cluster = service["spec"]["rayClusterConfig"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], **groups}


def strict(schema: Any) -> Any:
    """Return a CRD's schema with every object closed that does not ask to be open."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {name: strict(value) for name, value in schema.items()}
    opened = closed.get("x-kubernetes-preserve-unknown-fields") or closed.get("x-kubernetes-embedded-resource")
    if isinstance(schema.get("properties"), Mapping) and "additionalProperties" not in schema and not opened:
        closed["additionalProperties"] = False
    if closed.get("x-kubernetes-int-or-string"):
        closed.pop("type", None)
    return closed


@cache
def ray_schema() -> dict[str, Any]:
    """Return the strict schema of a RayService; the folder of KubeRay's CRDs comes from `KUBERAY_CRDS`."""
    folder = os.environ.get("KUBERAY_CRDS")
    if not folder:
        pytest.skip("KUBERAY_CRDS names no folder with KubeRay's custom resource definitions")
    document = yaml.safe_load((Path(folder) / "ray.io_rayservices.yaml").read_text())
    (version,) = (one for one in document["spec"]["versions"] if one["name"] == "v1")
    found: dict[str, Any] = strict(version["schema"]["openAPIV3Schema"])
    return found
