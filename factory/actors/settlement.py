"""Commits outcomes in groups: artifacts, lineage, next events and acknowledgements in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from factory.actors.context import Job
from factory.actors.permission import Permissions
from factory.artifacts import records
from factory.artifacts.records import NewArtifact
from factory.control import governance, notifications, tasks
from factory.control.compensation import compensated_step
from factory.control.sagas import step_compensated
from factory.domain.artifact import ArtifactRef
from factory.domain.errors import ErrorCategory
from factory.domain.ids import event_id_near
from factory.domain.memory import NewSegment
from factory.domain.task import TASK_ASSIGNED, EventDraft, Outcome, TaskError
from factory.events.bus import EventBus
from factory.events.contracts.memory import EmbeddingCompleted
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.memory import registry
from factory.observability.traceparents import task_traceparent
from factory.recovery.classification import classify
from factory.recovery.policy import DeadLetter, Policies, decide
from factory.storage.database import Connection, Database, is_passing

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job, and who did it."""

    job: Job
    outcome: Outcome
    worker: str

    @property
    def details(self) -> dict[str, Any]:
        """What the record of the delivery keeps: the time from the first stage of the agent to its last."""
        spans = self.outcome.spans
        return {"seconds": round((spans[-1].ended_ns - spans[0].started_ns) / 1e9, 6)} if spans else {}


class Settler:
    """Turns results into committed facts. Everything it writes depends on the delivery's fence still holding."""

    def __init__(
        self, database: Database, bus: EventBus, policies: Policies, permissions: Permissions | None = None
    ) -> None:
        self._database = database
        self._bus = bus
        self._policies = policies
        self._permissions = permissions or Permissions.load(None)

    async def settle(self, results: Sequence[Result]) -> None:
        """Commit a group of results; one that cannot be committed is dead-lettered alone.

        Raises:
            Exception: The connection was lost, or another transaction was in the way. Settling the same group
                again is safe: what was committed is no longer held, and what was not is committed then.
        """
        results = [self._held(result) for result in _latest_attempts(results)]
        if not results:
            return
        try:
            if all(_only_tells(result) for result in results):
                await self._tell(results)
            else:
                async with self._database.transaction(hot=True) as connection:
                    await self._commit(connection, results)
        except Exception as error:
            if is_passing(error):
                raise
            if len(results) == 1:
                await self._refuse(results[0], error)
                return
            half = len(results) // 2
            await self.settle(results[:half])
            await self.settle(results[half:])

    def _held(self, result: Result) -> Result:
        outcome = self._permissions.held_to(result.outcome)
        return result if outcome is result.outcome else replace(result, outcome=outcome)

    async def give_up(self, delivery: Delivery, agent: str, error: TaskError) -> None:
        """Retry or dead-letter a delivery of which no task could be made."""
        async with self._database.transaction() as connection:
            await self._fail(connection, delivery, agent, error)

    async def _tell(self, results: Sequence[Result]) -> None:
        """Commit results that consist of events alone, which takes one statement."""
        following = {
            result.job.delivery.uid: [_drafted(result, draft) for draft in result.outcome.events] for result in results
        }
        details = {result.job.delivery.uid: result.details for result in results}
        await self._bus.finish_and_publish([result.job.delivery for result in results], following, details)

    async def _commit(self, connection: Connection, results: Sequence[Result]) -> None:
        good = [result for result in results if result.outcome.error is None]
        details = {result.job.delivery.uid: result.details for result in good}
        held = await self._bus.finish(connection, [result.job.delivery for result in good], details)
        kept = [result for result in good if result.job.delivery.uid in held]
        await tasks.finish_tasks(connection, [_task_end(result) for result in kept if _is_assigned(result)])
        events = await self._store_artifacts(connection, [result for result in kept if result.outcome.artifact])
        events += [_step_compensated(result) for result in kept if compensated_step(result.job.task.step)]
        events += await self._store_verdicts(connection, [result for result in kept if result.outcome.verdict])
        events += await self._store_segments(connection, kept)
        await notifications.mark_sent(connection, _notified(kept))
        await self._publish(connection, events, kept)
        for result in results:
            if result.outcome.error is not None:
                task = result.job.task
                await self._fail(connection, result.job.delivery, task.agent, result.outcome.error, result)

    async def _store_artifacts(self, connection: Connection, results: Sequence[Result]) -> list[Envelope]:
        if not results:
            return []
        drafts = [_new_artifact(result) for result in results]
        stored = await records.insert(connection, drafts)
        return [_artifact_created(result, artifact) for result, artifact in zip(results, stored, strict=True)]

    async def _store_verdicts(self, connection: Connection, results: Sequence[Result]) -> list[Envelope]:
        found = []
        validations = []
        for result in results:
            task, verdict = result.job.task, result.outcome.verdict
            if verdict is None or task.subject is None:
                continue
            validations.append(governance.new_validation(task, verdict))
            cause = result.job.delivery.event
            parent = task_traceparent(task)
            found.append(governance.validation_event(task, task.subject, verdict, cause, parent))
        if validations:
            await records.record_validations(connection, validations)
        return found

    async def _store_segments(self, connection: Connection, results: Sequence[Result]) -> list[Envelope]:
        found = []
        segments = [(result, result.outcome.segment) for result in results]
        # In order of collection: each one's row stays locked until the commit.
        for result, segment in sorted(
            ((result, segment) for result, segment in segments if segment), key=lambda item: item[1].collection
        ):
            version = await registry.register(connection, [segment])
            found.append(_embedding_completed(result, segment, version))
        return found

    async def _publish(self, connection: Connection, events: list[Envelope], results: Sequence[Result]) -> None:
        """Publish what follows at once in one statement, and what is scheduled by its delay."""
        delayed: dict[float, list[Envelope]] = {}
        for result in results:
            for draft in result.outcome.events:
                target = delayed.setdefault(draft.delay_seconds, []) if draft.delay_seconds else events
                target.append(_drafted(result, draft))
        if events:
            await self._bus.publish(connection, events)
        for seconds, later in delayed.items():
            await self._bus.publish(connection, later, available_at=datetime.now(UTC) + timedelta(seconds=seconds))

    async def _fail(
        self, connection: Connection, delivery: Delivery, agent: str, error: TaskError, result: Result | None = None
    ) -> None:
        step = result.job.task.step if result else ""
        goal = result.job.task.goal if result else ""
        policy = self._policies.find(
            agent=agent, step=step, goal=goal, category=error.category, error_type=error.error_type
        )
        if result is not None and result.job.max_attempts is not None:
            policy = policy.model_copy(update={"max_attempts": result.job.max_attempts})
        decision = decide(error, delivery.attempt, delivery.crash_count, policy)
        if isinstance(decision, DeadLetter):
            await self._bus.dead_letter(connection, delivery, error, category=decision.category)
            return
        held = await self._bus.retry(connection, delivery, error, decision.delay)
        if held and result is not None and _is_assigned(result):
            await tasks.retry_task(connection, result.job.task.id, result.worker, error)

    async def _refuse(self, result: Result, error: Exception) -> None:
        _log.error("outcome_refused", task=str(result.job.task.id), agent=result.job.task.agent, exc_info=error)
        reason = classify(error).model_copy(update={"retryable": False, "category": ErrorCategory.DEFECT})
        async with self._database.transaction() as connection:
            await self._bus.dead_letter(connection, result.job.delivery, reason)


def _latest_attempts(results: Sequence[Result]) -> list[Result]:
    """Leave out attempts that a later one in the same group has superseded.

    A supervisor that fell silent past its lease may have claimed again what it was still at work on.
    """
    latest: dict[int, Result] = {}
    for result in results:
        known = latest.setdefault(result.job.delivery.uid, result)
        if result.job.delivery.fence > known.job.delivery.fence:
            latest[result.job.delivery.uid] = result
    return list(latest.values())


def _only_tells(result: Result) -> bool:
    """Tell whether nothing but events for now follows from a result."""
    outcome = result.outcome
    more = outcome.error or outcome.artifact or outcome.verdict or outcome.segment or outcome.notified
    if more or _is_assigned(result):
        return False
    return not any(draft.delay_seconds for draft in outcome.events)


def _notified(results: Sequence[Result]) -> list[UUID]:
    """Return the events that asked for notifications which went out."""
    return [result.job.delivery.event.event_id for result in results if result.outcome.notified]


def _is_assigned(result: Result) -> bool:
    """Tell whether the task has a row of its own: one that was assigned, rather than made of another event."""
    return result.job.task.event_type == TASK_ASSIGNED


def _step_compensated(result: Result) -> Envelope:
    task = result.job.task
    return step_compensated(task.id, task.step, task.agent, result.job.delivery.event, task_traceparent(task))


def _task_end(result: Result) -> tasks.TaskEnd:
    return tasks.TaskEnd(id=result.job.task.id, worker=result.worker, skill=result.outcome.skill)


def _drafted(result: Result, draft: EventDraft) -> Envelope:
    task, cause = result.job.task, result.job.delivery.event
    traceparent = task_traceparent(task)
    # The draft was validated when the agent made it, and the rest is of this process; the bus checks the contract.
    return Envelope.trusted(
        event_id=event_id_near(cause.event_id, "drafted", task.id, draft.event_type, draft.key),
        event_type=draft.event_type,
        version=draft.version,
        topic=Topic(draft.topic),
        project_id=cause.project_id,
        originating_agent=task.agent,
        trace_id=cause.trace_id,
        traceparent=traceparent,
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
        timestamp=datetime.now(UTC),
        artifact_uri=None,
        payload=draft.payload,
    )


def _new_artifact(result: Result) -> NewArtifact:
    draft = result.outcome.artifact
    if draft is None:
        raise ValueError("the outcome has no artifact")
    return governance.new_artifact(result.job.task, draft, result.outcome.findings)


def _embedding_completed(result: Result, segment: NewSegment, version: int) -> Envelope:
    task = result.job.task
    payload = EmbeddingCompleted(
        collection=segment.collection,
        segment_id=segment.id,
        artifact_id=segment.artifact_id,
        version=version,
        chunks=segment.rows,
        embedded=segment.embedded,
        model=segment.model,
    )
    cause = result.job.delivery.event
    return cause.caused(
        payload,
        topic=Topic.SYSTEM,
        originating_agent=task.agent,
        event_id=event_id_near(cause.event_id, "EmbeddingCompleted", segment.id),
        traceparent=task_traceparent(task),
    )


def _artifact_created(result: Result, artifact: ArtifactRef) -> Envelope:
    task = result.job.task
    return governance.artifact_created(task, artifact, result.job.delivery.event, task_traceparent(task))
