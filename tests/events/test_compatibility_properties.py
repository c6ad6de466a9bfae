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


def instances(schema: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one return per type
    """Payloads of a strict writer."""
    if "anyOf" in schema:
        return st.one_of([instances(variant) for variant in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if kind == "integer":
        bounds = [schema["minimum"], schema["maximum"]]
        return st.sampled_from(bounds) | st.integers(*bounds)
    if kind == "array":
        return st.lists(instances(schema["items"]), max_size=2)
    if kind == "object":
        if "properties" not in schema:
            return st.dictionaries(NAMES, instances(schema["additionalProperties"]), max_size=2)
        fields = {name: instances(field) for name, field in schema["properties"].items()}
        optional = {name: field for name, field in fields.items() if name not in schema["required"]}
        return st.fixed_dictionaries({name: fields[name] for name in schema["required"]}, optional=optional)
    return {
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


def _change(draw: st.DrawFn, place: dict[str, Any], *, root: bool) -> None:
    """Change one thing that this place has."""
    properties, required = place.get("properties"), place.get("required", [])
    possible = {
        "add": properties is not None,
        "remove": bool(properties),
        "require": bool(properties),
        "bound": "maximum" in place,
        "enum": "enum" in place,
        "null": "anyOf" not in place and not root,
        "replace": not root,
    }
    change = draw(st.sampled_from([name for name, fits in possible.items() if fits]))
    name = draw(st.sampled_from(sorted(properties))) if properties else ""
    match change:
        case "add":
            added = draw(st.sampled_from(["e", "f"]))
            place["properties"][added] = deepcopy(draw(FIELDS))
            place["required"] = sorted({*required, added}) if draw(st.booleans()) else required
        case "remove":
            del place["properties"][name]
            place["required"] = [other for other in required if other != name]
        case "require":
            place["required"] = [n for n in required if n != name] if name in required else [*required, name]
        case "bound":
            place["maximum"] += draw(st.sampled_from([-1, 1])) if place["maximum"] > place["minimum"] else 1
        case "enum":
            place["enum"] = draw(st.lists(NAMES, min_size=1, unique=True))
        case "null":
            inner = dict(place)
            place.clear()
            place["anyOf"] = [inner, {"type": "null"}]
        case "replace":
            place.clear()
            place.update(deepcopy(draw(FIELDS)))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A contract and what became of it after a few changes somewhere inside."""
    old = draw(CONTRACTS)
    new = deepcopy(old)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places(new)))
        _change(draw, place, root=place is new)
    return old, {**new, "x-changes": ["changed"]}


@st.composite
def siblings(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two contracts whose one field is of the same kind, with other bounds, values or wrappings."""
    leaves = draw(st.sampled_from([integers(), texts()]))
    wrappings = leaves.map(lambda leaf: {"type": "array", "items": leaf}) | leaves.map(
        lambda leaf: {"anyOf": [leaf, {"type": "null"}]}
    )
    kind = leaves | wrappings if draw(st.booleans()) else leaves
    old, new = (
        {"type": "object", "properties": {"a": draw(kind)}, "required": ["a"], "additionalProperties": False}
        for _ in range(2)
    )
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
@given(siblings() | mutated(), st.data())
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
            for payload in data.draw(st.lists(instances(writer), min_size=3, max_size=3)):
                jsonschema_rs.validator_for(closed(writer)).validate(payload)
                jsonschema_rs.validator_for(opened(reader)).validate(payload)
