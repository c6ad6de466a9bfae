"""Things, fields and relations that prose and stories name."""

import re

from factory.skills.native.language.words import singular
from factory.skills.native.vision_document.deeds import SILENT
from factory.skills.native.vision_document.draft import Draft, EntityDraft
from factory.skills.native.vision_document.field_lists import read_enclosed_fields, read_listed_fields
from factory.skills.native.vision_document.nouns import choose, gather, usable
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded
from factory.skills.native.vision_document.records import add_record_fields, add_records_of_deeds, relate_own
from factory.skills.native.vision_document.sections import Section
from factory.skills.native.vision_document.states import read_states
from factory.skills.native.vision_document.structure import (
    read_counted,
    read_links,
    read_structure,
)


def find_things(draft: Draft, statements: list[Statement]) -> None:
    """Add entities, fields and relations that prose and stories name; declared lines win over all of it."""
    declared = _describes_all(draft)
    active = [statement for statement in statements if _speaks(statement)]
    if not declared:
        _add_nouns(draft, statements)
        for statement in active:
            add_records_of_deeds(draft, statement)
    for statement in active:
        relate_own(draft, statement, declared=declared)
    read_states(draft, active)
    if not declared:
        _add_structure(draft, active)
    else:
        _add_defined(draft, active)


def _describes_all(draft: Draft) -> bool:
    """Tell whether the author lists the things; a line or two among others says only what those two are."""
    lines = [entity for entity in draft.entities.values() if entity.declared]
    return any(entity.listed for entity in lines) or len(lines) >= _LIST


_LIST = 3


def _speaks(statement: Statement) -> bool:
    """Tell whether a sentence says what the product is to be, not how things are or what is left out."""
    if statement.section in SILENT - {Section.RELATIONS}:
        return False
    return statement.story is not None or not (is_as_is(statement.text) or is_excluded(statement.text))


def _add_nouns(draft: Draft, statements: list[Statement]) -> None:
    for item in choose(draft, gather(draft, statements)):
        confidence = 0.9 if item.made and item.count > 1 else 0.7
        made = EntityDraft(words=item.noun, trace=item.trace.model_copy(update={"confidence": confidence}))
        if made.name:
            draft.entities[item.noun] = made


_DEFINED = re.compile(r"^(?:an?|each|every) (?P<thing>[a-z][a-z -]*?) has an? [^.;]+ and an? ", re.IGNORECASE)


def _add_defined(draft: Draft, statements: list[Statement]) -> None:
    """Add a thing that a sentence defines though the author's list lacks it: "a reading has a value and a time"."""
    for statement in statements:
        match = _DEFINED.match(statement.text)
        words = singular(match.group("thing").lower()) if match is not None else ""
        if match is None or not usable(words) or draft.find_within(words) is not None or draft.actor(words) is not None:
            continue
        made = EntityDraft(words=words, trace=statement.trace(draft, *match.span("thing"), "defined-in-prose", 0.8))
        if not made.name:
            continue
        draft.entities[words] = made
        for clause in statement.clauses:
            read_structure(draft, statement, clause)


def _add_structure(draft: Draft, statements: list[Statement]) -> None:
    for statement in statements:
        for clause in statement.clauses:
            read_structure(draft, statement, clause)
    for statement in statements:
        read_enclosed_fields(draft, statement)
        read_listed_fields(draft, statement)
    for statement in statements:
        for clause in statement.clauses:
            read_links(draft, statement, clause)
    for statement in statements:
        read_counted(draft, statement)
    for entity in draft.entities.values():
        add_record_fields(draft, entity)
