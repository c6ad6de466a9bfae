"""The envelope every event travels in (R07)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Self, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue
from pydantic.functional_validators import AfterValidator

from factory.domain.ids import new_id
from factory.events.contracts.payload import Payload
from factory.events.topics import Topic

P = TypeVar("P", bound=Payload)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


class Envelope(BaseModel):
    """One immutable event.

    Attributes:
        event_id: The duplicate detection key: an id is published once.
        version: Major version of the contract.
        originating_agent: The agent or component that made the event.
        correlation_id: The conversation it belongs to; by convention the first event's id.
        causation_id: The event whose handling caused this one; None for the first.
        traceparent: W3C trace context, whole; `trace_id` is its second field.
        payload: The contract's fields as JSON values; `read` gives them typed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: UUID
    event_type: str
    version: int = Field(ge=1)
    topic: Topic
    project_id: UUID | None
    originating_agent: str
    trace_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    traceparent: str = Field(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    correlation_id: UUID
    causation_id: UUID | None = None
    timestamp: Annotated[AwareDatetime, AfterValidator(_utc)]
    artifact_uri: str | None = None
    payload: Mapping[str, JsonValue]

    @classmethod
    def of(
        cls,
        payload: Payload,
        *,
        topic: Topic,
        project_id: UUID | None,
        originating_agent: str,
        traceparent: str,
        event_id: UUID | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        timestamp: datetime | None = None,
        artifact_uri: str | None = None,
    ) -> Self:
        """Wrap a typed payload. Give a derived `event_id` where repeated work must not publish twice."""
        identity = event_id or new_id()
        return cls(
            event_id=identity,
            event_type=payload.event_type,
            version=payload.event_version,
            topic=topic,
            project_id=project_id,
            originating_agent=originating_agent,
            trace_id=traceparent[3:35],
            traceparent=traceparent,
            correlation_id=correlation_id or identity,
            causation_id=causation_id,
            timestamp=timestamp or datetime.now(UTC),
            artifact_uri=artifact_uri,
            payload=payload.model_dump(mode="json"),
        )

    def caused(
        self,
        payload: Payload,
        *,
        topic: Topic,
        originating_agent: str,
        event_id: UUID | None = None,
        traceparent: str | None = None,
        artifact_uri: str | None = None,
    ) -> Self:
        """Wrap a payload that this event caused: same project, correlation and trace."""
        return self.of(
            payload,
            topic=topic,
            project_id=self.project_id,
            originating_agent=originating_agent,
            traceparent=traceparent or self.traceparent,
            event_id=event_id,
            correlation_id=self.correlation_id,
            causation_id=self.event_id,
            artifact_uri=artifact_uri,
        )

    def read(self, contract: type[P]) -> P:
        """Return the payload as its contract, ignoring fields of newer minor versions.

        Raises:
            pydantic.ValidationError: The payload does not fulfil the contract.
        """
        return contract.model_validate(self.payload, extra="ignore")
