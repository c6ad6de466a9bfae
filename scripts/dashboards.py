"""Writes the Grafana dashboards of cluster/observability/dashboards; --check tells whether they are up to date."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "cluster" / "observability" / "dashboards"
_COLUMNS = 2
_WIDTH = 24 // _COLUMNS
_HEIGHT = 8


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        queries: PromQL, each with the legend of its series.
        unit: Grafana's name of it; `short` for a number.
        about: What a reader should look for.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    about: str = ""


@dataclass(frozen=True)
class Dashboard:
    """One page."""

    name: str
    title: str
    panels: Sequence[Panel]

    def render(self) -> str:
        """Return its JSON (Grafana, "JSON model")."""
        document = {
            "uid": f"factory-{self.name}",
            "title": f"Factory: {self.title}",
            "tags": ["factory"],
            "timezone": "utc",
            "schemaVersion": 41,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {"list": []},
            "annotations": {"list": []},
            "links": [
                {"type": "dashboards", "tags": ["factory"], "title": "Factory", "asDropdown": False, "keepTime": True}
            ],
            "panels": [_panel(number, panel) for number, panel in enumerate(self.panels)],
        }
        return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


_SERVED = 'ray_serve_num_http_requests_total{application="gateway"}'
_LATENCY = 'ray_serve_http_request_latency_ms_bucket{application="gateway"}'

DASHBOARDS = (
    Dashboard(
        "events",
        "event flow",
        (
            Panel(
                "Deliveries that wait",
                [("sum by (subscription) (factory_backlog_ready)", "{{subscription}}")],
                about="Counted up to 1,000 for each subscription.",
            ),
            Panel(
                "Deliveries being worked on",
                [("sum by (subscription) (factory_backlog_in_flight)", "{{subscription}}")],
            ),
            Panel(
                "Age of the oldest delivery that waits",
                [("max by (subscription) (factory_backlog_oldest_seconds)", "{{subscription}}")],
                "s",
                "One that grows without a growing backlog has nobody to work on it.",
            ),
            Panel(
                "Backlog beside what is usual at this hour",
                [("factory:backlog:total", "now"), ("factory:backlog:usual", "usual")],
                about="The mean of the same hour of three days.",
            ),
            Panel("Open dead letters", [("sum by (subscription) (factory_dead_letters_open)", "{{subscription}}")]),
        ),
    ),
    Dashboard(
        "tasks",
        "task health",
        (
            Panel("Tasks under way", [('sum by (agent) (factory_tasks{status="running"})', "{{agent}}")]),
            Panel("Tasks that wait", [('sum by (agent) (factory_tasks{status="assigned"})', "{{agent}}")]),
            Panel("Projects by state", [("sum by (status) (factory_projects)", "{{status}}")]),
            Panel(
                "New dead letters in ten minutes",
                [("sum by (subscription) (delta(factory_dead_letters_open[10m]) > 0)", "{{subscription}}")],
                about="What was resolved in the meantime is taken off.",
            ),
        ),
    ),
    Dashboard(
        "system",
        "system health",
        (
            Panel("Processors in use", [("avg by (instance) (ray_node_cpu_utilization)", "{{instance}}")], "percent"),
            Panel(
                "Memory in use",
                [
                    (
                        "100 * sum by (instance) (ray_node_mem_used) / sum by (instance) (ray_node_mem_total)",
                        "{{instance}}",
                    )
                ],
                "percent",
            ),
            Panel(
                "Replicas that answer",
                [("sum by (deployment) (ray_serve_deployment_replica_healthy)", "{{deployment}}")],
                about="Gateways, and a supervisor for each sub-cluster.",
            ),
            Panel("What Prometheus reaches", [("sum by (job) (up)", "{{job}}")]),
            Panel("Entries of the audit trail", [("factory_audit_entries", "entries")]),
        ),
    ),
    Dashboard(
        "gateway",
        "gateway",
        (
            Panel("Requests a second", [(f"sum by (status_code) (rate({_SERVED}[5m]))", "{{status_code}}")], "reqps"),
            Panel(
                "Time to answer",
                [
                    (f"histogram_quantile({q}, sum by (le) (rate({_LATENCY}[5m])))", f"p{int(q * 100)}")
                    for q in (0.5, 0.9, 0.99)
                ],
                "ms",
                "Event streams count when they end, with all the time they were open.",
            ),
            Panel(
                "Share of requests that failed",
                [("factory:gateway:errors:ratio_rate5m", "5 min"), ("factory:gateway:errors:ratio_rate1h", "1 h")],
                "percentunit",
                "The objective is 99.9 %: alerts go by how fast the budget of a month is spent.",
            ),
        ),
    ),
)


def main() -> int:
    """Write them, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where a file differs")
    check = parser.parse_args().check
    texts = {FOLDER / f"{dashboard.name}.json": dashboard.render() for dashboard in DASHBOARDS}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if check and stale:
        names = ", ".join(path.name for path in stale)
        sys.stderr.write(f"{names}: not what scripts/dashboards.py writes; run it.\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for path in stale:
        path.write_text(texts[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
