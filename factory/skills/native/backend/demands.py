"""Records for the generated tests that meet what an operation or a transition demands, and such that break it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory.domain.product import Condition
from factory.skills.native.backend.cases import GuardCase, RestrictionCase
from factory.skills.native.backend.expressions import comparison
from factory.skills.native.backend.rules import check_views, lifecycle_view
from factory.skills.native.backend.samples import Assignment, first_source, solve, solve_conditions, solve_rules
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.parts import Endpoint, Resource, Restriction


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the factory of a resource fills in, and the guards that such records pass."""

    values: Assignment
    passed: tuple[Condition, ...]


def defaults(design: ServiceDesign, resource: Resource) -> Defaults:
    """Return values that meet the rules, and the guards of as many endpoints as can be met together.

    Guards on what an endpoint writes itself are left out: a request that repeats the record would show nothing.
    """
    found = Defaults(solve_rules(design, resource), ())
    rules = [rule.condition for rule in resource.rules]
    for endpoint in resource.endpoints:
        more = [guard for guard in _standing(resource, endpoint) if guard not in found.passed]
        together = [*rules, *found.passed, *more]
        values = solve_conditions(design, resource, together) if more else None
        if values is not None:
            found = Defaults(values, (*found.passed, *more))
    return found


def passing(
    design: ServiceDesign, resource: Resource, guards: Sequence[Condition], source: str, broken: int | None = None
) -> Assignment | None:
    """Return values under which the guards pass, or all but one; rules hold too where both can."""
    held = [guard for number, guard in enumerate(guards) if number != broken]
    breaks = None if broken is None else guards[broken]
    conditions = [rule.condition for rule in resource.rules]
    timeless = [condition for condition in conditions if condition.right_kind not in ("now", "today")]
    for rules in (conditions, timeless, []):
        found = solve(design, resource, [*held, *rules], breaks, _fixed(resource, source))
        if found is not None:
            return found
    return None


def failing(
    design: ServiceDesign, resource: Resource, guards: Sequence[Condition], source: str, broken: int
) -> Assignment | None:
    """Return values under which one guard refuses, the others passing where that is possible."""
    found = passing(design, resource, guards, source, broken)
    return found if found is not None else solve(design, resource, [], guards[broken], _fixed(resource, source))


def call_arguments(design: ServiceDesign, resource: Resource, guards: Sequence[Condition], values: Assignment) -> str:
    """Return what follows the state in a call of a function that heeds the guards."""
    comparisons = [comparison(design, resource, guard) for guard in guards]
    names = dict.fromkeys(member.name for one in comparisons for member in one.members if member is not resource.state)
    found = "".join(f", {resource.member(name).attribute}={first_source(values.get(name, 'None'))}" for name in names)
    return found + (", now=now()" if any(one.needs_now for one in comparisons) else "")


def ready_state(resource: Resource, endpoint: Endpoint) -> str:
    """Return a state in which an endpoint may be called: the initial one, or one that counts for what is unique."""
    initial = resource.lifecycle.initial if resource.lifecycle else ""
    allowed = endpoint.restriction.states if endpoint.restriction else ()
    if not allowed or initial in allowed:
        return initial
    freed = {state for unique in resource.uniques for state in unique.except_states}
    return next((state for state in allowed if state not in freed), allowed[0])


def ready_values(design: ServiceDesign, resource: Resource, endpoint: Endpoint, passed: Sequence[Condition]) -> str:
    """Return source for the values that let an endpoint be called on a record, beside those a role needs."""
    if endpoint.restriction is None:
        return "given"
    state = ready_state(resource, endpoint)
    guards = endpoint.restriction.guards
    left = [guard for guard in guards if guard not in passed]
    alone = all(guard not in left for guard in _standing(resource, endpoint))
    values = (solve(design, resource, left, None, _fixed(resource, state)) if alone else None) if left else {}
    if values is None:
        values = passing(design, resource, guards, state) or {}
    return _given(design, resource, values, state if endpoint.restriction.states else "")


def restriction_case(design: ServiceDesign, resource: Resource, endpoint: Endpoint) -> RestrictionCase | None:
    """Return what the tests of a restricted endpoint need, or None for any other."""
    restriction = endpoint.restriction
    if restriction is None:
        return None
    view = next(one for one in check_views(design, resource) if one.endpoint == endpoint.id)
    state = ready_state(resource, endpoint)
    lifecycle = lifecycle_view(design, resource)
    field = resource.state.field if resource.state else None
    every = design.enumeration(str(field.enum)).values if field and restriction.states else ()
    enum = lifecycle.enum if lifecycle else ""
    values = passing(design, resource, restriction.guards, state) or {}
    return RestrictionCase(
        function=view.function,
        allowed=tuple(f"{enum}.{one.upper()}" for one in restriction.states),
        forbidden=tuple(f"{enum}.{one.upper()}" for one in every if one not in restriction.states),
        ready=f"{enum}.{state.upper()}" if restriction.states else "",
        arguments=_plain(restriction, call_arguments(design, resource, restriction.guards, values)),
        guards=tuple(_guard_cases(design, resource, restriction, state)),
    )


def _guard_cases(
    design: ServiceDesign, resource: Resource, restriction: Restriction, state: str
) -> Sequence[GuardCase]:
    found = []
    for number in range(len(restriction.guards)):
        values = failing(design, resource, restriction.guards, state, number)
        if values is not None:
            arguments = call_arguments(design, resource, restriction.guards, values)
            given = _given(design, resource, values, state if restriction.states else "")
            found.append(GuardCase(number + 1, given, _plain(restriction, arguments)))
    return found


def _plain(restriction: Restriction, arguments: str) -> str:
    """Return the arguments as they follow the state, or as they stand where there is none."""
    return arguments if restriction.states else arguments.removeprefix(", ")


def _given(design: ServiceDesign, resource: Resource, values: Assignment, state: str) -> str:
    items = [f'"{resource.member(name).attribute}": {first_source(value)}' for name, value in values.items()]
    lifecycle = lifecycle_view(design, resource)
    if lifecycle and state:
        items.append(f'"{lifecycle.parameter}": {lifecycle.enum}.{state.upper()}')
    return f"(given | {{{', '.join(items)}}})" if items else "given"


def _standing(resource: Resource, endpoint: Endpoint) -> list[Condition]:
    """Return the guards of an endpoint that its requests leave alone."""
    written = {member.name for member in endpoint.members}
    state = resource.state.name if resource.state else None

    def stands(guard: Condition) -> bool:
        if guard.left == state or guard.op == "is-not-set":
            return False
        return guard.left not in written or guard.right_kind not in ("literal", "none")

    return [guard for guard in endpoint.restriction.guards if stands(guard)] if endpoint.restriction else []


def _fixed(resource: Resource, state: str) -> Mapping[str, str]:
    return {resource.state.name: state} if resource.state and state else {}
