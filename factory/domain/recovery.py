"""What failures mean to people: how critical a project is, how severe a failure, what may be done about it."""

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.domain.errors import ErrorCategory
from factory.domain.project import ProjectMetadata


class Criticality(StrEnum):
    """How much depends on a project, in rising order."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class Severity(StrEnum):
    """How bad a dead letter is, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class RecoveryAction(StrEnum):
    """What is done about a dead letter.

    Attributes:
        NOTIFY: Keep it, and tell its owners.
        REDRIVE: Deliver it again later.
        REASSIGN: Give its task to another agent.
        COMPENSATE: Undo what the project did so far.
        ASK: Let a person decide; the project waits.
        FAIL: End the project.
    """

    NOTIFY = "notify"
    REDRIVE = "redrive"
    REASSIGN = "reassign"
    COMPENSATE = "compensate"
    ASK = "ask"
    FAIL = "fail"


class EscalationState(StrEnum):
    """Where the question put to a person stands."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    RETRIED = "retried"
    EXPIRED = "expired"


class Fallback(StrEnum):
    """What happens where a person approves, or does not answer in time.

    `RESUME` lets a paused subscription go on, `KEEP` changes nothing; the others are those of `RecoveryAction`.
    """

    FAIL = "fail"
    REDRIVE = "redrive"
    REASSIGN = "reassign"
    COMPENSATE = "compensate"
    RESUME = "resume"
    KEEP = "keep"


class Letter(BaseModel):
    """A dead letter with its tags: everything a decision about it may depend on.

    Attributes:
        uid: The number of the dead letter.
        fence: Rises each time the letter dies again; a decision about an earlier death has no effect.
        agent: The agent or component that could not handle the event.
        step: The step of the blueprint, where the event is about one.
        goal: The kind of artifact its task was to produce, or `validate`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uid: int
    fence: int
    subscription: str
    event_id: UUID
    event_type: str
    agent: str
    step: str = ""
    goal: str = ""
    task_id: UUID | None = None
    category: ErrorCategory
    error_type: str
    reason: str
    attempts: int = Field(ge=0)
    severity: Severity
    criticality: Criticality


_HIGH_PRIORITY = 50
_CRITICAL_PRIORITY = 90

# What another attempt, more money or more time may mend is milder than what only a change of code or input mends.
_MILD = frozenset(
    {
        ErrorCategory.WORKER_LOST,
        ErrorCategory.TIMEOUT,
        ErrorCategory.DEPENDENCY,
        ErrorCategory.BUDGET,
        ErrorCategory.EXPIRED,
        ErrorCategory.VALIDATION,
    }
)
_SHIFT = {Criticality.LOW: -1, Criticality.NORMAL: 0, Criticality.HIGH: 1, Criticality.CRITICAL: 2}


def criticality_of(metadata: ProjectMetadata | None) -> Criticality:
    """Return the larger of what a project's risk and its priority (from 50: high, from 90: critical) say.

    Without a project it is normal; a risk in words of one's own counts as normal too.
    """
    if metadata is None:
        return Criticality.NORMAL
    levels = list(Criticality)
    risk = metadata.risk.strip().lower()
    by_risk = Criticality(risk) if risk in levels else Criticality.NORMAL
    by_priority = Criticality.LOW
    if metadata.priority >= _CRITICAL_PRIORITY:
        by_priority = Criticality.CRITICAL
    elif metadata.priority >= _HIGH_PRIORITY:
        by_priority = Criticality.HIGH
    return max(by_risk, by_priority, key=levels.index)


def severity_of(category: ErrorCategory, criticality: Criticality) -> Severity:
    """Return how severe an error of a category is in a project that matters so much."""
    levels = list(Severity)
    base = levels.index(Severity.WARNING if category in _MILD else Severity.ERROR)
    return levels[max(0, min(len(levels) - 1, base + _SHIFT[criticality]))]
