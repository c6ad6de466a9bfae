"""The order to build in: what is needed first comes first, and among what is ready, what matters most."""

import heapq
from collections.abc import Mapping, Sequence

from factory.domain.product import DomainModel, Operation, OperationKind

_STEPS = {
    OperationKind.CREATE: 0,
    OperationKind.READ: 1,
    OperationKind.LIST: 1,
    OperationKind.CHANGE: 2,
    OperationKind.TRANSITION: 2,
    OperationKind.UPDATE: 3,
    OperationKind.DELETE: 4,
}


def needs(model: DomainModel, stories: Mapping[str, Sequence[Operation]]) -> dict[str, tuple[str, ...]]:
    """Return for every story the other stories that must be built before it.

    An operation on a record needs the story that creates such records; one that links a record needs the story
    that creates what it links to.
    """
    creators: dict[str, str] = {}
    for story, operations in stories.items():
        for operation in operations:
            if operation.kind is OperationKind.CREATE:
                creators.setdefault(operation.entity, story)
    found: dict[str, tuple[str, ...]] = {}
    for story, operations in stories.items():
        wanted = [entity for operation in operations for entity in _entities_needed(model, operation)]
        before = [creators[entity] for entity in wanted if creators.get(entity, story) != story]
        found[story] = tuple(dict.fromkeys(before))
    return found


def _entities_needed(model: DomainModel, operation: Operation) -> list[str]:
    relations = model.relations_of(operation.entity)
    if operation.kind is OperationKind.CREATE:
        return [relation.target for relation in relations if relation.required]
    linked = [relation.target for relation in relations if relation.name in operation.relations]
    return [operation.entity, *linked]


def rank(levels: Sequence[str], level: str, operations: Sequence[Operation]) -> tuple[int, int]:
    """Return how early a story wants to come among those that are ready."""
    step = min((_STEPS[operation.kind] for operation in operations), default=len(_STEPS))
    return (levels.index(level) if operations else len(levels), step)


def arrange(
    names: Sequence[str], before: Mapping[str, Sequence[str]], ranks: Mapping[str, tuple[int, int]]
) -> list[str]:
    """Return the names so that each follows what it needs; a cycle is cut at its most urgent member."""
    position = {name: index for index, name in enumerate(names)}
    waiting = {name: {other for other in before[name] if other in position} for name in names}
    ready = [(ranks[name], position[name], name) for name in names if not waiting[name]]
    heapq.heapify(ready)
    arranged: list[str] = []
    while waiting:
        if not ready:
            _, _, name = min((ranks[name], position[name], name) for name in waiting)
        else:
            _, _, name = heapq.heappop(ready)
        del waiting[name]
        arranged.append(name)
        for other, missing in waiting.items():
            if name in missing:
                missing.remove(name)
                if not missing:
                    heapq.heappush(ready, (ranks[other], position[other], other))
    return arranged
