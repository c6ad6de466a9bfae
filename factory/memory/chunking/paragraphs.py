"""Plain text: one part, its paragraphs the blocks."""

import re

from factory.memory.chunking.parts import Part

# The groups are atomic: the two halves of CRLF are never two line ends.
_BLANK_LINE = re.compile(r"(?>\r\n|\r|\n)[^\S\r\n]*(?>\r\n|\r|\n)")


def paragraph_parts(text: str) -> list[Part]:
    """Return the whole text as one part without a title."""
    return [Part(0, len(text), "", None, tuple(found.end() for found in _BLANK_LINE.finditer(text)))]
