"""What is observed of the running factory, in one form whatever it was measured on, and the incidents that follow."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.domain.recovery import Severity

FACTORY = "factory"


class Figure(StrEnum):
    """What is observed of a subject.

    Attributes:
        READY: Deliveries of a subscription that wait, counted up to 1,000.
        WAITING_SECONDS: Age of the oldest of them.
        DEAD_LETTERS: Those of a subscription that came within ten minutes and are open.
        TASK_SECONDS: Age of an agent's oldest task that is neither finished nor waits for a person.
        LATE_OWNERS: Supervisors whose lease is over and whose deliveries nobody has taken yet.
    """

    READY = "ready"
    WAITING_SECONDS = "waiting_seconds"
    DEAD_LETTERS = "dead_letters"
    TASK_SECONDS = "task_seconds"
    LATE_OWNERS = "late_owners"


class Observation(BaseModel):
    """One figure of one subject at one time.

    Attributes:
        subject: A subscription, an agent, or `FACTORY`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    figure: Figure
    value: float = Field(ge=0)


class Incident(BaseModel):
    """Something is wrong with a subject, from when it was noticed until it was over.

    Attributes:
        rule: That was broken; a subject has one open incident for each at most.
        value: Of the figure when it was noticed.
        limit: That it exceeded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    rule: str
    subject: str
    severity: Severity
    figure: Figure
    value: float
    limit: float
    opened_at: datetime
    closed_at: datetime | None = None
