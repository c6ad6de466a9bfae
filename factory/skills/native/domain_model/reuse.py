"""Reuse: fields that a vision leaves open are taken from the definition of the same entity in an earlier project."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from factory.domain.memory import RecalledPassage
from factory.domain.product import (
    Assumption,
    DomainModel,
    Entity,
    Enumeration,
    OperationKind,
    ProductField,
)
from factory.skills.skill import Recalled

RULE = "reused-definition"
MODEL_PATH = ".factory/domain-model.json"
_CONFIDENCE = 0.5
# What the rules of the vision document give an entity that the vision says nothing of.
_GUESSED = "assumed-field"


@dataclass(frozen=True, slots=True)
class Reused:
    """A model with what was taken over.

    Attributes:
        origins: Where each field that was taken comes from, in words, by entity and field.
        recalled: What it was taken from, one passage for each entity.
    """

    model: DomainModel
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    recalled: tuple[RecalledPassage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Definition:
    """An earlier definition of an entity: the fields that somebody stated, with the enumerations they need."""

    source: Recalled
    fields: tuple[ProductField, ...]
    enums: tuple[Enumeration, ...]


def reuse(model: DomainModel, memory: Sequence[Recalled]) -> Reused:
    """Return the model with the fields that its vision leaves open filled in from memory.

    An entity is filled in where the vision states none of its fields: the first recalled model that has an entity of
    that name with stated fields is followed. What would contradict the rest of the model is left as it is.
    """
    reused = Reused(model)
    models = list(_models(memory))
    for entity in model.entities:
        if models and _is_open(model, entity):
            definition = next(_definitions(entity.name, models), None)
            if definition is not None:
                reused = _filled(reused, entity, definition)
    return reused


def _models(memory: Sequence[Recalled]) -> Iterator[tuple[DomainModel, list[Recalled]]]:
    """Yield each recalled model once, in order, with the passages of it that were found."""
    by_artifact: dict[object, list[Recalled]] = {}
    for item in memory:
        if item.content is not None and item.passage.artifact is not None and item.passage.kind == "domain-model":
            by_artifact.setdefault(item.passage.artifact.id, []).append(item)
    for items in by_artifact.values():
        content = items[0].content
        try:
            yield DomainModel.model_validate_json(content.files[MODEL_PATH] if content else ""), items
        except (KeyError, ValidationError):
            continue  # written by another version of the factory


def _definitions(name: str, models: Sequence[tuple[DomainModel, list[Recalled]]]) -> Iterator[_Definition]:
    for model, items in models:
        entity = next((entity for entity in model.entities if entity.name == name), None)
        if entity is None:
            continue
        kept = tuple(item for item in _own_fields(model, entity) if item.trace.rule != _GUESSED)
        if kept:
            enums = tuple(model.enum(item.enum) for item in kept if item.enum)
            # The passage that tells of this entity, where one of them does.
            source = next((item for item in items if entity.label in item.passage.title), items[0])
            yield _Definition(source, kept, enums)


def _own_fields(model: DomainModel, entity: Entity) -> tuple[ProductField, ...]:
    """Return the fields of an entity without that of its lifecycle."""
    lifecycle = model.lifecycle_of(entity.name)
    return tuple(item for item in entity.fields if lifecycle is None or item.name != lifecycle.field)


def _is_open(model: DomainModel, entity: Entity) -> bool:
    return all(item.trace.rule == _GUESSED for item in _own_fields(model, entity))


def _filled(reused: Reused, entity: Entity, definition: _Definition) -> Reused:
    model = reused.model
    known = {enum.name: enum.values for enum in model.enums}
    taken = _taken(model, entity, definition, known)
    if not taken:
        return reused
    by_name = {item.name: item for item in taken}
    kept = [by_name.pop(item.name, item) for item in entity.fields]
    filled = entity.model_copy(update={"fields": (*kept, *by_name.values())})
    needed = {item.enum for item in taken}
    enums = [
        enum.model_copy(update={"trace": entity.trace.model_copy(update={"rule": RULE, "confidence": _CONFIDENCE})})
        for enum in definition.enums
        if enum.name in needed and enum.name not in known
    ]
    values = {
        **{name: getattr(model, name) for name in type(model).model_fields},
        "entities": tuple(filled if other.name == entity.name else other for other in model.entities),
        "enums": (*model.enums, *dict.fromkeys(enums)),
        "assumptions": (*model.assumptions, _assumption(model, entity, taken, definition.source)),
    }
    try:
        found = DomainModel.model_validate(values)
    except ValidationError:
        return reused
    origins = {(entity.name, item.name): f"reused from {definition.source.origin}" for item in taken}
    return Reused(found, {**reused.origins, **origins}, (*reused.recalled, definition.source.passage))


def _taken(
    model: DomainModel, entity: Entity, definition: _Definition, known: Mapping[str, Sequence[str]]
) -> list[ProductField]:
    """Return the fields to take over, as this model can have them."""
    lifecycle = model.lifecycle_of(entity.name)
    occupied = {relation.name for relation in model.relations if relation.source == entity.name}
    occupied |= {f"{name}_id" for name in occupied}
    occupied |= {relation.inverse for relation in model.relations if relation.target == entity.name}
    if lifecycle is not None:
        occupied.add(lifecycle.field)
    values = {enum.name: enum.values for enum in definition.enums}
    creates = [item for item in model.operations_of(entity.name) if item.kind is OperationKind.CREATE]
    trace = entity.trace.model_copy(update={"rule": RULE, "confidence": _CONFIDENCE})
    own = {item.name for item in entity.fields}
    taken = []
    for item in definition.fields:
        if item.name in occupied or (item.enum and known.get(item.enum, values[item.enum]) != values[item.enum]):
            continue
        # Nobody could create a record whose required field no operation sets.
        settable = item.name in own or all(not create.fields for create in creates)
        taken.append(item.model_copy(update={"required": item.required and settable, "trace": trace}))
    return taken


def _assumption(model: DomainModel, entity: Entity, taken: Sequence[ProductField], source: Recalled) -> Assumption:
    names = ", ".join(f'"{item.name.replace("_", " ")}"' for item in taken)
    listed = ", ".join(item.name.replace("_", " ") + ("" if item.required else "?") for item in taken)
    numbers = {item.id for item in model.assumptions}
    number = next(number for number in range(len(numbers) + 1, 2 * len(numbers) + 2) if f"A-{number}" not in numbers)
    return Assumption(
        id=f"A-{number}",
        subject=entity.name,
        statement=f"{entity.name} has the fields {names}, as it was defined before.",
        reason=f"The vision names no field of {entity.name}; the definition is reused from {source.origin}.",
        change=f'List its fields, for example "- {entity.label}: {listed}".',
    )
