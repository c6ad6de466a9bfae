"""Sagas: take back what a project has done, step by step, as the compensation rules decide (R19).

Every step is undone by one task, assigned through the bus like any other: retried by the same policies, recorded in
the same tables. A saga lives in its rows alone, so that whoever handles the next event goes on with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from factory.control import governance, projects, saga_records, tasks
from factory.control.blueprints import Blueprint, Compensation
from factory.control.compensation import CompensationState, compensate, compensated_step, compensation_step
from factory.control.coordinator import Assignment
from factory.control.saga_records import Saga, StepCompensation
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectStatus
from factory.events.bus import EventBus
from factory.events.contracts.payload import Payload
from factory.events.contracts.system import (
    CompensationCompleted,
    CompensationFailed,
    CompensationRequested,
    ProjectStatusChanged,
    StepCompensated,
)
from factory.events.contracts.tasks import TaskAssigned
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Connection

NAME = "task-orchestrator"


@dataclass(frozen=True, slots=True)
class _Turn:
    """One transaction in which a saga is advanced."""

    connection: Connection
    cause: Envelope
    project: Project
    blueprint: Blueprint


class Sagas:
    """Advances sagas. Every step is one transaction on the caller's connection, under the project's lock."""

    def __init__(self, bus: EventBus, topics: Mapping[str, Topic]) -> None:
        self._bus = bus
        self._topics = topics

    async def advance(
        self, connection: Connection, cause: Envelope, project: Project, blueprint: Blueprint, *, resume: bool = False
    ) -> bool:
        """Do what a project's saga asks for: begin it, note what was undone, assign what is undone next.

        Args:
            connection: In the caller's transaction, with the project locked.
            cause: The event that woke the orchestrator.
            project: As locked.
            blueprint: The project's workflow.
            resume: Try a failed compensation again.

        Returns:
            Whether a saga rules the project; then nothing else may be assigned.

        Raises:
            TerminalError: A request names a step that the blueprint does not have.
        """
        turn = _Turn(connection, cause, project, blueprint)
        saga = await saga_records.unfinished(connection, project.id)
        if cause.event_type == CompensationRequested.event_type:
            saga = await _requested(turn, saga)
            resume = True
        if saga is None:
            saga = await self._reopened(turn)
        if saga is None:
            return False
        if cause.event_type == StepCompensated.event_type:
            done = cause.read(StepCompensated)
            await saga_records.end(connection, saga, done.step, done.task_id, CompensationState.DONE)
        if saga.state == "failed":
            if not resume:
                # A person decides; what completes until then waits for its turn.
                return True
            await saga_records.set_state(connection, saga, "running")
        await self._go_on(turn, saga, resume=resume)
        return True

    async def reopen(self, connection: Connection, cause: Envelope, project: Project, task: TaskAssigned) -> bool:
        """Take a failed saga up again because the dead letter of its compensation is delivered anew.

        Returns:
            Whether the task belongs to an unfinished saga.
        """
        step = compensated_step(task.step)
        saga = await saga_records.unfinished(connection, project.id)
        if step is None or saga is None:
            return False
        await saga_records.set_state(connection, saga, "running")
        await saga_records.start(connection, saga, step, task.round, task.task_id)
        if project.status is not ProjectStatus.COMPENSATING:
            await projects.set_status(connection, project, ProjectStatus.COMPENSATING)
            await self._publish(connection, cause, _changed(project, ProjectStatus.COMPENSATING, saga.reason))
        return True

    async def _reopened(self, turn: _Turn) -> Saga | None:
        """Take the last saga of a compensated project up again where a result came that it did not know."""
        if turn.project.status is not ProjectStatus.COMPENSATED:
            return None
        saga = await saga_records.last(turn.connection, turn.project.id)
        if saga is None or saga.revision != turn.project.revision:
            return None
        known = await saga_records.compensations(turn.connection, saga.project_id, saga.revision)
        states = {item.step: item.state for item in known}
        decision = compensate(turn.blueprint, await saga_records.read_state(turn.connection, saga, states))
        if not decision.found:
            return None
        await saga_records.set_state(turn.connection, saga, "running")
        return saga

    async def _go_on(self, turn: _Turn, saga: Saga, *, resume: bool) -> None:
        known = await saga_records.compensations(turn.connection, saga.project_id, saga.revision)
        by_step = {item.step: item for item in known}
        states = {item.step: _state(item, resume=resume) for item in known}
        decision = compensate(turn.blueprint, await saga_records.read_state(turn.connection, saga, states))
        await saga_records.add(turn.connection, saga, decision.found)
        if decision.failed is not None:
            await self._fail(turn, saga, by_step[decision.failed])
            return
        await self._set_status(turn, ProjectStatus.COMPENSATING, saga.reason)
        for step in decision.skipped:
            await saga_records.skip(turn.connection, saga, step)
        if decision.next is not None:
            rounds = by_step[decision.next].round if decision.next in by_step else 0
            await self._assign(turn, saga, decision.next, rounds + 1)
        if decision.completed:
            await self._complete(turn, saga)

    async def _assign(self, turn: _Turn, saga: Saga, step: str, round_: int) -> None:
        made = await saga_records.made_by(turn.connection, saga, step)
        assignment = _assignment(turn.blueprint, saga, step, round_, made)
        task = tasks.assigned_task(turn.project, assignment)
        await tasks.insert_tasks(turn.connection, turn.project, [task], turn.cause.event_id)
        await saga_records.start(turn.connection, saga, step, round_, task.id)
        topic = self._topics.get(assignment.agent, Topic.SYSTEM)
        event = turn.cause.caused(task.payload, topic=topic, originating_agent=NAME, event_id=task.event_id)
        await self._bus.publish(turn.connection, [event])

    async def _complete(self, turn: _Turn, saga: Saga) -> None:
        known = await saga_records.compensations(turn.connection, saga.project_id, saga.revision)
        await saga_records.set_state(turn.connection, saga, "completed")
        project = turn.project.model_copy(update={"status": ProjectStatus.COMPENSATING})
        await projects.set_status(turn.connection, project, ProjectStatus.COMPENSATED)
        completed = CompensationCompleted(
            saga_id=saga.id,
            compensated=[item.step for item in known if item.state is CompensationState.DONE],
            skipped=[item.step for item in known if item.state is CompensationState.SKIPPED],
        )
        changed = _changed(project, ProjectStatus.COMPENSATED, saga.reason)
        await self._publish(turn.connection, turn.cause, completed, changed)

    async def _fail(self, turn: _Turn, saga: Saga, failed: StepCompensation) -> None:
        if failed.task_id is None:
            raise ValueError("a compensation failed that was never assigned")
        await saga_records.end(turn.connection, saga, failed.step, failed.task_id, CompensationState.FAILED)
        await saga_records.set_state(turn.connection, saga, "failed")
        await self._set_status(turn, ProjectStatus.FAILED, failed.message)
        reason = {"step": compensation_step(failed.step), "reason": failed.message}
        await projects.set_failure(turn.connection, saga.project_id, reason)
        event = CompensationFailed(
            saga_id=saga.id, step=failed.step, task_id=failed.task_id, agent=failed.agent, reason=failed.message
        )
        await self._publish(turn.connection, turn.cause, event)

    async def _set_status(self, turn: _Turn, status: ProjectStatus, reason: str) -> None:
        if turn.project.status is not status:
            await projects.set_status(turn.connection, turn.project, status)
            await self._publish(turn.connection, turn.cause, _changed(turn.project, status, reason))

    async def _publish(self, connection: Connection, cause: Envelope, *payloads: Payload) -> None:
        events = [cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME) for payload in payloads]
        await self._bus.publish(connection, events)


def step_compensated(task_id: UUID, name: str, agent: str, cause: Envelope, traceparent: str) -> Envelope:
    """Return the event that tells of a step that was undone, with an id derived from the task that did it.

    Args:
        task_id: The task.
        name: Of the task's own step, from which the step that was undone follows.
        agent: Who did it.
        cause: The event that assigned the task.
        traceparent: Of the task.
    """
    payload = StepCompensated(step=compensated_step(name) or name, task_id=task_id, agent=agent)
    return cause.caused(
        payload,
        topic=Topic.SYSTEM,
        originating_agent=agent,
        event_id=derived_id("StepCompensated", task_id),
        traceparent=traceparent,
    )


def compensation_requested(cause: Envelope, project: Project, reason: str, occasion: object) -> Envelope:
    """Return the event that asks for everything to be undone, once per occasion."""
    return cause.caused(
        CompensationRequested(reason=reason),
        topic=Topic.SYSTEM,
        originating_agent=NAME,
        event_id=derived_id("CompensationRequested", project.id, project.revision, occasion),
    )


async def _requested(turn: _Turn, known: Saga | None) -> Saga | None:
    """Begin a saga, or widen the one that is there where the whole project is asked for."""
    request = turn.cause.read(CompensationRequested)
    steps = [step.id for step in turn.blueprint.steps]
    if request.from_step is not None and request.from_step not in steps:
        raise TerminalError(
            f"blueprint {turn.blueprint.name!r} has no step {request.from_step!r} to compensate from.",
            category=ErrorCategory.SCHEMA,
            remedy=f"Steps: {', '.join(steps)}.",
            field="from_step",
        )
    project = turn.project
    if known is None:
        saga_id = derived_id("saga", turn.cause.event_id)
        saga = Saga(saga_id, project.id, project.revision, request.reason, request.from_step, "running")
        await saga_records.begin(turn.connection, saga, turn.cause.event_id)
        await projects.set_failure(turn.connection, project.id, {"step": request.from_step, "reason": request.reason})
    elif request.from_step is None and known.from_step is not None:
        await saga_records.widen(turn.connection, known)
    return await saga_records.unfinished(turn.connection, project.id)


def _state(item: StepCompensation, *, resume: bool) -> CompensationState:
    """Return how far a compensation is; one that failed begins anew where it is taken up again."""
    if item.state is CompensationState.RUNNING and item.task_failed:
        return CompensationState.FAILED
    if item.state is CompensationState.FAILED and resume:
        return CompensationState.PENDING
    return item.state


def _changed(project: Project, status: ProjectStatus, reason: str) -> ProjectStatusChanged:
    return ProjectStatusChanged(previous=project.status, current=status, reason=reason)


def _assignment(blueprint: Blueprint, saga: Saga, step: str, round_: int, made: tuple[UUID, ...]) -> Assignment:
    named = blueprint.step(step).compensation
    chosen = named if isinstance(named, Compensation) else Compensation(agent=governance.NAME, goal=str(named))
    return Assignment(
        step=compensation_step(step),
        agent=chosen.agent,
        goal=chosen.goal,
        round=round_,
        input_ids=made,
        parameters={**chosen.parameters, "compensates": {"step": step, "reason": saga.reason}},
    )
