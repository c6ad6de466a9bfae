"""Figures of the whole factory, read from PostgreSQL, in the text format of Prometheus."""

from collections.abc import Iterable, Mapping

from factory.actors.roster import load_roster
from factory.domain.project import ProjectStatus
from factory.serve.gateway import Gateway

_PROJECTS = "SELECT status, count(*) AS count FROM project GROUP BY status"
# Index dead_letter_open.
_LETTERS = "SELECT subscription, count(*) AS count FROM dead_letter WHERE state = 'open' GROUP BY subscription"
# Index task_unfinished.
_TASKS = """
SELECT agent, status, count(*) AS count FROM task WHERE status IN ('assigned', 'running') GROUP BY agent, status
"""
_AUDIT = "SELECT coalesce(max(sequence), 0) AS count FROM audit_entry"

Sample = tuple[Mapping[str, str], float]


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
    parts = [
        _gauge(
            "factory_backlog_ready",
            "Deliveries that can be claimed now, counted up to 1000.",
            [({"subscription": name}, backlog[name].ready) for name in backlog],
        ),
        _gauge(
            "factory_backlog_in_flight",
            "Deliveries that are being worked on, counted up to 1000.",
            [({"subscription": name}, backlog[name].in_flight) for name in backlog],
        ),
        _gauge(
            "factory_backlog_oldest_seconds",
            "Age of the oldest delivery that can be claimed.",
            [({"subscription": name}, backlog[name].oldest.total_seconds()) for name in backlog],
        ),
        _gauge(
            "factory_dead_letters_open",
            "Dead letters that nobody has resolved.",
            [({"subscription": name}, count) for name, count in letters.items()],
        ),
        _gauge(
            "factory_tasks",
            "Tasks that are not finished.",
            [({"agent": agent, "status": status}, count) for (agent, status), count in tasks.items()],
        ),
        _gauge(
            "factory_projects",
            "Projects by state.",
            [({"status": status}, count) for status, count in projects.items()],
        ),
        _gauge(
            "factory_audit_entries",
            "Entries of the audit trail.",
            [({}, row["count"]) for row in await database.fetch(_AUDIT)],
        ),
    ]
    return "".join(parts)


def _gauge(name: str, meaning: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
