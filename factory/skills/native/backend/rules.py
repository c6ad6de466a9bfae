"""How the rules of a resource look in the domain layer: transitions with guards, and conditions on records."""

from collections.abc import Sequence
from dataclasses import dataclass

from factory.domain.product import Condition, Lifecycle, snake
from factory.skills.native.backend.expressions import Comparison, comparison, python_type, quoted
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import FUNCTION_NAMES, Names, python_name, words
from factory.skills.native.service_design.parts import Endpoint, Member, Resource, Rule, Step
from factory.skills.native.service_design.wording import guard_sentence, states_phrase

_FIXED_MODULES = frozenset({"enums", "errors", "formats", "permissions", "roles"})


@dataclass(frozen=True, slots=True)
class GuardView:
    """A guard as source."""

    broken: str
    message: str


@dataclass(frozen=True, slots=True)
class StepView:
    """A transition as a function.

    Attributes:
        parameters: What follows the state in the signature.
        arguments: What follows the state in a call, with the record as `row`.
    """

    name: str
    function: str
    words: str
    sources_words: str
    parameters: str
    arguments: str
    state_test: str
    guards: tuple[GuardView, ...]
    target: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """What a record must be like before an operation, as a function.

    Attributes:
        arguments: The arguments of a call, with the record as `row`.
        state_test: The test that the state is a wrong one; empty where the state does not matter.
    """

    endpoint: str
    function: str
    words: str
    states_words: str
    parameters: str
    arguments: str
    state_test: str
    guards: tuple[GuardView, ...]


@dataclass(frozen=True, slots=True)
class RuleView:
    """A condition on every record as a function."""

    function: str
    parameters: str
    arguments: str
    broken: str
    doc: str
    statement: str
    members: tuple[Member, ...]
    needs_now: bool


@dataclass(frozen=True, slots=True)
class LifecycleView:
    """The states of a resource."""

    enum: str
    parameter: str
    constant: str
    initial: str


def domain_module(resource: Resource) -> str:
    """Return the module of the resource's rules."""
    name = python_name(snake(resource.entity.name))
    return f"{name}_rules" if name in _FIXED_MODULES else name


def has_domain(resource: Resource) -> bool:
    """Tell whether the resource has rules at all."""
    return bool(resource.lifecycle or resource.rules or any(one.restriction for one in resource.endpoints))


def lifecycle_view(design: ServiceDesign, resource: Resource) -> LifecycleView | None:
    """Return the lifecycle for the templates, or None."""
    if resource.lifecycle is None or resource.state is None:
        return None
    enum = state_enum(design, resource, resource.lifecycle)
    return LifecycleView(
        enum=enum,
        parameter=resource.state.attribute,
        constant=resource.state.name.upper(),
        initial=f"{enum}.{resource.lifecycle.initial.upper()}",
    )


def state_enum(design: ServiceDesign, resource: Resource, lifecycle: Lifecycle) -> str:
    """Return the class of the states."""
    field = resource.member(lifecycle.field).field
    return design.enums[str(field.enum if field else "")]


def step_views(design: ServiceDesign, resource: Resource) -> tuple[StepView, ...]:
    """Return the transitions for the templates."""
    if resource.lifecycle is None or resource.state is None:
        return ()
    enum = state_enum(design, resource, resource.lifecycle)
    names = Names({"dt", "Decimal", "UUID", resource.state.attribute})
    return tuple(_step(design, resource, step, enum, names) for step in resource.steps)


def check_views(design: ServiceDesign, resource: Resource) -> tuple[CheckView, ...]:
    """Return what endpoints demand of their record, for the templates."""
    taken = {step.function for step in step_views(design, resource)}
    names = Names({*taken, *(rule.function for rule in rule_views(design, resource))})
    return tuple(
        _check(design, resource, endpoint, names.claim(f"check_{endpoint.verb}", "_first"))
        for endpoint in resource.endpoints
        if endpoint.restriction is not None
    )


def rule_views(design: ServiceDesign, resource: Resource) -> tuple[RuleView, ...]:
    """Return the rules for the templates."""
    return tuple(_rule(design, resource, rule) for rule in resource.rules)


def _step(design: ServiceDesign, resource: Resource, step: Step, enum: str, names: Names) -> StepView:
    transition = step.transition
    comparisons = [comparison(design, resource, guard) for guard in step.guards]
    extra = tuple(member for member in _read(comparisons) if member is not resource.state)
    needs_now = any(one.needs_now for one in comparisons)
    parameters, arguments = _signature(design, extra, needs_now=needs_now)
    return StepView(
        name=transition.name,
        function=names.claim(python_name(transition.name, FUNCTION_NAMES), "_"),
        words=words(transition.name),
        sources_words=states_phrase(transition.sources),
        parameters=f", *, {parameters}" if parameters else "",
        arguments=f", {arguments}" if arguments else "",
        state_test=_state_test(resource, enum, transition.sources),
        guards=_guards(design, resource, step.guards),
        target=f"{enum}.{transition.target.upper()}",
    )


def _check(design: ServiceDesign, resource: Resource, endpoint: Endpoint, function: str) -> CheckView:
    comparisons = [comparison(design, resource, guard) for guard in endpoint.guards]
    lifecycle, state = lifecycle_view(design, resource), resource.state
    by_state = bool(endpoint.states) and lifecycle is not None and state is not None
    extra = tuple(member for member in _read(comparisons) if not (by_state and member is state))
    needs_now = any(one.needs_now for one in comparisons)
    parameters, arguments = _signature(design, extra, needs_now=needs_now)
    given = [f"*, {parameters}"] if parameters else []
    called = [arguments] if arguments else []
    if by_state and lifecycle and state:
        given.insert(0, f"{lifecycle.parameter}: {lifecycle.enum}")
        called.insert(0, f"row.{state.attribute}")
    return CheckView(
        endpoint=endpoint.id,
        function=function,
        words=words(endpoint.verb),
        states_words=states_phrase(endpoint.states),
        parameters=", ".join(given),
        arguments=", ".join(called),
        state_test=_state_test(resource, lifecycle.enum, endpoint.states) if by_state and lifecycle else "",
        guards=_guards(design, resource, endpoint.guards),
    )


def _read(comparisons: Sequence[Comparison]) -> tuple[Member, ...]:
    return tuple(dict.fromkeys(member for one in comparisons for member in one.members))


def _state_test(resource: Resource, enum: str, allowed: Sequence[str]) -> str:
    """Return the test that the state is not one of those allowed."""
    state = resource.state.attribute if resource.state else ""
    names = [f"{enum}.{one.upper()}" for one in allowed]
    return f"{state} is not {names[0]}" if len(names) == 1 else f"{state} not in {{{', '.join(names)}}}"


def _guards(design: ServiceDesign, resource: Resource, guards: Sequence[Condition]) -> tuple[GuardView, ...]:
    return tuple(
        GuardView(comparison(design, resource, guard).broken, quoted(guard_sentence(resource, guard)))
        for guard in guards
    )


def _rule(design: ServiceDesign, resource: Resource, rule: Rule) -> RuleView:
    one = comparison(design, resource, rule.condition)
    parameters, arguments = _signature(design, one.members, needs_now=one.needs_now)
    statement = rule.statement.strip() or f"{one.message.capitalize()}."
    return RuleView(
        function=f"check_{rule.name}",
        parameters=f"*, {parameters}",
        arguments=arguments,
        broken=one.broken,
        doc=f"{one.message}.",
        statement=quoted(statement),
        members=one.members,
        needs_now=one.needs_now,
    )


def _signature(design: ServiceDesign, members: tuple[Member, ...], *, needs_now: bool) -> tuple[str, str]:
    """Return parameters and arguments for the members of a record and the present moment."""
    parameters = [
        f"{member.attribute}: {python_type(design, member)}{'' if member.required else ' | None'}" for member in members
    ]
    arguments = [f"{member.attribute}=row.{member.attribute}" for member in members]
    if needs_now:
        parameters.append("now: dt.datetime")
        arguments.append("now=now()")
    return ", ".join(parameters), ", ".join(arguments)
