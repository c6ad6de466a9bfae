"""Backlog, actors and nodes over time as a picture: hand-written SVG, so that drawing needs nothing installed."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.contest.chart import text_at

_WIDTH = 760
_LEFT = 60
_RIGHT = 20
_PANEL = 120
_GAP = 46
_COLOURS = {"backlog": "#8250df", "actors": "#bf8700", "nodes": "#1f6feb"}
_TITLES = {"backlog": "Deliveries that wait or are worked on", "actors": "Actors of all pools", "nodes": "Nodes"}
_label = partial(text_at, size=11, colour="#57606a")


def write_chart(found: Mapping[str, Any], path: Path) -> None:
    """Draw one curve under another, with a line where a node was killed.

    Args:
        found: What `benchmarks/autoscale.py` saw.
        path: The SVG file.
    """
    samples: Sequence[Mapping[str, float]] = found["samples"]
    end = max(sample["second"] for sample in samples) or 1
    height = len(_TITLES) * (_PANEL + _GAP) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]

    def across(second: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * second / end

    pairs = pairwise(samples)
    kills = [later["second"] for earlier, later in pairs if later["killed"] > earlier["killed"]]
    for number, (name, title) in enumerate(_TITLES.items()):
        top = 30 + number * (_PANEL + _GAP)
        bottom = top + _PANEL
        most = max(sample[name] for sample in samples) or 1
        parts.append(_label(_LEFT, top - 8, title, size=13, weight="bold"))
        parts.append(_label(_LEFT - 8, top + 10, f"{most:g}", anchor="end"))
        parts.append(_label(_LEFT - 8, bottom, "0", anchor="end"))
        parts.append(f'<path d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}" stroke="#d0d7de"/>')
        parts += [
            f'<path d="M{across(second):.1f} {top}V{bottom}" stroke="#cf222e" stroke-dasharray="3 3"/>'
            for second in kills
        ]
        corners = " ".join(
            f"{across(sample['second']):.1f},{bottom - _PANEL * sample[name] / most:.1f}" for sample in samples
        )
        parts.append(f'<polyline points="{corners}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>')
    parts.append(_label(_LEFT, height - 32, "0 s"))
    parts.append(_label(_WIDTH - _RIGHT, height - 32, f"{end:.0f} s", anchor="end"))
    told = f"{found['projects']} projects on {found['machine']['cores']} cores; dashed: a node was killed with SIGKILL"
    parts.append(_label(_LEFT, height - 10, told))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>\n"]))
