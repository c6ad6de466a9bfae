"""States that prose lists: "is either draft, sent or paid", "from draft to sent", "draft → sent"."""

import re

from factory.domain.product import FieldType
from factory.skills.native.language.lexicon import (
    KNOWN_VERBS,
)
from factory.skills.native.language.words import plural, state_base
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft
from factory.skills.native.vision_document.readings import Statement

_LIST_OF_STATES = re.compile(
    r"(?P<subject>[\w' -]+?)\s+(?:(?:is|are|can be|may be|must be|will be)(?: always| "
    r"currently)?(?P<either> either| one of(?: the following)?)?|has (?:one of )?(?:the|three|four|five|"
    r"two|these)?\s*(?:status(?:es)?|states?)(?: of)?|goes through|passes through|moves through)\s*:?\s*"
    r"(?P<values>['\"]?[a-z][\w' -]*?['\"]?(?:\s*,\s*['\"]?[\w' -]+?['\"]?)*\s*,?\s+(?:or|and|"
    r"then)\s+(?:finally\s+)?['\"]?[\w' -]+?['\"]?)(?=$|[.;:(])",
    re.IGNORECASE,
)


_ARROWS = re.compile(r"(?P<values>[\w -]+?(?:\s*(?:->|→|-->|=>)\s*[\w -]+)+)")


_FROM_TO = re.compile(
    r"from (?P<first>[a-z][\w-]*(?: [\w-]+)?) (?P<rest>(?:(?:via|to|through|over|then to|and then to|and|"
    r",)\s*[a-z][\w-]*(?: review| progress| hold)?[ ,]*)+)"
)


def read_states(draft: Draft, statements: list[Statement]) -> None:
    """Read states from prose: "is either draft, published or archived", "draft -> sent -> paid"."""
    for statement in statements:
        if statement.story is not None:
            continue
        text = statement.text
        arrows = _ARROWS.search(text)
        if arrows is not None and ("->" in text or "→" in text or "=>" in text):
            values = [part.strip() for part in re.split(r"-->|->|→|=>", arrows.group("values"))]
            entity = _about(draft, statement, statement.sentence.text)
            _add_states(draft, statement, entity, values, "states-by-arrows")
            continue
        match = _LIST_OF_STATES.search(text)
        if match is not None:
            values = [
                re.sub(r"^(?:finally|then|either|or|and)\s+", "", part.strip(" '\""))
                for part in re.split(r"\s*,\s*(?:or |and |then )?|\s+(?:or|and|then)\s+", match.group("values"))
            ]
            subject = match.group("subject").lower()
            entity = _about(draft, statement, subject)
            stated = (
                bool(match.group("either"))
                or re.search(r"status|state", text.lower()) is not None
                or re.search(r"through|has", match.group().lower()[len(subject) :][:14]) is not None
            )
            looks = sum(_is_state(value) for value in values) >= max(1, (len(values) + 1) // 2)
            if (
                entity is not None
                and all(len(value.split()) <= 2 and value for value in values)  # noqa: PLR2004 - a length of a word or name
                and (looks or stated)
                and len(values) > 1
            ):
                if any(re.match(r"(?:an?|the)\s", value) for value in values):
                    continue
                if looks and " by " not in text and not _verbs_not_states(draft, statement, match, values):
                    _add_states(draft, statement, entity, values, "states-in-prose")
            continue
        moved = _FROM_TO.search(text.lower())
        if moved is not None and re.search(r"\b(?:move|go|pass|chang|progress|status|state|goes|moves)", text.lower()):
            rest = [
                part.strip(" ,")
                for part in re.split(r"\b(?:via|then to|and then to|to|through|over|and|then)\b|,", moved.group("rest"))
            ]
            values = [moved.group("first").strip(), *(part for part in rest if part)]
            if all(_is_state(value) for value in values):
                _add_states(draft, statement, _about(draft, statement, text.lower()), values, "states-from-to")


_PLAIN_STATES = frozenset(
    """new open draft active inactive pending done ready available free paid unpaid sent lost live online offline
    closed in progress in review on hold overdue empty full private public idle busy complete incomplete valid
    invalid current past won sold out due late in transit en route under review on loan in use waiting healthy
    sick quarantined booked void""".split()
) | {
    "in progress",
    "in review",
    "on hold",
    "under review",
    "on loan",
    "in transit",
    "in use",
    "sold out",
    "no show",
    "no-show",
    "in stock",
    "out of stock",
}


def _is_state(value: str) -> bool:
    words = value.split(" ")
    return (
        value in _PLAIN_STATES
        or words[0] in ("under", "in", "on", "out", "not", "off", "to", "awaiting", "ready")
        or words[0].endswith(("ed", "en", "ing"))
        or state_base(value, KNOWN_VERBS) is not None
    )


def _verbs_not_states(draft: Draft, statement: Statement, match: re.Match[str], values: list[str]) -> bool:
    """Tell whether "can be cancelled or rescheduled" lists what people do rather than all states there are."""
    del draft, statement
    modal = re.search(r"\b(?:can|may|must|will) be\b", match.group().lower()) is not None
    return modal and not match.group("either") and len(values) < 3  # noqa: PLR2004 - two deeds are no list of states


def _about(draft: Draft, statement: Statement, subject: str) -> EntityDraft | None:
    plain = subject.lower().replace("'s", "").replace("-", " ")
    best: tuple[int, EntityDraft] | None = None
    for entity in draft.entities.values():
        words = entity.words.replace("-", " ")
        for form in (words, plural(words)):
            where = re.search(rf"\b{re.escape(form)}\b", plain)
            if where is not None and (best is None or len(words) > len(best[1].words)):
                best = (where.start(), entity)
    if best is not None:
        return best[1]
    titles = " ".join(statement.sentence.block.path).lower()
    return next(
        (
            entity
            for entity in draft.entities.values()
            if re.search(rf"\b(?:{re.escape(entity.words)}|{re.escape(plural(entity.words))})\b", titles)
        ),
        None,
    )


def _add_states(draft: Draft, statement: Statement, entity: EntityDraft | None, values: list[str], rule: str) -> None:
    if entity is None or entity.status() is not None:
        return
    plain = [
        re.sub(rf"^.*\b(?:status|state|{re.escape(entity.words)}s?)\b\s*:?\s*", "", value.strip().lower()) or value
        for value in values
    ]
    plain = [value for value in dict.fromkeys(plain) if value and len(value.split()) <= 3]  # noqa: PLR2004 - short names of states
    if len(plain) < 2:  # noqa: PLR2004 - one state is none
        return
    existing = entity.fields.get("status") or entity.fields.get("state")
    if existing is not None:
        existing.type, existing.values = FieldType.ENUM, plain
        return
    entity.add(FieldDraft("status", FieldType.ENUM, statement.whole(draft, rule, 0.9), values=plain))
