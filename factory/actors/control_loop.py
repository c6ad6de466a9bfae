"""Handles the control plane's own deliveries: the orchestrator's and governance's, in order per project."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from factory.actors.subscriptions import GOVERNANCE, OBSERVABILITY, ORCHESTRATION, RECOVERY, WITHDRAWAL
from factory.control import incidents, tasks
from factory.control.governance import Committer
from factory.control.orchestrator import Orchestrator
from factory.control.progress import read_end
from factory.control.recovery import Recovery
from factory.control.sagas import step_compensated
from factory.events.bus import EventBus
from factory.events.contracts.system import DeadLettered
from factory.events.delivery import Delivery
from factory.observability.traces import Tracing
from factory.recovery.classification import classify
from factory.recovery.policy import DeadLetter, Policies, decide
from factory.storage.database import Database, is_passing

_log = structlog.stdlib.get_logger(__name__)


class ControlPlane:
    """Takes control deliveries to their end, each in one transaction with its effects."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        *,
        orchestrator: Orchestrator,
        committer: Committer,
        recovery: Recovery,
        policies: Policies,
        tracing: Tracing,
    ) -> None:
        self._database = database
        self._bus = bus
        self._orchestrator = orchestrator
        self._committer = committer
        self._recovery = recovery
        self._policies = policies
        self._tracing = tracing
        self._handlers: dict[str, Callable[[Delivery], Awaitable[None]]] = {
            ORCHESTRATION.name: self._orchestrate,
            GOVERNANCE.name: self._commit,
            WITHDRAWAL.name: self._withdraw,
            RECOVERY.name: self._recover,
            OBSERVABILITY.name: self._record_incident,
        }

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        """Handle deliveries side by side; a claim never holds two of one project and subscription.

        Raises:
            Exception: The connection was lost, or another transaction was in the way; the deliveries are still
                held or already finished.
        """
        await asyncio.gather(*(self._handle_one(delivery) for delivery in deliveries))

    async def _handle_one(self, delivery: Delivery) -> None:
        try:
            await self._handlers[delivery.subscription](delivery)
        except Exception as error:
            if is_passing(error):
                raise
            await self._fail(delivery, error)

    async def _orchestrate(self, delivery: Delivery) -> None:
        async with self._database.transaction() as connection:
            if await self._bus.finish(connection, [delivery]):
                await self._orchestrator.advance(connection, delivery.event)
        await self._trace_end(delivery)

    async def _commit(self, delivery: Delivery) -> None:
        started = time.time_ns()
        prepared = await self._committer.prepare(delivery.event)
        async with self._database.transaction() as connection:
            if not await self._bus.finish(connection, [delivery]) or prepared is None:
                return
            event = await prepared.record(connection, delivery.event)
            await self._bus.publish(connection, [event])
        if self._tracing.keeps(delivery.event.traceparent):
            self._tracing.record(
                delivery.event.traceparent,
                f"git commit {prepared.artifact.kind}",
                started_ns=started,
                ended_ns=time.time_ns(),
                attributes={
                    "factory.artifact.id": prepared.artifact.id,
                    "factory.artifact.kind": prepared.artifact.kind,
                    "vcs.ref.head.revision": prepared.sha,
                },
            )

    async def _withdraw(self, delivery: Delivery) -> None:
        prepared = await self._committer.prepare_withdrawal(delivery.event)
        task = prepared.task
        async with self._database.transaction() as connection:
            if not await self._bus.finish(connection, [delivery]):
                return
            await prepared.record(connection)
            await tasks.start_tasks(connection, [(task.task_id, delivery.attempt)])
            await tasks.finish_tasks(connection, [tasks.TaskEnd(id=task.task_id, worker=task.agent, skill=task.goal)])
            cause = delivery.event
            event = step_compensated(task.task_id, task.step, task.agent, cause, cause.traceparent)
            await self._bus.publish(connection, [event])

    async def _recover(self, delivery: Delivery) -> None:
        async with self._database.transaction() as connection:
            if await self._bus.finish(connection, [delivery]):
                await self._recovery.handle(connection, delivery.event)
        await self._trace_end(delivery)

    async def _record_incident(self, delivery: Delivery) -> None:
        async with self._database.transaction() as connection:
            if await self._bus.finish(connection, [delivery]):
                await incidents.handle(connection, self._bus, delivery.event)

    async def _trace_end(self, delivery: Delivery) -> None:
        """Record a project's span where this delivery ended it; recording it again changes nothing."""
        project_id = delivery.event.project_id
        if project_id is None or not self._tracing.keeps(delivery.event.traceparent):
            return
        end = await self._database.run(lambda connection: read_end(connection, project_id))
        if end is not None:
            project, failure = end
            self._tracing.record_project(project, ended_at=project.updated_at, failure=failure)

    async def _fail(self, delivery: Delivery, error: Exception) -> None:
        _log.warning("control_delivery_failed", subscription=delivery.subscription, exc_info=error)
        reason = classify(error)
        policy = self._policies.find(agent=delivery.subscription, step="", category=reason.category)
        decision = decide(reason, delivery.attempt, delivery.crash_count, policy)
        async with self._database.transaction() as connection:
            if isinstance(decision, DeadLetter):
                held = await self._bus.dead_letter(connection, delivery, reason, category=decision.category)
                # Nothing is published about a dead letter about a dead letter, so nobody else would end the project.
                if held and delivery.event.event_type == DeadLettered.event_type:
                    await self._recovery.give_up(connection, delivery.event, reason.message)
            else:
                await self._bus.retry(connection, delivery, reason, decision.delay)
