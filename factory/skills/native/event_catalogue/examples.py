"""Examples of events that are valid by their own schema, and equal for equal models."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from pydantic import JsonValue

from factory.domain.product import DomainEvent, DomainModel, FieldType, OperationKind, ProductField, RelationKind
from factory.skills.native.rendering.english import capitalised, words
from factory.skills.native.service_design.events import record_key
from factory.skills.native.service_design.naming import relation_key
from factory.skills.native.service_design.shapes import field_schema

_NAMESPACE = UUID("8a1c9a52-53a5-5ad0-9f4b-0f1ad21c6a7e")
_TIME = "2026-01-15T09:30:00Z"
_PLAIN: dict[FieldType, JsonValue] = {
    FieldType.EMAIL: "someone@example.com",
    FieldType.PHONE: "+44 20 7946 0000",
    FieldType.URL: "https://example.com/page",
    FieldType.MONEY: "49.90",
    FieldType.DECIMAL: "12.5",
    FieldType.PERCENTAGE: 20.0,
    FieldType.BOOLEAN: True,
    FieldType.DURATION: 30,
    FieldType.INTEGER: 3,
    FieldType.FILE: {"name": "report.pdf", "media_type": "application/pdf", "url": "https://example.com/report.pdf"},
    FieldType.GEO_POINT: {"latitude": 52.52, "longitude": 13.405},
    FieldType.JSON: {},
}


# Fields of time get later values in the order of the model, because ends are named after starts.
_FIRST = datetime(2026, 2, 2, 14, 30, tzinfo=UTC)
_MOMENTS = {FieldType.DATE: "%Y-%m-%d", FieldType.TIME: "%H:%M", FieldType.DATETIME: "%Y-%m-%dT%H:%M:%SZ"}


def example_message(model: DomainModel, event: DomainEvent) -> JsonValue:
    """Return an example of the whole message, or None where a stated pattern leaves no obvious value."""
    record = _identifier(event.entity)
    data: dict[str, JsonValue] = {record_key(event.entity): record}
    fields = {field.name: field for field in model.entity(event.entity).fields}
    for name in event.fields:
        value = _value(model, event, fields[name])
        if value is None:
            return None
        data[name] = value
    for relation in model.relations_of(event.entity):
        if relation.name in event.relations and relation.join_entity is None:
            target = _identifier(relation.target)
            many = relation.kind is RelationKind.MANY_TO_MANY
            data[relation_key(model, relation)] = [target] if many else target
    return {
        "id": _identifier(event.name),
        "type": event.name,
        "time": _TIME,
        "subject": f"{model.entity(event.entity).collection}/{record}",
        "data": data,
    }


def _identifier(name: str) -> str:
    return str(uuid5(_NAMESPACE, name))


def _value(model: DomainModel, event: DomainEvent, field: ProductField) -> JsonValue:
    if field.enum is not None:
        return _state(model, event, field) or model.enum(field.enum).values[0]
    if field.type is FieldType.UUID:
        return _identifier(field.name)
    schema = field_schema(model, event.entity, field, lambda _: {})
    if field.type in (FieldType.TEXT, FieldType.RICH_TEXT):
        return _text(field, schema)
    if field.type in _MOMENTS:
        names = [other.name for other in model.entity(event.entity).fields if other.type is field.type]
        position = names.index(field.name)
        return (_FIRST + timedelta(days=position, hours=position)).strftime(_MOMENTS[field.type])
    value = _PLAIN[field.type]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema["minimum"], schema["maximum"]
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            return min(max(value, low), high) if low <= high else None
    return value


def _text(field: ProductField, schema: dict[str, JsonValue]) -> JsonValue:
    shortest, longest = schema.get("minLength", 0), schema["maxLength"]
    if not isinstance(shortest, int) or not isinstance(longest, int):
        return None
    text = capitalised(words(field.name))
    text = (text * (shortest // len(text) + 1))[: max(shortest, len(text))][:longest].strip() or text[:longest]
    fits = shortest <= len(text) <= longest and re.search(str(schema["pattern"]), text)
    return text if fits else None


def _state(model: DomainModel, event: DomainEvent, field: ProductField) -> str | None:
    """Return the state the record is in once the event has happened."""
    lifecycle = model.lifecycle_of(event.entity)
    if lifecycle is None or lifecycle.field != field.name:
        return None
    operation = next(operation for operation in model.operations if operation.name == event.operation)
    steps = {step.name: step.target for step in lifecycle.transitions}
    if operation.kind is OperationKind.TRANSITION:
        return steps.get(str(operation.transition))
    return lifecycle.initial
