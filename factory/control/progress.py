"""What a person watches: each step of a project with its agent, attempt, time and artifact."""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from factory.control.blueprints import Blueprint, Step, find_blueprint
from factory.control.projects import get_project, get_projects
from factory.domain.errors import NotFoundError
from factory.domain.project import ENDED, Project
from factory.storage.database import Connection

# Unique index (project_id, revision, step, round), read backwards per step.
TASKS = """
SELECT DISTINCT ON (step) id, step, round, status, attempt, worker, error ->> 'message' AS message,
       extract(epoch FROM coalesce(ended_at, now()) - started_at)::float8 AS seconds
FROM task WHERE project_id = $1 AND revision = $2 ORDER BY step, round DESC
"""
# Unique index (project_id, kind, version), read backwards per kind.
ARTIFACTS = """
SELECT DISTINCT ON (kind) kind, version, hash, status, task_id
FROM artifact WHERE project_id = $1 ORDER BY kind, version DESC
"""
OUTCOME = """
SELECT failure ->> 'step' AS failed_step, failure ->> 'reason' AS reason, tests_passed, tests_failed, released_commit
FROM project WHERE id = $1
"""
# escalation_open.
OPEN_ESCALATIONS = """
SELECT id, agent, question FROM escalation WHERE project_id = $1 AND state = 'open' ORDER BY created_at, id
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepProgress(_Frozen):
    """One line of the live view.

    Attributes:
        status: `waiting`, `assigned`, `running`, `validating`, `done`, `failed` or `withdrawn`.
        seconds: Time of the latest attempt so far, or None before it starts.
    """

    step: str
    agent: str
    goal: str
    status: str
    attempt: int = 0
    round: int = 0
    seconds: float | None = None
    artifact_version: int | None = None
    artifact_hash: str | None = None
    message: str = ""


class OpenQuestion(_Frozen):
    """A question that a person has to answer before the project goes on."""

    escalation_id: UUID
    agent: str
    question: str


class Progress(_Frozen):
    """A project at one moment."""

    project: Project
    steps: tuple[StepProgress, ...]
    failure: str | None = None
    tests: tuple[int, int] | None = None
    released_commit: str | None = None
    waits_for: tuple[OpenQuestion, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.project.status in ENDED


async def read_progress(connection: Connection, project_id: UUID, blueprint_dir: Path | None = None) -> Progress:
    """Return a project's steps in blueprint order.

    Raises:
        NotFoundError: There is no such project, or its blueprint is no longer known.
    """
    project = await get_project(connection, project_id)
    blueprint = find_blueprint(project.blueprint, blueprint_dir)
    tasks = {row["step"]: row for row in await connection.fetch(TASKS, project.id, project.revision)}
    artifacts = {row["kind"]: row for row in await connection.fetch(ARTIFACTS, project.id)}
    outcome = await connection.fetchrow(OUTCOME, project.id)
    if outcome is None:
        raise NotFoundError(f"there is no project {project_id}.")
    questions = await connection.fetch(OPEN_ESCALATIONS, project.id)
    tested = outcome["tests_passed"] is not None
    return Progress(
        project=project,
        steps=_lines(blueprint, tasks, artifacts),
        failure=_failure(outcome),
        tests=(outcome["tests_passed"], outcome["tests_failed"]) if tested else None,
        released_commit=outcome["released_commit"],
        waits_for=tuple(
            OpenQuestion(escalation_id=row["id"], agent=row["agent"], question=row["question"]) for row in questions
        ),
    )


async def read_end(connection: Connection, project_id: UUID) -> tuple[Project, str | None] | None:
    """Return a project that has ended, with why it failed where it did; None while it goes on."""
    project = (await get_projects(connection, [project_id])).get(project_id)
    if project is None or project.status not in ENDED:
        return None
    outcome = await connection.fetchrow(OUTCOME, project_id)
    return project, _failure(outcome) if outcome is not None else None


def _failure(outcome: asyncpg.Record) -> str | None:
    return f"{outcome['failed_step']}: {outcome['reason']}" if outcome["reason"] else None


def _lines(
    blueprint: Blueprint, tasks: Mapping[str, asyncpg.Record], artifacts: Mapping[str, asyncpg.Record]
) -> tuple[StepProgress, ...]:
    return tuple(_line(step, tasks.get(step.id), artifacts.get(step.produces)) for step in blueprint.steps)


def _line(step: Step, task: asyncpg.Record | None, artifact: asyncpg.Record | None) -> StepProgress:
    if task is None:
        return StepProgress(step=step.id, agent=step.agent, goal=step.produces, status="waiting")
    made = artifact if artifact is not None and artifact["task_id"] == task["id"] else None
    status = task["status"]
    if status == "done":
        judged = {"pending": "validating", "valid": "done", "invalid": "failed", "withdrawn": "withdrawn"}
        status = judged[made["status"]] if made is not None else "validating"
    return StepProgress(
        step=step.id,
        agent=step.agent,
        goal=step.produces,
        status=status,
        attempt=task["attempt"],
        round=task["round"],
        seconds=task["seconds"],
        artifact_version=made["version"] if made is not None else None,
        artifact_hash=made["hash"] if made is not None else None,
        message=(task["message"] or "") if status != "done" else "",
    )
