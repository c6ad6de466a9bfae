"""The check of charts: it fetches what releases name, and finds what a cluster would refuse or nothing answers."""

import hashlib
import json
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import ROOT

PYTHON = ROOT / ".venv-scan" / "bin" / "python"
# What asks for the values under test, and is else what the level `restricted` lets in.
TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}", namespace: "{{ .Release.Namespace }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: told}}
  template:
    metadata: {labels: {app: told}}
    spec:
      containers:
        - name: told
          image: registry.example.com/told:1
          securityContext: {{ .Values.securityContext | toJson }}
      volumes: {{ .Values.volumes | toJson }}
---
apiVersion: v1
kind: Service
metadata: {name: told}
spec: {selector: {app: told}, ports: [{port: 8080}]}
"""
VALUES = {
    "replicas": 1,
    "volumes": [],
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def _make_chart(folder: Path, **meta: object) -> Path:
    chart = folder / "told"
    (chart / "templates").mkdir(parents=True)
    described = {"apiVersion": "v2", "name": "told", "version": "1.4.2", "icon": "https://example.com/i.svg", **meta}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(described))
    (chart / "values.yaml").write_text(yaml.safe_dump(VALUES))
    (chart / "templates" / "told.yaml").write_text(TEMPLATE)
    return chart


def _make_cluster(folder: Path, values: object, *, url: str = "https://charts.example.com") -> Path:
    objects: list[dict[str, Any]] = [
        {
            "kind": "Namespace",
            "metadata": {"name": "watch", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        },
        {"kind": "HelmRepository", "metadata": {"name": "charts"}, "spec": {"url": url}},
        {
            "kind": "HelmRelease",
            "metadata": {"name": "told", "namespace": "watch"},
            "spec": {
                "chart": {"spec": {"chart": "told", "version": "1.x", "sourceRef": {"name": "charts"}}},
                "values": values,
            },
        },
    ]
    gitops = folder / "cluster" / "gitops"
    gitops.mkdir(parents=True)
    (gitops / "release.yaml").write_text(yaml.safe_dump_all(objects))
    (gitops / "open-values.yaml").write_text("{}")
    return folder / "cluster"


def _run(cluster: Path, *options: str | Path) -> "subprocess.CompletedProcess[str]":
    command = (PYTHON, ROOT / "scripts" / "charts.py", "--cluster", cluster, "--json", *options)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _findings(done: "subprocess.CompletedProcess[str]") -> list[tuple[str, str]]:
    return [(one["rule"], one["text"]) for one in json.loads(done.stdout)["findings"]]


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., list[tuple[str, str]]]:
    """Give a function that returns what is found of a chart with these values."""

    def look(values: dict[str, Any], **meta: object) -> list[tuple[str, str]]:
        _make_chart(tmp_path / "charts", **meta)
        done = _run(_make_cluster(tmp_path, values), "--charts", tmp_path / "charts")
        assert done.returncode == 1, done.stderr
        return _findings(done)

    return look


def test_a_value_that_the_chart_does_not_know_is_found(find: Callable[..., list[tuple[str, str]]]) -> None:
    assert find({"replica": 3}) == [("unknown value", "replica is none of the chart's")]


def test_an_object_that_kubernetes_refuses_is_found(find: Callable[..., list[tuple[str, str]]]) -> None:
    ((rule, text),) = find({"replicas": '"three"'})
    assert rule == "schema"
    assert text.startswith("Deployment told: spec.replicas: 'three' is not")


def test_a_pod_that_its_namespace_does_not_let_in_is_found(find: Callable[..., list[tuple[str, str]]]) -> None:
    found = find(
        {
            "volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}],
            "securityContext": {"runAsNonRoot": False},
        }
    )
    place = "Deployment told in a namespace that is restricted"
    assert found == [("pod security", f"{place}: hostPath /var/log, told: runAsNonRoot")]


def test_a_mount_that_nothing_makes_is_found(find: Callable[..., list[tuple[str, str]]]) -> None:
    found = find(
        {
            "volumes": [
                {"name": "rules", "configMap": {"name": "rules"}},
                {"name": "more", "configMap": {"name": "more", "optional": True}},
            ]
        }
    )
    assert found == [("missing", "Deployment told mounts ConfigMap rules")]


def test_an_address_at_which_nothing_answers_is_found(tmp_path: Path) -> None:
    _make_chart(tmp_path / "charts")
    cluster = _make_cluster(tmp_path, {})
    settings = "A: http://told.watch.svc:8080/a\nB: http://told.watch.svc\nC: http://else.elsewhere.svc:1\n"
    (cluster / "settings.yaml").write_text(settings)
    assert _findings(_run(cluster, "--charts", tmp_path / "charts")) == [
        ("address", "nothing answers at told.watch.svc:80")
    ]


def test_a_chart_that_is_deprecated_or_of_another_version_is_found(
    find: Callable[..., list[tuple[str, str]]],
) -> None:
    found = find({}, deprecated=True, version="2.0.0")
    assert found[0] == ("deprecated", "told 2.0.0 is deprecated")
    assert found[-1] == ("version", "2.0.0 is not 1.x")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a repository with two versions of a chart that a release may use and one that it may not."""
    folder = tmp_path / "repository"
    folder.mkdir()
    entries = []
    for version in ("1.9.0", "1.10.1", "2.0.0"):
        chart = _make_chart(tmp_path / version, version=version)
        archive = folder / f"told-{version}.tgz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(chart, "told")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        entries.append({"name": "told", "version": version, "urls": [archive.name], "digest": digest})
    (folder / "index.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "entries": {"told": entries}}))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


def test_the_newest_chart_of_the_range_is_fetched_once(tmp_path: Path, repository: tuple[str, Path]) -> None:
    url, folder = repository
    cluster, cache = _make_cluster(tmp_path, {}, url=url), tmp_path / "cache"
    first = _run(cluster, "--cache", cache)
    assert (first.returncode, _findings(first)) == (0, []), first.stderr
    assert json.loads(first.stdout)["objects"] == {"told": 2}
    (folder / "told-1.10.1.tgz").unlink()
    assert _run(cluster, "--cache", cache).returncode == 0


def test_a_chart_that_was_changed_on_its_way_is_refused(tmp_path: Path, repository: tuple[str, Path]) -> None:
    url, folder = repository
    (folder / "told-1.10.1.tgz").write_bytes((folder / "told-1.9.0.tgz").read_bytes())
    done = _run(_make_cluster(tmp_path, {}, url=url), "--cache", tmp_path / "cache")
    assert (done.returncode, done.stderr) == (2, f"charts: told-1.10.1.tgz is not what {url} says it is\n")


def test_a_repository_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    done = _run(_make_cluster(tmp_path, {}, url="http://127.0.0.1:9"), "--cache", tmp_path / "cache")
    assert done.returncode == 2
    assert "http://127.0.0.1:9/index.yaml does not answer" in done.stderr
    assert "--charts" in done.stderr


def test_a_file_that_cannot_be_read_is_no_finding(tmp_path: Path) -> None:
    chart = _make_chart(tmp_path / "charts")
    (chart / "Chart.yaml").write_text("name: [")
    done = _run(_make_cluster(tmp_path, {}), "--charts", tmp_path / "charts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("charts: while parsing")
    missing = _run(tmp_path / "nowhere", "--charts", tmp_path / "charts")
    assert missing.returncode == 2
    assert "nowhere/gitops/open-values.yaml" in missing.stderr
