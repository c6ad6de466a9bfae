"""What commands print: JSON for programs, tables for people."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHORT_ID = 8
_ENDLESS = 100_000
_SHORT_PROJECT = 13  # project ids begin with a time; their first eight digits are the same for a minute


def write_json(value: object) -> None:
    """Print one JSON document on standard output; what JSON has no form for becomes text."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows in columns as wide as their content; on a terminal long cells are folded to its width.

    Args:
        columns: Headings.
        rows: Cells, turned into text.
        empty: What is said where there is no row, on standard error.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    if not cells:
        typer.echo(empty, err=True)
        return
    from rich.table import Table  # noqa: PLC0415 - JSON output does without
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    write_rich(table)


def write_rich(renderable: "RenderableType") -> None:
    """Print something drawn: on a terminal within its width, elsewhere in full, so that programs get whole lines."""
    from rich.console import Console  # noqa: PLC0415 - JSON output does without

    console = Console(highlight=False)
    if console.is_terminal:
        console.print(renderable)
        return
    console.width = console.measure(renderable, options=console.options.update(width=_ENDLESS)).maximum
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def short(identifier: object) -> str:
    """Return enough of a random id or a hash to name it again: commands take prefixes."""
    return str(identifier)[:_SHORT_ID]


def short_project(project_id: UUID) -> str:
    """Return enough of a project's id to name it again."""
    return str(project_id)[:_SHORT_PROJECT]


def clock(moment: datetime) -> str:
    """Return a time in the zone of the machine, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was, in its largest unit."""
    passed = (now or datetime.now(UTC)) - moment
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1))):
        if passed >= length:
            return f"{passed // length}{unit} ago"
    return f"{max(0, int(passed.total_seconds()))}s ago"


def duration(seconds: float) -> str:
    """Return seconds for people: `0.8 s`, `42.0 s`, `3 min 05 s`."""
    if round(seconds, 1) < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)
