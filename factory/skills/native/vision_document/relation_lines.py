"""Relation phrases of declared entities, settled once every entity is known."""

import re
from dataclasses import dataclass

from factory.domain.product import FieldType, RelationKind, Trace
from factory.skills.native.language.lexicon import JOIN_NOUNS, VAGUE_NOUNS, is_person
from factory.skills.native.language.words import is_plural, plural, singular
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, RelationDraft, normal
from factory.skills.native.vision_document.line_parts import RELATION, split_parts
from factory.skills.native.vision_document.source import Block

_MANY = ("many", "several", "multiple", "zero or more", "one or more", "at least one", "a list of")


@dataclass(slots=True)
class Pending:
    """A relation phrase to be resolved once every entity is known."""

    source: str
    text: str
    start: int
    block: Block
    field: FieldDraft | None = None


def settle(draft: Draft, item: Pending) -> None:
    """Add what a pending part means: a field, or one or more relations."""
    if item.field is not None:
        _settle_field(draft, item)
        return
    match = RELATION.match(item.text)
    if match is None:
        return
    verb = match.group("verb").lower()
    target_text = match.group("target")
    for offset, part in split_parts(target_text):
        _settle_relation(draft, item, verb, part, item.start + match.start("target") + offset)


def _settle_field(draft: Draft, item: Pending) -> None:
    """Add a field, or the relation that its name or type means."""
    made = item.field
    if made is None:
        return
    entity = draft.entities[item.source]
    words = made.words.lower()
    typed = draft.find(made.description) if made.description and not made.values else None
    target = typed
    if target is None and not made.values and (made.type is FieldType.TEXT or not made.typed or is_plural(words)):
        target = draft.find(words)
    if target is None or (target.words == item.source and typed is None and words == target.words):
        if target is None and not made.values and not made.typed:
            role = _role_target(draft, words, item.source)
            if role is not None:
                _add(draft, item.source, role, RelationKind.MANY_TO_ONE, made.trace, required=made.required, role=words)
                return
        entity.add(made)
        return
    several = is_plural(words) if typed is None else is_plural(made.description.lower().split(" ")[-1])
    if not several:
        role = words if normal(words) != normal(target.words) else ""
        _add(draft, item.source, target.words, RelationKind.MANY_TO_ONE, made.trace, required=made.required, role=role)
        return
    _add_several(draft, item.source, target.words, made.trace)


def _role_target(draft: Draft, words: str, source: str) -> str | None:
    """Return the entity behind a role such as "assigned technician", "parent category" or "second driver"."""
    head = words.rsplit(" ", 1)
    if len(head) != 2 or head[0] in {"number", "total"}:  # noqa: PLR2004 - role and noun
        return None
    entity = draft.entities.get(singular(head[1]))
    if entity is None or not entity.declared or is_plural(words):
        return None
    return (
        entity.words
        if entity.words != source or head[0] in {"parent", "previous", "next", "original", "main"}
        else None
    )


def _add_several(draft: Draft, source: str, target: str, trace: Trace) -> None:
    """Relate one to several: by a foreign key on the other side, or many-to-many where both stand alone."""
    joined = _join_between(draft, source, target)
    if joined is not None:
        draft.relate(RelationDraft(source, target, RelationKind.MANY_TO_MANY, trace, required=False, join=joined))
        return
    if draft.link(target, source) is not None:
        return
    if is_person(target) and not is_person(source):
        draft.relate(RelationDraft(source, target, RelationKind.MANY_TO_MANY, trace, required=False))
        return
    _add(draft, target, source, RelationKind.MANY_TO_ONE, trace, required=True)


def _join_between(draft: Draft, left: str, right: str) -> str | None:
    for entity in draft.entities.values():
        if (
            entity.words.rsplit(" ", 1)[-1] in JOIN_NOUNS
            and draft.link(entity.words, left)
            and draft.link(entity.words, right)
        ):
            return entity.words
    return None


_ROLE_AS = re.compile(
    r"\s+(?:as|called|named)\s+(?:an?\s+|the\s+|its\s+)?(?P<role>[\w -]+)$|\s*\((?:as\s+)?(?P<note>[\w -]+)\)$"
)


def _settle_relation(draft: Draft, item: Pending, verb: str, target_text: str, start: int) -> None:  # noqa: C901, PLR0912 - one case after the other, in the order that decides
    text = target_text.strip(" .")
    optional = bool(
        re.search(r"\?|\boptional(?:ly)?\b|\bif any\b|\bzero or one\b|\bat most one\b|\bmaybe\b", f"{verb} {text}")
    ) or bool(re.match(r"(?:may|can|optionally)\b", item.text))
    text = re.sub(r"\?|\(optional\)|\boptional(?:ly)?\b|\bif any\b|\(required\)", "", text).strip()
    cascade = re.search(r"\(?\b(?:deleted with (?:it|them|the \w+)|cascade|on delete cascade|delete with)\b\)?", text)
    if cascade is not None:
        text = text.replace(cascade.group(), "").strip(" ,()")
    mutual = re.search(r"\(?\bmany[- ]to[- ]many\b\)?", text)
    if mutual is not None:
        text = text.replace(mutual.group(), "").strip(" ,()")
        verb = "many-to-many with"
    role = ""
    named = _ROLE_AS.search(text)
    if named is not None:
        role = (named.group("role") or named.group("note") or "").strip()
        text = text[: named.start()]
    many = any(word in verb for word in _MANY) or bool(
        re.match(r"(?:many|several|multiple|one or more|zero or more|some)\b", text)
    )
    text = re.sub(
        (
            r"^(?:exactly |at most |at least )?(?:an?|the|one|two|many|several|multiple|its|their|each|some|"
            r"zero or more|one or more|zero or one|another)\b\s*(?:or more\s+)?"
        ),
        "",
        text,
    ).strip()
    base = re.sub(r"\s+(?:who|that|which|it|where)\b.*$", "", text)
    if not base:
        return
    target = draft.find(base) or draft.find(singular(base.lower()))
    begin, end = item.block.span(
        min(item.start, len(item.block.text)), min(start + len(target_text), len(item.block.text))
    )
    trace = draft.trace(begin, end, _rule_name(verb), 1.0)
    if target is None:
        target, role = _implied(draft, item, base, role, trace)
    if target is None:
        return
    several = many or is_plural(base.lower())
    if "many-to-many" in verb.replace(" ", "-") or "belongs to many" in verb:
        joined = _join_between(draft, item.source, target.words)
        draft.relate(
            RelationDraft(
                item.source,
                target.words,
                RelationKind.MANY_TO_MANY,
                trace,
                required=False,
                role=_plural(role),
                join=joined,
            )
        )
    elif verb.startswith(("one-to-one", "one to one")) or verb == "has exactly one":
        _add(draft, item.source, target.words, RelationKind.ONE_TO_ONE, trace, required=not optional, role=role)
    elif verb.startswith(("one-to-many", "one to many")):
        _add(draft, target.words, item.source, RelationKind.MANY_TO_ONE, trace, required=True)
    elif several and verb.startswith(
        ("has", "contain", "consist", "compris", "hold", "is made", "made up", "include", "group")
    ):
        composed = verb.startswith(("consist", "contain", "compris", "is made", "made up"))
        if composed:
            _add(draft, target.words, item.source, RelationKind.MANY_TO_ONE, trace, required=True, on_delete="cascade")
        else:
            _add_several(draft, item.source, target.words, trace)
    elif (several and not verb.startswith(("belong", "is part", "part of"))) or (
        several and verb.startswith("belong") and many
    ):
        draft.relate(
            RelationDraft(
                item.source, target.words, RelationKind.MANY_TO_MANY, trace, required=False, role=_plural(role)
            )
        )
    else:
        by_role = verb.removeprefix("is ").removesuffix(" by") if verb.endswith(" by") else ""
        role = role or (
            {"taught": "", "led": "leader", "written": "author"}.get(by_role, "")
            if by_role and not is_person(base)
            else ""
        )
        on_delete = "cascade" if cascade is not None or verb in ("is part of", "part of") else ""
        _add(
            draft,
            item.source,
            target.words,
            RelationKind.MANY_TO_ONE,
            trace,
            required=not optional,
            role=role,
            on_delete=on_delete,
        )


def _plural(role: str) -> str:
    return plural(role) if role and not is_plural(role) else role


def _rule_name(verb: str) -> str:
    if verb.startswith("belong"):
        return "belongs-to"
    if verb.startswith("has"):
        return "has-many" if any(word in verb for word in _MANY) else "has"
    if verb.startswith(("consist", "contain", "compris", "made up", "is made up", "part of", "is part")):
        return "consists-of"
    return "relation-phrase"


def _implied(draft: Draft, item: Pending, base: str, role: str, trace: Trace) -> tuple[EntityDraft | None, str]:
    """Resolve a target that is no entity yet: a role before a known noun, or a thing the line implies."""
    words = singular(base.lower())
    head = words.rsplit(" ", 1)
    if len(head) == 2 and (known := draft.entities.get(head[1])) is not None:  # noqa: PLR2004 - "from account"
        return known, role or words
    if words.rsplit(" ", 1)[-1] in VAGUE_NOUNS or len(words.split()) > 3 or re.search(r"[^\w -]", words):  # noqa: PLR2004
        return None, role
    made = EntityDraft(words=words, trace=trace, reason=f"{draft.entities[item.source].name} refers to it")
    if not made.name:
        return None, role
    draft.entities[words] = made
    draft.note(
        made.name,
        f"{made.name} is a thing of its own.",
        f'"{trace.text}" names it, and no line describes it.',
        f'Describe it, for example "- {made.name}: name, description?", or take the words out of the line.',
    )
    return made, role


def _add(
    draft: Draft,
    source: str,
    target: str,
    kind: RelationKind,
    trace: Trace,
    *,
    required: bool,
    role: str = "",
    on_delete: str = "",
) -> None:
    if source == target and not role:
        role, required = f"parent {target}", False
    elif source == target:
        required = False
    draft.relate(RelationDraft(source, target, kind, trace, required=required, role=role, on_delete=on_delete))
