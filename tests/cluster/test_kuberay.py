"""The manifests: valid, closed to the outside, and of one mind with the code."""

import os
import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from factory.serve.cluster import SupervisorArguments, subcluster_names
from factory.settings import Settings
from tests.cluster.conftest import BIN, OVERLAYS, ROOT, only, pod_templates, ray_schema, rendered, run

Objects = tuple[dict[str, Any], ...]
# Objects whose schema is none of Kubernetes' own.
CUSTOM = {"RayService", "SecretProviderClass"}
ALWAYS_ON = {"core"}


def groups(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {group["groupName"]: group for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]}


def containers(service: dict[str, Any]) -> list[dict[str, Any]]:
    return [container for pod in pod_templates(service).values() for container in pod["spec"]["containers"]]


def serve_config(service: dict[str, Any]) -> ServeDeploySchema:
    return ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))


def test_the_ray_service_is_what_its_definition_allows(service: dict[str, Any]) -> None:
    errors = [f"{error.instance_path}: {error.message}" for error in jsonschema_rs.iter_errors(ray_schema(), service)]
    assert errors == []


def test_the_definition_is_strict(service: dict[str, Any]) -> None:
    wrong = {**service, "spec": {**service["spec"], "upgradeStratgey": {}}}
    assert not jsonschema_rs.is_valid(ray_schema(), wrong)


def test_every_other_object_is_valid(objects: Objects) -> None:
    for one in objects:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, "1.33", strict=True)


def test_worker_groups_are_the_sub_clusters(service: dict[str, Any]) -> None:
    found = groups(service)
    assert set(found) == {"core", *subcluster_names(), "gpu"}
    for name, group in found.items():
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        if name not in ALWAYS_ON:
            assert group["minReplicas"] == group["replicas"] == 0, name
        if name != "gpu":
            assert int(group["resources"][name]) > 0
    assert found["gpu"]["resources"]["GPU"] == "1"


def test_the_operators_own_rules_hold(service: dict[str, Any]) -> None:
    cluster = service["spec"]["rayClusterConfig"]
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", service["metadata"]["name"])
    assert "upgradeStrategy" not in cluster
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert cluster["authOptions"] == {"mode": "token", "secretName": "factory-secrets"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    clashing = {"num-cpus", "num-gpus", "memory", "resources"}
    for group in groups(service).values():
        assert not clashing & group["rayStartParams"].keys()
    for container in containers(service):
        named = {variable["name"] for variable in container.get("env", ())}
        assert not named & {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD"}, "refused beside gcsFaultToleranceOptions"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_environment_may_be_upgraded_in_steps(overlay: str, tmp_path: Path) -> None:
    parts = {"resources": f"overlays/{overlay}", "components": "components/incremental-upgrade"}
    folder = {kind: [os.path.relpath(ROOT / "cluster/kuberay" / part, tmp_path)] for kind, part in parts.items()}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(folder))
    service = only(tuple(yaml.safe_load_all(run(BIN / "kubectl", "kustomize", tmp_path))), "RayService")
    assert service != only(rendered(overlay), "RayService")
    test_the_ray_service_is_what_its_definition_allows(service)
    test_the_operators_own_rules_hold(service)
    strategy = service["spec"]["upgradeStrategy"]
    assert strategy["type"] == "NewClusterWithIncrementalUpgrade"
    # ValidateClusterUpgradeOptions of the operator.
    options = strategy["clusterUpgradeOptions"]
    assert 0 < options["stepSizePercent"] <= options["maxSurgePercent"] <= 100
    assert options["intervalSeconds"] > 0
    assert options["gatewayClassName"]


def test_what_runs_there_is_what_is_pinned_here(service: dict[str, Any]) -> None:
    assert service["spec"]["rayClusterConfig"]["rayVersion"] == version("ray")
    for container in containers(service):
        name, _, tag = container["image"].partition(":")
        assert "/" in name
        assert tag not in ("", "latest")


def test_the_applications_are_the_codes(service: dict[str, Any]) -> None:
    config = serve_config(service)
    supervised = set()
    for application in config.applications:
        module, _, name = application.import_path.partition(":")
        assert callable(getattr(import_module(module), name))
        if application.import_path.endswith(":supervisor"):
            supervised.add(SupervisorArguments.model_validate(application.args).subcluster)
            assert application.route_prefix is None
        for deployment in application.deployments:
            wanted = deployment.ray_actor_options.resources or {}
            assert wanted.keys() <= groups(service)["core"]["resources"].keys()
    assert supervised == set(subcluster_names())
    assert not config.grpc_options.grpc_servicer_functions, "Serve's gRPC port has no TLS"


def test_the_supervisors_and_a_gateway_fit_on_the_nodes_that_are_always_there(service: dict[str, Any]) -> None:
    core = groups(service)["core"]
    actors = [
        deployment.ray_actor_options for one in serve_config(service).applications for deployment in one.deployments
    ]
    assert sum(actor.num_cpus or 0 for actor in actors) <= core["minReplicas"] * int(core["resources"]["CPU"])
    assert sum((actor.resources or {})["core"] for actor in actors) <= core["minReplicas"] * int(
        core["resources"]["core"]
    )


def test_containers_are_confined_and_bounded(service: dict[str, Any]) -> None:
    for pod in pod_templates(service).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


def test_workers_hold_no_token_of_kubernetes(service: dict[str, Any]) -> None:
    for group in groups(service).values():
        assert group["template"]["spec"]["automountServiceAccountToken"] is False


def test_secrets_come_by_reference_from_the_vault(objects: Objects, service: dict[str, Any]) -> None:
    (synced,) = only(objects, "SecretProviderClass")["spec"]["secretObjects"]
    known = {(synced["secretName"], entry["key"]) for entry in synced["data"]}
    fetched = set(
        re.findall(r"objectName: (\S+)", only(objects, "SecretProviderClass")["spec"]["parameters"]["objects"])
    )
    assert {entry["objectName"] for entry in synced["data"]} == fetched
    assert ("factory-secrets", "auth_token") in known
    assert not [one for one in objects if one["kind"] == "Secret"]
    password = service["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"]["redisPassword"]
    references = [password["valueFrom"]["secretKeyRef"]]
    for container in containers(service):
        references += [one["valueFrom"]["secretKeyRef"] for one in container["env"] if "value" not in one]
    assert {(one["name"], one["key"]) for one in references} <= known


def test_settings_are_settings(objects: Objects, service: dict[str, Any]) -> None:
    (settings,) = (one for one in objects if one["kind"] == "ConfigMap")
    for container in containers(service):
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        for variable in container["env"]:
            assert not variable["name"].startswith("FACTORY_") or _field(variable["name"]) in Settings.model_fields
    for name in settings["data"]:
        assert _field(name) in Settings.model_fields, name
    given = {_field(name): value for name, value in settings["data"].items()}
    read = Settings.model_validate(given)
    assert read.gateway_url is not None
    assert read.gateway_url.startswith("https://")
    assert read.data_dir == Path("/data")


def test_the_gateway_is_the_only_way_in(objects: Objects, service: dict[str, Any]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "NetworkPolicy"}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    opened: dict[str, set[int]] = {}
    for policy in policies.values():
        for rule in policy.get("ingress", ()):
            for peer in rule["from"]:
                assert "ipBlock" not in peer
                name = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", "")
                opened.setdefault(name, set()).update(port["port"] for port in rule.get("ports", ()))
    assert opened["app-routing-system"] == {8000}
    assert set(opened) == {"", "app-routing-system", "kuberay-system", "observability"}
    (rule,) = only(objects, "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": f"{service['metadata']['name']}-serve-svc", "port": {"number": 8000}}


def test_policies_and_budgets_select_pods_that_exist(objects: Objects, service: dict[str, Any]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pod_templates(service).values()]
    for one in objects:
        selector = one["spec"].get("podSelector") if one["kind"] == "NetworkPolicy" else None
        if one["kind"] == "PodDisruptionBudget":
            selector = one["spec"]["selector"]
        if selector:
            assert any(selector["matchLabels"].items() <= pod.items() for pod in labels), one["metadata"]["name"]


def test_everything_is_in_the_namespace(objects: Objects) -> None:
    for one in objects:
        if one["kind"] not in {"Namespace", "PriorityClass"}:
            assert one["metadata"]["namespace"] == "factory", one["kind"]


def test_agents_may_run_on_spot_nodes_in_production_and_the_core_may_not() -> None:
    found = groups(only(rendered("production"), "RayService"))
    for name in subcluster_names():
        (toleration,) = found[name]["template"]["spec"]["tolerations"]
        assert toleration["value"] == "spot"
    assert "tolerations" not in found["core"]["template"]["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_changed_setting_replaces_the_cluster(overlay: str) -> None:
    (settings,) = (one for one in rendered(overlay) if one["kind"] == "ConfigMap")
    assert re.fullmatch(r"factory-settings-[a-z0-9]{10}", settings["metadata"]["name"])


def _field(variable: str) -> str:
    return variable.removeprefix("FACTORY_").lower()
