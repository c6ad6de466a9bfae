"""Rules, uniqueness and limits of a resource, as far as code can hold them."""

from collections.abc import Iterable, Sequence

from factory.domain.product import (
    Condition,
    DomainModel,
    Entity,
    FieldType,
    Invariant,
    Lifecycle,
    Operation,
    RelatedLimit,
    RelationKind,
    UniqueTogether,
)
from factory.skills.native.service_design.conditions import ValueKind, is_checkable, value_kind
from factory.skills.native.service_design.naming import Names, words
from factory.skills.native.service_design.parts import Limit, Member, Restriction, Rule, Step, Unique

_LONGEST_NAME = 63


def rules(model: DomainModel, entity: Entity) -> tuple[Rule, ...]:
    """Return the conditions every record meets: the model's invariants, and bounds JSON Schema cannot state."""
    names = Names()
    found = [
        Rule(names.claim(policy.name, "_too"), policy.condition, policy.statement)
        for policy in model.policies
        if isinstance(policy, Invariant)
        and policy.entity == entity.name
        and is_checkable(model, entity, policy.condition)
    ]
    for field in entity.fields:
        if field.type not in (FieldType.MONEY, FieldType.DECIMAL):
            continue
        low, high = field.constraints.minimum, field.constraints.maximum
        label = words(field.name)
        if low:
            condition = Condition(left=field.name, op="ge", right_kind="literal", right=low)
            found.append(
                Rule(names.claim(f"{field.name}_minimum", "_too"), condition, f"The {label} is at least {low}.")
            )
        if high is not None:
            condition = Condition(left=field.name, op="le", right_kind="literal", right=high)
            found.append(
                Rule(names.claim(f"{field.name}_maximum", "_too"), condition, f"The {label} is at most {high}.")
            )
    return tuple(found)


def steps(model: DomainModel, entity: Entity, lifecycle: Lifecycle | None) -> tuple[Step, ...]:
    """Return the transitions of a lifecycle with the guards that can be checked."""
    if lifecycle is None:
        return ()
    return tuple(
        Step(step, tuple(guard for guard in step.guards if is_checkable(model, entity, guard)))
        for step in lifecycle.transitions
    )


def restriction(model: DomainModel, entity: Entity, group: Sequence[Operation]) -> Restriction | None:
    """Return what a record must be like for the operations that share an endpoint, or None where any will do.

    The endpoint cannot tell its operations apart, so it refuses what each of them refuses.
    """
    lifecycle = model.lifecycle_of(entity.name)
    states: tuple[str, ...] = ()
    if lifecycle and all(operation.states for operation in group):
        field = next(field for field in entity.fields if field.name == lifecycle.field)
        every = model.enum(str(field.enum)).values
        allowed = {state for operation in group for state in operation.states}
        states = tuple(state for state in every if state in allowed) if allowed < set(every) else ()
    first, *others = group
    guards = tuple(
        guard
        for number, guard in enumerate(first.guards)
        if guard not in first.guards[:number]
        and is_checkable(model, entity, guard)
        and all(guard in other.guards for other in others)
    )
    if not states and not guards:
        return None
    return Restriction(states, guards)


def uniques(model: DomainModel, entity: Entity, members: tuple[Member, ...]) -> tuple[Unique, ...]:
    """Return what is unique: single fields, one-to-one references, and the model's combinations."""
    found: dict[tuple[frozenset[str], tuple[str, ...]], Unique] = {}
    for unique in _uniques(model, entity, members):
        key = (frozenset(member.name for member in unique.members), unique.except_states)
        found.setdefault(key, unique)
    return tuple(found.values())


def limits(model: DomainModel, entity: Entity, members: tuple[Member, ...]) -> tuple[Limit, ...]:
    """Return the limits on how many records share one target."""
    by_relation = {member.relation.name: member for member in members if member.relation}
    return tuple(
        Limit(policy.name, by_relation[policy.relation], policy.limit, policy.states, policy.statement)
        for policy in model.policies
        if isinstance(policy, RelatedLimit)
        and policy.entity == entity.name
        and policy.relation in by_relation
        and by_relation[policy.relation].is_reference
    )


def _uniques(model: DomainModel, entity: Entity, members: tuple[Member, ...]) -> Iterable[Unique]:
    names = Names()
    for member in members:
        single = member.field is not None and member.field.constraints.unique and _indexable(member)
        one_to_one = member.relation is not None and member.relation.kind is RelationKind.ONE_TO_ONE
        if single or one_to_one:
            what = words(member.relation.name if member.relation else member.name)
            statement = f"No two {words(entity.collection)} share the same {what}."
            yield Unique(names.claim(_constraint(entity, (member,)), "_x"), (member,), (), statement)
    by_name = {member.relation.name if member.relation else member.name: member for member in members}
    for policy in model.policies:
        if not isinstance(policy, UniqueTogether) or policy.entity != entity.name:
            continue
        together = tuple(by_name[name] for name in (*policy.relations, *policy.fields) if name in by_name)
        if together and all(_indexable(member) for member in together):
            name = names.claim(_constraint(entity, together), "_x")
            yield Unique(name, together, policy.except_states, policy.statement)


def _indexable(member: Member) -> bool:
    if member.field is None:
        return member.is_reference
    return value_kind(member.field) is not ValueKind.DOCUMENT


def _constraint(entity: Entity, members: tuple[Member, ...]) -> str:
    return "_".join(["uq", entity.collection, *(member.name for member in members)])[:_LONGEST_NAME].rstrip("_")
