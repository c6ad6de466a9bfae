"""The live view says everything at every width, and one line per change where nothing can be redrawn."""

import io
from datetime import UTC, datetime
from uuid import UUID

import pytest
from rich.console import Console

from factory.cli.live import LiveView, changes, render, totals
from factory.control.progress import Progress, StepProgress
from factory.domain.project import Project, ProjectStatus

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
STEPS = (
    StepProgress(
        step="understand",
        agent="vision-architect",
        goal="vision-document",
        status="done",
        attempt=1,
        seconds=0.84,
        artifact_version=1,
        artifact_hash=HASH,
    ),
    StepProgress(
        step="requirements",
        agent="product-manager",
        goal="product-requirements",
        status="running",
        attempt=2,
        seconds=65.2,
        message="the model did not answer",
    ),
    StepProgress(step="backlog", agent="product-owner", goal="backlog", status="waiting"),
)


def progress(*steps: StepProgress, status: ProjectStatus = ProjectStatus.VISIONING) -> Progress:
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    project = Project(
        id=UUID("0195b2c3-7f1a-7000-8000-000000000001"),
        name="Clinic",
        slug="clinic",
        blueprint="api-service",
        status=status,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        created_at=moment,
        updated_at=moment,
    )
    return Progress(project=project, steps=steps or STEPS)


def shown(state: Progress, width: int = 120, *, height: int | None = None, plain: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(render(state, seconds=71.0, width=width, height=height, plain=plain))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_wide_terminal_shows_step_agent_attempt_time_and_artifact() -> None:
    text = shown(progress())
    heading, _, understand, requirements, backlog, total = text.splitlines()
    assert heading.rstrip() == "Clinic · api-service · visioning · 0195b2c3-7f1a"
    assert understand.split() == [
        "✓", "understand", "vision-architect", "done", "1", "0.8", "s", "vision-document", "v1", "9f86d081",
    ]  # fmt: skip
    assert requirements.rstrip().endswith("    2  1 min 05 s  the model did not answer")
    assert backlog.split() == ["·", "backlog", "product-owner", "waiting"]
    assert total.rstrip() == "1 min 11 s, 1 of 3 steps done, 1 at work, 1 repeated"


@pytest.mark.parametrize("width", [40, 50, 64, 72, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal_and_no_step_is_missing(width: int) -> None:
    text = shown(progress(), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert len(text.splitlines()) == 3 + len(STEPS)
    for step in STEPS:
        assert step.step in text
        assert step.status in text


def test_plain_terminals_get_ascii() -> None:
    assert shown(progress(), plain=True).isascii()


def test_a_low_terminal_keeps_what_failed_and_what_is_at_work() -> None:
    done = [STEPS[0].model_copy(update={"step": f"done-{number}"}) for number in range(9)]
    waiting = [STEPS[2].model_copy(update={"step": f"waiting-{number}"}) for number in range(9)]
    failed = STEPS[1].model_copy(update={"step": "broken", "status": "failed"})
    text = shown(progress(*done, STEPS[1], failed, *waiting), height=8)
    assert "requirements" in text
    assert "broken" in text
    assert "waiting-0" in text
    assert len(text.splitlines()) == 3 + 4
    assert "9 of 20 steps done, 1 at work, 1 failed" in text


def test_totals_count_steps_of_every_kind() -> None:
    assert totals(progress(), 0.04) == "0.0 s, 1 of 3 steps done, 1 at work, 1 repeated"
    assert totals(progress(STEPS[0]), 59.97) == "1 min 00 s, 1 of 1 steps done"


def test_changes_are_one_line_each() -> None:
    before = progress()
    assert changes(None, before) == [
        "project clinic 0195b2c3-7f1a-7000-8000-000000000001 (api-service)",
        "understand: done, by vision-architect, 0.8 s, vision-document v1 9f86d081",
        "requirements: running, by product-manager, attempt 2, the model did not answer",
    ]
    assert changes(before, before) == []
    later = progress(STEPS[0], STEPS[1].model_copy(update={"seconds": 70.0}), STEPS[2])
    assert changes(before, later) == [], "a clock that ticks is no change"
    assert changes(before, progress(status=ProjectStatus.DEVELOPMENT)) == ["project clinic is now development"]
    again = progress(STEPS[0].model_copy(update={"round": 1, "status": "running"}), *STEPS[1:])
    assert changes(before, again) == ["understand: running, by vision-architect, vision-document v1 9f86d081"]


def test_a_log_gets_lines_and_a_terminal_a_table() -> None:
    log = io.StringIO()
    with LiveView(Console(file=log, force_terminal=False)) as view:
        view.note("starting the database")
        view.update(progress())
        view.update(progress())
    assert [line.split("s  ", 1)[1].split(":")[0] for line in log.getvalue().splitlines()] == [
        "starting the database",
        "project clinic 0195b2c3-7f1a-7000-8000-000000000001 (api-service)",
        "understand",
        "requirements",
    ]

    screen = io.StringIO()
    with LiveView(Console(file=screen, force_terminal=True, width=100, height=30)) as view:
        view.note("starting the database")
        view.update(progress())
        view.update(progress(STEPS[0], STEPS[1].model_copy(update={"status": "done"}), STEPS[2]))
    assert "starting the database" in screen.getvalue()
    assert "2 of 3 steps done" in screen.getvalue()


def test_a_view_that_is_interrupted_gives_the_terminal_back() -> None:
    screen = io.StringIO()
    view = LiveView(Console(file=screen, force_terminal=True, width=100, height=30))

    def build() -> None:
        with view:
            view.update(progress())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()
    assert screen.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is shown again"
