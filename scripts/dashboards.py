"""Writes the Grafana dashboards of cluster/observability/dashboards; --check tells whether they are up to date.

--ray FOLDER writes those of Ray itself, which the installed Ray makes (nodes, actors, Serve, Data), beside them.
"""

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
class Table:
    """One table, asked of the factory's database: what belongs to single projects is no label of a figure.

    Attributes:
        title: What it shows.
        sql: Of Grafana's PostgreSQL data source, with its macros.
        about: What a reader should look for.
    """

    title: str
    sql: str
    about: str = ""


@dataclass(frozen=True)
class Dashboard:
    """One page."""

    name: str
    title: str
    panels: Sequence[Panel | Table]

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
            "panels": [
                _panel(number, panel) if isinstance(panel, Panel) else _table(number, panel)
                for number, panel in enumerate(self.panels)
            ],
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


def _table(number: int, table: Table) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "table",
        "title": table.title,
        "description": table.about,
        "datasource": {"type": "grafana-postgresql-datasource", "uid": "factory-database"},
        "gridPos": {"x": 0, "y": number * 2 * _HEIGHT, "w": 24, "h": 2 * _HEIGHT},
        "fieldConfig": {"defaults": {}, "overrides": []},
        "targets": [{"refId": "A", "format": "table", "rawQuery": True, "rawSql": table.sql}],
    }


def _quantile(q: float, histogram: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[5m])))"


# Zero, where nothing of the kind has happened yet.
_NONE_YET = " or vector(0)"
_WORK_OF_PROJECTS = """
SELECT p.tenant, p.name AS project, p.status,
    count(*) FILTER (WHERE l.outcome IN ('done', 'retried', 'dead', 'timed-out', 'abandoned')) AS attempts,
    count(*) FILTER (WHERE l.outcome IN ('retried', 'timed-out', 'abandoned')) AS retries,
    count(*) FILTER (WHERE l.outcome = 'dead') AS dead_letters,
    round(coalesce(sum((l.details ->> 'seconds')::numeric), 0), 1) AS agent_seconds
FROM delivery_log l JOIN project p ON p.id = l.project_id
WHERE $__timeFilter(l.logged_at) GROUP BY p.id ORDER BY agent_seconds DESC LIMIT 100
""".strip()
_WORK_OF_TENANTS = """
SELECT p.tenant, count(DISTINCT p.id) AS projects,
    round(coalesce(sum((l.details ->> 'seconds')::numeric), 0), 1) AS agent_seconds
FROM delivery_log l JOIN project p ON p.id = l.project_id
WHERE $__timeFilter(l.logged_at) GROUP BY p.tenant ORDER BY agent_seconds DESC LIMIT 100
""".strip()
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
            Panel(
                "Events handled a second",
                [("sum by (subscription) (rate(ray_factory_events_handled_total[5m]))", "{{subscription}}")],
                "ops",
            ),
            Panel(
                "From publication to commit, nine in ten",
                [(_quantile(0.9, "ray_factory_event_duration_seconds", "subscription"), "{{subscription}}")],
                "s",
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
                "Attempts a second",
                [("sum by (agent) (rate(ray_factory_attempts_total[5m]))", "{{agent}}")],
                "ops",
            ),
            Panel(
                "Time of an attempt, nine in ten",
                [(_quantile(0.9, "ray_factory_attempt_duration_seconds", "agent"), "{{agent}}")],
                "s",
            ),
            Panel(
                "Attempts that fail, by kind of error",
                [(f"sum by (agent, category) (rate(ray_factory_attempt_failures_total[5m])){_NONE_YET}", "{{agent}}")],
                "ops",
            ),
            Panel(
                "Attempts that are not the first",
                [(f"sum by (agent) (rate(ray_factory_attempt_retries_total[5m])){_NONE_YET}", "{{agent}}")],
                "ops",
            ),
            Panel(
                "Share of artifacts that pass validation",
                [
                    (
                        (
                            'sum by (kind) (rate(ray_factory_verdicts_total{result="passed"}[1h]))'
                            " / sum by (kind) (rate(ray_factory_verdicts_total[1h]))"
                        ),
                        "{{kind}}",
                    )
                ],
                "percentunit",
            ),
            Panel("Actors", [("sum by (agent) (ray_factory_pool_actors)", "{{agent}}")]),
            Panel("Actors that work", [("sum by (agent) (ray_factory_pool_busy)", "{{agent}}")]),
            Panel(
                "New dead letters in ten minutes",
                [("clamp_min(sum by (subscription) (delta(factory_dead_letters_open[10m])), 0)", "{{subscription}}")],
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
            Panel(
                "Time of a commit",
                [(_quantile(q, "ray_factory_commit_duration_seconds"), f"p{int(q * 100)}") for q in (0.5, 0.9, 0.99)],
                "s",
                "Grows where PostgreSQL is short of something.",
            ),
            Panel(
                "Open incidents",
                [(f"sum by (rule, severity) (factory_incidents_open){_NONE_YET}", "{{rule}} ({{severity}})")],
            ),
            Panel("What Prometheus reaches", [("sum by (job) (up)", "{{job}}")]),
            Panel("Entries of the audit trail", [("factory_audit_entries", "entries")]),
        ),
    ),
    Dashboard(
        "memory",
        "memory",
        (
            Panel("Chunks", [("sum by (collection) (factory_memory_chunks)", "{{collection}}")]),
            Panel(
                "Segments",
                [("sum by (collection) (factory_memory_segments)", "{{collection}}")],
                about="Compaction brings it down; one that only grows has nobody who compacts.",
            ),
            Panel("Stored", [("sum by (collection) (factory_memory_size_bytes)", "{{collection}}")], "bytes"),
            Panel(
                "Tokens that models read or wrote a second",
                [
                    (
                        (
                            "sum by (gen_ai_request_model, gen_ai_token_type)"
                            f" (rate(ray_gen_ai_client_token_usage_sum[5m])){_NONE_YET}"
                        ),
                        "{{gen_ai_request_model}}, {{gen_ai_token_type}}",
                    )
                ],
            ),
            Panel(
                "Time of one use of a model, nine in ten",
                [
                    (
                        _quantile(0.9, "ray_gen_ai_client_operation_duration_seconds", "gen_ai_request_model")
                        + _NONE_YET,
                        "{{gen_ai_request_model}}",
                    )
                ],
                "s",
            ),
        ),
    ),
    Dashboard(
        "costs",
        "cost per project",
        (
            Table("Projects", _WORK_OF_PROJECTS, "Agent seconds are what nodes are paid for."),
            Table("Tenants", _WORK_OF_TENANTS),
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
    parser.add_argument("--ray", type=Path, metavar="FOLDER", help="write Ray's own dashboards there instead")
    given = parser.parse_args()
    if given.ray:
        return _write_those_of_ray(given.ray)
    check = given.check
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


def _write_those_of_ray(folder: Path) -> int:
    from ray.dashboard.modules.metrics import grafana_dashboard_factory as made  # noqa: PLC0415 - takes a second

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("default", "serve", "serve_deployment", "data"):
        text, _ = getattr(made, f"generate_{name}_grafana_dashboard")()
        (folder / f"ray-{name.replace('_', '-')}.json").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
