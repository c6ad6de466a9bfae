"""Writes docs/reference/metrics.md from the registry of figures.

Run `python -m tests.docs.metrics_table` after changing a figure.
"""

import inspect
from pathlib import Path

from factory.observability import figures
from factory.observability.figures import FIGURES, Figure

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def metrics_page() -> str:
    """Return the page in Markdown."""
    rows = [_row(figure) for figure in FIGURES]
    lines = [
        "# Metrics",
        "",
        (inspect.getdoc(figures) or "").split("\n\n", 1)[1],
        "",
        "Written by `python -m tests.docs.metrics_table` from `factory/observability/figures.py`.",
        "",
        "| OpenTelemetry | Prometheus | kind | unit | labels | meaning |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    labels = ", ".join(f"`{label.replace('.', '_')}`" for label in figure.labels) or "none"
    names = f"`{figure.name}` | `{figure.scraped}`"
    return f"| {names} | {figure.kind} | `{figure.unit}` | {labels} | {figure.meaning} |"


if __name__ == "__main__":
    PAGE.write_text(metrics_page(), encoding="utf-8")
