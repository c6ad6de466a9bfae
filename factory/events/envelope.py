"""The envelope every event travels in (R07)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.functional_validators import AfterValidator

from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.ids import new_id, trace_id_of
from factory.events.contracts.payload import Payload
from factory.events.topics import Topic
from factory.events.upcasting import UPCASTERS, Upcasters

P = TypeVar("P", bound=Payload)

_NAMED_PROBLEMS = 3


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
            trace_id=trace_id_of(traceparent),
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

    @classmethod
    def trusted(cls, **fields: Any) -> Self:  # noqa: ANN401 - every field has its own type
        """Make an envelope of values that were validated when the event was published: a row of the event log.

        Nothing is checked. The caller gives every field, with the types of this class: ids as UUID, the topic as a
        `Topic`, the time in UTC.
        """
        event = cls.__new__(cls)
        # What `model_construct` sets, without looking each field up again. The model is frozen for everyone else.
        object.__setattr__(event, "__dict__", fields)
        object.__setattr__(event, "__pydantic_fields_set__", _FIELDS)
        object.__setattr__(event, "__pydantic_extra__", None)
        object.__setattr__(event, "__pydantic_private__", None)
        return event

    def read(self, contract: type[P], *, upcasters: Upcasters = UPCASTERS) -> P:
        """Return the payload as its contract, ignoring fields of newer minor versions; an older one is upcast.

        Raises:
            TerminalError: It is another event or a newer version, no upcaster leads to this version, an upcaster
                failed, or the payload does not fulfil the contract. The category is always SCHEMA.
        """
        if self.event_type != contract.event_type:
            raise _unreadable(f"event {self.event_id} is a {self.event_type}, not a {contract.event_type}.")
        payload = self.payload
        if self.version != contract.event_version:
            chain = upcasters.chain(self.event_type, self.version, contract.event_version)
            if chain is None:
                raise _unreadable(
                    f"event {self.event_id} is {self.event_type} v{self.version} and cannot be read as "
                    f"v{contract.event_version}.",
                    f"Register an upcaster from v{self.version}, or update the reader.",
                )
            for step in chain:
                payload = step(payload)
        try:
            return contract.__pydantic_validator__.validate_python(payload, extra="ignore")  # type: ignore[no-any-return]
        except ValidationError as error:
            path = f", upcast from v{self.version}," if self.version != contract.event_version else ""
            raise _unreadable(
                f"the payload of {self.event_type} v{contract.event_version} ({self.event_id}){path} breaks its "
                f"contract: {problems(error)}.",
                "Mend the upcaster, then redrive the dead letter." if path else "Mend the publisher.",
            ) from error


_FIELDS = set(Envelope.model_fields)


def problems(error: ValidationError) -> str:
    """Name the first fields at fault and what is wrong with them."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{'.'.join(map(str, problem['loc'])) or 'payload'}: {problem['msg']}" for problem in found]
    more = [f"and {len(named) - _NAMED_PROBLEMS} more"] if len(named) > _NAMED_PROBLEMS else []
    return "; ".join(named[:_NAMED_PROBLEMS] + more)


def _unreadable(message: str, remedy: str = "") -> TerminalError:
    return TerminalError(message, category=ErrorCategory.SCHEMA, remedy=remedy, field="payload")
