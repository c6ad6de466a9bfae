"""Projects, artifacts and Git calls that several tests of artifact storage need."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from factory.artifacts.records import NewArtifact
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.ids import derived_id, new_id
from factory.domain.project import Project, ProjectStatus
from factory.storage.database import Connection

MOMENT = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=UTC)


def make_project(slug: str = "clinic", project_id: UUID | None = None) -> Project:
    return Project(
        id=project_id or new_id(),
        name=slug.title(),
        slug=slug,
        blueprint="api-service",
        status=ProjectStatus.DEVELOPMENT,
        trace_id="ab" * 16,
        created_at=MOMENT,
        updated_at=MOMENT,
    )


def make_artifact(project: Project, kind: str, content: Content, version: int = 1, minutes: int = 0) -> ArtifactRef:
    return ArtifactRef(
        id=derived_id(project.id, kind, version),
        project_id=project.id,
        kind=kind,
        version=version,
        hash=content.hash,
        uri=f"file:///blobs/sha256/{content.hash[:2]}/{content.hash[2:]}",
        status=ArtifactStatus.VALID,
        agent=f"{kind}-agent",
        trace_id=project.trace_id,
        task_id=derived_id(project.id, kind, version, "task"),
        created_at=MOMENT + timedelta(minutes=minutes),
    )


def make_draft(project: Project, kind: str, content: Content, *inputs: UUID, name: object = 1) -> NewArtifact:
    return NewArtifact(
        id=derived_id(project.id, kind, name),
        project_id=project.id,
        kind=kind,
        hash=content.hash,
        uri=f"file:///blobs/sha256/{content.hash[:2]}/{content.hash[2:]}",
        size=len(content.to_bytes()),
        agent=f"{kind}-agent",
        trace_id=project.trace_id,
        task_id=derived_id(project.id, kind, name, "task"),
        inputs=inputs,
        metadata={"words": 3, "title": "Klinik für Ärzte"},
        created_at=MOMENT,
    )


async def insert_project(connection: Connection, project: Project) -> None:
    await connection.execute(
        "INSERT INTO project (id, name, slug, blueprint, status, trace_id, build_key)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        project.id,
        project.name,
        project.slug,
        project.blueprint,
        project.status,
        project.trace_id,
        str(project.id),
    )


def tree(texts: Mapping[str, str]) -> Content:
    return Content(files=dict(texts))


def git(directory: Path, *arguments: str) -> str:
    """Run the real Git with a user's settings out of the way and return what it prints."""
    environment = {"HOME": str(directory), "PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "safe.directory=*", "-c", "core.quotePath=false", "-C", str(directory), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
    return done.stdout.decode()
