"""Turns deliveries into tasks: looks up the project, the input artifacts, facts and the step's timeout.

Actors have no database connection, so everything a task refers to goes along with it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import JsonValue

from factory.actors.facts import FACTS
from factory.actors.subscriptions import agent_of
from factory.artifacts import records
from factory.control.blueprints import load_blueprints
from factory.control.compensation import compensated_step
from factory.control.projects import get_projects
from factory.domain.artifact import ArtifactStatus
from factory.domain.errors import ErrorCategory, FactoryError, NotFoundError, TerminalError
from factory.domain.ids import derived_id
from factory.domain.memory import SIMILAR_ARTIFACTS
from factory.domain.project import Project
from factory.domain.task import ARTIFACT_CREATED, TASK_ASSIGNED, VALIDATE, Task, TaskError
from factory.events.contracts.system import ArtifactCreated
from factory.events.contracts.tasks import TaskAssigned
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.recovery.classification import classify
from factory.storage.database import Connection

_DEFAULT_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery with the task made of it.

    Attributes:
        max_attempts: In place of the retry policy's, where the blueprint says so.
    """

    delivery: Delivery
    task: Task
    timeout_seconds: float
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Unready:
    """A delivery of which no task could be made, and why."""

    delivery: Delivery
    error: TaskError


async def prepare(
    connection: Connection,
    deliveries: Sequence[Delivery],
    blueprint_dir: Path | None,
    facts: Sequence[str] = (),
    keeps: Callable[[str], bool] = lambda _: True,
) -> tuple[list[Job], list[Unready]]:
    """Make a task of each delivery.

    A delivery whose project, artifacts or blueprint step are missing ends up among the unready ones and
    never disturbs the others. Errors of the connection itself are raised.

    Args:
        connection: To read with.
        deliveries: Of one agent.
        blueprint_dir: Where blueprints of one's own stand.
        facts: Names of what is to be looked up besides.
        keeps: Whether the work of a traceparent is traced.
    """
    ids = {delivery.event.project_id for delivery in deliveries} - {None}
    projects = await get_projects(connection, [key for key in ids if key is not None])
    # What memory holds is looked up afterwards: a search must not hold a transaction open.
    found = {name: await FACTS[name](connection, deliveries) for name in facts if name != SIMILAR_ARTIFACTS}
    lookup = _Lookup(connection, blueprint_dir, projects, found, keeps)
    jobs: list[Job] = []
    unready: list[Unready] = []
    for delivery in deliveries:
        try:
            jobs.append(await lookup.job(delivery))
        except (FactoryError, ValueError) as error:
            unready.append(Unready(delivery, classify(error)))
    return jobs, unready


class _Lookup:
    """What one batch knows already."""

    def __init__(
        self,
        connection: Connection,
        blueprint_dir: Path | None,
        projects: Mapping[UUID, Project],
        facts: Mapping[str, Mapping[int, JsonValue]],
        keeps: Callable[[str], bool],
    ) -> None:
        self._connection = connection
        self._blueprint_dir = blueprint_dir
        self._projects = projects
        self._facts = facts
        self._keeps = keeps

    async def job(self, delivery: Delivery) -> Job:
        event = delivery.event
        if event.event_type not in (TASK_ASSIGNED, ARTIFACT_CREATED):
            return Job(delivery, self._handling(delivery), _DEFAULT_TIMEOUT_SECONDS)
        project = self._project(event)
        if project is None:
            raise TerminalError(
                f"event {event.event_id} belongs to no project.", category=ErrorCategory.SCHEMA, field="project_id"
            )
        if event.event_type == TASK_ASSIGNED:
            task = await self._assigned(delivery, project, event.read(TaskAssigned))
        else:
            task = await self._validation(delivery, project, event.read(ArtifactCreated))
        timeout, max_attempts = self._limits(project, task)
        return Job(delivery, task, timeout, max_attempts)

    def _project(self, event: Envelope) -> Project | None:
        if event.project_id is None:
            return None
        if event.project_id not in self._projects:
            raise NotFoundError(f"there is no project {event.project_id}.", remedy="See `factory project list`.")
        return self._projects[event.project_id]

    def _handling(self, delivery: Delivery) -> Task:
        event = delivery.event
        agent = agent_of(delivery.subscription)
        return Task(
            id=derived_id("handle", agent, event.event_id),
            project=self._project(event),
            step=event.event_type,
            agent=agent,
            goal=event.event_type,
            attempt=delivery.attempt,
            payload=event.payload,
            facts={name: values.get(delivery.uid) for name, values in self._facts.items()},
            event_type=event.event_type,
            **self._origin(event),
        )

    async def _assigned(self, delivery: Delivery, project: Project, payload: TaskAssigned) -> Task:
        found = await records.get_many(self._connection, payload.input_ids)
        missing = [str(key) for key in payload.input_ids if key not in found]
        if missing:
            raise NotFoundError(f"input artifacts {', '.join(missing)} of step {payload.step!r} do not exist.")
        return Task(
            id=payload.task_id,
            project=project,
            step=payload.step,
            agent=payload.agent,
            goal=payload.goal,
            attempt=delivery.attempt,
            inputs=tuple(records.reference(found[key]) for key in payload.input_ids),
            parameters=payload.parameters,
            event_type=TASK_ASSIGNED,
            **self._origin(delivery.event),
        )

    async def _validation(self, delivery: Delivery, project: Project, payload: ArtifactCreated) -> Task:
        subject = await records.get(self._connection, payload.artifact_id)
        siblings = await records.latest(self._connection, project.id, status=ArtifactStatus.VALID)
        return Task(
            id=derived_id(VALIDATE, payload.artifact_id),
            project=project,
            step=payload.step,
            agent=agent_of(delivery.subscription),
            goal=VALIDATE,
            attempt=delivery.attempt,
            inputs=tuple(ref for ref in siblings if ref.kind != subject.kind),
            subject=records.reference(subject),
            event_type=ARTIFACT_CREATED,
            **self._origin(delivery.event),
        )

    def _limits(self, project: Project, task: Task) -> tuple[float, int | None]:
        """Return the timeout and, where the blueprint gives it, the most attempts."""
        blueprint = load_blueprints(self._blueprint_dir).get(project.blueprint)
        undone = compensated_step(task.step)
        if blueprint and undone in blueprint.compensations:
            compensation = blueprint.compensations[undone]
            return compensation.timeout_seconds, compensation.max_attempts
        steps = {step.id: step for step in blueprint.steps} if blueprint else {}
        step = steps.get(task.step)
        return (step.timeout_seconds if step else _DEFAULT_TIMEOUT_SECONDS), None

    def _origin(self, event: Envelope) -> dict[str, object]:
        return {
            "cause_id": event.event_id,
            "correlation_id": event.correlation_id,
            "traceparent": event.traceparent,
            "traced": self._keeps(event.traceparent),
        }
