"""Tasks go to agents; outcomes come back. Both cross process boundaries as plain data."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from factory.domain.artifact import ArtifactRef
from factory.domain.errors import ErrorCategory
from factory.domain.project import Project

VALIDATE = "validate"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Task(_Frozen):
    """One unit of work for one agent.

    Attributes:
        goal: The artifact kind to produce, or `VALIDATE` for the validator.
        inputs: Latest valid artifact of each input kind, by reference; the agent reads the bytes.
        subject: The artifact under validation, for validators.
        traceparent: W3C trace context of the event that caused the task.
    """

    id: UUID
    project: Project
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


class StageSpan(_Frozen):
    """Time spent in one of the nine stages, for telemetry."""

    stage: str
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Any] = {}


class TaskError(_Frozen):
    """Why a task ended without a result."""

    message: str
    category: ErrorCategory
    retryable: bool
    error_type: str
    stack: str = ""


class Outcome(_Frozen):
    """What an agent answers: a result to commit, or a classified error; never both."""

    task_id: UUID
    agent: str
    artifact: ArtifactDraft | None = None
    verdict: Verdict | None = None
    findings: tuple[Finding, ...] = ()
    skill: str | None = None
    spans: tuple[StageSpan, ...] = ()
    error: TaskError | None = None
