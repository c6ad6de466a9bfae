"""The image, the manifests and the pipeline: valid by their own tools, safe by default, true to the service."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

OVERLAYS = ("staging", "production")


def program(name: str) -> str:
    """Return a program that stands beside the interpreter."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name


def run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def rendered(clinic: Any, tmp_path: Path) -> dict[str, list[Any]]:
    """The manifests of each overlay as a cluster would get them."""
    clinic.write(tmp_path)
    overlays = tmp_path / "deploy/overlays"
    return {
        name: list(yaml.safe_load_all(run(program("kubectl"), "kustomize", str(overlays / name)))) for name in OVERLAYS
    }


def of_kind(manifests: list[Any], kind: str) -> list[Any]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pods(manifests: list[Any]) -> list[Any]:
    return [manifest["spec"]["template"] for manifest in manifests if "template" in manifest.get("spec", {})]


def test_every_manifest_is_valid_and_knows_no_unknown_field(rendered: dict[str, list[Any]]) -> None:
    for manifests in rendered.values():
        for manifest in manifests:
            kubernetes_validate.validate(manifest, "1.32", strict=True)


def test_overlays_hold_what_a_cluster_needs(rendered: dict[str, list[Any]]) -> None:
    for manifests in rendered.values():
        assert {manifest["kind"] for manifest in manifests} == {
            "ConfigMap",
            "Deployment",
            "HorizontalPodAutoscaler",
            "Job",
            "Namespace",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "Service",
            "ServiceAccount",
        }


def test_pods_are_confined(rendered: dict[str, list[Any]]) -> None:
    for template in pods(rendered["production"]):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]) == {"requests", "limits"}
            assert container["image"] == "registry.example.com/greenfield-clinic:1.0.0"


def test_secrets_are_named_and_never_written(rendered: dict[str, list[Any]], clinic: Any) -> None:
    assert not of_kind(rendered["production"], "Secret")
    for template in pods(rendered["production"]):
        sources = [source for container in template["spec"]["containers"] for source in container["envFrom"]]
        assert {"secretRef": {"name": "greenfield-clinic"}} in sources
    for path, text in clinic.files.items():
        if path.startswith(("deploy/", "Dockerfile", "compose")):
            assert "AUTH_SECRET:" not in text, path
            assert "PASSWORD" not in text, path


def test_selectors_meet_exactly_their_pods(rendered: dict[str, list[Any]]) -> None:
    manifests = rendered["production"]
    labels = {template["metadata"]["labels"]["app.kubernetes.io/component"]: template for template in pods(manifests)}
    assert set(labels) == {"api", "relay", "migration"}
    selected = of_kind(manifests, "Service")[0]["spec"]["selector"]
    api = labels["api"]["metadata"]["labels"]
    assert selected.items() <= api.items()
    assert not selected.items() <= labels["relay"]["metadata"]["labels"].items()
    policy = of_kind(manifests, "NetworkPolicy")[0]["spec"]["podSelector"]["matchLabels"]
    assert all(policy.items() <= template["metadata"]["labels"].items() for template in labels.values())


def test_probes_ask_the_health_endpoints(rendered: dict[str, list[Any]]) -> None:
    api = next(d for d in of_kind(rendered["production"], "Deployment") if not d["metadata"]["name"].endswith("-relay"))
    container = api["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert "replicas" not in api["spec"], "the autoscaler owns them"


def test_a_service_without_events_has_no_relay(build: Any, products: Any, tmp_path: Path) -> None:
    built = build(products["tiny"]())
    assert "deploy/base/relay.yaml" not in built.files
    assert "relay" not in built.text("compose.yaml")
    built.write(tmp_path)
    assert "relay" not in run(program("kubectl"), "kustomize", str(tmp_path / "deploy/overlays/production"))


def test_a_long_name_still_fits(build: Any, products: Any) -> None:
    model = products["tiny"]().model_copy(update={"slug": "a-very-long-name-of-a-product-" * 2 + "x"})
    built = build(model.model_copy(update={"slug": model.slug[:60].rstrip("-")}))
    namespace = yaml.safe_load(built.text("deploy/overlays/production/namespace.yaml"))["metadata"]["name"]
    assert len(namespace) <= 63
    assert not namespace.startswith("-")


def test_the_dockerfile_passes_its_linter(built: Any, tmp_path: Path) -> None:
    built.write(tmp_path)
    run(program("hadolint"), str(tmp_path / "Dockerfile"))
    dockerfile = built.text("Dockerfile")
    assert "USER 10001:10001" in dockerfile
    assert "HEALTHCHECK" in dockerfile
    assert "AUTH_SECRET" not in dockerfile


def test_what_the_dockerfile_copies_is_not_ignored(clinic: Any) -> None:
    kept = {line.removeprefix("!") for line in clinic.text(".dockerignore").splitlines() if line.startswith("!")}
    copied = {
        word
        for line in clinic.text("Dockerfile").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert copied == kept


def test_compose_starts_the_api_after_the_migration(clinic: Any) -> None:
    services = yaml.safe_load(clinic.text("compose.yaml"))["services"]
    assert set(services) == {"database", "migration", "api", "relay"}
    assert services["migration"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert services["api"]["depends_on"] == {"migration": {"condition": "service_completed_successfully"}}
    assert "ports" not in services["database"]


def test_the_workflow_passes_its_security_linter(clinic: Any, tmp_path: Path) -> None:
    clinic.write(tmp_path)
    run(program("zizmor"), "--offline", "--no-progress", str(tmp_path / ".github/workflows/ci.yml"))


def test_the_workflow_runs_the_targets_with_least_permissions(clinic: Any) -> None:
    workflow = yaml.safe_load(clinic.text(".github/workflows/ci.yml"))
    assert workflow["permissions"] == {"contents": "read"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert {"make install", "make lint", "make test", "make migrate"} <= set(commands)
    for step in steps:
        if "uses" in step:
            assert len(step["uses"].partition("@")[2]) == 40, "actions are pinned to commits"
    assert workflow["jobs"]["image"]["needs"] == ["lint", "test-sqlite", "test-postgresql"]
