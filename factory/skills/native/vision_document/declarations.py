"""Entities that the author wrote down: lines, nested lists, headings with lists, and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from factory.domain.product import FieldType, RelationKind, Trace
from factory.skills.native.language.lexicon import JOIN_NOUNS, KNOWN_VERBS, VAGUE_NOUNS, is_group, is_person
from factory.skills.native.language.words import is_plural, plural, singular, verb_base
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, RelationDraft, normal
from factory.skills.native.vision_document.field_notes import read_field
from factory.skills.native.vision_document.field_types import explicit_type, guess_type
from factory.skills.native.vision_document.sections import Section, section_of
from factory.skills.native.vision_document.source import Block, BlockKind

_NAME = r"[A-Za-z\u00c0-\u024f][\w\u00c0-\u024f'& /-]{0,58}?"
_HEAD = re.compile(
    rf"^(?P<name>{_NAME})\s*(?:\((?P<note>[^()]*)\))?\s*(?:(?P<sep>:|=|\s[-–—]{{1,2}}\s)|(?P<verb>\b(?:has|"
    rf"have|with|consists of|contains)\b:?))\s*(?P<body>.*)$"
)
_RELATION = re.compile(
    r"^(?:and |may |can |must |optionally |each |it |also |which |always |usually )*"
    r"(?P<verb>belongs? to|is part of|part of|owned by|is owned by|made by|is made by|written by|created "
    r"by|placed by|booked by|"
    r"submitted by|reported by|requested by|taught by|led by|run by|managed by|supervised by|is assigned "
    r"to|assigned to|"
    r"is linked to|linked to|linked with|references?|refers to|related to|is for|for an?\b|"
    r"has and belongs to many|many[- ]to[- ]many (?:with|to)|many[- ]to[- ]one (?:with|to)|one[- ]to[- "
    r"]many (?:with|to)|one[- ]to[- ]one (?:with|to)|"
    r"has (?:zero or more|one or more|at least one|several|multiple|many|a list of)|has exactly one|has "
    r"at most one|has one|has (?:an? )?optional|has|"
    r"consists? of|is made up of|made up of|contains?|includes?|comprises?|holds?|groups?|concerns?|is about|"
    r"(?:is )?(?:located|stored|kept|parked|held|sits) (?:in|at)|is in|is at)\s+(?P<target>.+)$",
    re.IGNORECASE,
)
_MANY = ("many", "several", "multiple", "zero or more", "one or more", "at least one", "a list of")


@dataclass(slots=True)
class Pending:
    """A relation phrase to be resolved once every entity is known."""

    source: str
    text: str
    start: int
    block: Block
    field: FieldDraft | None = None


def declare(draft: Draft, blocks: tuple[Block, ...]) -> set[int]:
    """Add every declared entity with its fields and relations; return the indices of the blocks they took."""
    used: set[int] = set()
    pending: list[Pending] = []
    for index, entity, pieces in _declared(draft, blocks):
        used.add(index)
        for block, start, text, piece_index in pieces:
            used.add(piece_index)
            _read_body(draft, entity, block, start, text, pending)
    for item in pending:
        _settle(draft, item)
    return used


Piece = tuple[Block, int, str, int]


def _declared(draft: Draft, blocks: tuple[Block, ...]) -> Iterator[tuple[int, EntityDraft, list[Piece]]]:
    found: list[tuple[int, EntityDraft, list[Piece]]] = []
    skip: set[int] = set()
    for index, block in enumerate(blocks):
        if index in skip or block.kind not in (BlockKind.ITEM, BlockKind.HEADING, BlockKind.PARAGRAPH, BlockKind.ROW):
            continue
        section = section_of(block)
        children = list(_children(blocks, index))
        if block.kind is BlockKind.HEADING:
            made = _from_heading(draft, block, blocks, index)
        elif block.kind is BlockKind.ROW:
            made = _from_row(draft, block, blocks, index, section)
        else:
            made = _from_line(draft, block, index, children, section)
        if made is not None:
            found.append((index, *made))
            skip.update(piece[3] for piece in made[1])
    yield from found


def _children(blocks: tuple[Block, ...], index: int) -> Iterator[tuple[int, Block]]:
    block = blocks[index]
    if block.kind not in (BlockKind.ITEM, BlockKind.PARAGRAPH):
        return
    for position in range(index + 1, len(blocks)):
        child = blocks[position]
        if child.kind is not BlockKind.ITEM or (block.kind is BlockKind.ITEM and child.level <= block.level):
            return
        yield position, child


def _entity(draft: Draft, name: str, block: Block, start: int, *, confidence: float = 1.0) -> EntityDraft | None:
    spelled = re.sub(r"^(?:an?|the|each|every|one)\s+", "", name.strip(), flags=re.IGNORECASE).strip(" .:*_`")
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", spelled)
    words = singular(re.sub(r"[^\w\u00c0-\u024f-]+", " ", spaced).strip().lower())
    if not words or not re.search(r"[a-z\u00c0-\uffff]", words) or len(words.split()) > 5:  # noqa: PLR2004 - a name, not a sentence
        return None
    existing = draft.entities.get(words) or next(
        (entity for entity in draft.entities.values() if normal(entity.words) == normal(words)), None
    )
    if existing is not None:
        return existing
    where = block.span(start, start + len(name))
    made = EntityDraft(words=words, trace=draft.trace(*where, "entity-line", confidence), declared=True)
    if not made.name:
        return None
    draft.entities[words] = made
    return made


def _from_heading(
    draft: Draft, block: Block, blocks: tuple[Block, ...], index: int
) -> tuple[EntityDraft, list[Piece]] | None:
    """Read "### Appointment" under a heading of entities, with its fields in the list below."""
    if section_of(block) is not Section.ENTITIES or not block.path or len(block.text.split()) > 4:  # noqa: PLR2004 - a name
        return None
    pieces: list[Piece] = []
    for position in range(index + 1, len(blocks)):
        below = blocks[position]
        if below.kind is BlockKind.HEADING:
            break
        if below.kind is BlockKind.ITEM:
            pieces.append((below, 0, below.text, position))
        elif below.kind is BlockKind.ROW:
            text = _row_field(below)
            if text:
                pieces.append((below, below.cells[0][0], text, position))
        elif not pieces:
            relation = _RELATION.match(below.text)
            if relation is not None or ("," in below.text and _plain_list(below.text)):
                pieces.append((below, 0, below.text, position))
    if not pieces:
        return None
    entity = _entity(draft, block.text, block, 0)
    return None if entity is None else (entity, pieces)


def _row_field(block: Block) -> str:
    cells = [block.text[start:end] for start, end in block.cells]
    if not cells or re.fullmatch(r"(?:field|name|attribute|column|property|key)s?", cells[0].lower()):
        return ""
    notes = [cell for cell in cells[1:] if cell and cell not in ("-", "–", "—")]
    return f"{cells[0]} ({', '.join(notes)})" if notes else cells[0]


def _from_row(
    draft: Draft, block: Block, blocks: tuple[Block, ...], index: int, section: Section
) -> tuple[EntityDraft, list[Piece]] | None:
    """Read a table row "| Patient | name, date of birth |" of a table whose first column is headed "entity"."""
    first = index
    while first > 0 and blocks[first - 1].kind is BlockKind.ROW:
        first -= 1
    header = blocks[first]
    if first == index or len(block.cells) < 2:  # noqa: PLR2004 - name and fields
        return None
    titles = [header.text[start:end].lower() for start, end in header.cells]
    named = re.search(r"entit|thing|object|resource|record|what", titles[0])
    listed = len(titles) > 1 and re.search(r"field|attribute|propert|column|data|keep|contain", titles[1])
    if not named or not (listed or section is Section.ENTITIES):
        return None
    start, end = block.cells[0]
    entity = _entity(draft, block.text[start:end], block, start)
    if entity is None:
        return None
    return entity, [(block, begin, block.text[begin:stop], index) for begin, stop in block.cells[1:] if stop > begin]


def _from_line(
    draft: Draft, block: Block, index: int, children: list[tuple[int, Block]], section: Section
) -> tuple[EntityDraft, list[Piece]] | None:
    if section in (
        Section.ACTORS,
        Section.GLOSSARY,
        Section.OUT_OF_SCOPE,
        Section.GOALS,
        Section.QUALITIES,
        Section.STORIES,
    ):
        return None
    if block.kind is BlockKind.PARAGRAPH and not (section is Section.ENTITIES or block.bold):
        return None
    if block.kind is BlockKind.ITEM and block.level > 0 and section is not Section.ENTITIES:
        return None
    lenient = section is Section.ENTITIES
    match = _HEAD.match(block.text)
    if match is None:
        bare = re.fullmatch(rf"({_NAME})\s*(?:\((.*)\))?\.?", block.text)
        if bare is None or not lenient or (not children and bare.group(2) is None and len(block.text.split()) > 3):  # noqa: PLR2004
            return None
        entity = _entity(draft, bare.group(1), block, bare.start(1))
        if entity is None:
            return None
        pieces: list[Piece] = (
            [(block, bare.start(2), bare.group(2), index)] if bare.group(2) and "," in bare.group(2) else []
        )
        return entity, [*pieces, *((child, 0, child.text, where) for where, child in children)]
    name, body = match.group("name"), match.group("body")
    if match.group("verb") and not lenient:
        return None
    if not lenient and not _looks_declared(name, body, children):
        return None
    if lenient and _is_sentence(name):
        return None
    entity = _entity(draft, name, block, match.start("name"))
    if entity is None:
        return None
    note = match.group("note")
    if note and not entity.description:
        entity.description = note[:1].upper() + note[1:]
    pieces = [(child, 0, child.text, where) for where, child in children]
    if match.group("verb") and re.match(
        r"(?:many|several|multiple|one or more|zero or more|exactly one|at most one|at least one)\b", body
    ):
        pieces.insert(0, (block, match.start("verb"), block.text[match.start("verb") :], index))
    elif body.strip():
        pieces.insert(0, (block, match.start("body"), body, index))
    return entity, pieces


def _is_sentence(name: str) -> bool:
    words = name.lower().split()
    return len(words) > 4 or any(
        word in {"is", "are", "can", "must", "may", "should", "we", "i", "you", "when", "if"} for word in words
    )


def _looks_declared(name: str, body: str, children: list[tuple[int, Block]]) -> bool:
    """Tell whether a line outside a section of entities declares one: a noun, then nouns that read like fields."""
    words = name.lower().split()
    if len(words) > 3 or _is_sentence(name) or not name[:1].isupper() or words[-1] in VAGUE_NOUNS:  # noqa: PLR2004 - a name
        return False
    text = body if body.strip() else ", ".join(child.text for _, child in children)
    if not text.strip():
        return False
    parts = [part for _, part in _split(text)]
    relations = sum(_RELATION.match(part) is not None for part in parts)
    noted = sum(bool(re.search(r"\(|\?$|\|", part)) for part in parts)
    if any(
        len(part.split()) > 6 and "(" not in part and not re.search(r"[|→]|->", part) and not _RELATION.match(part)
        for part in parts
    ):
        return False
    if is_person(singular(words[-1])) and any(_reads_as_deed(part) for part in parts):
        return False
    return _plain_list(text) and (relations + noted > 0 or len(parts) > 1)


def _reads_as_deed(part: str) -> bool:
    """Tell whether a part says what somebody does ("books appointments") and names no field ("joined on")."""
    words = part.lower().split(" ")
    if len(words) < 2 or words[0].endswith(("ed", "ing")) or guess_type(part).confidence > _CERTAIN:  # noqa: PLR2004
        return False
    return verb_base(words[0], KNOWN_VERBS) in KNOWN_VERBS


_CERTAIN = 0.8


def _plain_list(text: str) -> bool:
    """Tell whether a text is a list of names and relation phrases, not prose."""
    for _, part in _split(text):
        if _RELATION.match(part) or re.search(r"[|→]|->", part):
            continue
        bare = re.sub(r"\([^()]*\)", "", part).strip().lower()
        words = bare.split()
        if len(words) > 5 or re.search(r"\b(?:is|are|can|must|may|should|will|who|we|they|when|so that)\b", bare):  # noqa: PLR2004
            return False
        first = verb_base(words[0], KNOWN_VERBS) if words else ""
        if (
            len(words) > 1
            and words[0].endswith("s")
            and first != words[0]
            and first in KNOWN_VERBS
            and not guess_type(bare).confidence > 0.8
        ):
            return False
        if len(words) > 1 and words[1] in {"the", "a", "an", "their", "my", "all"}:
            return False
    return True


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Split at commas, semicolons, full stops and " and " outside brackets, with the offset of each part."""
    depth = begin = 0
    position = 0
    while position < len(text):
        char = text[position]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif depth == 0:
            stop = re.match(r"[,;]\s*(?:and\s+)?|\.\s+(?=[A-Z])|\s+and\s+|\s+as well as\s+|\s+plus\s+", text[position:])
            if stop is not None and not (stop.group().strip() == "and" and _holds_and(text, begin, position)):
                yield from _trimmed(text, begin, position)
                position += len(stop.group())
                begin = position
                continue
        position += 1
    yield from _trimmed(text, begin, len(text))


def _holds_and(text: str, begin: int, position: int) -> bool:
    """Tell whether an "and" belongs to one part: "between 1 and 5", "terms and conditions"."""
    before = text[begin:position].lower()
    after = text[position:].lower()
    return bool(
        re.search(r"\b(?:between\s+-?[\d.]+|terms|date|belongs|has)$", before)
        or re.match(r"\s+and (?:conditions|time\b|belongs? to many)", after)
    )


def _trimmed(text: str, begin: int, end: int) -> Iterator[tuple[int, str]]:
    part = text[begin:end]
    stripped = part.strip(" .")
    if part.rstrip().endswith("..."):
        stripped = stripped.rstrip(".")
    if stripped:
        yield begin + part.index(stripped), stripped


def _read_body(draft: Draft, entity: EntityDraft, block: Block, start: int, text: str, pending: list[Pending]) -> None:
    def trace(begin: int, end: int, rule: str, confidence: float) -> Trace:
        limit = len(block.text)
        return draft.trace(*block.span(min(begin, limit), min(end, limit)), rule, confidence)

    grouped = re.match(
        r"(?:fields?|attributes?|properties|data|columns|relations?|relationships?|links?)\s*:\s*", text, re.IGNORECASE
    )
    if grouped is not None:
        start, text = start + grouped.end(), text[grouped.end() :]
    of_person = is_person(entity.words) and not is_group(entity.words)
    single = (
        block.kind in (BlockKind.ITEM, BlockKind.ROW) and start == 0 and grouped is None and not _RELATION.match(text)
    )
    if single or (block.kind is BlockKind.ROW and "(" in text and start == block.cells[0][0]):
        named = re.match(r"[\w\u00c0-\u024f' /-]{1,40}\??\s*(?::|\s[-–—]\s|\()", text)
        if named is not None and not re.match(r"[^()]*\)\s*,", text[named.end() :]):
            made = read_field(text, trace if text in block.text else _whole(trace, block), start, of_person=of_person)
            if made is not None:
                pending.append(Pending(entity.words, made.words, start, block, made))
                return
    previous: Pending | None = None
    for offset, part in _with_notes(text):
        relation = _RELATION.match(part)
        if relation is not None and not _field_with_verb(part):
            previous = Pending(entity.words, part, start + offset, block)
            pending.append(previous)
            continue
        after_relation = (
            previous is not None
            and re.match(r"(?:to |an? |one |many |optional )?[A-Z]", part)
            and ";" not in text[max(0, offset - 3) : offset]
        )
        if after_relation and previous is not None:
            relation = _RELATION.match(previous.text)
            verb = relation.group("verb") if relation is not None else "belongs to"
            target = re.sub(r"^to\s+", "", part)
            pending.append(Pending(entity.words, f"{verb} {target}", start + offset, block))
            continue
        limit = _LIMIT.match(part)
        if limit is not None and is_plural(limit.group("what").lower().split(" ")[-1]):
            where = trace(start + offset, start + offset + len(part), "limit-in-line", 1.0)
            draft.limits.append((entity.words, int(limit.group("count")), limit.group("what").lower(), where))
            continue
        made = read_field(part, trace, start + offset, of_person=of_person)
        if made is not None:
            pending.append(Pending(entity.words, part, start + offset, block, made))
            previous = None


_NOTE = re.compile(
    r"(?:[<>]=?\s*-?\d|between -?\d|at least \d|at most \d+ char|max(?:imum)? \d+ char|default\b)[^()]*$|"
    r"(?:unique|required|optional|mandatory|positive|personal|not null)$",
    re.IGNORECASE,
)


def _with_notes(text: str) -> Iterator[tuple[int, str]]:
    """Split a line, leaving with a field the notes that follow it after a comma: "price: money, > 0"."""
    held: tuple[int, str] | None = None
    for offset, part in _split(text):
        if held is not None and _NOTE.match(part) and (":" in held[1] or len(part.split()) > 1 or part.islower()):
            held = (held[0], f"{held[1]} ({part})")
            continue
        if held is not None:
            yield held
        held = (offset, part)
    if held is not None:
        yield held


_LIMIT = re.compile(
    r"(?:max(?:imum)?\.?|at most|up to|no more than)\s+(?P<count>\d+)\s+(?P<what>[A-Za-z][A-Za-z ]*)$", re.IGNORECASE
)


def _whole(trace, block: Block):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def of_block(_begin: int, _end: int, rule: str, confidence: float) -> Trace:
        return trace(0, len(block.text), rule, confidence)  # type: ignore[no-any-return]

    return of_block


def _field_with_verb(part: str) -> bool:
    """Tell whether a part that begins like a relation is a field ("includes breakfast (yes/no)")."""
    note = re.search(r"\(([^()]*)\)", part)
    return note is not None and explicit_type(note.group(1).split(",")[0]) is not None


def _settle(draft: Draft, item: Pending) -> None:
    if item.field is not None:
        _settle_field(draft, item)
        return
    match = _RELATION.match(item.text)
    if match is None:
        return
    verb = match.group("verb").lower()
    target_text = match.group("target")
    for offset, part in _split(target_text):
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


def _settle_relation(draft: Draft, item: Pending, verb: str, target_text: str, start: int) -> None:
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
    elif verb.startswith("one-to-one") or verb.startswith("one to one") or verb == "has exactly one":
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
