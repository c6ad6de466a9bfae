"""Tables and pictures for notebooks. Whatever is shown is escaped: names and texts come from anybody."""

import html
from collections.abc import Iterable, Sequence

_COLOURS = {
    "done": "#2e7d32",
    "running": "#1565c0",
    "validating": "#1565c0",
    "assigned": "#6a1b9a",
    "failed": "#c62828",
    "withdrawn": "#6d4c41",
}
_WAITING = "#9e9e9e"
_WIDTH, _HEIGHT, _GAP, _COLUMNS = 170, 44, 22, 4


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    """Return a table as HTML."""
    shown = "".join(f"<th style='text-align:left'>{_text(name)}</th>" for name in head)
    lines = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{_text(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    title = f"<caption style='text-align:left'><b>{_text(caption)}</b></caption>" if caption else ""
    return f"<table>{title}<thead><tr>{shown}</tr></thead><tbody>{lines}</tbody></table>"


def diagram(steps: Sequence[tuple[str, str]]) -> str:
    """Return steps in their order, coloured by their states, as SVG."""
    boxes = []
    for number, (name, status) in enumerate(steps):
        row, column = divmod(number, _COLUMNS)
        x, y = column * (_WIDTH + _GAP), row * (_HEIGHT + _GAP)
        colour = _COLOURS.get(status, _WAITING)
        boxes.append(
            f"<g><title>{_text(name)}: {_text(status)}</title>"
            f"<rect x='{x}' y='{y}' width='{_WIDTH}' height='{_HEIGHT}' rx='6' fill='none' stroke='{colour}' "
            f"stroke-width='2'/>"
            f"<text x='{x + 8}' y='{y + 18}' font-size='12' fill='currentColor'>{_text(name)}</text>"
            f"<text x='{x + 8}' y='{y + 34}' font-size='11' fill='{colour}'>{_text(status)}</text></g>"
        )
        if column + 1 < _COLUMNS and number + 1 < len(steps):
            middle = y + _HEIGHT / 2
            boxes.append(
                f"<line x1='{x + _WIDTH}' y1='{middle}' x2='{x + _WIDTH + _GAP}' y2='{middle}' stroke='{_WAITING}'/>"
            )
    rows = -(-len(steps) // _COLUMNS) or 1
    width, height = _COLUMNS * (_WIDTH + _GAP), rows * (_HEIGHT + _GAP)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-2 -2 {width} {height}' width='{width}' role='img' "
        f"aria-label='workflow'>{''.join(boxes)}</svg>"
    )


def _text(value: object) -> str:
    return "" if value is None else html.escape(str(value))
