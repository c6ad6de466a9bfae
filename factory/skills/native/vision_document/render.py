"""The vision document as a page: what was understood, what was assumed and how to change it."""

from collections.abc import Iterable

from factory.domain.documents import VisionDocument
from factory.domain.product import DomainModel, Operation, OperationKind


def render_vision(document: VisionDocument) -> str:
    """Return `docs/vision.md`."""
    model = document.draft
    parts = [f"# {document.title}: vision\n", f"{document.summary}\n"]
    if document.problem:
        parts.append(f"## Problem\n\n{document.problem}\n")
    parts.extend(_list("Goals", document.goals))
    parts.append(
        "## Who uses it\n\n"
        + "\n".join(_actor_line(model, name) for name in (actor.name for actor in model.actors))
        + "\n"
    )
    parts.append(
        "## What it keeps\n\n" + "\n".join(_entity_line(model, entity.name) for entity in model.entities) + "\n"
    )
    parts.append("## What people do\n\n" + _stories(model))
    stated = [policy.statement for policy in model.policies] + _restrictions(model)
    parts.extend(_list("Rules", list(dict.fromkeys(stated))))
    parts.extend(_list("Qualities", [item.statement for item in model.non_functional]))
    parts.extend(_list("Out of scope", document.out_of_scope))
    parts.append(_assumptions(model))
    return "\n".join(parts).rstrip() + "\n"


def _restrictions(model: DomainModel) -> list[str]:
    """Return what limits changes: the states in which a thing may be changed, and the conditions in the author's words."""  # noqa: E501 - one sentence
    lines = []
    for operation in model.operations:
        if operation.states:
            *others, last = (state.replace("_", " ") for state in operation.states)
            states = f"{', '.join(others)} or {last}" if others else last
            lines.append(f"{_said(operation).capitalize()}: only while it is {states}.")
    guards = [guard for operation in model.operations for guard in operation.guards]
    guards += [guard for lifecycle in model.lifecycles for step in lifecycle.transitions for guard in step.guards]
    return lines + [guard.statement for guard in guards if guard.statement]


def _list(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {item}" for item in items]
    return [f"## {title}\n\n" + "\n".join(lines) + "\n"] if lines else []


def _actor_line(model: DomainModel, name: str) -> str:
    actor = next(item for item in model.actors if item.name == name)
    deeds = [_said(operation) for operation in model.operations if name in operation.actors]
    known = f" {actor.description}" if actor.description else ""
    does = f" May {', '.join(deeds)}." if deeds else ""
    return f"- **{actor.label}**.{known}{does}"


def _said(operation: Operation) -> str:
    return operation.name.replace("_", " ")


def _entity_line(model: DomainModel, name: str) -> str:
    entity = model.entity(name)
    fields = ", ".join(
        f"{item.name.replace('_', ' ')}{'' if item.required else ' (optional)'}" for item in entity.fields
    )
    links = ", ".join(f"{relation.name.replace('_', ' ')}" for relation in model.relations_of(name))
    text = f"- **{entity.label}**: {fields or 'no fields of its own'}"
    if links:
        text += f"; linked to {links}"
    lifecycle = model.lifecycle_of(name)
    if lifecycle is not None:
        field = next(item for item in entity.fields if item.name == lifecycle.field)
        states = model.enum(field.enum or "").values
        text += (
            f"; {' → '.join(state.replace('_', ' ') for state in states[:1])} at first, then "
            f"{', '.join(state.replace('_', ' ') for state in states[1:])}"
        )
    return f"{text}."


def _stories(model: DomainModel) -> str:
    labels = {actor.name: actor.label for actor in model.actors}
    lines = []
    for story in model.stories:
        benefit = f", so that {story.benefit}" if story.benefit else ""
        mark = " *(read from the text)*" if story.derived else ""
        role = labels[story.actor].lower()
        article = "an" if role[0] in "aeiou" and not role.startswith(("use", "uni")) else "a"
        lines.append(f"- {story.id}. As {article} {role} I want to {story.goal}{benefit}.{mark}")
    reading = [
        operation for operation in model.operations if operation.kind in (OperationKind.LIST, OperationKind.READ)
    ]
    if not lines:
        lines = [f"- {_said(operation).capitalize()}." for operation in reading]
    return "\n".join(lines) + "\n"


def _assumptions(model: DomainModel) -> str:
    if not model.assumptions:
        return "## Assumptions\n\nNone: the vision says everything the factory needed.\n"
    lines = [
        "## Assumptions",
        "",
        (
            "The vision does not say these things. To decide otherwise, edit the vision as the last column "
            "says and build again."
        ),
        "",
    ]
    lines += ["| Id | About | Assumed | Why | To change it |", "|---|---|---|---|---|"]
    lines += [
        f"| {item.id} | {_cell(item.subject)} | {_cell(item.statement)} | {_cell(item.reason)} | {_cell(item.change)} |"
        for item in model.assumptions
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
