"""How a build ends: what is printed for people, and the JSON object for programs."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from factory.cli.output import duration, short
from factory.control.progress import Progress
from factory.domain.artifact import KINDS, ArtifactRef, ArtifactStatus
from factory.domain.project import ProjectStatus

_SIGNS = {
    ArtifactStatus.VALID: ("valid", "green"),
    ArtifactStatus.INVALID: ("invalid", "bold red"),
    ArtifactStatus.PENDING: ("not validated", "yellow"),
    ArtifactStatus.WITHDRAWN: ("withdrawn", "dim"),
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SummaryArtifact(_Frozen):
    """One artifact at its newest version."""

    kind: str
    version: int
    hash: str
    uri: str
    status: ArtifactStatus


class SummaryTests(_Frozen):
    """Result of the generated project's own tests; both zero where they did not run."""

    passed: int = 0
    failed: int = 0


class Summary(_Frozen):
    """The end of a build; `model_dump(mode="json")` is what `--json` prints."""

    project_id: UUID
    name: str
    status: ProjectStatus
    repository: Path | None
    artifacts: tuple[SummaryArtifact, ...]
    tests: SummaryTests
    seconds: float
    failure: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the project was released and its own tests passed, where its blueprint has any."""
        tested = any(artifact.kind == "test-report" for artifact in self.artifacts)
        passed = self.tests.failed == 0 and (self.tests.passed > 0 or not tested)
        return self.status is ProjectStatus.RELEASED and passed


def summarise(
    progress: Progress, artifacts: Sequence[ArtifactRef], *, repository: Path | None, seconds: float
) -> Summary:
    """Return the summary of a build.

    Args:
        progress: The project's last state.
        artifacts: The newest version of each kind.
        repository: Where the repository was written to, or None.
        seconds: How long the command took.
    """
    order = {kind: number for number, kind in enumerate(KINDS)}
    newest = sorted(artifacts, key=lambda artifact: (order.get(artifact.kind, len(order)), artifact.kind))
    passed, failed = progress.tests or (0, 0)
    return Summary(
        project_id=progress.project.id,
        name=progress.project.name,
        status=progress.project.status,
        repository=repository,
        artifacts=tuple(
            SummaryArtifact(
                kind=artifact.kind,
                version=artifact.version,
                hash=artifact.hash,
                uri=artifact.uri,
                status=artifact.status,
            )
            for artifact in newest
        ),
        tests=SummaryTests(passed=passed, failed=failed),
        seconds=round(seconds, 3),
        failure=progress.failure,
    )


def render(summary: Summary) -> RenderableType:
    """Return the closing lines of a build for a person."""
    lines: list[RenderableType] = [Text(""), _verdict(summary)]
    if summary.failure:
        lines.append(Text(summary.failure, style="red"))
    lines += [Text(""), _artifacts(summary), Text(""), _facts(summary)]
    return Group(*lines)


def _verdict(summary: Summary) -> Text:
    if summary.succeeded:
        return Text(f"{summary.name} is released.", style="bold green")
    if summary.status is ProjectStatus.RELEASED:
        return Text(f"{summary.name} is released, but its tests did not pass.", style="bold red")
    ends = {ProjectStatus.FAILED: "failed", ProjectStatus.COMPENSATED: "failed, and what it did is undone"}
    word = ends.get(summary.status, f"is unfinished ({summary.status})")
    return Text(f"{summary.name} {word}.", style="bold red")


def _artifacts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for column in ("Artifact", "Version", "Hash", "Status"):
        table.add_column(column, justify="right" if column == "Version" else "left")
    for artifact in summary.artifacts:
        word, style = _SIGNS[artifact.status]
        table.add_row(artifact.kind, str(artifact.version), short(artifact.hash), Text(word, style=style))
    return table


def _facts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("Repository", Text(str(summary.repository or "none was written")))
    table.add_row("Tests", Text(_tests(summary.tests)))
    table.add_row("Time", Text(duration(summary.seconds)))
    table.add_row("Project", Text(str(summary.project_id)))
    return table


def _tests(tests: SummaryTests) -> str:
    if not tests.passed and not tests.failed:
        return "did not run"
    return f"{tests.passed} passed" + (f", {tests.failed} failed" if tests.failed else "")
