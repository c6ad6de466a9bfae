"""The end of a build, for people and for programs."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console

from factory.cli.summary import Summary, render, summarise
from factory.control.progress import Progress
from factory.domain.artifact import ArtifactRef, ArtifactStatus
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectStatus

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
PROJECT_ID = UUID("0195b2c3-7f1a-7000-8000-000000000001")
REPOSITORY = Path("out/clinic")


def artifact(kind: str, version: int = 1, status: ArtifactStatus = ArtifactStatus.VALID) -> ArtifactRef:
    return ArtifactRef(
        id=derived_id(kind, version),
        project_id=PROJECT_ID,
        kind=kind,
        version=version,
        hash=derived_id(kind).hex * 2,
        uri=f"file:///blobs/{kind}",
        status=status,
        agent="agent",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        task_id=derived_id("task"),
        created_at=MOMENT,
    )


def summary(
    status: ProjectStatus = ProjectStatus.RELEASED,
    tests: tuple[int, int] | None = (214, 0),
    failure: str | None = None,
    *,
    tested: bool = True,
) -> Summary:
    project = Project(
        id=PROJECT_ID,
        name="Clinic",
        slug="clinic",
        blueprint="api-service",
        status=status,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        created_at=MOMENT,
        updated_at=MOMENT,
    )
    progress = Progress(project=project, steps=(), failure=failure, tests=tests)
    made = [artifact("backend", 2), artifact("vision"), artifact("backlog", status=ArtifactStatus.INVALID)]
    made += [artifact("test-report")] if tested else []
    return summarise(progress, made, repository=REPOSITORY, seconds=83.24561)


def text_of(end: Summary) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(render(end))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_programs_get_the_promised_object() -> None:
    document = json.loads(summary().model_dump_json())
    assert document["project_id"] == str(PROJECT_ID)
    assert document["status"] == "released"
    assert document["repository"] == "out/clinic"
    assert document["tests"] == {"passed": 214, "failed": 0}
    assert document["seconds"] == 83.246
    assert [entry["kind"] for entry in document["artifacts"]] == ["vision", "backlog", "backend", "test-report"]
    assert document["artifacts"][2] == {
        "kind": "backend",
        "version": 2,
        "hash": derived_id("backend").hex * 2,
        "uri": "file:///blobs/backend",
        "status": "valid",
    }


@pytest.mark.parametrize(
    ("status", "tests", "succeeded", "said"),
    [
        (ProjectStatus.RELEASED, (214, 0), True, "Clinic is released."),
        (ProjectStatus.RELEASED, (213, 1), False, "its tests did not pass"),
        (ProjectStatus.RELEASED, None, False, "its tests did not pass"),
        (ProjectStatus.FAILED, (213, 1), False, "Clinic failed."),
        (ProjectStatus.DEVELOPMENT, None, False, "Clinic is unfinished (development)."),
    ],
)
def test_only_a_release_whose_tests_passed_is_a_success(
    status: ProjectStatus,
    tests: tuple[int, int] | None,
    *,
    succeeded: bool,
    said: str,
) -> None:
    end = summary(status, tests)
    assert end.succeeded is succeeded
    assert said in text_of(end)


def test_a_blueprint_without_tests_succeeds_by_its_release() -> None:
    assert summary(tests=None, tested=False).succeeded
    assert not summary(ProjectStatus.DEPLOYMENT, None, tested=False).succeeded


def test_people_read_where_what_and_how_long() -> None:
    text = text_of(summary(ProjectStatus.FAILED, (213, 1), failure="test-report: 1 test failed"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "Repository out/clinic" in lines
    assert "Tests 213 passed, 1 failed" in lines
    assert "Time 1 min 23 s" in lines
    assert f"backend 2 {derived_id('backend').hex[:8]} valid" in lines
    assert "test-report: 1 test failed" in lines


def test_what_did_not_happen_is_said() -> None:
    end = summary(ProjectStatus.FAILED, None).model_copy(update={"repository": None})
    text = text_of(end)
    assert "did not run" in text
    assert "none was written" in text
