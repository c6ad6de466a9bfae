"""Code: a part per definition and per statement between definitions, read with tree-sitter.

tree-sitter answers for any input: what it cannot parse becomes error nodes, whose children are read like the rest. The
grammars are one package per language, since the collections of grammars download them when they are used.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import tree_sitter_javascript
import tree_sitter_python
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from factory.memory.chunking.formats import Format
from factory.memory.chunking.parts import Fits, Part

_NAMED = {
    "abstract_class_declaration",
    "class_declaration",
    "class_definition",
    "enum_declaration",
    "function_declaration",
    "function_definition",
    "function_signature",
    "generator_function_declaration",
    "interface_declaration",
    "internal_module",
    "method_definition",
    "module",
    "type_alias_declaration",
}
_WRAPPERS = {"ambient_declaration", "decorated_definition", "export_statement", "expression_statement"}
# Name them by what their value is assigned to.
_ASSIGNMENTS = {
    "assignment_expression": ("left", "right"),
    "field_definition": ("property", "value"),
    "public_field_definition": ("name", "value"),
    "variable_declarator": ("name", "value"),
}
_DECLARATIONS = {"lexical_declaration", "variable_declaration"}
_TARGETS = {"assignment", "assignment_expression", "variable_declarator"}
_VALUES = {"arrow_function", "class", "function_expression", "generator_function"}
# A decorator stands before a method of a JavaScript class as a node of its own.
_LEADING = {"comment", "decorator"}
# Machines write code nested deeper than any person looks for it.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class _Definition:
    name: str
    node: Node

    @property
    def members(self) -> list[Node]:
        body = self.node.child_by_field_name("body")
        return body.named_children if body else []


@dataclass(slots=True)
class _Entry:
    """A definition, or a statement and what it assigns to, with the comments before; if it waits, only comments yet."""

    start: int
    definition: _Definition | None
    assigned: str
    waits: bool


def definition_parts(text: str, language: Format, fits: Fits, *, elements: bool = False) -> list[Part]:
    """Return a part per definition, titled with its qualified name, and per statement outside of them.

    A definition comes with its decorators and the comments directly above. One that does not fit and has definitions
    inside is taken apart: what stands before the first of them (signature, documentation, attributes), and each member.

    Args:
        text: The code.
        language: One of those that have a grammar.
        fits: Tells whether a span is within the limit.
        elements: Whether TypeScript may hold JSX elements, which make some casts ambiguous.
    """
    # The parser takes NUL for the end in places, and the binding takes no lone surrogate.
    data = text.replace("\x00", " ").encode()
    root = Parser(_grammar(language, elements)).parse(data).root_node
    reader = _Reader(text, fits, _character_index(text, data))
    return list(reader.parts(root.named_children, "", 0, len(text)))


@cache
def _grammar(language: Format, elements: bool) -> Language:  # noqa: FBT001 - private, and a cache takes no keywords
    if language is Format.PYTHON:
        return Language(tree_sitter_python.language())
    if language is Format.JAVASCRIPT:
        return Language(tree_sitter_javascript.language())
    if elements:
        return Language(tree_sitter_typescript.language_tsx())
    return Language(tree_sitter_typescript.language_typescript())


def _character_index(text: str, data: bytes) -> Callable[[int], int]:
    """Return what turns a position in the UTF-8 bytes into one in the text."""
    if len(text) == len(data):
        return int
    first_bytes = np.flatnonzero((np.frombuffer(data, np.uint8) & 0xC0) != 0x80)  # noqa: PLR2004 - RFC 3629, section 3
    return lambda position: int(np.searchsorted(first_bytes, position))


class _Reader:
    def __init__(self, text: str, fits: Fits, index: Callable[[int], int]) -> None:
        self._text = text
        self._fits = fits
        self._index = index

    def parts(self, nodes: Sequence[Node], scope: str, start: int, end: int, depth: int = 0) -> Iterator[Part]:
        """Yield what covers the text from start to end, in the scope that the nodes are members of."""
        entries = self._entries(nodes)
        if scope:
            # Down to the first definition, a class is one part: its head.
            first = next((i for i, entry in enumerate(entries) if entry.definition), len(entries))
            head_end = entries[first].start if first < len(entries) else end
            yield Part(start, head_end, scope, scope, tuple(entry.start for entry in entries[:first]))
            entries, start = entries[first:], head_end
        starts = [start, *(entry.start for entry in entries[1:]), end]
        for entry, begin, stop in zip(entries, starts, starts[1:], strict=False):
            if entry.definition is None:
                title = f"{scope}.{entry.assigned}" if scope and entry.assigned else scope or entry.assigned
                yield Part(begin, stop, title, scope)
            else:
                yield from self._definition(entry.definition, scope, begin, stop, depth)
        if not entries and not scope:
            yield Part(start, end, scope, scope)

    def _definition(self, definition: _Definition, scope: str, start: int, end: int, depth: int) -> Iterator[Part]:
        title = f"{scope}.{definition.name}" if scope else definition.name
        if depth < _DEEPEST and not self._fits(start, end):
            members = definition.members
            if any(_definition_of(member) for member in _flat(members)):
                yield from self.parts(members, title, start, end, depth + 1)
                return
        yield Part(start, end, title, scope)

    def _entries(self, nodes: Sequence[Node]) -> list[_Entry]:
        entries: list[_Entry] = []
        last_row = -1
        for node in _flat(nodes):
            row = node.start_point.row
            leads = node.type in _LEADING
            if leads and row == last_row and entries and not entries[-1].waits:
                # A comment at the end of a line belongs to what it ends.
                continue
            definition = None if leads else _definition_of(node)
            plain = not leads and definition is None
            if entries and entries[-1].waits and row <= last_row + 1:
                entries[-1].definition, entries[-1].assigned, entries[-1].waits = definition, _assigned(node), leads
            elif not (plain and row == last_row and entries and entries[-1].definition is None):
                # Statements that share a line are one entry; so are the bits of a line that cannot be parsed.
                entries.append(
                    _Entry(self._line_start(self._index(node.start_byte)), definition, _assigned(node), leads)
                )
            last_row = node.end_point.row
        return entries

    def _line_start(self, at: int) -> int:
        """Return where the line begins, if only its indent stands before."""
        start = at
        while start and self._text[start - 1] in " \t":
            start -= 1
        return start if not start or self._text[start - 1] in "\r\n" else at


def _flat(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield the nodes, and in place of an error what was recognised inside of it."""
    waiting = list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        if node.type == "ERROR":
            waiting.extend(reversed(node.named_children))
        else:
            yield node


def _definition_of(node: Node) -> _Definition | None:
    """Return what a statement or member defines, if it defines one thing that has a name."""
    if node.type in _NAMED:
        name = node.child_by_field_name("name")
        return _Definition(_words(name), node) if name else None
    if node.type in _ASSIGNMENTS:
        target, value = (node.child_by_field_name(name) for name in _ASSIGNMENTS[node.type])
        return _Definition(_words(target), value) if target and value and value.type in _VALUES else None
    if node.type in _DECLARATIONS:
        declared = [child for child in node.named_children if child.type == "variable_declarator"]
        return _definition_of(declared[0]) if len(declared) == 1 else None
    return _wrapped(node) if node.type in _WRAPPERS else None


def _wrapped(node: Node) -> _Definition | None:
    inside = next((child for child in node.named_children if child.type not in _LEADING), None)
    if inside and node.type == "export_statement" and inside.type in _VALUES:
        return _Definition("default", inside)
    return _definition_of(inside) if inside else None


def _assigned(node: Node) -> str:
    """Return the one name that a statement gives a value to, empty if it is no such statement."""
    inside = node.named_children[0] if node.type in _WRAPPERS | _DECLARATIONS and node.named_children else node
    if inside.type in _DECLARATIONS:
        return _assigned(inside)
    target = inside.child_by_field_name("left") or inside.child_by_field_name("name")
    return _words(target) if target and inside.type in _TARGETS else ""


def _words(name: Node) -> str:
    return " ".join((name.text or b"").decode(errors="replace").split())
