"""The figures as a picture: hand-written SVG, so that drawing needs nothing installed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_WIDTH = 760
_LEFT = 130
_RIGHT = 110
_BAR = 22
_GAP = 12
_TITLE = 46
_OURS = "#1f6feb"
_OTHERS = "#8b949e"
_TEXT = "#24292f"


class ChartError(Exception):
    """The picture cannot be drawn."""


def write_chart(found: Mapping[str, Any], path: Path) -> None:
    """Draw steps per second and the time of a chain alone, one bar per contestant.

    Raises:
        ChartError: The file is not to be an SVG, or there are no figures of a contest.
    """
    if path.suffix != ".svg":
        raise ChartError(f"{path} is not an SVG file; give a name that ends in .svg.")
    if "steps_per_second" not in found:
        raise ChartError("only a contest can be drawn; leave --growth out.")
    panels = [
        ("Durable agent steps per second at saturation (more is better)", found["steps_per_second"], "{:,.0f}"),
        (f"A chain of {found['steps']} steps alone, milliseconds (less is better)", found["chain_ms"], "{:,.1f}"),
    ]
    parts: list[str] = []
    top = 0
    for title, values, form in panels:
        rows = [(name, value) for name, value in values.items() if not isinstance(value, str)]
        parts += _panel(top, title, rows, form)
        top += _TITLE + len(rows) * (_BAR + _GAP) + _GAP
    machine = found["machine"]
    note = f"{machine['cpu']}, {machine['cores']} cores, PostgreSQL {machine['postgresql']['server_version']}, fsync on"
    parts.append(text_at(_LEFT, top + 8, note, size=11, colour="#57606a"))
    height = top + 24
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif">'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, f'<rect width="{_WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>\n"]))


def _panel(top: int, title: str, rows: Sequence[tuple[str, float]], form: str) -> list[str]:
    parts = [text_at(_LEFT, top + 28, title, size=14, weight="bold")]
    largest = max((value for _, value in rows), default=1) or 1
    for number, (name, value) in enumerate(rows):
        y = top + _TITLE + number * (_BAR + _GAP)
        width = max(1, round((_WIDTH - _LEFT - _RIGHT) * value / largest))
        colour = _OURS if name == "factory" else _OTHERS
        parts.append(text_at(_LEFT - 10, y + 16, name, anchor="end"))
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width}" height="{_BAR}" fill="{colour}"/>')
        parts.append(text_at(_LEFT + width + 8, y + 16, form.format(value)))
    return parts


def text_at(
    x: float, y: float, text: str, *, size: int = 13, weight: str = "normal", anchor: str = "start", colour: str = _TEXT
) -> str:
    """Return a text at a place."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}">{escape(text)}</text>'
    )
