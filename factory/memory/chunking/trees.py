"""Trees: where the keys and elements of a YAML or JSON document stand in its text."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import yaml

# The parser of YAML takes time with the square of the depth of brackets: minutes from 100,000 on.
_DEEPEST = 500
_BRACKET = re.compile(r"[\[\]{}]")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]|[^\s{}\[\]:,"]+')


class UnreadableError(ValueError):
    """The text is not what its format says; the message of the parser is the cause."""


class Kind(StrEnum):
    """What a node holds."""

    MAPPING = "mapping"
    SEQUENCE = "sequence"
    SCALAR = "scalar"


@dataclass(slots=True)
class Node:
    """A document, the value of a key, or an element of a sequence.

    Attributes:
        kind: What it holds; an alias counts as a scalar.
        start: Where its key begins, or itself where it has none.
        end: Where what it holds ends, closing bracket not included.
        key: Its key, None where it has none.
        children: In the order of the text.
    """

    kind: Kind
    start: int
    end: int
    key: str | None = None
    children: list["Node"] = field(default_factory=list)


class _Event(NamedTuple):
    """A node begins, or (without a kind) the innermost mapping or sequence ends."""

    kind: Kind | None
    start: int
    end: int
    value: str = ""


def read_yaml(text: str) -> list[Node]:
    """Return the documents of a YAML stream.

    Raises:
        UnreadableError: It is not YAML, or nested deeper than anybody writes.
    """
    depth = 0
    for bracket in _BRACKET.finditer(text):
        depth = max(depth + (1 if bracket.group() in "[{" else -1), 0)
        if depth > _DEEPEST:
            raise UnreadableError(f"more than {_DEEPEST} brackets are open.")
    # The parser does not count a byte order mark.
    skipped = 1 if text.startswith("\ufeff") else 0
    try:
        return _documents(_yaml_events(text[skipped:], skipped))
    except (yaml.YAMLError, UnicodeError) as error:
        raise UnreadableError(str(error)) from error


def read_json(text: str) -> list[Node]:
    """Return the one document of a JSON text.

    Raises:
        UnreadableError: It is not JSON, or nested too deeply for the parser.
    """
    try:
        json.loads(text.removeprefix("\ufeff"))
        return _documents(_json_events(text))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error)) from error


def _yaml_events(text: str, skipped: int) -> Iterator[_Event]:
    # Events, not nodes: an alias has its own place, nothing is expanded, and nothing recurses.
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        start, end = _index(event.start_mark) + skipped, _index(event.end_mark) + skipped
        match event:
            case yaml.MappingStartEvent():
                yield _Event(Kind.MAPPING, start, end)
            case yaml.SequenceStartEvent():
                yield _Event(Kind.SEQUENCE, start, end)
            case yaml.ScalarEvent():
                yield _Event(Kind.SCALAR, start, end, event.value)
            case yaml.AliasEvent():
                yield _Event(Kind.SCALAR, start, end, f"*{event.anchor}")
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                yield _Event(None, start, end)


def _index(mark: Any) -> int:  # noqa: ANN401 - the declared types allow for no mark, which is never so here
    return int(mark.index)


def _json_events(text: str) -> Iterator[_Event]:
    kinds = {"{": Kind.MAPPING, "[": Kind.SEQUENCE, "}": None, "]": None}
    for token in _JSON_TOKEN.finditer(text):
        written = token.group()
        if written in kinds:
            yield _Event(kinds[written], token.start(), token.end())
        else:
            value = json.loads(written) if written[0] == '"' else written
            yield _Event(Kind.SCALAR, token.start(), token.end(), value)


def _documents(events: Iterable[_Event]) -> list[Node]:
    stream = Node(Kind.SEQUENCE, 0, 0)
    open_nodes = [stream]
    # Of each open mapping, the key whose value comes next: where it begins, and what it is.
    keys: list[tuple[int, str] | None] = [None]
    for event in events:
        if event.kind is None:
            open_nodes.pop().end = event.start
            keys.pop()
            continue
        parent = open_nodes[-1]
        if parent.kind is Kind.MAPPING and keys[-1] is None:
            keys[-1] = (event.start, event.value)
            if event.kind is Kind.SCALAR:
                continue
            # A key that is a mapping or a sequence: read to its end, and forget what it holds.
            open_nodes.append(Node(event.kind, event.start, event.end))
            keys.append(None)
            continue
        start, key = keys[-1] or (event.start, None)
        keys[-1] = None
        node = Node(event.kind, start, event.end, key)
        parent.children.append(node)
        if event.kind is not Kind.SCALAR:
            open_nodes.append(node)
            keys.append(None)
    return stream.children
