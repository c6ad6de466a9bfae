"""The HTTP operations of a resource, made from the operations of the model and from nothing else."""

from collections.abc import Iterable

from factory.domain.product import DomainEvent, DomainModel, Entity, Operation, OperationKind, pascal
from factory.skills.native.service_design.naming import Names, kebab, sentence, singular
from factory.skills.native.service_design.parts import Endpoint, Member, Step
from factory.skills.native.service_design.policies import restriction

_METHODS = {
    OperationKind.CREATE: "post",
    OperationKind.READ: "get",
    OperationKind.LIST: "get",
    OperationKind.UPDATE: "patch",
    OperationKind.DELETE: "delete",
    OperationKind.TRANSITION: "post",
    OperationKind.CHANGE: "post",
}
_ON_COLLECTION = frozenset({OperationKind.CREATE, OperationKind.LIST})
_NAMED = frozenset({OperationKind.TRANSITION, OperationKind.CHANGE})
_WITH_BODY = frozenset({OperationKind.CREATE, OperationKind.UPDATE, OperationKind.CHANGE})
RESTRICTED = frozenset({OperationKind.UPDATE, OperationKind.CHANGE, OperationKind.DELETE})
_SILENT = frozenset({OperationKind.READ, OperationKind.LIST})


def endpoints(
    model: DomainModel,
    entity: Entity,
    *,
    path: str,
    members: tuple[Member, ...],
    steps: tuple[Step, ...],
    schemas: Names,
) -> tuple[Endpoint, ...]:
    """Return the endpoints of an entity; operations of one kind share one, transitions and changes go by verb."""
    paths = Names()
    groups: dict[str, list[Operation]] = {}
    for operation in model.operations_of(entity.name):
        key = operation.kind.value
        if operation.kind in _NAMED:
            key = f"{operation.kind.value} {operation.verb} {operation.transition or ''}"
        groups.setdefault(key, []).append(operation)
    return tuple(
        _endpoint(model, entity, group, path=path, members=members, steps=steps, paths=paths, schemas=schemas)
        for group in groups.values()
    )


def _endpoint(
    model: DomainModel,
    entity: Entity,
    group: list[Operation],
    *,
    path: str,
    members: tuple[Member, ...],
    steps: tuple[Step, ...],
    paths: Names,
    schemas: Names,
) -> Endpoint:
    first = group[0]
    step = next((step for step in steps if step.transition.name == first.transition), None)
    fallback = step.transition.actors if step else ()
    roles, own_only = _permission(model, group, fallback)
    body_members = _body(group, members) if first.kind in _WITH_BODY else ()
    where = f"/{path}" if first.kind in _ON_COLLECTION else f"/{path}/{{id}}"
    if first.kind in _NAMED:
        where += f"/{paths.claim(kebab(first.verb), '-' + kebab(singular(entity.collection)))}"
    return Endpoint(
        id=first.name,
        kind=first.kind,
        verb=first.verb,
        method=_METHODS[first.kind],
        path=where,
        summary=sentence(first.name),
        roles=roles,
        own_only=own_only,
        stories=tuple(dict.fromkeys(story for operation in group for story in operation.stories)),
        events=() if first.kind in _SILENT else _events(model, group, step),
        members=body_members,
        body=schemas.claim(pascal(first.name), "Request") if body_members else None,
        step=step,
        restriction=restriction(model, entity, group) if first.kind in RESTRICTED else None,
    )


def _permission(
    model: DomainModel, group: list[Operation], fallback: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who may call an endpoint and who of them is held to their own records."""
    everyone = tuple(actor.name for actor in model.actors)
    allowed: set[str] = set()
    free: set[str] = set()
    for operation in group:
        actors = set(operation.actors or fallback or everyone)
        allowed |= actors
        free |= actors - set(operation.own_only)
    return (
        tuple(role for role in everyone if role in allowed),
        tuple(role for role in everyone if role in allowed - free),
    )


def _body(group: list[Operation], members: tuple[Member, ...]) -> tuple[Member, ...]:
    kind = group[0].kind
    whole = kind is not OperationKind.CHANGE and any(not operation.fields for operation in group)
    fields = {name for operation in group for name in operation.fields}
    relations = {name for operation in group for name in operation.relations}
    all_relations = kind is OperationKind.CREATE or (whole and not relations)

    def is_set(member: Member) -> bool:
        if member.relation is not None:
            return all_relations or member.relation.name in relations
        needed = kind is OperationKind.CREATE and member.required and not member.has_default
        return whole or needed or member.name in fields

    return tuple(member for member in members if is_set(member))


def _events(model: DomainModel, group: list[Operation], step: Step | None) -> tuple[DomainEvent, ...]:
    names = [operation.event for operation in group if operation.event]
    if step is not None:
        names.append(step.transition.event)
    operations = {operation.name for operation in group}
    named: Iterable[DomainEvent] = (
        event for event in model.events if event.name in names or event.operation in operations
    )
    return tuple(event for event in named if event.entity == group[0].entity)
