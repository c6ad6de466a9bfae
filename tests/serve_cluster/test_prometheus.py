"""A real Prometheus, configured as on the cluster, finds every figure that is asked for, and fills every panel."""

import json
import re
import subprocess
import time
from pathlib import Path

import httpx
import yaml

from factory.serve.deployment import free_port
from tests.cluster.conftest import queries_of, rules_of
from tests.serve_cluster.conftest import Running

FOLDER = Path(__file__).parents[2] / "cluster" / "observability"
HOST = "127.0.0.1"
# Where Rays put what they have (https://docs.ray.io/en/latest/cluster/metrics.html). The file directly in it is a link
# that every Ray of the machine makes its own again and again.
RAYS = Path("/tmp/ray")  # noqa: S108 - Ray's own place
PATIENCE_SECONDS = 240
# Nothing failed, no model was used, no incident was raised: these begin with the first.
_NOT_YET = re.compile(r"ray_factory_attempt_(failures|retries)_total|ray_gen_ai_\w+|factory_incidents_open")
# Recorded figures that look days back.
_LOOKS_BACK = "factory:backlog:usual"
_METRIC = re.compile(r"\b(?:factory|ray)_[a-z0-9_]+\b")


def _asked_for() -> set[str]:
    asked = [rule["expr"] for path in (FOLDER / "rules").glob("*.yaml") for rule in rules_of(path)]
    names = {name for expression in [*asked, *_panels()] for name in _METRIC.findall(expression)}
    return {name for name in names if not _NOT_YET.fullmatch(name)}


def _panels() -> list[str]:
    return [query for path in (FOLDER / "dashboards").glob("*.json") for query in queries_of(path)]


def _configured(folder: Path, running: Running) -> Path:
    """Write the cluster's configuration with this factory's addresses, and with faster looks."""
    made = json.loads(
        running.command(
            "client", "add", "prometheus", "--role", "agent", "--scope", "factory.internal", "--tenant", "*", "--json"
        )
    )
    (folder / "secret").write_text(made["secret"])
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "2s", "evaluation_interval": "2s"}
    for rules in (FOLDER / "rules").glob("*.yaml"):
        # A group that looks every five minutes may look for the first time when the test has given up.
        (folder / rules.name).write_text(rules.read_text().replace("interval: 5m", "interval: 2s"))
    config["rule_files"] = [str(folder / rules.name) for rules in (FOLDER / "rules").glob("*.yaml")]
    del config["alerting"]
    address = running.url.removeprefix("http://")
    factory, ray = config["scrape_configs"]
    factory["static_configs"] = [{"targets": [address]}]
    factory["oauth2"] |= {"client_secret_file": str(folder / "secret"), "token_url": f"{running.url}/oauth/token"}
    factory["oauth2"]["client_id"] = made["id"]
    del ray["kubernetes_sd_configs"], ray["relabel_configs"]
    (session,) = RAYS.glob(f"session_*_{running.pid}")
    ray["file_sd_configs"] = [{"files": [str(session / "prom_metrics_service_discovery.json")]}]
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_every_figure_is_there_and_every_panel_filled(running: Running, tmp_path: Path, small_vision: str) -> None:
    port = free_port(HOST)
    command = [
        "prometheus",
        f"--config.file={_configured(tmp_path, running)}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    with (tmp_path / "log").open("w") as log:
        prometheus = subprocess.Popen(command, stdout=log, stderr=log)
    missing = _asked_for() | {query for query in _panels() if query != _LOOKS_BACK}
    assert len(missing) > 40
    try:
        begun = httpx.post(
            f"{running.url}/api/v1/vision/create",
            json={"vision": small_vision},
            headers={"Authorization": f"Bearer {running.token}"},
            timeout=60,
        )
        assert begun.status_code == 201, begun.text
        with httpx.Client(
            base_url=f"http://{HOST}:{port}", transport=httpx.HTTPTransport(retries=8), timeout=60
        ) as client:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while missing and time.monotonic() < deadline:
                missing = {query for query in missing if not _found(client, query)}
                time.sleep(1)
            targets = client.get("/api/v1/targets").json()["data"]["activeTargets"]
            assert not missing, (missing, [target.get("lastError") for target in targets])
            assert _found(client, 'up{job="factory"} == 1')
            firing = client.get("/api/v1/alerts").json()["data"]["alerts"]
            assert "FactoryDown" not in {alert["labels"]["alertname"] for alert in firing if alert["state"] == "firing"}
    finally:
        prometheus.terminate()
        prometheus.wait(20)


def _found(client: httpx.Client, query: str) -> bool:
    try:
        answer = client.get("/api/v1/query", params={"query": query})
    except httpx.TransportError:
        return False
    return answer.is_success and bool(answer.json()["data"]["result"])
