"""Tasks go to agents; outcomes come back. Both cross process boundaries as plain data."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from factory.domain.artifact import ArtifactRef
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.memory import NewSegment
from factory.domain.project import Project

VALIDATE = "validate"
TASK_ASSIGNED = "TaskAssigned"
ARTIFACT_CREATED = "ArtifactCreated"
_NOTHING: Mapping[str, Any] = {}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Frozen):
    """One unit of work for one agent.

    Attributes:
        project: The project it belongs to; None where an event that belongs to no project caused it.
        goal: The artifact kind to produce, `VALIDATE` for the validator, or the type of the event to handle.
        inputs: Latest valid artifact of each input kind, by reference; the agent reads the bytes.
        subject: The artifact under validation, for validators.
        traceparent: W3C trace context of the event that caused the task.
        traced: Whether the time of every stage is told; else only that of the first, the last and what happened within.
        event_type: Type of the event that caused the task.
        payload: Payload of that event, where the task is to handle it.
        facts: What the supervisor looked up for the agent, by the names in its `AgentSpec.facts`.
    """

    id: UUID
    project: Project | None
    step: str
    agent: str
    goal: str
    attempt: int = Field(ge=1)
    inputs: tuple[ArtifactRef, ...] = ()
    subject: ArtifactRef | None = None
    parameters: Mapping[str, JsonValue] = {}
    cause_id: UUID
    correlation_id: UUID
    traceparent: str
    traced: bool = True
    event_type: str = TASK_ASSIGNED
    payload: Mapping[str, JsonValue] = {}
    facts: Mapping[str, JsonValue] = {}

    @property
    def is_event(self) -> bool:
        """Whether the task is to handle an event, rather than to produce or to judge an artifact."""
        return self.event_type not in (TASK_ASSIGNED, ARTIFACT_CREATED)

    @property
    def needed_project(self) -> Project:
        """The project, for work that cannot do without one.

        Raises:
            TerminalError: The task belongs to no project.
        """
        if self.project is None:
            raise TerminalError(
                f"the task {self.step!r} of {self.agent} belongs to no project.",
                category=ErrorCategory.SCHEMA,
                field="project_id",
            )
        return self.project


class EventDraft(_Frozen):
    """An event that an agent asks to be published with its outcome, in the transaction of the acknowledgement.

    Attributes:
        version: Major version of the contract.
        key: Tells several events of one type and task apart: the event's id is derived from the three.
        delay_seconds: Nobody receives it earlier.
    """

    event_type: str
    version: int = 1
    topic: str
    payload: Mapping[str, JsonValue]
    key: str = ""
    delay_seconds: float = Field(default=0, ge=0)


class Finding(_Frozen):
    """One thing a validation found.

    Attributes:
        level: `structural`, `semantic` or `compliance`.
        severity: `error` blocks, `warning` is recorded, `corrected` was mended by the agent.
        path: The file it was found in, where there is one.
    """

    rule: str
    level: str
    severity: str
    message: str
    path: str | None = None


class ArtifactDraft(_Frozen):
    """A composed artifact whose bytes are stored and whose metadata waits for the commit."""

    id: UUID
    kind: str
    hash: str
    uri: str
    size: int
    inputs: tuple[UUID, ...]
    metadata: Mapping[str, JsonValue] = {}


class Verdict(_Frozen):
    """What the validator says of one artifact."""

    artifact_id: UUID
    passed: bool
    findings: tuple[Finding, ...] = ()


class StageSpan(NamedTuple):
    """Time spent in one of the nine stages, for telemetry. A tuple, since every outcome carries nine of them.

    Attributes:
        within: The stage in which it happened, where it is none itself.
    """

    stage: str
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Any] = _NOTHING
    within: str = ""


class TaskError(_Frozen):
    """Why a task ended without a result."""

    message: str
    category: ErrorCategory
    retryable: bool
    error_type: str
    stack: str = ""


class Outcome(_Frozen):
    """What an agent answers: a result to commit, or a classified error; never both.

    Attributes:
        events: Published with the result, in the transaction of the acknowledgement.
        segment: Made part of semantic memory in that transaction.
        notified: Whether the notification that the task asks for went out.
    """

    task_id: UUID
    agent: str
    artifact: ArtifactDraft | None = None
    verdict: Verdict | None = None
    events: tuple[EventDraft, ...] = ()
    segment: NewSegment | None = None
    notified: bool = False
    findings: tuple[Finding, ...] = ()
    skill: str | None = None
    spans: tuple[StageSpan, ...] = ()
    error: TaskError | None = None
