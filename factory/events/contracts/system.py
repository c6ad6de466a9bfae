"""Contracts of the system topic: what happened to projects, artifacts and tasks."""

from uuid import UUID

from pydantic import Field

from factory.domain.errors import ErrorCategory
from factory.domain.project import ProjectStatus
from factory.events.contracts.payload import Payload
from factory.events.topics import Topic

_SYSTEM = (Topic.SYSTEM,)


class ProjectCreated(Payload, topics=_SYSTEM):
    """A project was created, or taken up again in a new revision."""

    name: str
    slug: str
    blueprint: str
    revision: int = Field(ge=1)
    vision_artifact_id: UUID


class ProjectStatusChanged(Payload, topics=_SYSTEM):
    """A project passed from one status to another."""

    previous: ProjectStatus
    current: ProjectStatus
    reason: str


class ProjectReleased(Payload, topics=_SYSTEM):
    """A project's repository was released with its tests passing."""

    commit: str
    tests_passed: int = Field(ge=0)
    tests_failed: int = Field(ge=0)


class ProjectFailed(Payload, topics=_SYSTEM):
    """A project cannot go on without a person."""

    reason: str
    step: str | None = None


class ArtifactCreated(Payload, topics=_SYSTEM):
    """An agent produced a new version of an artifact; it awaits validation."""

    artifact_id: UUID
    kind: str
    version: int = Field(ge=1)
    hash: str
    step: str
    task_id: UUID
    agent: str


class ValidationPassed(Payload, topics=_SYSTEM):
    """An artifact passed validation."""

    artifact_id: UUID
    kind: str
    task_id: UUID
    warnings: int = Field(ge=0)


class ValidationFailed(Payload, topics=_SYSTEM):
    """An artifact failed validation."""

    artifact_id: UUID
    kind: str
    task_id: UUID
    step: str
    errors: list[str]


class ArtifactCommitted(Payload, topics=_SYSTEM):
    """An artifact became a commit in the project's repository."""

    artifact_id: UUID
    commit: str


class TaskFailed(Payload, topics=_SYSTEM):
    """A task ended without a result and will not be tried again."""

    task_id: UUID
    step: str
    agent: str
    category: ErrorCategory
    reason: str


class CompensationRequested(Payload, topics=_SYSTEM):
    """What a project has done is to be undone, all of it or from one step on."""

    reason: str
    from_step: str | None = None


class StepCompensated(Payload, topics=_SYSTEM):
    """A step of a project was undone."""

    step: str
    task_id: UUID
    agent: str


class CompensationCompleted(Payload, topics=_SYSTEM):
    """Every completed step was undone, in the order given; those that name no compensation were skipped."""

    saga_id: UUID
    compensated: list[str]
    skipped: list[str]


class CompensationFailed(Payload, topics=_SYSTEM):
    """A compensation failed for good; those of earlier steps wait until it is taken up again."""

    saga_id: UUID
    step: str
    task_id: UUID
    agent: str
    reason: str


class DeadLettered(
    Payload, topics=_SYSTEM, changes=("adds letter, fence, failed_type, error_type and attempts; the description",)
):
    """A delivery was given up and stands among the dead letters.

    Attributes:
        letter: The number of the dead letter.
        fence: Tells apart how often the same letter died.
        failed_type: Type of the event that could not be handled.
    """

    subscription: str
    event_id: UUID
    category: ErrorCategory
    reason: str
    letter: int | None = None
    fence: int | None = None
    failed_type: str | None = None
    error_type: str | None = None
    attempts: int | None = None
