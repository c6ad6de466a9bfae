"""Renders the charts of cluster/gitops with the values they are given there, and tells what a cluster would refuse.

    .venv-scan/bin/python scripts/charts.py                  # charts come from their repositories, once, to .charts/
    .venv-scan/bin/python scripts/charts.py --charts FOLDER  # charts lie there: FOLDER/NAME/Chart.yaml

Exit codes: 0 nothing found, 1 something found, 2 a chart or a file could not be had.
"""

import argparse
import hashlib
import json
import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import kubernetes_validate
import yaml
from helm_python import chart as helm
from helm_python.errors import HelmError

ROOT = Path(__file__).parents[1]
_CACHE = ROOT / ".charts"
_TIMEOUT_SECONDS = 30
_KUBERNETES = "1.33"
_WARNING = 2
_HTTP = 80
# Objects whose schema is none of Kubernetes' own.
_CUSTOM = re.compile(r"monitoring\.coreos\.com|ray\.io|apiextensions\.k8s\.io")
_ADDRESS = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc\b(?:\.cluster\.local)?(?::(\d+))?")
# https://kubernetes.io/docs/concepts/security/pod-security-standards/
_HOSTS = ("hostNetwork", "hostPID", "hostIPC")


class UnavailableError(Exception):
    """A chart cannot be had."""


@dataclass(frozen=True)
class Release:
    """A HelmRelease with the address of its chart."""

    name: str
    namespace: str
    chart: str
    version: str
    repository: str
    values: Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Finding:
    """What is wrong with a release."""

    release: str
    rule: str
    text: str


@dataclass(frozen=True)
class Rendered:
    """What a release gives a cluster."""

    release: Release
    objects: Sequence[Mapping[str, Any]]


def documents(folder: Path) -> list[dict[str, Any]]:
    """Return every object in the YAML files of a folder."""
    paths = sorted(folder.rglob("*.yaml"))
    return [one for path in paths for one in yaml.safe_load_all(path.read_text()) if isinstance(one, dict)]


def releases_of(objects: Sequence[Mapping[str, Any]]) -> list[Release]:
    """Return the releases among these objects."""
    urls = {one["metadata"]["name"]: one["spec"]["url"] for one in objects if one.get("kind") == "HelmRepository"}
    found = []
    for one in objects:
        if one.get("kind") == "HelmRelease":
            spec = one["spec"]
            wanted = spec["chart"]["spec"]
            found.append(
                Release(
                    spec.get("releaseName", one["metadata"]["name"]),
                    one["metadata"]["namespace"],
                    wanted["chart"],
                    str(wanted["version"]),
                    urls[wanted["sourceRef"]["name"]],
                    spec.get("values", {}),
                )
            )
    return found


def _fits(version: str, wanted: str) -> bool:
    """Whether a version is one of `1.2.3`, `1.2.x` or `1.x`."""
    parts = wanted.split(".")
    return "-" not in version and all(w in {"x", v} for v, w in zip(version.split("."), parts, strict=False))


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+", maxsplit=1)[0].split("."))


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - what the sources name
            content: bytes = answer.read()
    except (urllib.error.URLError, TimeoutError) as error:
        raise UnavailableError(
            f"{url} does not answer: {error}. Use --charts where no repository is reached."
        ) from error
    return content


@lru_cache
def _index_of(repository: str) -> Mapping[str, Any]:
    """Return what a repository holds: megabytes, and several releases ask the same one."""
    entries: Mapping[str, Any] = yaml.safe_load(_get(urljoin(repository.rstrip("/") + "/", "index.yaml")))["entries"]
    return entries


def downloaded(release: Release, cache: Path) -> Path:
    """Return the folder of the newest chart that a release may use, fetched unless it is there."""
    offered = _index_of(release.repository).get(release.chart, ())
    entries = [one for one in offered if _fits(one["version"], release.version)]
    if not entries:
        raise UnavailableError(f"{release.repository} has no {release.chart} {release.version}")
    newest = max(entries, key=lambda one: _order(one["version"]))
    folder = cache / f"{release.chart}-{newest['version']}"
    if not folder.exists():
        content = _get(urljoin(release.repository.rstrip("/") + "/", newest["urls"][0]))
        if newest.get("digest") not in {None, hashlib.sha256(content).hexdigest()}:
            raise UnavailableError(f"{newest['urls'][0]} is not what {release.repository} says it is")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as place:
            archive = Path(place) / "chart.tgz"
            archive.write_bytes(content)
            helm.expand(Path(place) / "chart", archive)
            # Whoever is stopped here leaves no half of a chart.
            (Path(place) / "chart").rename(folder)
    return folder / release.chart


def given(release: Release, charts: Path) -> Path:
    """Return the folder of a chart that lies there."""
    folder = charts / release.chart
    if not (folder / "Chart.yaml").exists():
        raise UnavailableError(f"{folder} holds no chart")
    return folder


def defaults_of(folder: Path) -> dict[str, Any]:
    """Return a chart's values with those of the charts in it, under the names the chart gives them."""
    values: dict[str, Any] = yaml.safe_load((folder / "values.yaml").read_text()) or {}
    for dependency in yaml.safe_load((folder / "Chart.yaml").read_text()).get("dependencies", ()):
        inner = folder / "charts" / dependency["name"]
        if (inner / "values.yaml").exists():
            name = dependency.get("alias", dependency["name"])
            values[name] = {**defaults_of(inner), **(values.get(name) or {})}
    return values


def unknown(values: Mapping[str, Any], defaults: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Give the keys that a chart has no default for, which Helm takes without a word.

    A default that is empty says nothing about what may stand in it: there only templates know.
    """
    for key, value in values.items():
        if key not in defaults:
            yield ".".join((*path, key))
        elif isinstance(value, Mapping) and isinstance(defaults[key], Mapping) and defaults[key]:
            yield from unknown(value, defaults[key], (*path, key))


def rendered(release: Release, folder: Path) -> Rendered:
    """Return what a chart makes of a release.

    Raises:
        HelmError: A template fails.
    """
    with helm.Chart.load(folder) as chart:
        manifests = chart.render(dict(release.values), name=release.name, namespace=release.namespace)
    texts = (text for path, text in manifests.items() if path.endswith((".yaml", ".yml")))
    objects = [one for text in texts for one in yaml.safe_load_all(text) if one]
    # Tests of a release run when somebody asks for them.
    return Rendered(release, [one for one in objects if "test" not in _hook(one)])


def _hook(one: Mapping[str, Any]) -> str:
    return str((one["metadata"].get("annotations") or {}).get("helm.sh/hook", ""))


def linted(release: Release, folder: Path, open_values: Iterable[str]) -> Iterator[Finding]:
    """Give what Helm says of a chart with these values, and keys that it has no use for."""
    meta = yaml.safe_load((folder / "Chart.yaml").read_text())
    if meta.get("deprecated"):
        yield Finding(release.name, "deprecated", f"{release.chart} {meta['version']} is deprecated")
    if not _fits(str(meta["version"]), release.version):
        yield Finding(release.name, "version", f"{meta['version']} is not {release.version}")
    for message in helm.lint(folder, dict(release.values), namespace=release.namespace)["messages"]:
        if message["severity"] >= _WARNING:
            yield Finding(release.name, "lint", " ".join(message["error"].split()))
    for key in unknown(release.values, defaults_of(folder)):
        if not any(key == one or key.startswith(f"{one}.") for one in open_values):
            yield Finding(release.name, "unknown value", f"{key} is none of the chart's")


def pods_of(objects: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the name and the specification of every pod that these objects ask for."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        spec = one.get("spec") or {}
        if one["kind"] == "Pod":
            yield name, spec
        elif one["kind"] == "CronJob":
            yield name, spec["jobTemplate"]["spec"]["template"]["spec"]
        elif isinstance(spec.get("template"), Mapping) and "spec" in spec["template"]:
            yield name, spec["template"]["spec"]


def containers_of(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a pod's containers, those that prepare it among them."""
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]


def not_baseline(pod: Mapping[str, Any]) -> Iterator[str]:
    """Give what the level `baseline` refuses."""
    yield from (name for name in _HOSTS if pod.get(name))
    yield from (f"hostPath {one['hostPath']['path']}" for one in pod.get("volumes") or () if "hostPath" in one)
    for container in containers_of(pod):
        security = container.get("securityContext") or {}
        yield from (f"hostPort {one['hostPort']}" for one in container.get("ports") or () if one.get("hostPort"))
        if security.get("privileged"):
            yield "privileged"
        if added := (security.get("capabilities") or {}).get("add"):
            yield f"capabilities {', '.join(added)}"


def not_restricted(pod: Mapping[str, Any]) -> Iterator[str]:
    """Give what the level `restricted` refuses beyond `baseline`."""
    everyone = pod.get("securityContext") or {}
    for container in containers_of(pod):
        security = {**everyone, **(container.get("securityContext") or {})}
        name = container["name"]
        if security.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        if not security.get("runAsNonRoot"):
            yield f"{name}: runAsNonRoot"
        if (security.get("seccompProfile") or {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield f"{name}: seccompProfile"
        if "ALL" not in ((security.get("capabilities") or {}).get("drop") or ()):
            yield f"{name}: capabilities"


def refused(result: Rendered, level: str) -> Iterator[Finding]:
    """Give the objects that a cluster would refuse: by Kubernetes' schemas, or by the level of their namespace."""
    for one in result.objects:
        if _CUSTOM.search(str(one["apiVersion"])):
            continue
        try:
            kubernetes_validate.validate(one, _KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = f"{one['kind']} {one['metadata']['name']}: {'.'.join(str(part) for part in error.path)}"
            yield Finding(result.release.name, "schema", f"{where}: {error.message}")
    for name, pod in pods_of(result.objects):
        problems = [] if level == "privileged" else [*not_baseline(pod)]
        problems += not_restricted(pod) if level == "restricted" else ()
        if problems:
            text = f"{name} in a namespace that is {level}: {', '.join(problems)}"
            yield Finding(result.release.name, "pod security", text)


def missing_files(results: Sequence[Rendered], configured: set[str]) -> Iterator[Finding]:
    """Give the ConfigMaps that a pod waits for and nothing makes."""
    made = {one["metadata"]["name"] for result in results for one in result.objects if one["kind"] == "ConfigMap"}
    for result in results:
        for name, pod in pods_of(result.objects):
            for volume in pod.get("volumes") or ():
                wanted = volume.get("configMap", {})
                if wanted and not wanted.get("optional") and wanted["name"] not in made | configured:
                    yield Finding(result.release.name, "missing", f"{name} mounts ConfigMap {wanted['name']}")


def unanswered(results: Sequence[Rendered], texts: Mapping[str, str]) -> Iterator[Finding]:
    """Give the addresses in these texts, by their names, that no Service of the releases answers at."""
    ports = {
        (one["metadata"]["name"], result.release.namespace): {port["port"] for port in one["spec"]["ports"]}
        for result in results
        for one in result.objects
        if one["kind"] == "Service"
    }
    namespaces = {namespace for _, namespace in ports}
    for name, text in texts.items():
        for service, namespace, port in sorted(set(_ADDRESS.findall(text))):
            if namespace in namespaces and int(port or _HTTP) not in ports.get((service, namespace), ()):
                yield Finding(name, "address", f"nothing answers at {service}.{namespace}.svc:{port or _HTTP}")


def configured_names(folder: Path) -> set[str]:
    """Return the ConfigMaps that kustomizations of a folder make."""
    return {
        generator["name"]
        for path in folder.rglob("kustomization.yaml")
        for generator in yaml.safe_load(path.read_text()).get("configMapGenerator", ())
    }


def check(cluster: Path, charts: Path | None, cache: Path) -> tuple[list[Rendered], list[Finding]]:
    """Return what every release of `cluster/gitops` renders to, and what was found.

    Raises:
        UnavailableError: A chart cannot be had.
    """
    objects = documents(cluster / "gitops")
    levels = {
        one["metadata"]["name"]: one["metadata"]
        .get("labels", {})
        .get("pod-security.kubernetes.io/enforce", "privileged")
        for one in objects
        if one.get("kind") == "Namespace"
    }
    accepted = yaml.safe_load((cluster / "gitops" / "open-values.yaml").read_text())
    results, found = [], []
    for release in releases_of(objects):
        folder = given(release, charts) if charts else downloaded(release, cache)
        found += linted(release, folder, accepted.get(release.name, ()))
        try:
            result = rendered(release, folder)
        except HelmError as error:
            found.append(Finding(release.name, "render", " ".join(str(error).split())))
            continue
        if release.namespace not in levels:
            found.append(Finding(release.name, "missing", f"nothing makes the namespace {release.namespace}"))
        found += refused(result, levels.get(release.namespace, "privileged"))
        results.append(result)
    found += missing_files(results, configured_names(cluster))
    texts = {str(path.relative_to(cluster)): path.read_text() for path in sorted(cluster.rglob("*.yaml"))}
    found += unanswered(results, texts)
    return results, sorted(found)


def main() -> int:
    """Check and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", type=Path, default=ROOT / "cluster", help="the folder that holds gitops/")
    parser.add_argument("--charts", type=Path, help="a folder of charts, instead of their repositories")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="where fetched charts are kept")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        results, found = check(arguments.cluster, arguments.charts, arguments.cache)
    except (UnavailableError, OSError, yaml.YAMLError) as error:
        sys.stderr.write(f"charts: {' '.join(str(error).split())}\n")
        return 2
    if arguments.json:
        counts = {one.release.name: len(one.objects) for one in results}
        sys.stdout.write(json.dumps({"objects": counts, "findings": [asdict(one) for one in found]}, indent=2) + "\n")
    else:
        for one in results:
            sys.stdout.write(f"{one.release.name}: {one.release.chart}, {len(one.objects)} objects\n")
        for finding in found:
            sys.stdout.write(f"{finding.release}: {finding.rule}: {finding.text}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
