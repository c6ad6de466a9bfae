"""Backlog items: a story, its place, its size and its criteria."""

from collections.abc import Sequence
from dataclasses import dataclass

from factory.domain.documents import BacklogItem, Criterion, ProductRequirements
from factory.domain.product import DomainModel, Operation, OperationKind, Story
from factory.skills.native.backlog.coverage import stories_with_operations
from factory.skills.native.backlog.criteria import Checks
from factory.skills.native.backlog.order import arrange, needs, rank
from factory.skills.native.product_requirements.priority import LEVELS, Level, highest
from factory.skills.native.rendering.obstacles import Obstacles, Reason
from factory.skills.native.rendering.phrases import Phrases

OPEN_EPIC = "Open questions"
_BASE = {OperationKind.READ: 1, OperationKind.LIST: 1, OperationKind.DELETE: 1}
_RULES = frozenset({Reason.TAKEN, Reason.INVARIANT, Reason.POLICY, Reason.STATE, Reason.GUARD, Reason.REFERENCE})
# Effort up to the first number is worth the second in points.
_POINTS = ((1, 1), (2, 2), (4, 3), (7, 5), (11, 8))
_MOST = 13


@dataclass(frozen=True, slots=True)
class Planned:
    """An item and what must be built before it."""

    item: BacklogItem
    needs: tuple[str, ...]
    epic_entity: str | None


def write_items(model: DomainModel, requirements: ProductRequirements) -> tuple[Planned, ...]:
    """Return the items in the order to build them."""
    pairs = stories_with_operations(model)
    operations = {story.id: found for story, found in pairs}
    before = needs(model, operations)
    levels = {story.id: _level(story, found, requirements) for story, found in pairs}
    ranks = {name: rank(LEVELS, levels[name], operations[name]) for name in operations}
    stories = {story.id: story for story, _ in pairs}
    writer = _Writer(model, requirements)
    planned = []
    arranged = arrange(list(operations), before, ranks)
    arranged.sort(key=lambda name: not operations[name])
    for place, name in enumerate(arranged):
        item = writer.write(stories[name], operations[name], levels[name])
        entity = operations[name][0].entity if operations[name] else None
        earlier = tuple(other for other in before[name] if other in arranged[:place])
        planned.append(Planned(item, earlier, entity))
    return tuple(planned)


def _level(story: Story, operations: Sequence[Operation], requirements: ProductRequirements) -> Level:
    names = {operation.name for operation in operations}
    if not names:
        return "should" if story.derived else "must"
    return highest(
        requirement.priority
        for requirement in requirements.requirements
        if requirement.kind == "functional" and names & set(requirement.operations)
    )


class _Writer:
    """Writes items one after the other; the first story of an operation carries its refusals."""

    def __init__(self, model: DomainModel, requirements: ProductRequirements) -> None:
        self.phrases = Phrases(model)
        self.obstacles = Obstacles(model, self.phrases)
        self.checks = Checks(model)
        self.requirements = requirements
        self.refused: set[str] = set()

    def write(self, story: Story, operations: Sequence[Operation], level: Level) -> BacklogItem:
        names = {operation.name for operation in operations}
        return BacklogItem(
            story=story,
            epic=self.phrases.title(operations[0].entity) if operations else OPEN_EPIC,
            priority=level,
            points=self._points(operations),
            operations=tuple(operation.name for operation in operations),
            requirements=tuple(
                requirement.id for requirement in self.requirements.requirements if names & set(requirement.operations)
            ),
            criteria=self._criteria(story, operations),
        )

    def _points(self, operations: Sequence[Operation]) -> int:
        """Return points by rule; none for a story that cannot be sized because nothing serves it yet."""
        if not operations:
            return 0
        effort = 0
        for operation in operations:
            rules = sum(obstacle.reason in _RULES for obstacle in self.obstacles.of(operation))
            rules += len(self.obstacles.events(operation))
            effort += _BASE.get(operation.kind, 2) + rules + bool(operation.own_only)
        return next((points for limit, points in _POINTS if effort <= limit), _MOST)

    def _criteria(self, story: Story, operations: Sequence[Operation]) -> tuple[Criterion, ...]:
        checks = [] if operations else [self.checks.unserved(story)]
        for operation in operations:
            checks.append(self.checks.success(story, operation))
            if operation.name not in self.refused:
                self.refused.add(operation.name)
                checks += self.checks.refusals(story, operation)
        return tuple(
            Criterion(id=f"{story.id}.{number}", given=check.given, when=check.when, then=check.then)
            for number, check in enumerate(checks, start=1)
        )
