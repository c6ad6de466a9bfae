"""From a document to its chunks; the rules are those of the package's docstring."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import PurePosixPath

from factory.memory.chunking.definitions import definition_parts
from factory.memory.chunking.formats import Format, format_of
from factory.memory.chunking.markdown import markdown_parts
from factory.memory.chunking.paragraphs import paragraph_parts
from factory.memory.chunking.parts import Fits, Part
from factory.memory.chunking.ruler import Ruler, TokenCounter
from factory.memory.chunking.subtrees import subtree_parts
from factory.memory.documents import Chunk, Document, chunk_id

LONGEST_TITLE = 200
# A part below this share of the limit is packed with its small neighbours.
_SMALL_SHARE = 8
# In characters. tree-sitter takes a minute and more to mend megabytes that are not code at all; nobody writes so long a
# file by hand.
_LONGEST_CODE = 2_000_000
_SURROGATES = re.compile("[\ud800-\udfff]")


def chunk_document(document: Document, counter: TokenCounter, limit: int = 256) -> list[Chunk]:
    """Cut a document along its structure, whatever it holds.

    The same document, counter and limit give the same chunks. What the format's reader cannot parse is read as
    text, and so is code of more than 2,000,000 characters.

    Args:
        document: What to cut.
        counter: Tells how many tokens the embedding model makes of a text, its special tokens included.
        limit: Tokens that the text of a chunk may have.

    Returns:
        The chunks in the document's order; none where it holds nothing but white space.

    Raises:
        BadInputError: The limit is below 1, or below the tokens of a single character.
    """
    text = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", document.text)
    ruler = Ruler(text, counter, limit)
    chunks: list[Chunk] = []
    seen: Counter[tuple[str, str]] = Counter()
    for full_title, start, end in _passages(_parts(document, text, ruler.fits), ruler):
        title, passage = _shown(full_title), text[start:end]
        identity = chunk_id(document.key, document.tenant, title, passage, seen[title, passage])
        seen[title, passage] += 1
        chunks.append(Chunk(identity, len(chunks), title, passage, ruler.tokens(start, end)))
    return chunks


def _parts(document: Document, text: str, fits: Fits) -> list[Part]:
    match format_of(document):
        case Format.MARKDOWN:
            return markdown_parts(text)
        case Format.PYTHON | Format.JAVASCRIPT | Format.TYPESCRIPT as language if len(text) <= _LONGEST_CODE:
            # Only TypeScript needs to be told where elements may stand in code.
            elements = PurePosixPath(document.path.lower()).suffix == ".tsx"
            return definition_parts(text, language, fits, elements=elements)
        case Format.YAML | Format.JSON as notation:
            return subtree_parts(text, notation, fits) or paragraph_parts(text)
        case _:
            return paragraph_parts(text)


def _passages(parts: list[Part], ruler: Ruler) -> Iterator[tuple[str, int, int]]:
    """Yield title, start and end of each chunk."""
    written = [part for part in parts if _is_written(part, ruler)]
    for scope, run in groupby(written, lambda part: part.scope if _is_small(part, ruler) else None):
        if scope is None:
            for part in run:
                for start, end in ruler.cut([part.start, *part.blocks, part.end]):
                    yield part.title, start, end
        else:
            small = list(run)
            first = 0
            for start, end in ruler.pack([ruler.trimmed(part.start, part.end) for part in small]):
                stop = bisect_left(small, end, key=attrgetter("start"))
                titles = {part.title for part in small[first:stop]}
                yield titles.pop() if len(titles) == 1 else scope, start, end
                first = stop


def _is_written(part: Part, ruler: Ruler) -> bool:
    start, end = ruler.trimmed(part.start, part.end)
    return start < end


def _is_small(part: Part, ruler: Ruler) -> bool:
    return part.scope is not None and ruler.tokens(part.start, part.end) * _SMALL_SHARE < ruler.limit


def _shown(title: str) -> str:
    """Return the title on one line, and the end of one that is too long, which says the most."""
    line = " ".join(_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", title[-2 * LONGEST_TITLE :]).split())
    return line if len(line) <= LONGEST_TITLE else "…" + line[1 - LONGEST_TITLE :]
