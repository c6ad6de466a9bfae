"""From the domain model to the design of the service: one answer to every question of naming and shape."""

from dataclasses import dataclass

from pydantic import JsonValue

from factory.domain.product import (
    Actor,
    Condition,
    DomainEvent,
    DomainModel,
    Entity,
    Enumeration,
    FieldType,
    Invariant,
    Operation,
    ProductField,
    Relation,
    RelationKind,
    StatedRule,
    UniqueTogether,
)
from factory.skills.native.service_design import policies
from factory.skills.native.service_design.conditions import is_checkable, literal
from factory.skills.native.service_design.endpoints import RESTRICTED, endpoints
from factory.skills.native.service_design.filters import filters, sorts
from factory.skills.native.service_design.naming import (
    ATTRIBUTE_NAMES,
    CLASS_NAMES,
    RESERVED_PATHS,
    TABLE_NAMES,
    Names,
    kebab,
    label_words,
    package_name,
    python_name,
    relation_key,
    sentence,
)
from factory.skills.native.service_design.ordering import relaxed_references, table_order
from factory.skills.native.service_design.ownership import ownerships
from factory.skills.native.service_design.parts import HopKind, Member, Resource
from factory.skills.native.service_design.shapes import MONEY_DIGITS, Schema, field_schema, text_length
from factory.skills.native.service_design.wording import states_phrase

MOST_REFERENCES = 100
_NAMED = {FieldType.GEO_POINT: "GeoPoint", FieldType.FILE: "FileReference"}
_UUID: Schema = {"type": "string", "format": "uuid"}


@dataclass(frozen=True, slots=True)
class ServiceDesign:
    """The whole service.

    Attributes:
        enums: Schema name of each enumeration that a field uses, by its name in the model.
        resources: One per entity, in the model's order.
        table_order: Entities so that every required reference points backwards.
        events: Events that some endpoint publishes.
        unenforced: Rules the vision states that no code holds, for the reader of the README.
    """

    model: DomainModel
    package: str
    title: str
    summary: str
    roles: tuple[Actor, ...]
    enums: dict[str, str]
    resources: tuple[Resource, ...]
    table_order: tuple[str, ...]
    events: tuple[DomainEvent, ...]
    unenforced: tuple[str, ...]

    def resource(self, entity: str) -> Resource:
        """Return the resource of an entity; KeyError where there is none."""
        return {resource.entity.name: resource for resource in self.resources}[entity]

    def enumeration(self, name: str) -> Enumeration:
        """Return an enumeration by its name in the model."""
        return self.model.enum(name)


def design_service(model: DomainModel) -> ServiceDesign:
    """Return the design of the service for a model; equal models have equal designs."""
    schemas = Names(CLASS_NAMES)
    entity_schemas = {entity.name: schemas.claim(entity.name, "Record") for entity in model.entities}
    used = dict.fromkeys(field.enum for entity in model.entities for field in entity.fields if field.enum)
    enums = {name: schemas.claim(name, "Value") for name in used}
    for name in entity_schemas.values():
        schemas.claim(f"{name}Page", "List")
    paths, tables = Names(RESERVED_PATHS), Names(TABLE_NAMES)
    resources = tuple(
        _resource(
            model,
            entity,
            schema=entity_schemas[entity.name],
            enums=enums,
            schemas=schemas,
            paths=paths,
            tables=tables,
        )
        for entity in model.entities
    )
    published = {event.name for resource in resources for point in resource.endpoints for event in point.events}
    return ServiceDesign(
        model=model,
        package=package_name(model.slug),
        title=model.name,
        summary=" ".join(model.summary.split()),
        roles=model.actors,
        enums=enums,
        resources=resources,
        table_order=table_order(model),
        events=tuple(event for event in model.events if event.name in published),
        unenforced=_unenforced(model, resources),
    )


def _resource(
    model: DomainModel,
    entity: Entity,
    *,
    schema: str,
    enums: dict[str, str],
    schemas: Names,
    paths: Names,
    tables: Names,
) -> Resource:
    lifecycle = model.lifecycle_of(entity.name)
    members = _members(model, entity, enums)
    state = next((member for member in members if lifecycle and member.name == lifecycle.field), None)
    writable = tuple(member for member in members if member is not state)
    steps = policies.steps(model, entity, lifecycle)
    path = paths.claim(kebab(entity.collection), "-records")
    owners = ownerships(model, entity.name)
    points = endpoints(model, entity, path=path, members=writable, steps=steps, schemas=schemas)
    return Resource(
        entity=entity,
        schema=schema,
        table=tables.claim(entity.collection, "_records"),
        path=path,
        tag=_tag(entity),
        members=members,
        lifecycle=lifecycle,
        state=state,
        steps=steps,
        endpoints=points,
        filters=filters(model, entity, members),
        sorts=sorts(members),
        rules=policies.rules(model, entity),
        uniques=policies.uniques(model, entity, members),
        limits=policies.limits(model, entity, members),
        ownerships=owners,
        keeps_creator=any(hop.kind is HopKind.CREATOR for owner in owners for path in owner.paths for hop in path),
    )


def _tag(entity: Entity) -> str:
    """Return the heading of the entity's endpoints; the health probes have one of their own."""
    tag = sentence(entity.collection)
    return f"{tag} records" if tag == "Health" else tag


def _members(model: DomainModel, entity: Entity, enums: dict[str, str]) -> tuple[Member, ...]:
    relaxed = relaxed_references(model)
    found: list[Member] = []
    for field in entity.fields:
        has_default, default = _default(model, entity, field)
        found.append(
            Member(
                name=field.name,
                attribute=python_name(field.name, ATTRIBUTE_NAMES),
                required=field.required,
                schema=_api_schema(model, entity, field, enums),
                field=field,
                has_default=has_default,
                default=default,
            )
        )
    references = (
        _relation_member(model, relation, relaxed=(entity.name, relation.name) in relaxed)
        for relation in model.relations_of(entity.name)
        if relation.join_entity is None
    )
    return (*found, *references)


def _api_schema(model: DomainModel, entity: Entity, field: ProductField, enums: dict[str, str]) -> Schema:
    """Return the field's schema as the API refers to it: enumerations, files and places by name."""
    if field.type in _NAMED:
        return _reference(_NAMED[field.type])
    return field_schema(model, entity.name, field, lambda name: _reference(enums[name]))


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _relation_member(model: DomainModel, relation: Relation, *, relaxed: bool) -> Member:
    key = relation_key(model, relation)
    schema = _UUID
    many = relation.kind is RelationKind.MANY_TO_MANY
    if many:
        schema = {"type": "array", "items": _UUID, "maxItems": MOST_REFERENCES}
        if relation.required:
            schema["minItems"] = 1
    return Member(
        name=key,
        attribute=key,
        required=many or (relation.required and not relaxed),
        schema=schema,
        relation=relation,
        has_default=many and not relation.required,
        default=[] if many and not relation.required else None,
    )


def _default(model: DomainModel, entity: Entity, field: ProductField) -> tuple[bool, JsonValue]:  # noqa: PLR0911 - one return per kind of value
    """Return whether the field has a usable default, and that default in its JSON form."""
    value = field.default
    parsed = literal(model, field, value) if value is not None else None
    if parsed is None:
        return (False, None)
    match field.type:
        case FieldType.MONEY:
            return (True, f"{parsed:.{MONEY_DIGITS[1]}f}")
        case FieldType.DECIMAL:
            return (True, f"{parsed:f}")
        case FieldType.BOOLEAN | FieldType.INTEGER | FieldType.DURATION | FieldType.PERCENTAGE:
            return (isinstance(parsed, (bool, int, float)), parsed if isinstance(parsed, (bool, int, float)) else None)
        case FieldType.ENUM:
            return (True, value)
        case FieldType.TEXT | FieldType.RICH_TEXT:
            fits = isinstance(value, str) and 0 < len(value) <= text_length(model, entity.name, field)
            return (fits and field.constraints.pattern is None, value)
        case _:
            return (False, None)


def _unenforced(model: DomainModel, resources: tuple[Resource, ...]) -> tuple[str, ...]:
    """Return the statements of rules that nothing in the service checks."""
    held = {rule.statement for resource in resources for rule in resource.rules}
    held |= {unique.statement for resource in resources for unique in resource.uniques}
    held |= {limit.statement for resource in resources for limit in resource.limits}
    found = [
        policy.statement
        for policy in model.policies
        if isinstance(policy, StatedRule)
        or (isinstance(policy, (Invariant, UniqueTogether)) and policy.statement not in held)
    ]
    for lifecycle in model.lifecycles:
        entity = model.entity(lifecycle.entity)
        found += [
            _unheld_guard(step.name, entity, guard)
            for step in lifecycle.transitions
            for guard in step.guards
            if not is_checkable(model, entity, guard)
        ]
    found += [statement for operation in model.operations for statement in _unheld(model, resources, operation)]
    return tuple(dict.fromkeys(found))


def _unheld(model: DomainModel, resources: tuple[Resource, ...], operation: Operation) -> list[str]:
    """Return what an operation demands of its record and its endpoint does not check."""
    if operation.kind not in RESTRICTED or not (operation.states or operation.guards):
        return []
    entity = model.entity(operation.entity)
    endpoint = next(one for one in resources if one.entity.name == operation.entity).serving(operation)
    found = [_unheld_guard(operation.verb, entity, guard) for guard in operation.guards if guard not in endpoint.guards]
    lifecycle = model.lifecycle_of(entity.name)
    if lifecycle and operation.states:
        field = next(field for field in entity.fields if field.name == lifecycle.field)
        allowed = endpoint.states or model.enum(str(field.enum)).values
        if not set(allowed) <= set(operation.states):
            states = states_phrase(operation.states)
            found.append(f"{sentence(operation.verb)} {label_words(entity)}: only while {states}.")
    return found


def _unheld_guard(verb: str, entity: Entity, guard: Condition) -> str:
    stated = " ".join(guard.statement.split())
    return stated or f"{sentence(verb)} {label_words(entity)}: the condition on {guard.left} is not compared."
