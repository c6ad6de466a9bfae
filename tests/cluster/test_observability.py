"""Alerts: valid, tried on series, told to somebody, and explained."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import ROOT, rules_of, run

FOLDER = ROOT / "cluster" / "observability"
RULES = sorted((FOLDER / "rules").glob("*.yaml"))
TRIALS = Path(__file__).parent / "alerts" / "factory.yaml"
ALERTS = rules_of(FOLDER / "rules" / "alerts.yaml")
# Debian builds Prometheus without it.
UNKNOWN_HERE = "kubernetes_sd_configs"


def test_rules_are_valid() -> None:
    run("promtool", "check", "rules", *RULES)


def test_each_alert_fires_when_it_should_and_else_not(tmp_path: Path) -> None:
    trials = yaml.safe_load(TRIALS.read_text())
    trials["rule_files"] = [str(path) for path in RULES]
    (tmp_path / "trials.yaml").write_text(yaml.safe_dump(trials))
    run("promtool", "test", "rules", tmp_path / "trials.yaml")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_is_tried_both_ways_and_has_a_runbook(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    trials = [trial for group in yaml.safe_load(TRIALS.read_text())["tests"] for trial in group["alert_rule_test"]]
    mine = [trial for trial in trials if trial["alertname"] == name]
    assert any(trial.get("exp_alerts") for trial in mine)
    quiet = any(not trial.get("exp_alerts") for trial in mine)
    beside = any(len(group.get("input_series", ())) > len(_expected(group)) for group in _groups(name))
    assert quiet or beside, "nothing shows that it stays quiet"
    runbook = ROOT / alert["annotations"]["runbook"]
    assert runbook.stem == name
    assert runbook.read_text().startswith(f"# {name}\n")


def test_no_runbook_is_left_over() -> None:
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} == {alert["alert"] for alert in ALERTS}


def test_what_is_scraped_is_valid(tmp_path: Path) -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    for job in config["scrape_configs"]:
        if job.pop(UNKNOWN_HERE, None):
            job["static_configs"] = [{"targets": ["127.0.0.1:8080"]}]
    config["rule_files"] = [str(path) for path in RULES]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    run("promtool", "check", "config", "--syntax-only", tmp_path / "prometheus.yaml")


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "on-call"), ("high", "team"), ("medium", "channel"), ("other", "mail")]
)
def test_each_severity_reaches_its_receiver(severity: str, receiver: str) -> None:
    path = FOLDER / "alertmanager.yaml"
    run("amtool", "check-config", path)
    assert (
        run("amtool", "config", "routes", "test", f"--config.file={path}", f"severity={severity}").strip() == receiver
    )


def test_every_severity_in_use_has_a_route() -> None:
    routes = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())["route"]["routes"]
    routed = set(re.findall(r'severity="(\w+)"', str(routes)))
    assert {alert["labels"]["severity"] for alert in ALERTS} == routed


def test_no_secret_stands_in_a_file() -> None:
    for path in (FOLDER / "alertmanager.yaml", FOLDER / "prometheus.yaml"):
        for name in re.findall(r"^\s*(?:- )?(\w*(?:secret|password|key|api_url)\w*):", path.read_text(), re.MULTILINE):
            assert name.endswith("_file"), name


def _groups(alert: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(TRIALS.read_text())["tests"]
    return [group for group in groups if any(trial["alertname"] == alert for trial in group["alert_rule_test"])]


def _expected(group: dict[str, Any]) -> list[Any]:
    return [one for trial in group["alert_rule_test"] for one in trial.get("exp_alerts", ())]
