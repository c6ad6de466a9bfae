"""The domain model as a page with diagrams."""

import json
from collections.abc import Iterable, Mapping, Sequence

from factory.domain.product import (
    Condition,
    Constraints,
    DomainModel,
    Entity,
    Lifecycle,
    ProductField,
    Relation,
    RelationKind,
    Trace,
)

Origins = Mapping[tuple[str, str], str]

_OPERATORS = {"lt": "<", "le": "≤", "gt": ">", "ge": "≥", "eq": "=", "ne": "≠"}


def render_model(model: DomainModel, origins: Origins | None = None) -> str:
    """Return `docs/domain-model.md`.

    Args:
        model: To describe.
        origins: Where fields were taken from that the vision does not name, by entity and field.
    """
    parts = [
        f"# {model.name}: domain model\n",
        f"{model.summary}\n",
        _actors(model),
        _diagram(model),
        *(_entity(model, entity, origins or {}) for entity in model.entities),
        _operations(model),
        _events(model),
        _policies(model),
        _qualities(model),
        _glossary(model),
        _assumptions(model),
        _traces(model),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _actors(model: DomainModel) -> str:
    rows = [
        (actor.label, f"`{actor.name}`", f"`{actor.entity}`" if actor.entity else "", actor.description)
        for actor in model.actors
    ]
    return "## Actors\n\n" + _table(("Actor", "Role", "Record", "What they do"), rows)


def _diagram(model: DomainModel) -> str:
    lines = ["## Entities and relations", "", "```mermaid", "erDiagram"]
    for entity in model.entities:
        lines.append(f"    {entity.name} {{")
        lines += [f"        {field.type.value.replace('-', '_')} {field.name}" for field in entity.fields]
        lines.append("    }")
    marks = {RelationKind.ONE_TO_ONE: "|o--||", RelationKind.MANY_TO_ONE: "}o--||", RelationKind.MANY_TO_MANY: "}o--o{"}
    for relation in model.relations:
        mark = marks[relation.kind]
        if not relation.required and relation.kind is not RelationKind.MANY_TO_MANY:
            mark = mark[:-2] + "o|"
        lines.append(f'    {relation.source} {mark} {relation.target} : "{relation.name}"')
    return "\n".join([*lines, "```", ""])


def _entity(model: DomainModel, entity: Entity, origins: Origins) -> str:
    text = f"### {entity.label}\n\n"
    if entity.description:
        text += f"{entity.description}\n\n"
    rows = [_field_row(model, field, origins.get((entity.name, field.name), "")) for field in entity.fields]
    if rows:
        text += _table(("Field", "Type", "Required", "Limits", "Personal data", "Meaning"), rows)
    links = [*model.relations_of(entity.name)]
    if links:
        text += "\n" + _table(
            ("Relation", "To", "Kind", "Required", "Seen from there as", "When that is deleted"),
            [_relation_row(link) for link in links],
        )
    lifecycle = model.lifecycle_of(entity.name)
    return text + (f"\n{_lifecycle(lifecycle)}" if lifecycle is not None else "")


def _field_row(model: DomainModel, field: ProductField, origin: str) -> tuple[str, ...]:
    kind = field.type.value
    if field.enum:
        kind = f"one of {', '.join(model.enum(field.enum).values)}"
    limits = _limits(field.constraints)
    if field.default is not None:
        limits = ", ".join(part for part in (limits, f"default {json.dumps(field.default)}") if part)
    return (
        f"`{field.name}`",
        kind,
        "yes" if field.required else "no",
        limits,
        "yes" if field.personal_data else "",
        " ".join(part for part in (field.description, f"({origin})" if origin else "") if part),
    )


def _limits(constraints: Constraints) -> str:
    parts = []
    if constraints.min_length is not None:
        parts.append(f"at least {constraints.min_length} characters")
    if constraints.max_length is not None:
        parts.append(f"at most {constraints.max_length} characters")
    if constraints.minimum is not None:
        parts.append(f"≥ {constraints.minimum}")
    if constraints.maximum is not None:
        parts.append(f"≤ {constraints.maximum}")
    if constraints.pattern is not None:
        parts.append(f"pattern {constraints.pattern}")
    if constraints.unique:
        parts.append("unique")
    return ", ".join(parts)


def _relation_row(relation: Relation) -> tuple[str, ...]:
    kind = relation.kind.value + (f" through {relation.join_entity}" if relation.join_entity else "")
    return (
        f"`{relation.name}`",
        relation.target,
        kind,
        "yes" if relation.required else "no",
        f"`{relation.inverse}`",
        relation.on_delete,
    )


def _lifecycle(lifecycle: Lifecycle) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {lifecycle.initial}"]
    left = {source for step in lifecycle.transitions for source in step.sources}
    for step in lifecycle.transitions:
        lines += [f"    {source} --> {step.target}: {step.name}" for source in step.sources]
    final = {step.target for step in lifecycle.transitions} - left
    lines += [
        f"    {state} --> [*]"
        for state in dict.fromkeys(step.target for step in lifecycle.transitions)
        if state in final
    ]
    lines += ["```", ""]
    rows = [
        (
            f"`{step.name}`",
            ", ".join(step.sources),
            step.target,
            ", ".join(step.actors) or "everybody",
            "; ".join(_guard(guard) for guard in step.guards),
            f"`{step.event}`",
        )
        for step in lifecycle.transitions
    ]
    if rows:
        lines.append(_table(("Transition", "From", "To", "By", "Only if", "Event"), rows))
    return "\n".join(lines)


def say(condition: Condition) -> str:
    """Return a condition in words and signs."""
    if condition.op in ("is-set", "is-not-set"):
        return f"`{condition.left}` is {'set' if condition.op == 'is-set' else 'not set'}"
    right = f"`{condition.right}`" if condition.right_kind == "field" else str(condition.right)
    if condition.right_kind in ("now", "today"):
        minutes = condition.offset_minutes
        size = f"{abs(minutes) // 60} h" if minutes % 60 == 0 else f"{abs(minutes)} min"
        right = condition.right_kind + (f" {'+' if minutes > 0 else '-'} {size}" if minutes else "")
    return f"`{condition.left}` {_OPERATORS[condition.op]} {right}"


def _guard(condition: Condition) -> str:
    return f"{say(condition)} ({condition.statement})" if condition.statement else say(condition)


def _operations(model: DomainModel) -> str:
    rows = []
    for operation in model.operations:
        who = (
            ", ".join(f"{actor} (own)" if actor in operation.own_only else actor for actor in operation.actors)
            or "everybody signed in"
        )
        sets = ", ".join([*operation.fields, *operation.relations])
        demands = [" or ".join(state.replace("_", " ") for state in operation.states)] if operation.states else []
        demands += [_guard(guard) for guard in operation.guards]
        rows.append(
            (
                f"`{operation.name}`",
                operation.kind.value,
                operation.entity,
                who,
                sets,
                "; ".join(demands),
                f"`{operation.event}`" if operation.event else "",
                ", ".join(operation.stories),
            )
        )
    return (
        "## Operations\n\n"
        + _table(("Operation", "Kind", "Entity", "Who", "Sets", "Only if", "Event", "Stories"), rows)
        if rows
        else ""
    )


def _events(model: DomainModel) -> str:
    rows = [
        (
            f"`{event.name}`",
            event.description,
            f"`{event.operation}`",
            ", ".join(["id", *event.fields, *(f"{name}_id" for name in event.relations)]),
        )
        for event in model.events
    ]
    return "## Events\n\n" + _table(("Event", "Fact", "Emitted by", "Carries"), rows) if rows else ""


def _policies(model: DomainModel) -> str:
    rows = [
        (
            f"`{policy.name}`",
            policy.kind,
            policy.entity or "",
            policy.statement,
            "no" if policy.kind == "stated" else "yes",
        )
        for policy in model.policies
    ]
    return "## Policies\n\n" + _table(("Policy", "Kind", "Entity", "Rule", "Enforced by code"), rows) if rows else ""


def _qualities(model: DomainModel) -> str:
    rows = [(item.id, item.category, item.statement, item.measure or "") for item in model.non_functional]
    return "## Qualities\n\n" + _table(("Id", "Category", "Requirement", "Measure"), rows) if rows else ""


def _glossary(model: DomainModel) -> str:
    rows = [(term.term, term.definition) for term in model.glossary]
    return "## Glossary\n\n" + _table(("Term", "Meaning"), rows) if rows else ""


def _assumptions(model: DomainModel) -> str:
    rows = [(item.id, item.subject, item.statement, item.reason, item.change) for item in model.assumptions]
    return "## Assumptions\n\n" + _table(("Id", "About", "Assumed", "Why", "To change it"), rows) if rows else ""


def _traces(model: DomainModel) -> str:
    found: list[tuple[str, Trace]] = [(f"actor `{actor.name}`", actor.trace) for actor in model.actors]
    for entity in model.entities:
        found.append((f"entity `{entity.name}`", entity.trace))
        found += [(f"field `{entity.name}.{field.name}`", field.trace) for field in entity.fields]
    found += [(f"relation `{relation.source}.{relation.name}`", relation.trace) for relation in model.relations]
    for lifecycle in model.lifecycles:
        found += [(f"transition `{lifecycle.entity}.{step.name}`", step.trace) for step in lifecycle.transitions]
    found += [(f"operation `{operation.name}`", operation.trace) for operation in model.operations]
    found += [(f"policy `{policy.name}`", policy.trace) for policy in model.policies]
    rows = [(what, _quote(trace), trace.rule, f"{trace.confidence:.2f}") for what, trace in found]
    intro = (
        "Where each element comes from in the vision, the rule that made it, and how sure it is (0 guessed, "
        "1 stated).\n\n"
    )
    return "## Traces\n\n" + intro + _table(("Element", "Characters and text", "Rule", "Confidence"), rows)


_LONGEST_QUOTE = 90


def _quote(trace: Trace) -> str:
    if trace.start == trace.end:
        return "not written"
    text = " ".join(trace.text.split())
    shown = text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"
    return f"{trace.start}-{trace.end}: {shown}"
