"""MoSCoW by rule, with the reason in words, so that a person can disagree with the rule and not with a mood."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from factory.domain.product import DomainModel, Operation, OperationKind, Trace
from factory.skills.native.rendering.english import listing

Level = Literal["must", "should", "could"]
LEVELS: tuple[Level, ...] = ("must", "should", "could")

_CUES: tuple[tuple[Level, re.Pattern[str]], ...] = (
    ("could", re.compile(r"\b(nice to have|could have|optionally|some ?day|later on|if time allows)\b", re.IGNORECASE)),
    ("should", re.compile(r"\b(should|ideally|preferably)\b", re.IGNORECASE)),
    ("must", re.compile(r"\b(must|has to|have to|essential|critical)\b", re.IGNORECASE)),
)
_STATED = 0.5
_SEEING = frozenset({OperationKind.READ, OperationKind.LIST})


@dataclass(frozen=True, slots=True)
class Argued:
    """A priority and why."""

    level: Level
    reason: str


def is_stated(trace: Trace) -> bool:
    """Tell whether the author wrote it, rather than a rule supplying it."""
    return bool(trace.text.strip()) and trace.confidence >= _STATED


def highest(levels: Iterable[Level]) -> Level:
    """Return the most urgent of the levels; `could` where there is none."""
    return min(levels, key=LEVELS.index, default="could")


def operation_priorities(model: DomainModel) -> dict[str, Argued]:
    """Return the priority of every operation by name.

    First what the author says of it, then what a must needs (a record cannot be stored before the records it
    has to refer to), then what makes a must visible or correctable; the rest is a could.
    """
    argued = {operation.name: _own_priority(model, operation) for operation in model.operations}
    for name, reason in _needed(model, argued):
        argued[name] = Argued("must", reason)
    for operation in model.operations:
        if argued[operation.name].level == "could" and not _cue(operation.trace):
            argued[operation.name] = _supporting(model, operation, argued)
    return argued


def cue_or(trace: Trace, otherwise: Argued) -> Argued:
    """Return the priority that a cue word in the author's sentence sets, else the other one."""
    return _cue(trace) or otherwise


def _own_priority(model: DomainModel, operation: Operation) -> Argued:
    stories = [story for story in model.stories if story.id in operation.stories]
    for trace in (operation.trace, *(story.trace for story in stories)):
        cued = _cue(trace)
        if cued:
            return cued
    written = [story.id for story in stories if not story.derived]
    if written:
        noun = "story" if len(written) == 1 else "stories"
        return Argued("must", f"serves {noun} {listing(written)}, which the author wrote")
    if stories or is_stated(operation.trace):
        return Argued("must", "the vision states it")
    return Argued("could", "the vision does not ask for it; a rule completes the product")


def _cue(trace: Trace) -> Argued | None:
    for level, pattern in _CUES:
        match = pattern.search(trace.text)
        if match:
            return Argued(level, f"the vision says “{match[0].lower()}”")
    return None


def _needed(model: DomainModel, argued: dict[str, Argued]) -> Iterable[tuple[str, str]]:
    """Yield operations that a must cannot do without: they create what its records have to refer to."""
    creators = {operation.entity: operation for operation in model.operations if operation.kind is OperationKind.CREATE}
    pending = [operation.entity for operation in model.operations if argued[operation.name].level == "must"]
    seen: set[str] = set()
    while pending:
        entity = pending.pop(0)
        if entity in seen:
            continue
        seen.add(entity)
        creator = creators.get(entity)
        if creator and argued[creator.name].level != "must":
            users = [op.name for op in model.operations if op.entity == entity and argued[op.name].level == "must"]
            reason = f"{users[0]} needs it" if users else "records that a must stores refer to it"
            yield creator.name, reason.replace("_", " ")
        pending += [relation.target for relation in model.relations_of(entity) if relation.required]


def _supporting(model: DomainModel, operation: Operation, argued: dict[str, Argued]) -> Argued:
    musts = [
        other for other in model.operations_of(operation.entity)
        if argued[other.name].level == "must" and other.kind not in _SEEING
    ]  # fmt: skip
    present = argued[operation.name]
    if not musts:
        return present
    if operation.kind in _SEEING:
        return Argued("should", "without it nobody sees what a must stores")
    if operation.kind is OperationKind.UPDATE:
        return Argued("should", "mistakes in what a must stores have to be correctable")
    return present
