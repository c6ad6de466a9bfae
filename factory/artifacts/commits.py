"""Which commit holds which artifact: the order of a project's history, in PostgreSQL.

Git objects are derived from it: given the recorded commits and the artifacts' bytes, the repository can be
made again with the same hashes.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from factory.artifacts.records import lock_projects
from factory.domain.errors import ConflictError
from factory.storage.database import Connection

_COMMIT_OF = "SELECT * FROM artifact_commit WHERE artifact_id = $1"

# Uses artifact_commit_project_id_position_key.
_COMMITS = "SELECT * FROM artifact_commit WHERE project_id = $1 ORDER BY position"

# The same and withdrawal_project_id_position_number_key, both backwards.
_HEAD = """
SELECT commit_sha FROM (
    (SELECT position, 0 AS number, commit_sha FROM artifact_commit
     WHERE project_id = $1 ORDER BY position DESC LIMIT 1)
    UNION ALL
    (SELECT position, number, commit_sha FROM withdrawal
     WHERE project_id = $1 ORDER BY position DESC, number DESC LIMIT 1)
) AS last ORDER BY position DESC, number DESC LIMIT 1
"""

_RECORD = """
INSERT INTO artifact_commit (artifact_id, project_id, position, commit_sha, created_at)
SELECT $1, $2, coalesce(max(position), 0) + 1, $3, now() FROM artifact_commit WHERE project_id = $2
RETURNING *
"""


_WITHDRAWAL_OF = "SELECT commit_sha FROM withdrawal WHERE artifact_id = $1"

# Uses withdrawal_project_id_position_number_key.
_WITHDRAWALS = "SELECT * FROM withdrawal WHERE project_id = $1 ORDER BY position, number"

_RECORD_WITHDRAWAL = """
WITH place AS (
    SELECT coalesce(max(position), 0) AS position FROM artifact_commit WHERE project_id = $2
)
INSERT INTO withdrawal (artifact_id, project_id, task_id, position, number, commit_sha)
SELECT $1, $2, $3, place.position, 1 + (
    SELECT count(*) FROM withdrawal w WHERE w.project_id = $2 AND w.position = place.position), $4
FROM place ON CONFLICT (artifact_id) DO NOTHING
"""

# The version that stood before the given ones: index artifact_project_id_kind_version_key, backwards.
_BEFORE = """
SELECT a.id FROM artifact a JOIN artifact_commit c ON c.artifact_id = a.id
WHERE a.project_id = $1 AND a.kind = $2 AND a.status = 'valid' AND NOT a.id = ANY ($3)
ORDER BY a.version DESC LIMIT 1
"""
_RELEASED = "SELECT released_commit FROM project WHERE id = $1"


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
    """Return the last recorded commit of a project, of an artifact or a withdrawal: the parent of the next one."""
    sha: str | None = await connection.fetchval(_HEAD, project_id)
    return sha


async def commits(connection: Connection, project_id: UUID) -> list[ArtifactCommit]:
    """Return a project's recorded commits in the order of its history."""
    return [ArtifactCommit.model_validate(dict(row)) for row in await connection.fetch(_COMMITS, project_id)]


async def released(connection: Connection, project_id: UUID) -> str | None:
    """Return the commit that a project was released with, or None."""
    sha: str | None = await connection.fetchval(_RELEASED, project_id)
    return sha


class Withdrawal(BaseModel):
    """The commit that took an artifact's files back.

    Attributes:
        position: Of the artifact commit that it stands behind.
        number: Its place among the withdrawals that stand there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact_id: UUID
    project_id: UUID
    task_id: UUID
    position: int
    number: int
    commit_sha: str
    created_at: datetime


async def record_withdrawal(
    connection: Connection, project_id: UUID, artifact_id: UUID, task_id: UUID, commit_sha: str
) -> None:
    """Note the commit that took an artifact back at the end of its project's history; a repetition changes nothing.

    Raises:
        NotFoundError: There is no such project.
    """
    await lock_projects(connection, [project_id])
    await connection.execute(_RECORD_WITHDRAWAL, artifact_id, project_id, task_id, commit_sha)


async def withdrawal_of(connection: Connection, artifact_id: UUID) -> str | None:
    """Return the commit that took an artifact back, or None where it stands."""
    sha: str | None = await connection.fetchval(_WITHDRAWAL_OF, artifact_id)
    return sha


async def withdrawals(connection: Connection, project_id: UUID) -> list[Withdrawal]:
    """Return a project's withdrawals in the order of its history."""
    return [Withdrawal.model_validate(dict(row)) for row in await connection.fetch(_WITHDRAWALS, project_id)]


async def committed_before(
    connection: Connection, project_id: UUID, kind: str, withdrawn: Sequence[UUID]
) -> UUID | None:
    """Return the version of a kind that stands in the repository once the given ones are taken back, or None."""
    found: UUID | None = await connection.fetchval(_BEFORE, project_id, kind, list(withdrawn))
    return found
