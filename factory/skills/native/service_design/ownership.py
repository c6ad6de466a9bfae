"""Which records are a person's own: found by walking relations from the record to the actor's entity."""

from collections import deque

from factory.domain.product import DomainModel, RelationKind
from factory.skills.native.service_design.naming import relation_key
from factory.skills.native.service_design.parts import Hop, HopKind, Ownership

_LONGEST = 3


def ownerships(model: DomainModel, entity: str) -> tuple[Ownership, ...]:
    """Return the ownership of each role that may act on its own records of the entity only."""
    roles = {role for operation in model.operations_of(entity) for role in operation.own_only}
    return tuple(
        Ownership(role=actor.name, paths=_paths(model, entity, actor.entity))
        for actor in model.actors
        if actor.name in roles
    )


def _paths(model: DomainModel, entity: str, owner: str | None) -> tuple[tuple[Hop, ...], ...]:
    """Return the shortest paths to the owner; without any, a record belongs to whoever created it."""
    if owner == entity:
        return ((Hop(HopKind.SELF, entity),),)
    if owner is not None:
        found = _shortest(model, entity, owner)
        if found:
            return found
    return ((Hop(HopKind.CREATOR, entity),),)


def _shortest(model: DomainModel, entity: str, owner: str) -> tuple[tuple[Hop, ...], ...]:
    found: list[tuple[Hop, ...]] = []
    queue: deque[tuple[str, tuple[Hop, ...]]] = deque([(entity, ())])
    while queue:
        here, path = queue.popleft()
        if len(path) >= (len(found[0]) if found else _LONGEST):
            continue
        visited = {entity, *(hop.target for hop in path)}
        for relation in model.relations_of(here):
            if relation.join_entity or relation.target in visited:
                continue
            many = relation.kind is RelationKind.MANY_TO_MANY
            if many and relation.target != owner:
                continue
            kind = HopKind.COLLECTION if many else HopKind.REFERENCE
            longer = (*path, Hop(kind, here, relation_key(model, relation), relation.target))
            if relation.target == owner:
                found.append(longer)
            else:
                queue.append((relation.target, longer))
    return tuple(path for path in found if len(path) == len(found[0]))
