"""Graphs as SVG: a workflow's steps, an artifact's descent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

# Larger graphs are told as lists: nobody can read them, and browsers freeze over them.
MOST_NODES = 200
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN = 178, 46, 34, 26, 6


@dataclass(frozen=True, slots=True)
class Node:
    """A box.

    Attributes:
        after: Ids of the boxes that an arrow comes from.
        state: Becomes a class of its style.
    """

    id: str
    title: str
    note: str
    state: str
    after: tuple[str, ...] = ()
    link: str = ""


def graph(nodes: Sequence[Node], label: str) -> Markup | None:
    """Return boxes from left to right, each right of what it comes from; None for more than can be read."""
    if not 0 < len(nodes) <= MOST_NODES:
        return None
    columns = _columns(nodes)
    places: dict[str, tuple[int, int]] = {}
    filled: dict[int, int] = {}
    for node in nodes:
        column = columns[node.id]
        places[node.id] = (column, filled.get(column, 0))
        filled[column] = filled.get(column, 0) + 1
    arrows = [_arrow(places[source], places[node.id]) for node in nodes for source in node.after if source in places]
    boxes = [_box(node, *places[node.id]) for node in nodes]
    width = (max(filled) + 1) * (_WIDTH + _ACROSS) + _MARGIN
    height = max(filled.values()) * (_HEIGHT + _DOWN) + _MARGIN
    return Markup(  # noqa: S704 - every text in it is escaped
        f'<svg class="graph" role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{"".join(arrows)}{"".join(boxes)}</svg>'
    )


def _columns(nodes: Sequence[Node]) -> dict[str, int]:
    """Put each box one column right of the last that it comes from; a circle is cut where it closes."""
    known: Mapping[str, Node] = {node.id: node for node in nodes}
    columns: dict[str, int] = {}
    for start in nodes:
        stack = [(start.id, False)]
        under_way: set[str] = set()
        while stack:
            name, returned = stack.pop()
            if name in columns:
                continue
            sources = [source for source in known[name].after if source in known]
            if returned:
                columns[name] = max((columns.get(source, -1) for source in sources), default=-1) + 1
                continue
            under_way.add(name)
            stack.append((name, True))
            stack += [(source, False) for source in sources if source not in columns and source not in under_way]
    return columns


def _box(node: Node, column: int, row: int) -> str:
    x, y = _MARGIN + column * (_WIDTH + _ACROSS), _MARGIN + row * (_HEIGHT + _DOWN)
    box = (
        f'<g class="node {escape(node.state)}"><title>{escape(node.title)}: {escape(node.note)}</title>'
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text x="{x + 9}" y="{y + 19}">{escape(_short(node.title))}</text>'
        f'<text class="note" x="{x + 9}" y="{y + 36}">{escape(_short(node.note))}</text></g>'
    )
    return f'<a href="{escape(node.link)}">{box}</a>' if node.link else box


def _arrow(source: tuple[int, int], target: tuple[int, int]) -> str:
    x1 = _MARGIN + source[0] * (_WIDTH + _ACROSS) + _WIDTH
    y1 = _MARGIN + source[1] * (_HEIGHT + _DOWN) + _HEIGHT // 2
    x2 = _MARGIN + target[0] * (_WIDTH + _ACROSS)
    y2 = _MARGIN + target[1] * (_HEIGHT + _DOWN) + _HEIGHT // 2
    bend = _ACROSS // 2
    return f'<path class="arrow" d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _short(text: str) -> str:
    return text if len(text) <= 26 else text[:25] + "\u2026"  # noqa: PLR2004 - what fits into a box
