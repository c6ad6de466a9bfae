"""Projects and the states they pass through (R10)."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.domain.errors import ConflictError

DEFAULT_TENANT = "default"


class ProjectStatus(StrEnum):
    """Where a project stands."""

    VISIONING = "visioning"
    ARCHITECTURE_MODELLING = "architecture-modelling"
    DEVELOPMENT = "development"
    DEPLOYMENT = "deployment"
    RELEASED = "released"
    EVOLVING = "evolving"
    FAILED = "failed"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"


_PHASES = (
    ProjectStatus.VISIONING,
    ProjectStatus.ARCHITECTURE_MODELLING,
    ProjectStatus.DEVELOPMENT,
    ProjectStatus.DEPLOYMENT,
    ProjectStatus.RELEASED,
)
ENDED = frozenset({ProjectStatus.RELEASED, ProjectStatus.FAILED, ProjectStatus.COMPENSATED})
_COMPENSATION = frozenset({ProjectStatus.COMPENSATING, ProjectStatus.COMPENSATED})
_COMPENSATION_STEPS = frozenset(
    {
        (ProjectStatus.COMPENSATING, ProjectStatus.COMPENSATED),
        (ProjectStatus.COMPENSATING, ProjectStatus.FAILED),
        *((status, ProjectStatus.COMPENSATING) for status in ProjectStatus if status != ProjectStatus.COMPENSATING),
    }
)


def may_become(current: ProjectStatus, target: ProjectStatus) -> bool:
    """Tell whether a project may go from one status to another.

    Phases go forward only; anything unfinished may fail; a failed project may be taken up again in any
    unfinished phase; a released one evolves, and an evolving one passes through the phases again. Whatever was
    done may be compensated, after which nothing but the rest of the compensation follows.
    """
    if {current, target} & _COMPENSATION:
        return (current, target) in _COMPENSATION_STEPS
    if target is ProjectStatus.FAILED:
        return current not in ENDED
    if current is ProjectStatus.FAILED:
        return target not in ENDED
    if current is ProjectStatus.RELEASED:
        return target is ProjectStatus.EVOLVING
    if current is ProjectStatus.EVOLVING:
        return target in _PHASES
    return target in _PHASES and _PHASES.index(target) > _PHASES.index(current)


def check_transition(current: ProjectStatus, target: ProjectStatus) -> None:
    """Refuse a status change that `may_become` does not allow.

    Raises:
        ConflictError: The change is not allowed.
    """
    if not may_become(current, target):
        allowed = ", ".join(status for status in ProjectStatus if may_become(current, status)) or "none"
        raise ConflictError(
            f"a project that is {current} cannot become {target}.", remedy=f"Allowed: {allowed}.", field="status"
        )


class ProjectMetadata(BaseModel):
    """What people record about a project; none of it steers the build."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stakeholders: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    deadline: datetime | None = None
    risk: str = "normal"
    priority: int = Field(default=0, ge=-100, le=100)


class Project(BaseModel):
    """One product under construction.

    Attributes:
        sandbox_of: The project that this one replays. Nothing of a sandbox may leave the factory: it is not
            handed over, not pushed, and nobody is notified of it.
        tenant: Whose it is: nobody else's agents and users see what it holds.
        caused_by: W3C trace context of the request or event that it began with, where there was one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    name: str
    slug: str
    blueprint: str
    status: ProjectStatus
    revision: int = Field(default=1, ge=1)
    trace_id: str
    sandbox_of: UUID | None = None
    tenant: str = DEFAULT_TENANT
    caused_by: str | None = None
    metadata: ProjectMetadata = ProjectMetadata()
    created_at: datetime
    updated_at: datetime
