"""Fields that prose lists: "with a title, a date and a place", "instruments (maker, model, location)"."""

import re

from factory.skills.native.language.clauses import Phrase
from factory.skills.native.language.lexicon import CREATE_VERBS, KNOWN_VERBS, is_person
from factory.skills.native.language.names import field_name
from factory.skills.native.language.words import plural, singular
from factory.skills.native.vision_document.draft import Draft, EntityDraft
from factory.skills.native.vision_document.field_notes import read_field
from factory.skills.native.vision_document.field_types import is_attribute
from factory.skills.native.vision_document.line_parts import split_parts
from factory.skills.native.vision_document.nouns import usable
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.structure import add_field, usable_field

_ARTICLE = r"(?:an?|the|its|their|his|her|optional|some|several)\s+"


_LISTED = re.compile(
    rf"\b(?P<lead>with|has|have|includes?|contains?|needs?)\s+(?P<list>(?:{_ARTICLE})*[a-z][a-z "
    rf"-]*?(?:\s*,\s*(?:and\s+)?(?:{_ARTICLE})*[a-z][a-z -]*?)*\s*,?\s+and\s+(?:{_ARTICLE})*[a-z][a-z -]*?)"
    r"(?=\s*(?:$|[.;:()])|\s*,?\s+(?:that|which|who|so|in order|needed|required|from|between|it|they|we)\b)",
    re.IGNORECASE,
)


def read_listed_fields(draft: Draft, statement: Statement) -> None:
    """Read a list of fields by its commas, where the parse lost its end: "a title, a date, a place and a capacity"."""
    for match in _LISTED.finditer(statement.text):
        before = statement.text[: match.start()]
        if match.group("lead") != "with" and re.search(r"\b(?:can|may|must|not|cannot|should|to)\s+\w*$", before):
            continue
        owner = _last_named(draft, before)
        if match.group("lead") == "with" and owner is not None:
            whole = re.sub(rf"\s+of\s+(?:[a-z]+\s+)?{re.escape(plural(owner.words))}$", "", before.strip().lower())
            outer = _last_named(draft, whole)
            owner, before = (outer, whole) if outer is not None and whole != before.strip().lower() else (owner, before)
        if owner is None or (
            match.group("lead") == "with"
            and not re.search(
                rf"\b(?:{re.escape(owner.words)}|{re.escape(plural(owner.words))})(?: (?:list|register|directory|"
                rf"catalogue|catalog|database|overview|book))?$",
                before.strip().lower(),
            )
        ):
            continue
        for part in re.finditer(
            rf"(?:{_ARTICLE})*(?P<name>[a-z][a-z -]*?)(?=\s*(?:,|$)|\s+and\b)", match.group("list"), re.IGNORECASE
        ):
            name = re.sub(r"^and\s+", "", part.group("name").strip().lower())
            name = re.sub(rf"^(?:{_ARTICLE})+", "", name)
            if re.search(r"\b(?:it|they|he|she|we|that|which|who|with)\b", name):
                continue
            words = name.split()
            if (
                not name
                or len(words) > 4  # noqa: PLR2004 - a length of a word or name
                or is_person(singular(name))
                or draft.find(singular(name)) is not None
                or (words[-1] in KNOWN_VERBS and not is_attribute(name))
            ):
                continue
            if not (is_attribute(name) or usable_field(name) or usable(singular(name))) or name in owner.words:
                continue
            start = match.start("list") + part.start("name")
            phrase = Phrase(name=name, text=name, start=start, end=start + len(part.group("name")), head=0)
            trace = statement.trace(draft, phrase.start, phrase.end, "list-of-fields", 0.7)
            if not any(known.startswith(field_name(name)) or known == field_name(words[-1]) for known in owner.fields):
                add_field(draft, statement, owner, phrase, name, trace)


_BEHIND = re.compile(r"(?:\((?P<inner>[^()]+)\)|:\s+(?P<list>[^.;:]+?)\.?$)")


def read_enclosed_fields(draft: Draft, statement: Statement) -> None:
    """Read the fields behind a thing in brackets or after a colon: "register instruments (maker, model, location)"."""
    for match in _BEHIND.finditer(statement.original):
        group = "inner" if match.group("inner") else "list"
        before = statement.original[: match.start()].strip().lower()
        owner = _last_named(draft, before)
        parts = [part for _, part in split_parts(match.group(group))]
        if owner is None or len(parts) < 3 or any(len(part.split()) > 5 for part in parts):  # noqa: PLR2004
            continue
        ends = group == "list" or re.search(rf"(?:{re.escape(owner.words)}|{re.escape(plural(owner.words))})$", before)
        acting = any(clause.verb in CREATE_VERBS for clause in statement.clauses)
        if not ends or not acting or owner.declared:
            continue
        for part in parts:
            start = match.start(group) + match.group(group).index(part)
            trace = statement.trace(draft, start, start + len(part), "list-of-fields", 0.8)
            made = read_field(part, lambda *_, trace=trace: trace, 0, of_person=is_person(owner.words))
            if made is not None and draft.find(singular(made.words.lower())) is None and made.words[:5] != "what ":
                owner.add(made)


def _last_named(draft: Draft, text: str) -> EntityDraft | None:
    best: tuple[int, int, EntityDraft] | None = None
    for entity in draft.entities.values():
        for form in (entity.words, plural(entity.words)):
            for found in re.finditer(rf"\b{re.escape(form)}\b", text.lower()):
                if best is None or (found.end(), len(form)) > best[:2]:
                    best = (found.end(), len(form), entity)
    return best[2] if best is not None else None
