"""The shape of every domain event, agreed between the event catalogue and the generated outbox.

On the wire an event is one JSON object, the envelope:

    {"id": uuid, "type": "AppointmentCancelled", "time": date-time, "subject": "appointments/<uuid>", "data": {…}}

`data` holds the id of the record (`appointment_id`), the event's fields under their own names and in the same
JSON form as in the API, and the ids of its relations (`patient_id`; `tag_ids` for many-to-many). Every key is
always there; an optional value that is absent is null.
"""

from factory.domain.product import DomainEvent, DomainModel, RelationKind, snake
from factory.skills.native.service_design.naming import relation_key
from factory.skills.native.service_design.ordering import relaxed_references
from factory.skills.native.service_design.shapes import Schema, enum_values, field_schema, nullable


def record_key(entity: str) -> str:
    """Return the payload key that holds the id of the record the event is about."""
    return f"{snake(entity)}_id"


def subject_of(model: DomainModel, event: DomainEvent) -> str:
    """Return the envelope's subject as a template: `appointments/{appointment_id}`."""
    return f"{model.entity(event.entity).collection}/{{{record_key(event.entity)}}}"


def payload_schema(model: DomainModel, event: DomainEvent) -> Schema:
    """Return the JSON Schema of an event's `data`, self-contained (enumerations are written out)."""
    properties: dict[str, Schema] = {record_key(event.entity): {"type": "string", "format": "uuid"}}
    fields = {field.name: field for field in model.entity(event.entity).fields}
    for name in event.fields:
        field = fields[name]
        schema = field_schema(model, event.entity, field, lambda enum: enum_values(model, enum))
        properties[name] = schema if field.required else nullable(schema)
    relaxed = relaxed_references(model)
    relations = {relation.name: relation for relation in model.relations_of(event.entity)}
    for name in event.relations:
        relation = relations[name]
        if relation.join_entity:
            continue
        key = relation_key(model, relation)
        one: Schema = {"type": "string", "format": "uuid"}
        if relation.kind is RelationKind.MANY_TO_MANY:
            properties[key] = {"type": "array", "items": one}
        else:
            needed = relation.required and (event.entity, name) not in relaxed
            properties[key] = one if needed else nullable(one)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [*properties],
        "properties": {**properties},
    }


def envelope_schema(model: DomainModel, event: DomainEvent) -> Schema:
    """Return the JSON Schema of the whole message of one event, self-contained."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "type", "time", "subject", "data"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "type": {"const": event.name},
            "time": {"type": "string", "format": "date-time"},
            "subject": {"type": "string"},
            "data": payload_schema(model, event),
        },
    }
