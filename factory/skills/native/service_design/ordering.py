"""The order in which tables can be made, and the references that close a circle."""

from factory.domain.product import DomainModel, RelationKind


def relaxed_references(model: DomainModel) -> frozenset[tuple[str, str]]:
    """Return (entity, relation) of required references that close a circle.

    No record of such a circle could be stored first, so the design makes these optional.
    """
    needed: dict[str, list[str]] = {entity.name: [] for entity in model.entities}
    relaxed: set[tuple[str, str]] = set()
    for relation in model.relations:
        if not relation.required or relation.kind is RelationKind.MANY_TO_MANY:
            continue
        if relation.source == relation.target or _reaches(needed, relation.target, relation.source):
            relaxed.add((relation.source, relation.name))
        else:
            needed[relation.source].append(relation.target)
    return frozenset(relaxed)


def table_order(model: DomainModel) -> tuple[str, ...]:
    """Return the entities so that required references point backwards, stable in the model's order."""
    relaxed = relaxed_references(model)
    needs: dict[str, set[str]] = {entity.name: set() for entity in model.entities}
    wishes: dict[str, set[str]] = {entity.name: set() for entity in model.entities}
    for relation in model.relations:
        if relation.kind is RelationKind.MANY_TO_MANY or relation.source == relation.target:
            continue
        hard = relation.required and (relation.source, relation.name) not in relaxed
        (needs if hard else wishes)[relation.source].add(relation.target)
    done: list[str] = []
    waiting = [entity.name for entity in model.entities]
    while waiting:
        free = [name for name in waiting if needs[name] <= set(done)]
        happy = [name for name in free if wishes[name] <= set(done)]
        chosen = (happy or free)[0]
        done.append(chosen)
        waiting.remove(chosen)
    return tuple(done)


def _reaches(edges: dict[str, list[str]], start: str, goal: str) -> bool:
    seen: set[str] = set()
    stack = [start]
    while stack:
        here = stack.pop()
        if here == goal:
            return True
        if here not in seen:
            seen.add(here)
            stack += edges[here]
    return False
