"""Envelopes survive as CloudEvents, and foreign CloudEvents are refused by the name of their attribute."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.domain.errors import BadInputError
from factory.domain.ids import new_id
from factory.events.cloud_events import STRUCTURED, Message, from_http, to_binary, to_structured
from factory.events.contracts.system import ProjectFailed
from factory.events.envelope import Envelope
from factory.events.topics import Topic

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
HEXADECIMAL = "0123456789abcdef"
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
)


def digits(length: int) -> st.SearchStrategy[str]:
    return st.text(HEXADECIMAL, min_size=length, max_size=length)


ENVELOPES = st.builds(
    Envelope,
    event_id=st.uuids(),
    event_type=st.text(min_size=1),
    version=st.integers(1, 10**6),
    topic=st.sampled_from(Topic),
    project_id=st.none() | st.uuids(),
    originating_agent=st.text(),
    trace_id=digits(32) | st.just("a" * 32),
    traceparent=st.builds("-".join, st.tuples(digits(2), digits(32), digits(16), digits(2))) | st.just(TRACEPARENT),
    correlation_id=st.uuids(),
    causation_id=st.none() | st.uuids(),
    timestamp=st.datetimes(timezones=st.timezones() | st.just(UTC), min_value=datetime(1000, 1, 2)),  # noqa: DTZ001 - the zones are drawn apart
    artifact_uri=st.none() | st.text(),
    payload=st.dictionaries(st.text(), JSON, max_size=4),
)


def sample(**more: Any) -> Envelope:
    return Envelope.of(
        ProjectFailed(reason="no"),
        topic=Topic.SYSTEM,
        project_id=new_id(),
        originating_agent="backend engineer",
        traceparent=TRACEPARENT,
        **more,
    )


@settings(deadline=None, max_examples=200)
@given(ENVELOPES, st.none() | st.from_regex(r"\A[a-z]{1,5}=[a-z]{1,5}\Z"))
def test_any_envelope_survives_both_modes(event: Envelope, tracestate: str | None) -> None:
    for message in (to_structured(event, tracestate=tracestate), to_binary(event, tracestate=tracestate)):
        assert all(value.isascii() for value in message.headers.values())
        assert from_http(message.headers, message.body) == (event, tracestate)


def test_attributes_are_those_of_the_mapping() -> None:
    cause = new_id()
    event = sample(causation_id=cause, artifact_uri="artifact://x/1")
    body = json.loads(to_structured(event, tracestate="v=1").body)
    assert body == {
        "specversion": "1.0",
        "id": str(event.event_id),
        "type": "ProjectFailed",
        "source": "urn:factory:agent:backend%20engineer",
        "time": event.timestamp.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "dataschema": "urn:factory:contract:ProjectFailed:v1",
        "topic": "system",
        "partitionkey": str(event.project_id),
        "projectid": str(event.project_id),
        "correlationid": str(event.correlation_id),
        "causationid": str(cause),
        "dataref": "artifact://x/1",
        "traceparent": TRACEPARENT,
        "tracestate": "v=1",
        "data": {"reason": "no", "step": None},
    }
    binary = to_binary(event)
    assert binary.headers["ce-traceparent"] == TRACEPARENT
    assert json.loads(binary.body) == body["data"]


def test_a_foreign_source_is_kept_and_a_conversation_begins() -> None:
    event = sample()
    document = json.loads(to_structured(event).body)
    del document["correlationid"], document["projectid"]
    document["source"] = "https://elsewhere.example/orders"
    read = from_http({"content-type": STRUCTURED}, json.dumps(document).encode()).event
    assert read.originating_agent == "https://elsewhere.example/orders"
    assert (read.correlation_id, read.project_id) == (event.event_id, None)
    assert from_http(*to_binary(read)).event == read


REQUIRED = ["id", "type", "source", "time", "dataschema", "topic", "traceparent"]
ODD = [
    ("id", "order-7"),
    ("id", 7),
    ("type", 7),
    ("source", 7),
    ("time", "yesterday"),
    ("time", "2026-01-01T00:00:00"),
    ("time", 7),
    ("dataschema", "https://elsewhere.example/schema"),
    ("dataschema", "urn:factory:contract:ProjectFailed:v0"),
    ("topic", "kitchen"),
    ("traceparent", "00-abc"),
    ("traceparent", ["00"]),
    ("traceid", "xyz"),
    ("projectid", "shop"),
    ("correlationid", ""),
    ("causationid", "no uuid"),
    ("dataref", 7),
    ("specversion", "0.3"),
    ("data", [1]),
    ("data", None),
    ("Upper-Case", "x"),
]


def structured(event: Envelope, **changes: Any) -> Message:
    return Message(
        {"content-type": STRUCTURED}, json.dumps({**json.loads(to_structured(event).body), **changes}).encode()
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_attribute_is_named(name: str) -> None:
    binary = to_binary(sample())
    without = {header: value for header, value in binary.headers.items() if header != f"ce-{name}"}
    document = json.loads(structured(sample()).body)
    del document[name]
    for headers, body in ((without, binary.body), ({}, json.dumps(document).encode())):
        with pytest.raises(BadInputError, match=f"no attribute '{name}'") as caught:
            from_http(headers, body)
        assert caught.value.field == name


@pytest.mark.parametrize(("name", "value"), ODD)
def test_an_odd_attribute_is_named(name: str, value: Any) -> None:
    with pytest.raises(BadInputError, match=name) as caught:
        from_http(*structured(sample(), **{name: value}))
    assert caught.value.field == name
    assert len(str(caught.value)) < 400
    if isinstance(value, str) and value:
        binary = to_binary(sample())
        with pytest.raises(BadInputError) as caught:
            from_http({**binary.headers, f"CE-{name}": value, f"ce-{name}": value}, binary.body)
        assert caught.value.field == name.lower()


def test_a_type_and_its_schema_agree() -> None:
    with pytest.raises(BadInputError, match="urn:factory:contract:Other:v and a number") as caught:
        from_http(*structured(sample(), type="Other"))
    assert caught.value.field == "dataschema"


def test_hostile_nesting_is_refused() -> None:
    deep = b"[" * 100_000
    for headers, field in (({}, "body"), (to_binary(sample()).headers, "data")):
        with pytest.raises(BadInputError) as caught:
            from_http(headers, deep)
        assert caught.value.field == field


@pytest.mark.parametrize(
    ("body", "field"), [(b"", "body"), (b"\xff\xfe", "body"), (b"[]", "body"), (b"{}", "id"), (b"{", "body")]
)
def test_what_is_no_cloud_event_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(BadInputError) as caught:
        from_http({"content-type": STRUCTURED}, body)
    assert caught.value.field == field


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b"7", b'"text"', b"{"])
def test_binary_data_must_be_an_object(body: bytes) -> None:
    with pytest.raises(BadInputError) as caught:
        from_http(to_binary(sample()).headers, body)
    assert caught.value.field == "data"


def test_ids_come_back_typed() -> None:
    assert isinstance(from_http(*to_binary(sample())).event.event_id, UUID)
