"""The compatibility check holds for schemas and payloads nobody thought of."""

from copy import deepcopy
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from factory.events.compatibility import closed, compare, opened
from factory.events.findings import Direction

NAMES = st.sampled_from(["a", "b", "c", "d"])
SLOW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def integers() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda low, width: {"type": "integer", "minimum": low, "maximum": low + width},
        st.integers(-3, 3),
        st.integers(0, 4),
    )


def texts() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.just({"type": "string"}),
        st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 4)),
        st.builds(lambda values: {"type": "string", "enum": values}, st.lists(NAMES, min_size=1, unique=True)),
    )


def objects(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        properties = draw(st.dictionaries(NAMES, values, max_size=3))
        required = [name for name in properties if draw(st.booleans())]
        return {"type": "object", "properties": properties, "required": required}

    return build()


FIELDS = st.recursive(
    st.one_of(integers(), texts(), st.just({"type": "boolean"}), st.just({"type": "number"})),
    lambda inner: st.one_of(
        objects(inner),
        inner.map(lambda schema: {"type": "array", "items": schema}),
        inner.map(lambda schema: {"anyOf": [schema, {"type": "null"}]}),
        inner.map(lambda schema: {"type": "object", "additionalProperties": schema}),
    ),
    max_leaves=4,
)
CONTRACTS = objects(FIELDS).map(lambda schema: {**schema, "additionalProperties": False})


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Payloads of a strict writer."""
    if "anyOf" in schema:
        return st.one_of([instances(variant) for variant in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if kind == "array":
        return st.lists(instances(schema["items"]), max_size=2)
    if kind == "object" and "properties" not in schema:
        return st.dictionaries(NAMES, instances(schema["additionalProperties"]), max_size=2)
    if kind == "object":
        fields = {name: instances(field) for name, field in schema["properties"].items()}
        optional = {name: field for name, field in fields.items() if name not in schema["required"]}
        return st.fixed_dictionaries({name: fields[name] for name in schema["required"]}, optional=optional)
    return {
        "integer": st.integers(schema.get("minimum"), schema.get("maximum")),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "string": st.text(max_size=schema.get("maxLength", 5)),
        "boolean": st.booleans(),
        "null": st.none(),
    }[kind]


def places(schema: Any) -> list[dict[str, Any]]:
    """Every schema of a value inside a schema."""
    inner = list(schema.get("properties", {}).values()) + schema.get("anyOf", [])
    inner += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    return [schema] + [place for node in inner for place in places(node)]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A contract and what became of it after a few changes somewhere inside."""
    old = draw(CONTRACTS)
    new = deepcopy(old)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places(new)))
        change = draw(st.sampled_from(["add", "remove", "require", "bound", "enum", "null", "replace"]))
        properties, required = place.get("properties"), place.get("required", [])
        if change == "add" and properties is not None:
            properties[draw(st.sampled_from(["e", "f"]))] = draw(FIELDS)
        elif change == "remove" and properties:
            name = draw(st.sampled_from(sorted(properties)))
            del properties[name]
            place["required"] = [other for other in required if other != name]
        elif change == "require" and properties:
            name = draw(st.sampled_from(sorted(properties)))
            place["required"] = [n for n in required if n != name] if name in required else [*required, name]
        elif change == "bound" and "maximum" in place:
            place["maximum"] += draw(st.integers(-1, 1)) if place["maximum"] > place["minimum"] else 1
        elif change == "enum" and "enum" in place:
            place["enum"] = draw(st.lists(NAMES, min_size=1, unique=True))
        elif change == "null" and "anyOf" not in place and place is not new:
            inner = dict(place)
            place.clear()
            place["anyOf"] = [inner, {"type": "null"}]
        elif change == "replace" and place is not new:
            place.clear()
            place.update(draw(FIELDS))
    return old, {**new, "x-changes": ["changed"]}


@given(CONTRACTS)
def test_a_contract_is_compatible_with_itself(schema: dict[str, Any]) -> None:
    assert compare(schema, deepcopy(schema)).findings == ()


@SLOW
@given(CONTRACTS, FIELDS)
def test_an_optional_field_may_come(schema: dict[str, Any], field: dict[str, Any]) -> None:
    new = {**deepcopy(schema), "x-changes": ["adds e"]}
    new["properties"]["e"] = field
    assert [finding.rule for finding in compare(schema, new).findings] == ["optional-field-added"]


@SLOW
@given(CONTRACTS, st.data())
def test_no_field_may_go(schema: dict[str, Any], data: st.DataObject) -> None:
    assume(schema["properties"])
    name = data.draw(st.sampled_from(sorted(schema["properties"])))
    new = {**deepcopy(schema), "x-changes": [f"drops {name}"]}
    del new["properties"][name]
    new["required"] = [other for other in new["required"] if other != name]
    report = compare(schema, new)
    assert "field-removed" in {finding.rule for finding in report.refused}
    assert {finding.path for finding in report.refused if finding.rule == "field-removed"} == {name}


@settings(SLOW, max_examples=400)
@given(mutated(), st.data())
def test_what_passes_the_check_passes_the_readers(
    versions: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    """Old events validate for new readers, and new events for old readers, wherever the check says so."""
    old, new = versions
    report = compare(old, new)
    if report.accepted:
        assert report.safe(Direction.BACKWARD), "nothing accepted may break new readers of old events"
    for direction, writer, reader in ((Direction.BACKWARD, old, new), (Direction.FORWARD, new, old)):
        if report.safe(direction):
            payload = data.draw(instances(writer))
            jsonschema_rs.validator_for(closed(writer)).validate(payload)
            jsonschema_rs.validator_for(opened(reader)).validate(payload)
