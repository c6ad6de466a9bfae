"""Contracts of recovery and of routing, on the system topic."""

from uuid import UUID

from pydantic import Field, JsonValue

from factory.domain.recovery import Criticality, EscalationState, Fallback, Letter, RecoveryAction, Severity
from factory.events.contracts.payload import Payload
from factory.events.topics import Topic

_SYSTEM = (Topic.SYSTEM,)


class RecoveryRequested(Payload, topics=_SYSTEM):
    """A dead letter was tagged and waits for a decision."""

    letter: Letter


class RecoveryDecided(Payload, topics=_SYSTEM):
    """It was decided what becomes of a dead letter.

    Attributes:
        rule: The entry of the escalation policies that decided.
        redrives: How often the letter was delivered again before.
        delays: Bounds in seconds, for a redrive.
        to: The agent that takes over, for a reassignment.
        notify: Whom to tell.
    """

    letter: Letter
    rule: str
    action: RecoveryAction
    redrives: int = Field(ge=0)
    delays: list[tuple[float, float]]
    to: str | None
    notify: list[str]


class ThresholdExceeded(Payload, topics=_SYSTEM):
    """One agent had more dead letters within a time than a threshold allows; it leads to one escalation.

    Attributes:
        action: `ask`, always: whoever reads decisions by their action reads this as well.
        last_letter: The dead letter that exceeded it.
    """

    action: RecoveryAction = RecoveryAction.ASK
    threshold: str
    breach: str
    subscription: str
    agent: str
    error_type: str
    last_letter: int
    count: int = Field(ge=1)
    minutes: float = Field(gt=0)
    severity: Severity


class RedriveRequested(Payload, topics=_SYSTEM):
    """A dead letter is to be delivered again now; scheduled for the time when it is."""

    letter: int
    fence: int
    redrive: int = Field(ge=1)
    reason: str


class EscalationRaised(Payload, topics=_SYSTEM):
    """A person is asked to decide.

    Attributes:
        letter: The dead letter in question; None where the question is about an agent.
        breach: By what a threshold was exceeded; at most one open escalation has it.
        last_letter: The dead letter that exceeded it.
        agent: The agent in question.
        subscription: The agent's subscription, which may be paused until the decision.
        pause: Whether the subscription stops until the decision.
        fallback: What approval means, and what happens when the deadline passes.
        to: The agent that takes over, where the fallback is a reassignment.
    """

    letter: Letter | None
    breach: str | None
    last_letter: int | None
    agent: str
    subscription: str
    pause: bool
    severity: Severity
    criticality: Criticality
    rule: str
    question: str
    owners: list[str]
    channel: str
    deadline_seconds: float = Field(gt=0)
    fallback: Fallback
    to: str | None


class EscalationDue(Payload, topics=_SYSTEM):
    """The deadline of an escalation has come."""

    escalation_id: UUID


class EscalationDecided(Payload, topics=_SYSTEM):
    """An escalation was decided: by a person, or by its deadline."""

    escalation_id: UUID
    state: EscalationState
    by: str
    note: str


class NotificationRequested(Payload, topics=_SYSTEM):
    """People are to be told something."""

    channel: str
    recipients: list[str]
    subject: str
    body: str
    severity: Severity


class EventReceived(Payload, topics=_SYSTEM):
    """Something happened outside the factory, or came without a known receiver; the dispatcher routes it.

    Attributes:
        source: Who tells of it.
        kind: What it is, in the source's own words, like `vision.submitted`.
        topic: Where the source would have it, if it knows.
    """

    source: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    topic: str = ""
    body: dict[str, JsonValue] = Field(default_factory=dict)


class WorkflowRequested(Payload, topics=_SYSTEM):
    """A project is to be started from a vision that was read and understood.

    Attributes:
        rule: The routing rule that asks for it.
        source: Whose event it was.
    """

    rule: str
    source: str
    name: str
    slug: str
    blueprint: str
    vision: str
    risk: str
    priority: int = Field(ge=-100, le=100)
