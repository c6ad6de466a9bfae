"""Entities that the author wrote down: lines, nested lists, headings with lists, and tables."""

import re
from collections.abc import Iterator

from factory.domain.product import Trace
from factory.skills.native.language.lexicon import KNOWN_VERBS, VAGUE_NOUNS, is_group, is_person
from factory.skills.native.language.words import is_plural, singular, verb_base
from factory.skills.native.vision_document.draft import Draft, EntityDraft, normal
from factory.skills.native.vision_document.field_notes import read_field
from factory.skills.native.vision_document.field_types import explicit_type, guess_type
from factory.skills.native.vision_document.line_parts import LIMIT, RELATION, split_parts, with_notes
from factory.skills.native.vision_document.relation_lines import Pending, settle
from factory.skills.native.vision_document.sections import Section, section_of
from factory.skills.native.vision_document.source import Block, BlockKind

_NAME = r"[A-Za-z\u00c0-\u024f][\w\u00c0-\u024f'& /-]{0,58}?"
_HEAD = re.compile(
    rf"^(?P<name>{_NAME})\s*(?:\((?P<note>[^()]*)\))?\s*(?:(?P<sep>:|=|\s[-–—]{{1,2}}\s)|(?P<verb>\b(?:has|"  # noqa: RUF001 - authors write dashes
    rf"have|with|consists of|contains)\b:?))\s*(?P<body>.*)$"
)


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
        settle(draft, item)
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
            made[0].listed = made[0].listed or section is Section.ENTITIES
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
            heads = position == index + 1 or blocks[position - 1].kind is not BlockKind.ROW
            text = _row_field(below, heads=heads)
            if text:
                pieces.append((below, below.cells[0][0], text, position))
        elif not pieces:
            relation = RELATION.match(below.text)
            if relation is not None or ("," in below.text and _plain_list(below.text)):
                pieces.append((below, 0, below.text, position))
    if not pieces:
        return None
    entity = _entity(draft, block.text, block, 0)
    return None if entity is None else (entity, pieces)


def _row_field(block: Block, *, heads: bool) -> str:
    cells = [block.text[start:end] for start, end in block.cells]
    if not cells or (heads and re.fullmatch(r"(?:field|name|attribute|column|property|key)s?", cells[0].lower())):
        return ""
    notes = [cell for cell in cells[1:] if cell and cell not in ("-", "–", "—")]  # noqa: RUF001 - authors write dashes
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


def _from_line(  # noqa: C901, PLR0911, PLR0912 - one case after the other, in the order that decides
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
    return len(words) > 4 or any(  # noqa: PLR2004 - a length of a word or name
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
    parts = [part for _, part in split_parts(text)]
    relations = sum(RELATION.match(part) is not None for part in parts)
    noted = sum(bool(re.search(r"\(|\?$|\|", part)) for part in parts)
    if any(
        len(part.split()) > 6 and "(" not in part and not re.search(r"[|→]|->", part) and not RELATION.match(part)  # noqa: PLR2004 - a length of a word or name
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
    for _, part in split_parts(text):
        if RELATION.match(part) or re.search(r"[|→]|->", part):
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
            and not guess_type(bare).confidence > 0.8  # noqa: PLR2004 - a length of a word or name
        ):
            return False
        if len(words) > 1 and words[1] in {"the", "a", "an", "their", "my", "all"}:
            return False
    return True


def _read_body(draft: Draft, entity: EntityDraft, block: Block, start: int, text: str, pending: list[Pending]) -> None:  # noqa: C901, PLR0917 - one case after the other, in the order that decides
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
        block.kind in (BlockKind.ITEM, BlockKind.ROW) and start == 0 and grouped is None and not RELATION.match(text)
    )
    if single or (block.kind is BlockKind.ROW and "(" in text and start == block.cells[0][0]):
        named = re.match(r"[\w\u00c0-\u024f' /-]{1,40}\??\s*(?::|\s[-–—]\s|\()", text)  # noqa: RUF001 - authors write dashes
        if named is not None and not re.match(r"[^()]*\)\s*,", text[named.end() :]):
            made = read_field(text, trace if text in block.text else _whole(trace, block), start, of_person=of_person)
            if made is not None:
                pending.append(Pending(entity.words, made.words, start, block, made))
                return
    previous: Pending | None = None
    for offset, said in with_notes(text):
        part = re.sub(r"^(?:only |exactly )?one (?:per|for each|for every) ", "belongs to ", said)
        relation = RELATION.match(part)
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
            relation = RELATION.match(previous.text)
            verb = relation.group("verb") if relation is not None else "belongs to"
            target = re.sub(r"^to\s+", "", part)
            pending.append(Pending(entity.words, f"{verb} {target}", start + offset, block))
            continue
        limit = LIMIT.match(part)
        if limit is not None and is_plural(limit.group("what").lower().split(" ")[-1]):
            where = trace(start + offset, start + offset + len(part), "limit-in-line", 1.0)
            draft.limits.append((entity.words, int(limit.group("count")), limit.group("what").lower(), where))
            continue
        made = read_field(part, trace, start + offset, of_person=of_person)
        if made is not None:
            pending.append(Pending(entity.words, part, start + offset, block, made))
            previous = None


def _whole(trace, block: Block):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    def of_block(_begin: int, _end: int, rule: str, confidence: float) -> Trace:
        return trace(0, len(block.text), rule, confidence)  # type: ignore[no-any-return]

    return of_block


def _field_with_verb(part: str) -> bool:
    """Tell whether a part that begins like a relation is a field ("includes breakfast (yes/no)")."""
    note = re.search(r"\(([^()]*)\)", part)
    return note is not None and explicit_type(note.group(1).split(",")[0]) is not None
