"""Figures of the whole factory, read from PostgreSQL, in the text format of Prometheus."""

from collections.abc import Iterable

from factory.actors.roster import load_roster
from factory.domain.project import ProjectStatus
from factory.observability import figures
from factory.observability.figures import Figure
from factory.serve.gateway import Gateway

_PROJECTS = "SELECT status, count(*) AS count FROM project GROUP BY status"
# Index dead_letter_open.
_LETTERS = "SELECT subscription, count(*) AS count FROM dead_letter WHERE state = 'open' GROUP BY subscription"
# Index task_unfinished.
_TASKS = """
SELECT agent, status, count(*) AS count FROM task WHERE status IN ('assigned', 'running') GROUP BY agent, status
"""
_AUDIT = "SELECT coalesce(max(sequence), 0) AS count FROM audit_entry"
# Index memory_segment_live.
_MEMORY = """
SELECT c.name, s.segments, s.rows, s.bytes FROM memory_collection c CROSS JOIN LATERAL (
    SELECT count(*) AS segments, coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(size), 0)::bigint AS bytes
    FROM memory_segment WHERE collection = c.name AND dropped_version IS NULL
) s
"""
# Index incident_open.
_INCIDENTS = "SELECT rule, severity, count(*) AS count FROM incident WHERE closed_at IS NULL GROUP BY rule, severity"

Sample = tuple[tuple[str, ...], float]


async def exposition(gateway: Gateway) -> str:
    """Return the figures; each is a gauge."""
    database = gateway.database
    backlog = {one.subscription.name: one.backlog for one in await gateway.service.bus.standings()}
    # A figure that first appears with its first letter would hide how many there are more than before.
    letters = dict.fromkeys(backlog, 0)
    letters.update({row["subscription"]: row["count"] for row in await database.fetch(_LETTERS)})
    roster = load_roster(tuple(gateway.settings.plugins))
    tasks = {(agent.spec.name, status): 0 for agent in roster for status in ("assigned", "running")}
    tasks.update({(row["agent"], row["status"]): row["count"] for row in await database.fetch(_TASKS)})
    projects = dict.fromkeys(map(str, ProjectStatus), 0)
    projects.update({row["status"]: row["count"] for row in await database.fetch(_PROJECTS)})
    sizes = {gateway.settings.memory_collection: (0, 0, 0)}
    sizes |= {row["name"]: (row["rows"], row["segments"], row["bytes"]) for row in await database.fetch(_MEMORY)}
    incidents = await database.fetch(_INCIDENTS)
    values: dict[Figure, Iterable[Sample]] = {
        figures.BACKLOG_READY: [((name,), backlog[name].ready) for name in backlog],
        figures.BACKLOG_IN_FLIGHT: [((name,), backlog[name].in_flight) for name in backlog],
        figures.BACKLOG_OLDEST: [((name,), backlog[name].oldest.total_seconds()) for name in backlog],
        figures.DEAD_LETTERS: [((name,), count) for name, count in letters.items()],
        figures.TASKS: list(tasks.items()),
        figures.PROJECTS: [((status,), count) for status, count in projects.items()],
        figures.AUDIT_ENTRIES: [((), row["count"]) for row in await database.fetch(_AUDIT)],
        figures.INCIDENTS: [((row["rule"], row["severity"]), row["count"]) for row in incidents],
        figures.MEMORY_CHUNKS: [((name,), chunks) for name, (chunks, _, _) in sizes.items()],
        figures.MEMORY_SEGMENTS: [((name,), segments) for name, (_, segments, _) in sizes.items()],
        figures.MEMORY_BYTES: [((name,), size) for name, (_, _, size) in sizes.items()],
    }
    return "".join(_gauge(figure, samples) for figure, samples in values.items())


def _gauge(figure: Figure, samples: Iterable[Sample]) -> str:
    name = figure.series
    lines = [f"# HELP {name} {figure.meaning}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in zip(figure.labels, labels, strict=True))
        lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
