"""What can stand in the way of an operation: the facts under which the service refuses it.

Requirements (EARS) and acceptance criteria (Given/When/Then) are both written from these, so that they agree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from factory.domain.product import (
    DomainModel,
    FieldType,
    Invariant,
    Operation,
    OperationKind,
    Policy,
    ProductField,
    RelatedLimit,
    Relation,
    RelationKind,
    Trace,
    UniqueTogether,
)
from factory.skills.native.rendering.english import count, field_words, is_or_are, listing, words
from factory.skills.native.rendering.phrases import Phrases
from factory.skills.native.service_design.design import design_service
from factory.skills.native.service_design.parts import Endpoint, Step
from factory.skills.native.service_design.shapes import TEXTUAL, text_length

_WRITES = frozenset({OperationKind.CREATE, OperationKind.UPDATE, OperationKind.CHANGE})
_FORMATS = {
    FieldType.EMAIL: "is not an email address",
    FieldType.PHONE: "is not a telephone number",
    FieldType.URL: "is not a web address",
}


class Reason(StrEnum):
    """Why an operation is refused."""

    MISSING = "missing"
    LIMIT = "limit"
    FORMAT = "format"
    TAKEN = "taken"
    INVARIANT = "invariant"
    POLICY = "policy"
    STATE = "state"
    GUARD = "guard"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One fact that makes the service refuse.

    Attributes:
        clause: The fact as a clause, such as `the appointment is “done”`.
        names: What the answer names: fields, or the policy.
        trace: Where the fact comes from.
    """

    reason: Reason
    clause: str
    names: tuple[str, ...]
    trace: Trace


class Obstacles:
    """Finds the obstacles of operations in one model."""

    def __init__(self, model: DomainModel, phrases: Phrases) -> None:
        self.model = model
        self.phrases = phrases
        self.design = design_service(model)

    def of(self, operation: Operation) -> tuple[Obstacle, ...]:
        """Return what can stand in the way of one operation, in the order the service looks."""
        found: list[Obstacle] = []
        if operation.kind in _WRITES:
            found += self._missing(operation)
            for field in self.written_fields(operation):
                found += self.field_limits(operation.entity, field)
        found += self._record(operation)
        if operation.kind in _WRITES:
            for policy in self.model.policies:
                if policy.entity == operation.entity and self._touches(operation, policy):
                    found += self.policy(policy)
        if operation.kind is OperationKind.DELETE:
            found += self._references(operation)
        return tuple(found)

    def written_fields(self, operation: Operation) -> tuple[ProductField, ...]:
        """Return the fields the operation sets, without the one a lifecycle keeps."""
        entity = self.model.entity(operation.entity)
        kept = self.lifecycle_field(operation.entity)
        if operation.kind is OperationKind.CHANGE or operation.fields:
            return tuple(field for field in entity.fields if field.name in operation.fields and field.name != kept)
        return tuple(field for field in entity.fields if field.name != kept)

    def written_relations(self, operation: Operation) -> tuple[Relation, ...]:
        """Return the relations to one record that the operation sets."""
        relations = [relation for relation in self.model.relations_of(operation.entity) if _to_one(relation)]
        some = operation.kind is OperationKind.UPDATE and (operation.fields or operation.relations)
        if some or operation.kind is OperationKind.CHANGE:
            return tuple(relation for relation in relations if relation.name in operation.relations)
        return tuple(relations)

    def lifecycle_field(self, entity: str) -> str | None:
        """Return the name of the field that only transitions change, or None."""
        lifecycle = self.model.lifecycle_of(entity)
        return lifecycle.field if lifecycle else None

    def required(self, operation: Operation) -> tuple[str, ...]:
        """Return the names without which the operation is refused: fields first, then relations.

        A required relation that closes a circle of entities is not among them: the service has to relax it.
        """
        needed = {
            member.relation.name if member.relation else member.name
            for member in self.design.resource(operation.entity).members
            if member.required and not member.has_default
        }
        fields = [field.name for field in self.written_fields(operation) if field.name in needed]
        relations = [relation.name for relation in self.written_relations(operation) if relation.name in needed]
        return (*fields, *relations)

    def endpoint(self, operation: Operation) -> Endpoint:
        """Return the endpoint that serves the operation; operations of one kind may share it."""
        return self.design.resource(operation.entity).serving(operation)

    def step(self, operation: Operation) -> Step | None:
        """Return the transition that the operation makes, with the guards that can be checked."""
        steps = self.design.resource(operation.entity).steps
        return next((step for step in steps if step.transition.name == operation.transition), None)

    def who(self, operation: Operation) -> tuple[str, ...]:
        """Return the actors of the operation, those of its transition where it names none; empty means everyone."""
        step = self.step(operation)
        return operation.actors or (step.transition.actors if step else ())

    def events(self, operation: Operation) -> tuple[str, ...]:
        """Return the names of the events the operation publishes."""
        return tuple(event.name for event in self.endpoint(operation).events)

    def blocking_states(self, operation: Operation) -> tuple[str, ...]:
        """Return the states in which an operation is refused, in the author's order."""
        allowed, state = self.endpoint(operation).states, self.design.resource(operation.entity).state
        if not allowed or state is None or state.field is None:
            return ()
        values = self.model.enum(str(state.field.enum)).values
        return tuple(value for value in values if value not in allowed)

    def field_limits(self, entity: str, field: ProductField) -> Iterator[Obstacle]:
        """Yield what a value of one field may not be."""
        subject = self.phrases.field(field.name)
        limits = list(_limits(self.model, entity, field))
        if limits:
            clause = f"{subject} {_joined(words(field.name), limits)}"
            yield Obstacle(Reason.LIMIT, clause, (field.name,), field.trace)
        wrong = _FORMATS.get(field.type)
        if field.enum:
            wrong = f"is not one of {self.phrases.states(self.model.enum(field.enum).values, 'and')}"
        if wrong:
            yield Obstacle(Reason.FORMAT, f"{subject} {wrong}", (field.name,), field.trace)
        if field.constraints.unique:
            clause = f"another {self.phrases.noun(entity)} has the same {field_words(field.name)}"
            yield Obstacle(Reason.TAKEN, clause, (field.name,), field.trace)

    def policy(self, policy: Policy) -> Iterator[Obstacle]:
        """Yield the fact that breaks a policy; nothing for a rule that is only stated or cannot be checked."""
        if policy.statement in self.design.unenforced:
            return
        phrases = self.phrases
        if isinstance(policy, Invariant):
            clause = phrases.fails(policy.entity, policy.condition)
            names = [policy.condition.left]
            if policy.condition.right_kind == "field":
                names.append(str(policy.condition.right))
            yield Obstacle(Reason.INVARIANT, clause, tuple(names), policy.trace)
        elif isinstance(policy, UniqueTogether):
            shared = listing([field_words(name) for name in (*policy.relations, *policy.fields)])
            clause = f"another {phrases.noun(policy.entity)} has the same {shared}"
            if policy.except_states:
                clause += f" and is not {phrases.states(policy.except_states)}"
            yield Obstacle(Reason.TAKEN, clause, (*policy.relations, *policy.fields), policy.trace)
        elif isinstance(policy, RelatedLimit):
            noun = phrases.noun(policy.entity) if policy.limit == 1 else phrases.nouns(policy.entity)
            state = f" that {'is' if policy.limit == 1 else 'are'} {phrases.states(policy.states)}"
            clause = (
                f"{phrases.field(policy.relation)} already has {policy.limit} {noun}{state if policy.states else ''}"
            )
            yield Obstacle(Reason.POLICY, clause, (policy.relation,), policy.trace)

    def _missing(self, operation: Operation) -> Iterator[Obstacle]:
        names = self.required(operation)
        if names and operation.kind is not OperationKind.UPDATE:
            clause = f"{self.phrases.fields(names, 'or')} is missing"
            yield Obstacle(Reason.MISSING, clause, names, operation.trace)

    def _touches(self, operation: Operation, policy: Policy) -> bool:
        if operation.kind is OperationKind.CREATE:
            return True
        written = {field.name for field in self.written_fields(operation)}
        written |= {relation.name for relation in self.written_relations(operation)}
        return any(written & set(obstacle.names) for obstacle in self.policy(policy))

    def _record(self, operation: Operation) -> Iterator[Obstacle]:
        """Yield what the record may not be like before it is changed."""
        step, noun = self.step(operation), self.phrases.noun(operation.entity)
        trace = step.transition.trace if step else operation.trace
        others = self.blocking_states(operation)
        if others:
            clause = f"the {noun} is {self.phrases.states(others)}"
            yield Obstacle(Reason.STATE, clause, (), trace)
        for guard in self.endpoint(operation).guards:
            clause = self.phrases.fails(operation.entity, guard)
            yield Obstacle(Reason.GUARD, clause, (guard.left,), trace)

    def _references(self, operation: Operation) -> Iterator[Obstacle]:
        holders = [
            relation
            for relation in self.model.relations
            if relation.target == operation.entity and relation.on_delete == "restrict" and _to_one(relation)
        ]
        sources = _unique(relation.source for relation in holders)
        if sources:
            nouns = listing([self.phrases.nouns(name) for name in sources], "or")
            clause = f"{nouns} still refer to the {self.phrases.noun(operation.entity)}"
            yield Obstacle(Reason.REFERENCE, clause, tuple(sources), operation.trace)


def _to_one(relation: Relation) -> bool:
    return relation.kind is not RelationKind.MANY_TO_MANY


def _limits(model: DomainModel, entity: str, field: ProductField) -> Iterable[str]:
    limits = field.constraints
    longest = text_length(model, entity, field) if field.type in TEXTUAL else None
    if limits.max_length is not None and limits.min_length == longest:
        yield f"is not exactly {count(limits.max_length, 'character')} long"
    else:
        if limits.min_length is not None and limits.min_length > 0:
            yield f"is shorter than {count(limits.min_length, 'character')}"
        if limits.max_length is not None:
            yield f"is longer than {count(longest or limits.max_length, 'character')}"
    if limits.minimum is not None:
        yield f"is below {limits.minimum}"
    if limits.maximum is not None:
        yield f"is above {limits.maximum}"
    if limits.pattern is not None:
        yield f"does not match the pattern {limits.pattern}"


def _joined(name: str, limits: list[str]) -> str:
    """Return `is below 1 or above 90`, with the verb once and in agreement with the field's name."""
    if not all(limit.startswith("is ") for limit in limits):
        return listing(limits, "or")
    return f"{is_or_are(name)} {listing([limit.removeprefix('is ') for limit in limits], 'or')}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
