"""Contracts of observability, on the system topic."""

from uuid import UUID

from pydantic import Field

from factory.domain.recovery import Severity
from factory.domain.telemetry import Figure, Observation
from factory.events.contracts.payload import Payload
from factory.events.topics import Topic

_SYSTEM = (Topic.SYSTEM,)


class TelemetryObserved(Payload, topics=_SYSTEM):
    """The running factory was observed, and something in it calls for an incident, or for the end of one."""

    observations: list[Observation]


class IncidentRaised(Payload, topics=_SYSTEM):
    """Something is wrong with a subject.

    Attributes:
        rule: That was broken.
        subject: A subscription, an agent, or the factory.
        value: Of the figure.
        limit: That it exceeded.
        summary: One sentence for people.
        notify: Whom to tell.
        channel: Over which they are told.
    """

    rule: str
    subject: str
    severity: Severity
    figure: Figure
    value: float = Field(ge=0)
    limit: float = Field(ge=0)
    summary: str
    notify: list[str]
    channel: str


class IncidentClosed(Payload, topics=_SYSTEM):
    """An incident is over."""

    incident_id: UUID
    rule: str
    subject: str
