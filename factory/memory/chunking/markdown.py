"""Markdown: a part per section, its paragraphs, lists, tables and fences the blocks.

Read line by line in linear time, and only as far as chunks need it: headings outside of fences, comments and raw HTML
(CommonMark 0.31, sections 4.2 to 4.6), and blocks, which end at blank lines. A heading inside a list or a quotation
begins no section, and what follows one without a blank line is never taken for an underlined heading. A parser of the
whole language takes minutes for megabytes of list items, and is used in the tests to check that both find the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from factory.memory.chunking.parts import Part

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
# A first key tells front matter from a rule. The groups are atomic: the two halves of CRLF are never two line ends.
_FRONT_MATTER = re.compile(
    r"(---|\+\+\+)[ \t]*(?>\r\n|\r|\n)(?=[\w.\"'-]+[ \t]*[:=])"
    r"(?>[^\r\n]*(?>\r\n|\r|\n))*?\1[ \t]*(?>\r\n|\r|\n|\Z)"
)
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_CLOSING = re.compile(r"(?:^|[ \t])#+$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"([ \t]*)(?:(`{3,})[^`]*|(~{3,}).*)$")
_ITEM = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_NO_PARAGRAPH = re.compile(r" {0,3}(?:>|<[a-zA-Z/!?])")
_CODE = re.compile(r" {4}| {0,3}\t")
_RAW = (
    (re.compile(r" {0,3}<!--"), re.compile("-->")),
    (re.compile(r" {0,3}<(?:pre|script|style|textarea)(?:[\s>]|$)", re.IGNORECASE),
     re.compile(r"</(?:pre|script|style|textarea)>", re.IGNORECASE)),
)  # fmt: skip
_CODE_INDENT = 4
_LIST_INDENT = 2


@dataclass(slots=True)
class _Section:
    start: int
    level: int
    heading: str
    blocks: list[int] = field(default_factory=list)


def markdown_parts(text: str) -> list[Part]:
    """Return a part per section, titled with the headings above it and its own: `A > B > C`."""
    front = _FRONT_MATTER.match(text)
    start = front.end() if front else 0
    sections = list(_sections(text, start))
    parts = [Part(0, start, "", None)] if start else []
    above: list[_Section] = []
    for section, following in zip(sections, [*sections[1:], None], strict=True):
        while above and above[-1].level >= section.level:
            above.pop()
        outer = " > ".join(s.heading for s in above)
        title = f"{outer} > {section.heading}" if outer else section.heading
        # What stands before the first subsection belongs with small subsections.
        scope = title if following and following.level > section.level else outer
        end = following.start if following else len(text)
        parts.append(Part(section.start, end, title, scope, tuple(section.blocks)))
        if section.level:
            above.append(section)
    return parts


def _sections(text: str, start: int) -> Iterator[_Section]:
    reader = _Lines(text, _Section(start, 0, ""))
    for line in _LINE.finditer(text, start):
        done = reader.read(line.start(), line.group().rstrip("\r\n"))
        if done:
            yield done
    yield reader.section


class _Lines:
    """What is known of the document down to a line."""

    def __init__(self, text: str, section: _Section) -> None:
        self.section = section
        self._text = text
        # What ends the fence or raw HTML that the lines are inside of, and the indent that its list asks for.
        self._closing: re.Pattern[str] | None = None
        self._indent = 0
        # Where the paragraph begins that an underline would make a heading.
        self._paragraph: int | None = None
        self._in_list = False
        # Whether the next line begins a block whatever it is.
        self._fresh = True

    def read(self, at: int, line: str) -> _Section | None:
        """Take a line in; return the section that it ends, if any."""
        if self._closing is not None and self._is_inside(self._closing, line):
            return None
        if not line.strip():
            self._fresh, self._paragraph = True, None
            return None
        if heading := _HEADING.match(line):
            return self._begin(at, len(heading[1]), _CLOSING.sub("", (heading[2] or "").rstrip()))
        underline = _UNDERLINE.match(line)
        if underline and self._paragraph is not None:
            begin = self._paragraph
            return self._begin(begin, 1 if underline[1][0] == "=" else 2, self._text[begin:at])
        self._read_block(at, line)
        return None

    def _is_inside(self, closing: re.Pattern[str], line: str) -> bool:
        """Tell whether the line belongs to the fence or raw HTML, as also the one that closes it does."""
        left = bool(line.strip()) and len(line) - len(line.lstrip()) < self._indent
        if left or closing.search(line):
            self._closing, self._fresh = None, True
        return not left

    def _begin(self, at: int, level: int, words: str) -> _Section:
        done = self.section
        done.blocks = [block for block in done.blocks if block < at]
        self.section = _Section(at, level, " ".join(words.split()))
        self._fresh, self._paragraph, self._in_list = True, None, False
        return done

    def _read_block(self, at: int, line: str) -> None:
        rule = bool(_RULE.match(line))
        item, indented = bool(_ITEM.match(line)) and not rule, line[0].isspace()
        if item or ((self._fresh or rule) and not indented):
            self._in_list = item
        opens = self._opens(line)
        if opens or rule or self._fresh:
            self.section.blocks.append(at)
            self._paragraph = at
        nested = self._fresh and ((self._in_list and indented) or _CODE.match(line))
        if opens or item or nested or rule or _NO_PARAGRAPH.match(line):
            self._paragraph = None
        self._fresh = rule

    def _opens(self, line: str) -> bool:
        """Tell whether the line opens a fence or raw HTML, and note what closes it."""
        fence = _FENCE.match(line)
        indent = len(fence[1].expandtabs(_CODE_INDENT)) if fence else 0
        if fence and (indent < _CODE_INDENT or self._in_list):
            mark = fence[2] or fence[3]
            self._closing = re.compile(rf"^[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
            self._indent = min(indent, _LIST_INDENT) if self._in_list else 0
            return True
        for opening, closing in _RAW:
            if found := opening.match(line):
                self._closing = None if closing.search(line, found.end()) else closing
                self._indent = 0
                return True
        return False
