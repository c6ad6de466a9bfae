"""Parts of a declaring line: split at commas outside brackets, notes kept with their field."""

import re
from collections.abc import Iterator

RELATION = re.compile(
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


def split_parts(text: str) -> Iterator[tuple[int, str]]:
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


_NOTE = re.compile(
    r"(?:[<>]=?\s*-?\d|between -?\d|at least \d|at most \d+ char|max(?:imum)? \d+ char|default\b)[^()]*$|"
    r"(?:unique|required|optional|mandatory|positive|personal|not null)$",
    re.IGNORECASE,
)


def with_notes(text: str) -> Iterator[tuple[int, str]]:
    """Split a line, leaving with a field the notes that follow it after a comma: "price: money, > 0"."""
    held: tuple[int, str] | None = None
    for offset, part in split_parts(text):
        if held is not None and _NOTE.match(part) and (":" in held[1] or len(part.split()) > 1 or part.islower()):
            held = (held[0], f"{held[1]} ({part})")
            continue
        if held is not None:
            yield held
        held = (offset, part)
    if held is not None:
        yield held


LIMIT = re.compile(
    r"(?:max(?:imum)?\.?|at most|up to|no more than)\s+(?P<count>\d+)\s+(?P<what>[A-Za-z][A-Za-z ]*)$", re.IGNORECASE
)
