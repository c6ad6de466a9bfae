"""Reading the Markdown of a vision: front matter, headings, paragraphs, list items, tables.

Every block keeps a map from its cleaned text back to the author's characters, so that a trace can point at
exactly what was written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

import yaml

from factory.domain.errors import BadInputError

_KEYS = ("name", "blueprint")
_HEADING = re.compile(r"(?P<mark>#{1,6})[ \t]+(?P<text>.*?)[ \t]*#*[ \t]*$")
_ITEM = re.compile(r"(?P<indent>[ \t]*)(?P<mark>[-*+•–]|\d{1,3}[.)])[ \t]+(?P<box>\[[ xX]\][ \t]+)?(?P<text>.*)$")  # noqa: RUF001 - authors write dashes
_FENCE = re.compile(r"[ \t]*(```|~~~)")
_RULE = re.compile(r"[ \t]*([-*_=][ \t]*){3,}$")
_MARKUP = re.compile(r"\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)|\[(?=[^\]]*\]\()|\]\([^)]*\)")
_QUOTES: dict[str, str | int | None] = {
    "\u2019": "'",
    "\u2018": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u00a0": " ",
    "\u2011": "-",
    "\u202f": " ",
}


class BlockKind(StrEnum):
    """What a piece of the document is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, paragraph, list item or table row.

    Attributes:
        text: The characters without markup and line breaks.
        offsets: For each character of `text`, its offset in the vision; one more for the end.
        level: Depth of a heading (1 to 6) or nesting of an item (0 and more).
        path: Texts of the headings above, outermost first.
        cells: For a table row, the spans of its cells in `text`.
        bold: Whether the block begins in bold.
        marks: Offsets in `text` where bold begins.
    """

    kind: BlockKind
    text: str
    offsets: tuple[int, ...]
    level: int = 0
    path: tuple[str, ...] = ()
    cells: tuple[tuple[int, int], ...] = ()
    bold: bool = False
    marks: tuple[int, ...] = ()

    def part(self, start: int, end: int) -> "Block":
        """Return a piece of the block as a block of its own."""
        while end > start and self.text[end - 1] == " ":
            end -= 1
        return replace(
            self,
            text=self.text[start:end],
            offsets=(*self.offsets[start:end], self.offsets[end - 1] + 1),
            cells=(),
            marks=(),
        )

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the vision of a span of `text`."""
        if end <= start:
            return self.offsets[min(start, len(self.offsets) - 1)], self.offsets[min(start, len(self.offsets) - 1)]
        return self.offsets[start], self.offsets[end - 1] + 1


@dataclass(frozen=True, slots=True)
class Source:
    """A vision as read."""

    text: str
    name: str | None
    blueprint: str | None
    blocks: tuple[Block, ...] = field(default=())


_NAMED = re.compile(r"[A-Z\u00c0-\u00de][\w\u00c0-\u024f -]{0,40}(?:\([^()]*\))?\s*(?::|\()")


def _at_names(block: Block) -> Iterator[Block]:
    """Split a paragraph that defines several things, each after its name in bold."""
    starts = (
        [mark for mark in block.marks if _NAMED.match(block.text[mark:])] if block.kind is BlockKind.PARAGRAPH else []
    )
    if not starts or (len(starts) == 1 and starts[0] == 0):
        yield block
        return
    if starts[0] > 0:
        yield block.part(0, starts[0])
    for start, end in zip(starts, [*starts[1:], len(block.text)], strict=True):
        yield replace(block.part(start, end), bold=True)


def _with_titles(blocks: Iterator[Block]) -> Iterator[Block]:
    """Let a short line that ends in a colon be the heading of the list below it."""
    made = [piece for block in blocks for piece in _at_names(block)]
    title: str | None = None
    for index, block in enumerate(made):
        following = made[index + 1] if index + 1 < len(made) else None
        short = block.text.endswith(":") and len(block.text.split()) <= _TITLE_WORDS
        bold = block.bold and len(block.text.split()) <= _TITLE_WORDS and not block.text.endswith((".", "!", "?"))
        if (
            block.kind is BlockKind.PARAGRAPH
            and (short or bold)
            and following is not None
            and following.kind in (BlockKind.ITEM, BlockKind.ROW)
        ):
            title = block.text.rstrip(": ")
            yield replace(
                block,
                kind=BlockKind.HEADING,
                text=title,
                offsets=block.offsets[: len(title) + 1],
                level=len(block.path) + 1,
            )
            continue
        if block.kind in (BlockKind.HEADING, BlockKind.PARAGRAPH):
            title = None
        yield replace(block, path=(*block.path, title)) if title is not None else block


def read_source(text: str) -> Source:
    """Read a vision's Markdown.

    Raises:
        BadInputError: The text is empty or binary, or its front matter is wrong; the message names the key.
    """
    if "\x00" in text or sum(not (char.isprintable() or char in "\r\n\t\f\ufeff") for char in text) > len(text) / 50:
        raise BadInputError(
            "the vision is not text: it contains binary data.",
            remedy="Give a Markdown file in UTF-8 that describes the product in words.",
            field="vision",
        )
    masked = _mask(text)
    if not masked.strip():
        raise BadInputError(
            "the vision is empty.",
            remedy="Describe who uses the product, what it keeps and what people do with it, for example: "
            "'As a receptionist I want to book an appointment for a patient.'",
            field="vision",
        )
    meta, body_start = _front_matter(masked)
    blocks = tuple(_with_titles(_blocks(masked, body_start)))
    return Source(text=text, name=meta.get("name"), blueprint=meta.get("blueprint"), blocks=blocks)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _mask(text: str) -> str:
    """Blank out what is not prose, keeping every offset."""
    masked = (
        text.replace("\ufeff", " ").replace("\r\n", " \n").replace("\r", "\n").replace("\f", " ").replace("\t", " ")
    )
    masked = re.sub(r"<!--.*?(-->|\Z)", _blank, masked, flags=re.DOTALL)
    lines = masked.split("\n")
    fence = ""
    for index, line in enumerate(lines):
        found = _FENCE.match(line)
        if fence:
            closes = found is not None and found.group(1) == fence
            lines[index] = " " * len(line)
            fence = "" if closes else fence
        elif found is not None:
            fence = found.group(1)
            lines[index] = " " * len(line)
    masked = "\n".join(lines)
    masked = re.sub(r"!\[[^\]\n]*\]\([^)\n]*\)", _blank, masked)
    masked = re.sub(r"</?[a-zA-Z][^<>\n]*>", _blank, masked)
    return masked.translate(str.maketrans(_QUOTES))


def _front_matter(masked: str) -> tuple[dict[str, str], int]:
    lead = len(masked) - len(masked.lstrip())
    match = re.compile(r"---[ ]*\n(?P<body>.*?)^---[ ]*$\n?", re.DOTALL | re.MULTILINE).match(masked, lead)
    if match is None:
        return {}, 0
    try:
        loaded = yaml.safe_load(match.group("body"))
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 2})" if where is not None else ""
        raise BadInputError(
            f"the front matter is not valid YAML{line}.",
            remedy="Write one 'key: value' per line between the two '---' lines, for example 'name: Clinic'.",
            field="front matter",
        ) from None
    if loaded is None:
        return {}, match.end()
    if not isinstance(loaded, dict):
        if ":" not in match.group("body"):
            return {}, 0
        raise BadInputError(
            "the front matter is not a list of keys and values.",
            remedy=f"Known keys: {', '.join(_KEYS)}.",
            field="front matter",
        )
    return {str(key): _front_value(str(key), value) for key, value in loaded.items()}, match.end()


def _front_value(key: str, value: object) -> str:
    if key not in _KEYS:
        raise BadInputError(
            f"the front matter has the unknown key {key!r}.", remedy=f"Known keys: {', '.join(_KEYS)}.", field=key
        )
    if not isinstance(value, str) or not value.strip():
        raise BadInputError(
            f"the front matter's {key!r} is {value!r}, not a text.",
            remedy=f"Write it as text, for example '{key}: {'Clinic' if key == 'name' else 'api-service'}'.",
            field=key,
        )
    value = value.strip()
    if key == "blueprint" and not re.fullmatch(r"[a-z][a-z0-9-]*", value):
        raise BadInputError(
            f"the front matter's 'blueprint' is {value!r}, which is no name of a blueprint.",
            remedy="Blueprint names are lower-case words joined by hyphens, such as 'api-service'.",
            field=key,
        )
    if key == "name" and not re.search(r"\w", value):
        raise BadInputError(
            f"the front matter's 'name' is {value!r}, which has no letter.",
            remedy="Give the product's name, for example 'name: Clinic'.",
            field=key,
        )
    return value


@dataclass(slots=True)
class _Open:
    """A block under construction: pieces of lines with their offsets."""

    kind: BlockKind
    level: int
    pieces: list[tuple[int, int]] = field(default_factory=list)
    indent: int = 0


def _blocks(masked: str, body_start: int) -> Iterator[Block]:
    reader = _Reader(masked)
    position = body_start
    for line in masked[body_start:].split("\n"):
        yield from reader.read(line, position)
        position += len(line) + 1
    yield from reader.close()


class _Reader:
    """Reads lines into blocks; holds the block that is not finished yet and the headings above it."""

    def __init__(self, masked: str) -> None:
        self._masked = masked
        self._path: list[tuple[int, str]] = []
        self._indents: list[int] = []
        self._current: _Open | None = None

    def read(self, line: str, start: int) -> Iterator[Block]:
        """Take the next line, and yield the blocks that it finishes."""
        stripped = line.strip()
        heading = _HEADING.match(stripped)
        item = _ITEM.match(line.lstrip(">") if line.startswith(">") else line)
        if not stripped or _RULE.fullmatch(line):
            self._underline(line)
            yield from self.close()
        elif heading is not None:
            yield from self.close()
            begin = start + line.index(heading.group("text"), line.index("#") + len(heading.group("mark")))
            level = len(heading.group("mark"))
            self._current = _Open(BlockKind.HEADING, level, [(begin, begin + len(heading.group("text")))])
            self._indents = []
            yield from self.close()
        elif item is not None:
            yield from self.close()
            self._item(line, start, item)
        elif stripped.startswith("|"):
            yield from self.close()
            if not re.fullmatch(r"[|:\- ]+", stripped):
                yield _row(self._masked, start, line, self._path)
        else:
            yield from self._text(line, start)

    def close(self) -> Iterator[Block]:
        """Yield the block that is open, if any."""
        finished = _finish(self._current, self._masked, self._path)
        self._current = None
        if finished is not None:
            yield finished

    def _underline(self, line: str) -> None:
        """Make a heading of a line that is underlined with equals signs."""
        current = self._current
        if current is not None and "=" in line and current.kind is BlockKind.PARAGRAPH and len(current.pieces) == 1:
            current.kind, current.level = BlockKind.HEADING, 1

    def _item(self, line: str, start: int, item: re.Match[str]) -> None:
        indent = len(item.group("indent"))
        while self._indents and self._indents[-1] >= indent:
            self._indents.pop()
        self._indents.append(indent)
        begin = start + len(line) - len(item.group("text"))
        self._current = _Open(BlockKind.ITEM, len(self._indents) - 1, [(begin, start + len(line))], indent)

    def _text(self, line: str, start: int) -> Iterator[Block]:
        piece = (start + len(line) - len(line.lstrip(" >")), start + len(line))
        current = self._current
        ends: bool = current is not None and current.kind is BlockKind.PARAGRAPH
        ends = ends and (_STORY_LINE.match(line) is not None or _is_title(self._masked, current))
        if current is not None and _LABEL_LINE.match(stripped := line.strip()) and not stripped.startswith("**"):
            first = self._masked[slice(*current.pieces[0])]
            if current.kind is BlockKind.PARAGRAPH and _LABEL_LINE.match(first.strip()):
                current.kind = BlockKind.ITEM
            labelled = _LABEL_LINE.match(first) is not None and not line.startswith(" ")
            ends = ends or (current.kind is BlockKind.ITEM and labelled)
            if ends and current.kind is BlockKind.ITEM:
                yield from self.close()
                self._current = _Open(BlockKind.ITEM, 0, [piece])
                return
        if current is not None and not ends:
            current.pieces.append(piece)
            return
        yield from self.close()
        if not line.startswith(" "):
            self._indents = []
        self._current = _Open(BlockKind.PARAGRAPH, 0, [piece])


def _is_title(masked: str, current: _Open | None) -> bool:
    if current is None:
        return False
    text = masked[current.pieces[0][0] : current.pieces[-1][1]].strip(" *_")
    return len(current.pieces) == 1 and text.endswith(":") and len(text.split()) <= _TITLE_WORDS


_TITLE_WORDS = 6
# A line such as "Observers: visit stations" that begins a new thought though no mark of a list stands before it.
_LABEL_LINE = re.compile(r"[A-Z][\w' /-]{1,30}(?:\([^)]*\))?: \S")
_STORY_LINE = re.compile(r"\W*(?:[\w.-]{1,10}\W{1,3})?As (?:an?|the|any) \w", re.IGNORECASE)


def _finish(current: _Open | None, masked: str, path: list[tuple[int, str]]) -> Block | None:
    if current is None:
        return None
    text, offsets = _clean(masked, current.pieces)
    if not text:
        return None
    raw = [
        begin + match.end()
        for begin, end in current.pieces
        for match in re.finditer(r"(?<!\w)(?:\*\*|__)(?=\S)", masked[begin:end])
    ]
    marks = tuple(offsets.index(offset) for offset in raw if offset in offsets)
    if current.kind is BlockKind.HEADING:
        while path and path[-1][0] >= current.level:
            path.pop()
        above = tuple(name for _, name in path)
        path.append((current.level, text))
        return Block(current.kind, text, offsets, current.level, above)
    first = current.pieces[0][0]
    bold = masked[first : current.pieces[0][1]].lstrip().startswith(("**", "__"))
    return Block(current.kind, text, offsets, current.level, tuple(name for _, name in path), bold=bold, marks=marks)


def _clean(masked: str, pieces: list[tuple[int, int]]) -> tuple[str, tuple[int, ...]]:
    """Join lines, drop markup and fold spaces, keeping for each character where it stood."""
    chars: list[str] = []
    offsets: list[int] = []
    for begin, end in pieces:
        raw = masked[begin:end]
        dropped = {index for match in _MARKUP.finditer(raw) for index in range(match.start(), match.end())}
        if chars and chars[-1] != " ":
            chars.append(" ")
            offsets.append(begin)
        for index, char in enumerate(raw):
            if index in dropped or (char == " " and (not chars or chars[-1] == " ")):
                continue
            chars.append(char)
            offsets.append(begin + index)
    while chars and chars[-1] == " ":
        chars.pop()
        offsets.pop()
    return "".join(chars), (*offsets, (offsets[-1] + 1) if offsets else 0)


def _row(masked: str, start: int, line: str, path: list[tuple[int, str]]) -> Block:
    cells: list[tuple[int, int]] = []
    text = ""
    offsets: list[int] = []
    for match in re.finditer(r"(?:\((?:[^()]*)\)|\\\||[^|])+", line):
        cell, where = _clean(masked, [(start + match.start(), start + match.end())])
        if not cell and match.end() == len(line):
            continue
        if text:
            text += " "
            offsets.append(where[0])
        cells.append((len(text), len(text) + len(cell)))
        text += cell
        offsets.extend(where[:-1])
    return Block(
        BlockKind.ROW,
        text,
        (*offsets, (offsets[-1] + 1) if offsets else start),
        path=tuple(name for _, name in path),
        cells=tuple(cells),
    )


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a block, with its place in the block's text."""

    block: Block
    start: int
    text: str

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the vision of a span of the sentence."""
        return self.block.span(self.start + start, self.start + end)


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z0-9])|;\s+")
_ABBREVIATION = re.compile(r"\b(e\.g|i\.e|etc|Dr|Mr|Mrs|Ms|Prof|No|approx|vs|St)\.\s*$")


def sentences(block: Block) -> list[Sentence]:
    """Split a block into sentences, at semicolons too."""
    found: list[Sentence] = []
    begin = 0
    for match in _SENTENCE_END.finditer(block.text):
        if _ABBREVIATION.search(block.text[: match.start() + 1]):
            continue
        found.append(Sentence(block, begin, block.text[begin : match.start()].rstrip()))
        begin = match.end()
    if begin < len(block.text):
        found.append(Sentence(block, begin, block.text[begin:]))
    return [sentence for sentence in found if sentence.text.strip()]


def line_starts(text: str) -> list[int]:
    """Return the offset of each line's first character."""
    return [0, *(match.end() for match in re.finditer(r"\n", text))]


def line_of(starts: list[int], offset: int) -> int:
    """Return the line, counted from 1, that holds an offset."""
    return bisect_right(starts, offset)
