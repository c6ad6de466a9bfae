"""Events as CloudEvents 1.0, in the structured and the binary mode of their HTTP binding (R07).

Attribute names are lower case letters and digits: `event_id` is `id`, `event_type` `type`, `originating_agent` the
last part of the URN in `source`, `timestamp` `time`, `version` the last part of the URN in `dataschema`,
`artifact_uri` `dataref`; `project_id` is `projectid` and, for brokers that keep order, `partitionkey`. `topic`,
`correlationid`, `causationid`, `traceparent` and `tracestate` are extensions. `traceid` is only there where it is not
the one in `traceparent`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from cloudevents.core.bindings import http
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from factory.domain.errors import BadInputError
from factory.domain.ids import trace_id_of
from factory.events.envelope import Envelope

AGENT = "urn:factory:agent:"
CONTRACT = "urn:factory:contract:"
STRUCTURED = JSONFormat.CONTENT_TYPE

_FORMAT = JSONFormat()
_PREFIX = "ce-"
_REQUIRED = ("id", "type", "source", "time", "dataschema", "topic", "traceparent")
_SCHEMA = re.compile(rf"{CONTRACT}([^:]+):v([1-9][0-9]*)")
# Which attribute an invalid field of the envelope came from.
_ATTRIBUTES = {
    "event_id": "id",
    "event_type": "type",
    "version": "dataschema",
    "originating_agent": "source",
    "project_id": "projectid",
    "trace_id": "traceid",
    "correlation_id": "correlationid",
    "causation_id": "causationid",
    "timestamp": "time",
    "artifact_uri": "dataref",
    "payload": "data",
}


class Received(NamedTuple):
    """An event that came as a CloudEvent.

    Attributes:
        event: The envelope, valid in itself; the registry holds its payload against the contract.
        tracestate: What tracing systems of vendors added to the trace; the event log does not keep it.
    """

    event: Envelope
    tracestate: str | None


class Message(NamedTuple):
    """An HTTP message: what a broker or a webhook carries."""

    headers: Mapping[str, str]
    body: bytes


def to_structured(event: Envelope, *, tracestate: str | None = None) -> Message:
    """Return an event whose attributes and data stand together in one JSON body."""
    message = http.to_structured(_cloud_event(event, tracestate), _FORMAT)
    return Message(message.headers, message.body)


def to_binary(event: Envelope, *, tracestate: str | None = None) -> Message:
    """Return an event with its attributes in headers and its payload as the body."""
    message = http.to_binary(_cloud_event(event, tracestate), _FORMAT)
    return Message(message.headers, message.body)


def from_http(headers: Mapping[str, str], body: bytes) -> Received:
    """Read an event in either mode; headers that begin with `ce-` mean the binary one.

    Raises:
        BadInputError: It is no CloudEvent, or one that cannot be an event of the factory; `field` names the
            attribute.
    """
    message = http.HTTPMessage(headers=dict(headers), body=body)
    binary = any(name.lower().startswith(_PREFIX) for name in headers)
    attributes = _headers(headers) if binary else _document(body)
    time = attributes.get("time")
    missing = [name for name in _REQUIRED if attributes.get(name) in (None, "")]
    if missing:
        raise BadInputError(
            f"the CloudEvent has no attribute {missing[0]!r}.",
            remedy=f"Events of the factory need {', '.join(_REQUIRED)}.",
            field=missing[0],
        )
    if not isinstance(time, str):
        raise _wrong("time", time, "an RFC 3339 time")
    try:
        # The factory of events is named, so that an unknown specversion is refused rather than guessed.
        cloud = http.from_http(message, _FORMAT, CloudEvent)
    except CloudEventValidationError as error:
        name, problems = next(iter(error.errors.items()))
        raise BadInputError(
            f"the attribute {name!r} of the CloudEvent cannot be used: {problems[0]}.", field=name
        ) from None
    except (ValueError, TypeError):
        raise _wrong("time", time, "an RFC 3339 time") from None
    except RecursionError:
        raise BadInputError("the data of the CloudEvent is nested too deeply.", field="data") from None
    return _received(cloud.get_attributes(), cloud.get_data())


def _cloud_event(event: Envelope, tracestate: str | None) -> CloudEvent:
    project = str(event.project_id) if event.project_id else None
    attributes = {
        "id": str(event.event_id),
        "type": event.event_type,
        "source": f"{AGENT}{quote(event.originating_agent, safe='')}",
        "time": event.timestamp,
        "datacontenttype": "application/json",
        "dataschema": f"{CONTRACT}{quote(event.event_type, safe='')}:v{event.version}",
        "topic": event.topic.value,
        "partitionkey": project,
        "projectid": project,
        "correlationid": str(event.correlation_id),
        "causationid": str(event.causation_id) if event.causation_id else None,
        "dataref": event.artifact_uri,
        "traceparent": event.traceparent,
        "traceid": event.trace_id if event.trace_id != trace_id_of(event.traceparent) else None,
        "tracestate": tracestate,
    }
    present = {name: value for name, value in attributes.items() if value is not None}
    return CloudEvent(present, dict(event.payload))


def _received(attributes: Mapping[str, Any], data: object) -> Received:
    schema = _SCHEMA.fullmatch(str(attributes["dataschema"]))
    if schema is None or unquote(schema[1]) != attributes["type"]:
        expected = f"{CONTRACT}{attributes['type']}:v and a number"
        raise _wrong("dataschema", attributes["dataschema"], expected)
    if not isinstance(data, dict):
        raise BadInputError(
            "the data of the CloudEvent is no JSON object.",
            remedy="Send the payload as an object, with the content type application/json.",
            field="data",
        )
    source = str(attributes["source"])
    traceparent = str(attributes["traceparent"])
    try:
        event = Envelope.model_validate(
            {
                "event_id": attributes["id"],
                "event_type": attributes["type"],
                "version": int(schema[2]),
                "topic": attributes["topic"],
                "project_id": attributes.get("projectid"),
                # A source of someone else's making is kept whole.
                "originating_agent": unquote(source.removeprefix(AGENT)) if source.startswith(AGENT) else source,
                "trace_id": attributes.get("traceid", trace_id_of(traceparent)),
                "traceparent": traceparent,
                # The first event of a conversation gives it its name.
                "correlation_id": attributes.get("correlationid", attributes["id"]),
                "causation_id": attributes.get("causationid"),
                "timestamp": attributes["time"],
                "artifact_uri": attributes.get("dataref"),
                "payload": data,
            }
        )
    except ValidationError as error:
        # A bad traceparent spoils the trace id taken from it.
        found = {str(problem["loc"][0]): problem for problem in reversed(error.errors(include_url=False))}
        field = "traceparent" if "traceparent" in found else next(reversed(found))
        name = _ATTRIBUTES.get(field, field)
        given = "" if field == "payload" else f" is {_short(found[field]['input'])}"
        raise BadInputError(
            f"the attribute {name!r} of the CloudEvent{given}: {found[field]['msg']}.", field=name
        ) from None
    return Received(event, attributes.get("tracestate"))


def _document(body: bytes) -> Mapping[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"the CloudEvent is not JSON that can be read: {error}.", field="body") from None
    if not isinstance(document, dict):
        raise BadInputError("the CloudEvent is no JSON object; batches are not read.", field="body")
    return document


def _headers(headers: Mapping[str, str]) -> dict[str, object]:
    return {
        name.lower().removeprefix(_PREFIX): unquote(value)
        for name, value in headers.items()
        if name.lower().startswith(_PREFIX)
    }


def _wrong(name: str, value: object, expected: str) -> BadInputError:
    return BadInputError(
        f"the attribute {name!r} of the CloudEvent is {_short(value)}.", remedy=f"Expected: {expected}.", field=name
    )


def _short(value: object) -> str:
    return repr(value)[:100]
