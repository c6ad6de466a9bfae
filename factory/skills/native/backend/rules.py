"""How the rules of a resource look in the domain layer: transitions with guards, and conditions on records."""

from dataclasses import dataclass

from factory.domain.product import Lifecycle, snake
from factory.skills.native.backend.expressions import comparison, python_type, quoted
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import FUNCTION_NAMES, Names, python_name, sentence, words
from factory.skills.native.service_design.parts import Member, Resource, Rule, Step

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
    sentence: str
    sources_words: str
    parameters: str
    arguments: str
    state_test: str
    guards: tuple[GuardView, ...]
    target: str


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
    return bool(resource.lifecycle or resource.rules)


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


def rule_views(design: ServiceDesign, resource: Resource) -> tuple[RuleView, ...]:
    """Return the rules for the templates."""
    return tuple(_rule(design, resource, rule) for rule in resource.rules)


def _step(design: ServiceDesign, resource: Resource, step: Step, enum: str, names: Names) -> StepView:
    transition = step.transition
    comparisons = [comparison(design, resource, guard) for guard in step.guards]
    members = tuple(dict.fromkeys(member.name for one in comparisons for member in one.members))
    extra = tuple(resource.member(name) for name in members if resource.member(name) is not resource.state)
    needs_now = any(one.needs_now for one in comparisons)
    parameters, arguments = _signature(design, extra, needs_now=needs_now)
    state = resource.state.attribute if resource.state else ""
    sources = [f"{enum}.{source.upper()}" for source in transition.sources]
    test = f"{state} is not {sources[0]}" if len(sources) == 1 else f"{state} not in {{{', '.join(sources)}}}"
    return StepView(
        name=transition.name,
        function=names.claim(python_name(transition.name, FUNCTION_NAMES), "_"),
        words=words(transition.name),
        sentence=sentence(transition.name),
        sources_words=" or ".join(words(source) for source in transition.sources),
        parameters=f", *, {parameters}" if parameters else "",
        arguments=f", {arguments}" if arguments else "",
        state_test=test,
        guards=tuple(GuardView(one.broken, f"This is only possible if {one.message}.") for one in comparisons),
        target=f"{enum}.{transition.target.upper()}",
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
