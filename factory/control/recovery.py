"""Recovery in the control plane: tags dead letters, and does what the recovery agents and people decide (R17, R18).

Every event is handled in one transaction. A decision about a letter that was resolved, or died anew, meanwhile has no
effect.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import UUID

import structlog

from factory.artifacts.blobs import BlobStore
from factory.control import dead_letters, escalations, letters, saga_records, tasks
from factory.control.compensation import compensated_step
from factory.control.escalations import Escalation
from factory.control.orchestrator import CONTROL_NAMES, Orchestrator
from factory.control.projects import get_projects
from factory.control.submission import submit_request
from factory.domain.errors import ConflictError, TerminalError
from factory.domain.ids import derived_id
from factory.domain.project import Project
from factory.domain.recovery import EscalationState, Fallback, Letter, RecoveryAction
from factory.events.bus import EventBus
from factory.events.contracts.payload import Payload
from factory.events.contracts.recovery import (
    EscalationDecided,
    EscalationDue,
    EscalationRaised,
    NotificationRequested,
    RecoveryDecided,
    RecoveryRequested,
    RedriveRequested,
    WorkflowRequested,
)
from factory.events.contracts.system import DeadLettered
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Connection

NAME = "recovery"
# Without these nothing is decided, so where they fail the project fails, as it does where the control plane fails.
AGENTS = ("recovery-manager", "retry-manager", "escalation-router")
_UNCONTROLLED = CONTROL_NAMES | {NAME} | {f"{agent}.events" for agent in AGENTS}

_log = structlog.stdlib.get_logger(__name__)


EVENT_TYPES = (
    DeadLettered.event_type,
    RecoveryDecided.event_type,
    RedriveRequested.event_type,
    EscalationRaised.event_type,
    EscalationDue.event_type,
    EscalationDecided.event_type,
    WorkflowRequested.event_type,
)


class Recovery:
    """Does what was decided about dead letters, on the caller's connection."""

    def __init__(
        self, bus: EventBus, orchestrator: Orchestrator, store: BlobStore, blueprint_dir: Path | None = None
    ) -> None:
        self._bus = bus
        self._orchestrator = orchestrator
        self._store = store
        self._blueprint_dir = blueprint_dir
        handlers = (
            self._monitor,
            self._act,
            self._redrive,
            self._raise,
            self._expire,
            self._answer,
            self._start,
        )
        self._handlers: Mapping[str, Callable[[Connection, Envelope], Awaitable[None]]] = dict(
            zip(EVENT_TYPES, handlers, strict=True)
        )

    async def handle(self, connection: Connection, event: Envelope) -> None:
        """Do what an event asks for."""
        await self._handlers[event.event_type](connection, event)

    async def give_up(self, connection: Connection, event: Envelope, reason: str) -> None:
        """End the project of an event that could not be handled here, so that it does not wait for ever."""
        await self._orchestrator.end(connection, event, step=NAME, reason=reason)

    async def _monitor(self, connection: Connection, event: Envelope) -> None:
        announced = event.read(DeadLettered)
        if announced.letter is None:
            await self._orchestrator.abandon(connection, event, announced)
            return
        row = await letters.lock_open(connection, announced.letter, announced.fence)
        if row is None:
            return
        project = await self._project(connection, event.project_id)
        letter = await letters.tag(connection, row, project.metadata if project else None)
        _log.warning("dead_letter", **letter.model_dump(mode="json", exclude={"fence", "task_id"}))
        if letter.subscription in _UNCONTROLLED or await self._is_moot(connection, event.project_id, letter):
            await self._orchestrator.abandon(connection, event, announced)
            return
        if letter.task_id is not None:
            await tasks.hold_task(connection, letter.task_id, letters.error_of(letter))
        await self._publish(
            connection,
            event,
            RecoveryRequested(letter=letter),
            event_id=derived_id("RecoveryRequested", letter.uid, letter.fence),
        )

    async def _act(self, connection: Connection, event: Envelope) -> None:
        decided = event.read(RecoveryDecided)
        letter = decided.letter
        if await letters.lock_open(connection, letter.uid, letter.fence) is None:
            return
        if decided.notify:
            wanted = NotificationRequested(
                channel="log",
                recipients=decided.notify,
                subject=f"{letter.agent}: {letter.category} ({decided.action} by rule {decided.rule})",
                body=letter.reason,
                severity=letter.severity,
            )
            await self._notify(connection, event, wanted)
        match decided.action:
            case RecoveryAction.FAIL:
                await self._orchestrator.abandon(connection, event, letters.announced(letter))
            case RecoveryAction.REASSIGN:
                await self._reassign(connection, event, letter, decided.to, by=f"rule {decided.rule}")
            case RecoveryAction.COMPENSATE:
                await self._compensate(connection, event, letter)
            case RecoveryAction.REDRIVE | RecoveryAction.ASK | RecoveryAction.NOTIFY:
                # The Retry Manager and the Escalation Router go on from here; a notification is all there is to do.
                pass

    async def _redrive(self, connection: Connection, event: Envelope) -> None:
        request = event.read(RedriveRequested)
        if await letters.lock_open(connection, request.letter, request.fence) is not None:
            await self._replay(connection, request.letter, by="retry-manager", reason=request.reason)

    async def _raise(self, connection: Connection, event: Envelope) -> None:
        raised = event.read(EscalationRaised)
        letter = raised.letter
        if letter is not None and await letters.lock_open(connection, letter.uid, letter.fence) is None:
            return
        recorded = await escalations.record(connection, event)
        if recorded is None:
            return
        identity, deadline = recorded
        if raised.pause:
            await self._bus.pause(connection, raised.subscription, by=NAME, reason=f"escalation {identity}")
        due = event.caused(
            EscalationDue(escalation_id=identity),
            topic=Topic.SYSTEM,
            originating_agent=NAME,
            event_id=derived_id("EscalationDue", identity),
        )
        await self._bus.publish(connection, [due], available_at=deadline)
        wanted = NotificationRequested(
            channel=raised.channel,
            recipients=raised.owners,
            subject=f"{raised.agent} needs a decision: factory escalation show {str(identity)[:8]}",
            body=raised.question,
            severity=raised.severity,
        )
        await self._notify(connection, event, wanted)

    async def _expire(self, connection: Connection, event: Envelope) -> None:
        identity = event.read(EscalationDue).escalation_id
        note = "nobody answered in time"
        await escalations.close(connection, self._bus, identity, EscalationState.EXPIRED, by="deadline", note=note)

    async def _answer(self, connection: Connection, event: Envelope) -> None:
        escalation = await escalations.get(connection, event.read(EscalationDecided).escalation_id)
        if escalation.letter is None:
            await self._answer_for_agent(connection, escalation)
            return
        by = f"{escalation.decided_by} (escalation {escalation.id}): {escalation.note}"
        row = await letters.lock_open(connection, escalation.letter, escalation.fence)
        if row is None:
            return
        project = await self._project(connection, event.project_id)
        letter = letters.letter_of(dict(row), project.metadata if project else None)
        match _meaning(escalation):
            case Fallback.REDRIVE:
                await self._replay(connection, letter.uid, by=escalation.decided_by or NAME, reason=by)
            case Fallback.FAIL:
                await self._orchestrator.abandon(connection, event, letters.announced(letter))
            case Fallback.REASSIGN:
                await self._reassign(connection, event, letter, escalation.reassign_to, by=by)
            case Fallback.COMPENSATE:
                await self._compensate(connection, event, letter)
            case Fallback.RESUME | Fallback.KEEP:
                raise TerminalError(f"escalation {escalation.id} about a dead letter has a fallback of thresholds.")

    async def _answer_for_agent(self, connection: Connection, escalation: Escalation) -> None:
        approved = escalation.state in (EscalationState.APPROVED, EscalationState.EXPIRED)
        if escalation.state is EscalationState.RETRIED or (approved and escalation.fallback is Fallback.RESUME):
            await self._bus.resume(connection, escalation.subscription)

    async def _reassign(
        self, connection: Connection, event: Envelope, letter: Letter, to: str | None, *, by: str
    ) -> None:
        if letter.task_id is None or to is None:
            raise TerminalError(f"dead letter {letter.uid} is about no task that another agent could do.")
        if await self._orchestrator.reassign(connection, event, letter.task_id, to, reason=letter.reason):
            await self._bus.discard(connection, letter.uid, by=NAME, reason=f"its task went to {to} by {by}")

    async def _compensate(self, connection: Connection, event: Envelope, letter: Letter) -> None:
        announced = letters.announced(letter)
        if compensated_step(letter.step) is None:
            await self._orchestrator.compensate(connection, event, announced)
        else:
            # The saga it belongs to waits for a person; asking for another one would only repeat it for ever.
            await self._orchestrator.abandon(connection, event, announced)

    async def _replay(self, connection: Connection, letter: int, *, by: str, reason: str) -> None:
        try:
            await dead_letters.replay(connection, self._bus, self._orchestrator, letter, by=by, reason=reason)
        except ConflictError as error:
            _log.warning("redrive_refused", letter=letter, by=by, reason=str(error))

    async def _is_moot(self, connection: Connection, project_id: UUID | None, letter: Letter) -> bool:
        """Tell whether the project is being undone meanwhile, so that nothing depends on the step any more."""
        if project_id is None or compensated_step(letter.step) is not None:
            return False
        return await saga_records.unfinished(connection, project_id) is not None

    async def _start(self, connection: Connection, event: Envelope) -> None:
        await submit_request(connection, self._bus, self._store, event, self._blueprint_dir)

    async def _notify(self, connection: Connection, cause: Envelope, wanted: NotificationRequested) -> None:
        _log.warning("notification", **wanted.model_dump(mode="json", exclude={"body"}))
        await self._publish(connection, cause, wanted)

    async def _publish(
        self, connection: Connection, cause: Envelope, payload: Payload, *, event_id: UUID | None = None
    ) -> None:
        event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME, event_id=event_id)
        await self._bus.publish(connection, [event])

    async def _project(self, connection: Connection, project_id: UUID | None) -> Project | None:
        if project_id is None:
            return None
        return (await get_projects(connection, [project_id])).get(project_id)


def _meaning(escalation: Escalation) -> Fallback:
    """Return what is to be done after a decision about a dead letter."""
    if escalation.state is EscalationState.RETRIED:
        return Fallback.REDRIVE
    if escalation.state is EscalationState.REJECTED:
        return Fallback.FAIL
    return escalation.fallback
