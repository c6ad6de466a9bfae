"""The live view of a build: pure functions from progress to what is shown, and a thin screen around them."""

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from factory.cli.output import duration, short, short_project
from factory.control.progress import Progress, StepProgress

_WIDE = 100
_NARROW = 72
_TINY = 50
_STATUS_WIDTH = len("validating")
_TIME_WIDTH = len("9 min 00 s")
_CHROME = 4  # heading, column titles, totals, and the line of the cursor
_STYLES = {
    "waiting": ("·", "-", "dim"),
    "assigned": ("○", "o", "cyan"),
    "running": ("●", "*", "bold cyan"),
    "validating": ("◐", "?", "magenta"),
    "done": ("✓", "+", "green"),
    "failed": ("✗", "x", "bold red"),
}
_AT_WORK = ("assigned", "running", "validating")


def render(
    progress: Progress, *, seconds: float, width: int = 100, height: int | None = None, plain: bool = False
) -> RenderableType:
    """Return the table of a build at one moment.

    Args:
        progress: The project and its steps.
        seconds: Time since the command began.
        width: Columns of the terminal; narrow ones lose the agent, then the artifact, then the attempt.
        height: Lines of the terminal; where steps do not fit, finished and waiting ones are counted instead.
        plain: Use only ASCII.
    """
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim", expand=False)
    table.add_column("", width=1)
    # The artifact gives way first: it is the one column whose beginning is enough.
    longest = max((len(step.step) for step in progress.steps), default=0)
    table.add_column("Step", no_wrap=True, overflow="ellipsis", min_width=min(longest, width // 3))
    if width >= _WIDE:
        table.add_column("Agent", no_wrap=True, overflow="ellipsis")
    table.add_column("Status", no_wrap=True, min_width=_STATUS_WIDTH)
    if width >= _TINY:
        table.add_column("Try", justify="right", no_wrap=True, min_width=3)
    table.add_column("Time", justify="right", no_wrap=True, min_width=_TIME_WIDTH)
    if width >= _NARROW:
        table.add_column("Artifact", no_wrap=True, overflow="ellipsis", ratio=1)
    for step in _fitting(progress.steps, height - _CHROME if height else None):
        table.add_row(*_row(step, width, plain=plain))
    total = Text(totals(progress, seconds), style="bold", no_wrap=True, overflow="ellipsis")
    return Group(_heading(progress, plain=plain), table, total)


def totals(progress: Progress, seconds: float) -> str:
    """Return the last line: the time so far, and how many steps are done, at work, failed and repeated."""
    counts = Counter(step.status for step in progress.steps)
    parts = [duration(seconds), f"{counts['done']} of {len(progress.steps)} steps done"]
    if running := sum(counts[status] for status in _AT_WORK):
        parts.append(f"{running} at work")
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    attempts = sum(max(0, step.attempt - 1) for step in progress.steps)
    if attempts:
        parts.append(f"{attempts} repeated")
    return ", ".join(parts)


def changes(before: Progress | None, after: Progress) -> list[str]:
    """Return one line for each thing that differs between two moments, for logs that cannot be redrawn."""
    lines = []
    if before is None:
        lines.append(f"project {after.project.slug} {after.project.id} ({after.project.blueprint})")
    elif before.project.status != after.project.status:
        lines.append(f"project {after.project.slug} is now {after.project.status}")
    known = {step.step: step for step in before.steps} if before else {}
    for step in after.steps:
        old = known.get(step.step)
        same = old is not None and (old.status, old.attempt, old.round) == (step.status, step.attempt, step.round)
        if not same and step.status != "waiting":
            lines.append(_line(step))
    return lines


class LiveView:
    """Shows a build as it goes: a table redrawn in place on a terminal, one line per change elsewhere.

    Everything goes to standard error, so that standard output holds the result alone.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._plain = not self._console.encoding.lower().startswith("utf")
        self._started = time.monotonic()
        self._shown: Progress | None = None
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Time since the view was made."""
        return time.monotonic() - self._started

    def update(self, progress: Progress) -> None:
        """Show a newer state; call it a few times a second, so that times count up."""
        if self._live:
            size = self._console.size
            screen = render(progress, seconds=self.seconds, width=size.width, height=size.height, plain=self._plain)
            self._live.update(screen, refresh=True)
        else:
            for line in changes(self._shown, progress):
                self._console.file.write(f"{self.seconds:7.1f}s  {line}\n")
            self._console.file.flush()
        self._shown = progress

    def note(self, text: str) -> None:
        """Say something above the table, such as what is being started."""
        if self._live:
            self._live.console.print(Text(text, style="dim"))
        else:
            self._console.file.write(f"{self.seconds:7.1f}s  {text}\n")
            self._console.file.flush()


def _heading(progress: Progress, *, plain: bool) -> Text:
    project = progress.project
    separator = " - " if plain else " · "
    words = separator.join((project.blueprint, project.status.value, short_project(project.id)))
    return Text.assemble((project.name, "bold"), separator, words, no_wrap=True, overflow="ellipsis")


def _row(step: StepProgress, width: int, *, plain: bool) -> list[Text]:
    sign, ascii_sign, style = _STYLES.get(step.status, ("?", "?", ""))
    cells = [Text(ascii_sign if plain else sign, style=style), Text(step.step)]
    if width >= _WIDE:
        cells.append(Text(step.agent, style="dim"))
    cells.append(Text(step.status, style=style))
    if width >= _TINY:
        cells.append(Text(str(step.attempt) if step.attempt else ""))
    cells.append(Text("" if step.seconds is None else duration(step.seconds)))
    if width >= _NARROW:
        cells.append(_result(step))
    return cells


def _result(step: StepProgress) -> Text:
    if step.message:
        return Text(" ".join(step.message.split()), style="red" if step.status == "failed" else "yellow")
    if step.artifact_version is None:
        return Text("")
    return Text.assemble(f"{step.goal} v{step.artifact_version} ", (short(step.artifact_hash), "dim"))


def _line(step: StepProgress) -> str:
    parts = [f"{step.step}: {step.status}", f"by {step.agent}"]
    if step.attempt > 1:
        parts.append(f"attempt {step.attempt}")
    if step.seconds is not None and step.status in {"done", "failed"}:
        parts.append(duration(step.seconds))
    if step.artifact_version is not None:
        parts.append(f"{step.goal} v{step.artifact_version} {short(step.artifact_hash)}")
    if step.message:
        parts.append(" ".join(step.message.split()))
    return ", ".join(parts)


def _fitting(steps: Sequence[StepProgress], room: int | None) -> list[StepProgress]:
    """Return the steps that fit: failed ones and those at work first, then the nearest around them."""
    if room is None or len(steps) <= room:
        return list(steps)
    order = {"failed": 0, "running": 1, "validating": 1, "assigned": 1, "waiting": 2, "done": 3}
    numbered = list(enumerate(steps))
    # Of waiting steps the next matter most, of finished ones the latest.
    ranked = sorted(
        numbered,
        key=lambda item: (order.get(item[1].status, 2), -item[0] if item[1].status == "done" else item[0]),
    )
    return [step for _, step in sorted(ranked[: max(1, room)])]
