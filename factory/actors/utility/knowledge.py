"""What a project teaches: notes distilled from its artifacts. Pure."""

import json
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from factory.domain.artifact import Content
from factory.domain.product import DomainModel, Entity, Operation, ProductField
from factory.events.contracts.memory import Note

_MODEL = ("domain-model", ".factory/domain-model.json")
# The event that carries the notes has a limit; a note says what there is, the artifacts say the rest.
_LONGEST_NOTE = 4_000
_MOST_NOTES = 50


def distil(name: str, contents: Mapping[str, Content]) -> list[Note]:
    """Return what is worth remembering of a project, each thing once, whatever artifacts say it too.

    An entity stands in the domain model, the specification, the code and the migrations: search finds one note that
    says it plainly, and names where it is from.

    Args:
        name: Of the project.
        contents: Its latest valid artifacts by kind.
    """
    kind, path = _MODEL
    if kind not in contents or path not in contents[kind].files:
        return []
    model = DomainModel.model_validate_json(contents[kind].text(path))
    notes = [_product(name, model, contents)]
    notes += [_entity(name, model, entity) for entity in model.entities]
    notes += [_rule(name, model)] if model.policies else []
    return [note.model_copy(update={"text": note.text[:_LONGEST_NOTE]}) for note in notes[:_MOST_NOTES]]


def _product(name: str, model: DomainModel, contents: Mapping[str, Content]) -> Note:
    whom, what = _listed(actor.label for actor in model.actors), _listed(entity.label for entity in model.entities)
    lines = [
        f"# {name}",
        "",
        model.summary,
        "",
        f"For {whom}. It keeps {what}.",
        "",
        *(f"- {kind}: {_extent(content)}" for kind, content in sorted(contents.items())),
    ]
    if model.non_functional:
        lines += ["", *(f"- {quality.category}: {quality.statement}" for quality in model.non_functional)]
    return Note(name="product", text="\n".join(lines) + "\n", sources=sorted(contents))


def _entity(name: str, model: DomainModel, entity: Entity) -> Note:
    operations = [item for item in model.operations if item.entity == entity.name]
    events = [item.name for item in model.events if item.entity == entity.name]
    relations = [item for item in model.relations if entity.name in (item.source, item.target)]
    lines = [
        f"# {entity.label} in {name}",
        "",
        entity.description or f"An entity of {name}.",
        "",
        *(_field(field) for field in entity.fields),
        *(f"- {item.source} {item.kind.value.replace('-', ' ')} {item.target}" for item in relations),
    ]
    if operations:
        lines += ["", f"Operations: {_listed(_operation(item) for item in operations)}."]
    if events:
        lines += ["", f"Events: {_listed(events)}."]
    return Note(name=f"entity/{entity.name}", text="\n".join(lines) + "\n", sources=["domain-model"])


def _rule(name: str, model: DomainModel) -> Note:
    lines = [f"# Rules of {name}", "", *(f"- {policy.statement}" for policy in model.policies)]
    return Note(name="rules", text="\n".join(lines) + "\n", sources=["domain-model"])


def _field(field: ProductField) -> str:
    facts = [field.enum or field.type.value, "required" if field.required else "optional"]
    facts += ["personal data"] if field.personal_data else []
    facts += ["unique"] if field.constraints.unique else []
    facts += [f"default {_plain(field.default)}"] if field.default is not None else []
    return f"- {field.name}: {', '.join(facts)}{f'. {field.description}' if field.description else ''}"


def _operation(operation: Operation) -> str:
    by = f" by {_listed(operation.actors)}" if operation.actors else ""
    return f"{operation.verb.replace('_', ' ')}{by}"


def _extent(content: Content) -> str:
    lines = sum(text.count("\n") for text in content.files.values())
    return f"{len(content.files)} file{'s' if len(content.files) != 1 else ''}, {lines:,} lines"


def _listed(items: Iterable[str]) -> str:
    found = list(dict.fromkeys(items))
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else "".join(found)


def _plain(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
