"""GitOps: every layer can be rendered, waits for the one before, and takes back what does not become healthy."""

from typing import Any

import pytest

from tests.cluster.conftest import OVERLAYS, ROOT, kustomized

OBSERVABILITY = "cluster/gitops/infrastructure/observability"


def named(objects: tuple[dict[str, Any], ...], kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


@pytest.mark.parametrize("environment", OVERLAYS)
def test_layers_follow_one_another_and_lead_to_folders_that_kustomized(environment: str) -> None:
    layers = named(kustomized(f"cluster/gitops/clusters/{environment}"), "Kustomization")
    assert list(layers) == ["configs", "controllers", "factory", "observability"]
    needs = {name: [item["name"] for item in layer["spec"].get("dependsOn", ())] for name, layer in layers.items()}
    # Charts mount what `configs` makes, and a factory waits for nobody who watches it.
    assert needs == {
        "controllers": [],
        "configs": ["controllers"],
        "factory": ["configs"],
        "observability": ["configs"],
    }
    assert layers["factory"]["spec"]["path"] == f"./cluster/kuberay/overlays/{environment}"
    for layer in layers.values():
        assert kustomized(layer["spec"]["path"])
        assert layer["spec"]["prune"]
        assert layer["spec"].get("wait") or layer["spec"]["healthChecks"]


def test_flux_never_holds_what_the_autoscaler_writes() -> None:
    # The autoscaler changes RayClusters, which the operator makes; Flux holds the RayService they are made of.
    for environment in OVERLAYS:
        (layer,) = [
            item
            for item in kustomized(f"cluster/gitops/clusters/{environment}")
            if item["metadata"]["name"] == "factory"
        ]
        kinds = {item["kind"] for item in kustomized(layer["spec"]["path"])}
        assert "RayService" in kinds
        assert not kinds & {"RayCluster", "Pod", "HorizontalPodAutoscaler"}


def test_releases_are_pinned_healed_and_rolled_back() -> None:
    objects = (*kustomized("cluster/gitops/infrastructure/controllers"), *kustomized(OBSERVABILITY))
    releases, sources = named(objects, "HelmRelease"), named(objects, "HelmRepository")
    namespaces = named(objects, "Namespace")
    assert releases.keys() == {"kuberay-operator", "prometheus", "grafana", "loki", "jaeger", "collector"}
    for release in releases.values():
        spec = release["spec"]
        assert spec["chart"]["spec"]["version"].count(".") >= 1
        assert spec["chart"]["spec"]["sourceRef"]["name"] in sources
        # A secret may come late: what was not installed is tried again for as long as it takes.
        assert spec["install"]["remediation"]["retries"] == -1
        assert spec["upgrade"]["remediation"]["strategy"] == "rollback"
        assert release["metadata"]["namespace"] in namespaces
    assert all(source["spec"]["url"].startswith("https://") for source in sources.values())


def test_what_releases_mount_is_there() -> None:
    values = named(kustomized(OBSERVABILITY), "HelmRelease")["prometheus"]["spec"]["values"]
    maps = named(kustomized("cluster/gitops/infrastructure/configs"), "ConfigMap")
    mounted = {item["configMap"] for item in values["server"]["extraConfigmapMounts"]}
    mounted |= {item["configMap"]["name"] for item in values["alertmanager"]["extraVolumes"]}
    mounted.add(f"prometheus-{values['server']['configMapOverrideName']}")
    assert mounted <= maps.keys()
    assert maps["factory-dashboards"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {item["metadata"]["namespace"] for item in maps.values()} == {"observability"}


def test_spans_are_sent_where_the_collector_listens() -> None:
    release = named(kustomized(OBSERVABILITY), "HelmRelease")["collector"]
    address = f"http://{release['spec']['values']['fullnameOverride']}.{release['metadata']['namespace']}.svc:4318"
    for environment in ("staging", "production"):
        settings = named(kustomized(f"cluster/kuberay/overlays/{environment}"), "ConfigMap")
        (found,) = [item for name, item in settings.items() if name.startswith("factory-settings")]
        assert found["data"]["FACTORY_OTLP_ENDPOINT"] == address


def test_new_images_go_to_staging_alone() -> None:
    objects = kustomized("cluster/gitops/infrastructure/configs")
    (automation,) = named(objects, "ImageUpdateAutomation").values()
    path = ROOT / automation["spec"]["update"]["path"]
    policy = named(objects, "ImagePolicy")["factory"]["metadata"]
    marker = f'{{"$imagepolicy": "{policy["namespace"]}:{policy["name"]}:tag"}}'
    marked = {file for file in (ROOT / "cluster").rglob("*.yaml") if marker in file.read_text()}
    assert marked == {path / "kustomization.yaml"}
    assert automation["spec"]["git"]["push"]["branch"] != automation["spec"]["git"]["checkout"]["ref"]["branch"]
