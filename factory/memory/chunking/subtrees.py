"""YAML and JSON: a part per operation, schema, channel or message of a specification, otherwise per subtree.

A subtree that fits is one part; another is taken apart in its children. Its title is a JSON pointer (RFC 6901), in
which an element of a sequence has no index: with one, each insertion would change the titles of all that follow.
"""

from collections.abc import Iterator
from itertools import chain

from factory.memory.chunking.formats import Format
from factory.memory.chunking.parts import Fits, Part
from factory.memory.chunking.trees import Node, UnreadableError, read_json, read_yaml

_ANY = "*"
_METHODS = ("delete", "get", "head", "options", "patch", "post", "put", "query", "trace")
# What each specification is looked up by. A title takes the keys in the order of the numbers.
_Names = dict[tuple[str, ...], str]
_OPERATIONS: _Names = {("paths", _ANY, method): f"{method.upper()} {{1}}" for method in _METHODS}
_WEBHOOKS: _Names = {("webhooks", _ANY, method): f"webhook {{1}} {method.upper()}" for method in _METHODS}
_SCHEMAS: _Names = {("components", "schemas", _ANY): "schema {2}"}
_SPECIFICATIONS: dict[str, _Names] = {
    "openapi": _OPERATIONS | _WEBHOOKS | _SCHEMAS,
    "swagger": _OPERATIONS | {("definitions", _ANY): "schema {1}"},
    "asyncapi": _SCHEMAS
    | {
        ("channels", _ANY): "channel {1}",
        ("operations", _ANY): "operation {1}",
        ("components", "messages", _ANY): "message {2}",
    },
}
# Deeper subtrees are cut as text: no pointer of that length tells anybody anything.
_DEEPEST = 40


def subtree_parts(text: str, notation: Format, fits: Fits) -> list[Part] | None:
    """Return the parts of a YAML stream or a JSON document; None where it is not readable as that.

    Args:
        text: The document.
        notation: YAML or JSON.
        fits: Tells whether a span is within the limit.
    """
    try:
        documents = read_json(text) if notation is Format.JSON else read_yaml(text)
    except UnreadableError:
        return None
    if not any(document.children for document in documents):
        return None
    starts = [0, *(_line_start(text, document.start, 0) for document in documents[1:]), len(text)]
    found: list[Part] = []
    for document, start, end in zip(documents, starts, starts[1:], strict=False):
        names = next((_SPECIFICATIONS[c.key] for c in document.children if c.key in _SPECIFICATIONS), {})
        found += _Reader(text, notation, fits, names).parts(document, (), start, end)
    return found


class _Reader:
    def __init__(self, text: str, notation: Format, fits: Fits, names: _Names) -> None:
        self._text = text
        self._notation = notation
        self._fits = fits
        self._names = names

    def parts(self, node: Node, keys: tuple[str, ...], start: int, end: int, depth: int = 0) -> Iterator[Part]:
        """Yield the parts of a node that lies, with its key, between start and end."""
        starts = self._starts(node, start)
        name = self._name(keys)
        if name is not None:
            yield Part(start, end, name, None, tuple(starts[1:]))
        elif not starts or depth >= _DEEPEST or (self._fits(start, end) and not self._leads_to_names(keys)):
            yield Part(start, end, _pointer(keys), _pointer(keys[:-1] if node.key is not None else keys))
        else:
            if not keys:
                # What stands above the first key of a document is said of the whole.
                starts[0] = start
            last = min(node.end, end) if node.end > starts[-1] else end
            for child, begin, stop in zip(node.children, starts, [*starts[1:], last], strict=True):
                below = keys if child.key is None else (*keys, child.key)
                yield from self.parts(child, below, begin, self._without_comma(begin, stop), depth + 1)

    def _without_comma(self, start: int, end: int) -> int:
        """Leave the comma to the next element out: the last has none, until another is added."""
        if self._notation is not Format.JSON:
            return end
        last = end
        while last > start and self._text[last - 1].isspace():
            last -= 1
        return last - 1 if last > start and self._text[last - 1] == "," else end

    def _starts(self, node: Node, start: int) -> list[int]:
        return [max(_line_start(self._text, child.start, start), start) for child in node.children]

    def _name(self, keys: tuple[str, ...]) -> str | None:
        for pattern, title in self._names.items():
            if len(pattern) == len(keys) and _agrees(pattern, keys):
                return title.format(*keys)
        return None

    def _leads_to_names(self, keys: tuple[str, ...]) -> bool:
        return any(len(pattern) > len(keys) and _agrees(pattern, keys) for pattern in self._names)


def _agrees(pattern: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    return all(wanted in (_ANY, key) for wanted, key in zip(pattern, keys, strict=False))


def _pointer(keys: tuple[str, ...]) -> str:
    return "".join(chain.from_iterable(("/", key.replace("~", "~0").replace("/", "~1")) for key in keys))


def _line_start(text: str, at: int, lowest: int) -> int:
    """Return where the line begins, if only an indent or the dashes of a list stand before, or the comments above."""
    start = at
    while start > lowest and text[start - 1] in " \t-":
        start -= 1
    if start > lowest and text[start - 1] not in "\r\n":
        return at
    while start > lowest:
        above = max(text.rfind("\n", lowest, start - 1) + 1, lowest)
        if not text[above:start].lstrip().startswith("#"):
            break
        start = above
    return start
