"""Do the elements of a domain model name only what the model has?"""

from collections.abc import Collection, Iterable, Iterator

from factory.domain.product import (
    DomainEvent,
    DomainModel,
    Entity,
    Invariant,
    Lifecycle,
    Operation,
    OperationKind,
    Policy,
    RelatedLimit,
    UniqueTogether,
)


def reference_problems(model: DomainModel) -> Iterator[str]:
    """Yield each name that is used and not there, and each that is there twice."""
    yield from _repeated_names(model)
    references = _References(model)
    for entity in model.entities:
        yield from references.of_entity(entity)
    for actor in model.actors:
        yield from _unknown(f"actor {actor.name}", "entity", [actor.entity], references.entities)
    for relation in model.relations:
        where = f"relation {relation.source}.{relation.name}"
        yield from _unknown(
            where, "entity", [relation.source, relation.target, relation.join_entity], references.entities
        )
    for lifecycle in model.lifecycles:
        yield from references.of_lifecycle(lifecycle)
    for operation in model.operations:
        yield from references.of_operation(operation)
    for event in model.events:
        yield from references.of_event(event)
    for policy in model.policies:
        yield from references.of_policy(policy)


class _References:
    """What a model has, by name, and what its elements name beside that."""

    def __init__(self, model: DomainModel) -> None:
        self.entities = {entity.name: entity for entity in model.entities}
        self._enums = {enum.name: set(enum.values) for enum in model.enums}
        self._actors = {actor.name for actor in model.actors}
        self._stories = {story.id for story in model.stories}
        self._events = {event.name for event in model.events}
        self._operations = {operation.name for operation in model.operations}
        self._lifecycles = {lifecycle.entity: lifecycle for lifecycle in model.lifecycles}
        self._fields = {name: {field.name: field for field in entity.fields} for name, entity in self.entities.items()}
        self._relations = {
            name: [relation.name for relation in model.relations if relation.source == name] for name in self.entities
        }
        self._inverses = {
            name: [relation.inverse for relation in model.relations if relation.target == name]
            for name in self.entities
        }

    def of_entity(self, entity: Entity) -> Iterator[str]:
        names = [field.name for field in entity.fields]
        names += [*self._relations[entity.name], *self._inverses[entity.name]]
        yield from _repeated(f"attribute of {entity.name}", names)
        for field in entity.fields:
            yield from _unknown(f"{entity.name}.{field.name}", "enum", [field.enum], self._enums)

    def of_lifecycle(self, lifecycle: Lifecycle) -> Iterator[str]:
        where = f"lifecycle of {lifecycle.entity}"
        if lifecycle.entity not in self.entities:
            yield f"{where}: no such entity"
            return
        fields = self._fields[lifecycle.entity]
        field = fields.get(lifecycle.field)
        if field is None or field.enum not in self._enums:
            yield f"{where}: {lifecycle.field} is not an enum field"
            return
        yield from _repeated(f"transition of {lifecycle.entity}", [step.name for step in lifecycle.transitions])
        named = {lifecycle.initial}
        for step in lifecycle.transitions:
            named |= {*step.sources, step.target}
            yield from _unknown(f"{where}: transition {step.name}", "actor", step.actors, self._actors)
            for guard in step.guards:
                if guard.left not in fields or (guard.right_kind == "field" and guard.right not in fields):
                    yield f"{where}: a guard of {step.name} names an unknown field"
        for state in sorted(named - self._enums[field.enum]):
            yield f"{where}: {state!r} is not a value of {field.enum}"

    def of_operation(self, operation: Operation) -> Iterator[str]:
        where = f"operation {operation.name}"
        if operation.entity not in self.entities:
            yield f"{where} names the unknown entity {operation.entity}"
            return
        yield from _unknown(where, "actor", [*operation.actors, *operation.own_only], self._actors)
        yield from _unknown(where, "field", operation.fields, self._fields[operation.entity])
        yield from _unknown(where, "relation", operation.relations, self._relations[operation.entity])
        yield from _unknown(where, "story", operation.stories, self._stories)
        yield from _unknown(where, "event", [operation.event], self._events)
        yield from _unknown(where, "state", operation.states, self._states_of(operation.entity))
        for guard in operation.guards:
            named = [guard.left, *([str(guard.right)] if guard.right_kind == "field" else [])]
            yield from _unknown(where, "field", named, self._fields[operation.entity])
        if (operation.kind is OperationKind.TRANSITION) != (operation.transition is not None):
            yield f"{where}: `transition` belongs to operations of kind transition alone"
            return
        lifecycle = self._lifecycles.get(operation.entity)
        known = {step.name for step in lifecycle.transitions} if lifecycle else set()
        yield from _unknown(where, "transition", [operation.transition], known)

    def of_event(self, event: DomainEvent) -> Iterator[str]:
        where = f"event {event.name}"
        if event.entity not in self.entities:
            yield f"{where} names the unknown entity {event.entity}"
            return
        yield from _unknown(where, "operation", [event.operation], self._operations)
        yield from _unknown(where, "field", event.fields, self._fields[event.entity])
        yield from _unknown(where, "relation", event.relations, self._relations[event.entity])

    def of_policy(self, policy: Policy) -> Iterator[str]:
        where = f"policy {policy.name}"
        if policy.entity is None:
            return
        if policy.entity not in self.entities:
            yield f"{where} names the unknown entity {policy.entity}"
            return
        if isinstance(policy, Invariant):
            condition = policy.condition
            named = [condition.left, *([str(condition.right)] if condition.right_kind == "field" else [])]
            yield from _unknown(where, "field", named, self._fields[policy.entity])
        elif isinstance(policy, UniqueTogether):
            yield from _unknown(where, "field", policy.fields, self._fields[policy.entity])
            yield from _unknown(where, "relation", policy.relations, self._relations[policy.entity])
            yield from _unknown(where, "state", policy.except_states, self._states_of(policy.entity))
        elif isinstance(policy, RelatedLimit):
            yield from _unknown(where, "relation", [policy.relation], self._relations[policy.entity])
            yield from _unknown(where, "state", policy.states, self._states_of(policy.entity))

    def _states_of(self, entity: str) -> set[str]:
        lifecycle = self._lifecycles.get(entity)
        field = self._fields[entity].get(lifecycle.field) if lifecycle else None
        return self._enums.get(field.enum, set()) if field and field.enum else set()


def _repeated_names(model: DomainModel) -> Iterator[str]:
    yield from _repeated("entity", [entity.name for entity in model.entities])
    yield from _repeated("collection", [entity.collection for entity in model.entities])
    yield from _repeated("enum", [enum.name for enum in model.enums])
    yield from _repeated("actor", [actor.name for actor in model.actors])
    yield from _repeated("operation", [operation.name for operation in model.operations])
    yield from _repeated("event", [event.name for event in model.events])
    yield from _repeated("story", [story.id for story in model.stories])
    yield from _repeated("lifecycle of", [lifecycle.entity for lifecycle in model.lifecycles])


def _repeated(what: str, names: list[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{what} {name!r} is named more than once"


def _unknown(where: str, what: str, names: Iterable[str | None], known: Collection[str]) -> Iterator[str]:
    """Yield each name that is not known, once and in order; None names nothing."""
    for name in dict.fromkeys(names):
        if name and name not in known:
            yield f"{where} names the unknown {what} {name}"
