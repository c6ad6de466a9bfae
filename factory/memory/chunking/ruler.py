"""The ruler: measure slices of a text in tokens, cut those over the limit, pack those far below it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

from semchunk.semchunk import chunkerify

from factory.domain.errors import BadInputError

TokenCounter = Callable[[str], int]
Span = tuple[int, int]

# A word piece model takes a word of any length for one unknown token, so tokens alone do not bound a chunk.
CHARACTERS_PER_TOKEN = 16
# In chunks' worth of characters. semchunk looks at its whole input over and over, and calls itself for every width of
# gap in it.
_WINDOW = 4
# A chunk that is at least half full ends after a block whose checksum this divides: about four blocks late.
_ENDS = 4


class Ruler:
    """Measures and cuts one text.

    Args:
        text: What spans refer to.
        counter: Tells the tokens of a string. It need be neither additive nor monotonic: every result is counted again.
        limit: Tokens that a span may have.

    Raises:
        BadInputError: The limit is below 1, or a single character has more tokens (from the methods that cut).
    """

    def __init__(self, text: str, counter: TokenCounter, limit: int) -> None:
        if limit < 1:
            raise BadInputError(
                f"the limit of a chunk is {limit} tokens.", remedy="Give the model's maximum length.", field="limit"
            )
        self.text = text
        self.limit = limit
        self._counter = counter
        self._longest = limit * CHARACTERS_PER_TOKEN
        self._known: dict[Span, int] = {}
        self._overhead = counter("")
        # With its own memory it would keep every counter, and all that it counted, for as long as the process lives.
        self._cutter: Any = chunkerify(self._count, chunk_size=limit, memoize=False)

    def trimmed(self, start: int, end: int) -> Span:
        """Return the span without blank lines before it and white space after it; its first line keeps its indent."""
        text = self.text
        while end > start and text[end - 1].isspace():
            end -= 1
        cursor = start
        while cursor < end and text[cursor].isspace():
            if text[cursor] in "\r\n":
                start = cursor + 1
            cursor += 1
        return start, end

    def tokens(self, start: int, end: int) -> int:
        """Return the tokens of the trimmed span; one more than the limit where it has too many characters."""
        span = self.trimmed(start, end)
        known = self._known.get(span)
        if known is None:
            known = self._known[span] = self._count(self.text[span[0] : span[1]])
        return known

    def fits(self, start: int, end: int) -> bool:
        """Tell whether the trimmed span is within the limit."""
        return self.tokens(start, end) <= self.limit

    def cut(self, edges: Sequence[int]) -> list[Span]:
        """Return spans within the limit that hold everything from the first edge to the last but white space.

        Args:
            edges: In order; a block lies between each and the next. It is cut only where it does not fit alone.
        """
        if self.fits(edges[0], edges[-1]):
            whole = self.trimmed(edges[0], edges[-1])
            return [whole] if whole[0] < whole[1] else []
        spans: list[Span] = []
        for start, end in pairwise(edges):
            block = self.trimmed(start, end)
            if block[0] < block[1]:
                spans += [block] if self.fits(*block) else self._split(*block)
        return self.pack(spans)

    def pack(self, spans: Sequence[Span]) -> list[Span]:
        """Return neighbours joined up to the limit: all in one where they fit, otherwise by content.

        Args:
            spans: Within the limit each, in order; a joined span runs from the start of its first to the end of its
                last.
        """
        if len(spans) < 2 or self.fits(spans[0][0], spans[-1][1]):  # noqa: PLR2004 - one has no neighbour
            return [(spans[0][0], spans[-1][1])] if spans else []
        room = self.limit - self._overhead
        groups: list[list[Span]] = [[]]
        filled = 0
        for span in spans:
            tokens = self.tokens(*span) - self._overhead
            if groups[-1] and filled + tokens > room:
                groups.append([])
                filled = 0
            groups[-1].append(span)
            filled += tokens
            if filled * 2 >= room and crc32(self.text[span[0] : span[1]].encode()) % _ENDS == 0:
                groups.append([])
                filled = 0
        return [joined for group in groups if group for joined in self._joined(group)]

    def _joined(self, spans: list[Span]) -> list[Span]:
        """Join what should fit by the sum of its tokens; where it does not, join each half."""
        if len(spans) == 1 or self.fits(spans[0][0], spans[-1][1]):
            return [(spans[0][0], spans[-1][1])]
        middle = len(spans) // 2
        return self._joined(spans[:middle]) + self._joined(spans[middle:])

    def _split(self, start: int, end: int) -> list[Span]:
        spans: list[Span] = []
        while start < end:
            stop = self._window_end(start, end)
            try:
                offsets: list[Span] = self._cutter(self.text[start:stop], offsets=True)[1]
            except RecursionError:
                # A character over the limit, or more widths of gaps than it can nest.
                offsets = []
            edges = [start, *(start + offset for offset, _ in offsets[1:]), stop]
            spans += [span for pair in pairwise(edges) for span in self._halved(*pair)]
            start = stop
        return spans

    def _window_end(self, start: int, end: int) -> int:
        width = self._longest * _WINDOW
        if end - start <= width:
            return end
        for gap in ("\n\n", "\n", " "):
            found = self.text.rfind(gap, start + width // 2, start + width)
            if found >= 0:
                return found + len(gap)
        return start + width

    def _halved(self, start: int, end: int) -> list[Span]:
        """Hold the limit also against a counter for which a part has more tokens than the whole."""
        start, end = self.trimmed(start, end)
        if start == end:
            return []
        if self.fits(start, end):
            return [(start, end)]
        if end - start == 1:
            raise BadInputError(
                f"the character U+{ord(self.text[start]):04X} alone has more than {self.limit} tokens.",
                remedy="Raise the limit.",
                field="limit",
            )
        middle = (start + end) // 2
        return self._halved(start, middle) + self._halved(middle, end)

    def _count(self, text: str) -> int:
        return self.limit + 1 if len(text) > self._longest else self._counter(text)
