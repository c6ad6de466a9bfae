"""Which commit holds which artifact: the order of a project's history, in PostgreSQL.

Git objects are derived from it: given the recorded commits and the artifacts' bytes, the repository can be
made again with the same hashes.
"""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from factory.artifacts.records import lock_projects
from factory.domain.errors import ConflictError
from factory.storage.database import Connection

_COMMIT_OF = "SELECT * FROM artifact_commit WHERE artifact_id = $1"

# Uses artifact_commit_project_id_position_key, backwards for the head.
_COMMITS = "SELECT * FROM artifact_commit WHERE project_id = $1 ORDER BY position"
_HEAD = "SELECT commit_sha FROM artifact_commit WHERE project_id = $1 ORDER BY position DESC LIMIT 1"

_RECORD = """
INSERT INTO artifact_commit (artifact_id, project_id, position, commit_sha, created_at)
SELECT $1, $2, coalesce(max(position), 0) + 1, $3, now() FROM artifact_commit WHERE project_id = $2
RETURNING *
"""


class ArtifactCommit(BaseModel):
    """The commit that ends with an artifact's files in the project's repository.

    Attributes:
        position: 1 for the project's first artifact in Git, without gaps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact_id: UUID
    project_id: UUID
    position: int
    commit_sha: str
    created_at: datetime


async def record_commit(connection: Connection, project_id: UUID, artifact_id: UUID, commit_sha: str) -> ArtifactCommit:
    """Note an artifact's commit at the end of its project's history; a repetition changes nothing.

    Raises:
        ConflictError: Another commit is recorded for the artifact already.
        NotFoundError: There is no such project.
    """
    await lock_projects(connection, [project_id])
    row = await connection.fetchrow(_COMMIT_OF, artifact_id)
    if row is None:
        [row] = await connection.fetch(_RECORD, artifact_id, project_id, commit_sha)
    recorded = ArtifactCommit.model_validate(dict(row))
    if recorded.commit_sha != commit_sha:
        raise ConflictError(
            f"artifact {artifact_id} has the commit {recorded.commit_sha}, so it cannot have {commit_sha}.",
            remedy="Commit it onto the head that was recorded before it; equal parents give equal commits.",
            field="commit_sha",
        )
    return recorded


async def commit_of(connection: Connection, artifact_id: UUID) -> ArtifactCommit | None:
    """Return the commit of an artifact, or None where it has none."""
    row = await connection.fetchrow(_COMMIT_OF, artifact_id)
    return None if row is None else ArtifactCommit.model_validate(dict(row))


async def head(connection: Connection, project_id: UUID) -> str | None:
    """Return the last recorded commit of a project: the parent of the next one."""
    sha: str | None = await connection.fetchval(_HEAD, project_id)
    return sha


async def commits(connection: Connection, project_id: UUID) -> list[ArtifactCommit]:
    """Return a project's recorded commits in the order of its history."""
    return [ArtifactCommit.model_validate(dict(row)) for row in await connection.fetch(_COMMITS, project_id)]
