"""Stories for what no story names, so that every operation has one."""

from collections.abc import Iterator

from factory.domain.product import DomainModel, Operation, OperationKind, Story
from factory.skills.native.rendering.english import listing
from factory.skills.native.rendering.obstacles import Obstacles
from factory.skills.native.rendering.phrases import Phrases

_SEEING = frozenset({OperationKind.READ, OperationKind.LIST})


def stories_with_operations(model: DomainModel) -> list[tuple[Story, tuple[Operation, ...]]]:
    """Return the model's stories with the operations that serve them, then derived ones for the rest.

    Looking at one thing and listing all of it are one story where the same actors may do both.
    """
    pairs: list[tuple[Story, tuple[Operation, ...]]] = [
        (story, tuple(operation for operation in model.operations if story.id in operation.stories))
        for story in model.stories
    ]
    phrases = Phrases(model)
    taken = {story.id for story in model.stories}
    number = 0
    for group in _groups(model):
        number += 1
        while f"DS-{number:02d}" in taken:
            number += 1
        pairs.append((_derive(f"DS-{number:02d}", group, model, phrases), group))
    return pairs


def _groups(model: DomainModel) -> Iterator[tuple[Operation, ...]]:
    known = {story.id for story in model.stories}
    uncovered = [operation for operation in model.operations if not known & set(operation.stories)]
    done: set[str] = set()
    for operation in uncovered:
        if operation.name in done:
            continue
        group = [operation]
        if operation.kind in _SEEING:
            group += [
                other
                for other in uncovered
                if other is not operation
                and other.kind in _SEEING
                and (other.entity, other.actors, other.own_only)
                == (operation.entity, operation.actors, operation.own_only)
            ]
        done.update(other.name for other in group)
        yield tuple(group)


def _derive(name: str, operations: tuple[Operation, ...], model: DomainModel, phrases: Phrases) -> Story:
    first = operations[0]
    actors = Obstacles(model, phrases).who(first)
    return Story(
        id=name,
        actor=actors[0] if actors else model.actors[0].name,
        goal=listing([phrases.act(operation) for operation in operations]),
        derived=True,
        trace=first.trace,
    )
