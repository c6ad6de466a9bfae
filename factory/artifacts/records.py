"""Metadata of artifacts in PostgreSQL: versions, inputs, validations.

Every function runs on the caller's connection and so inside the caller's transaction. All writes are idempotent
by id: an outcome that is committed a second time changes nothing. Batch forms take any number of projects, so
that a group commit needs a constant number of statements.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict, JsonValue

from factory.domain.artifact import TREE_MEDIA_TYPE, ArtifactRef, ArtifactStatus
from factory.domain.errors import NotFoundError
from factory.domain.task import Finding
from factory.storage.database import Connection

_COLUMNS = """a.id, a.sequence, a.project_id, a.kind, a.version, a.hash, a.uri, a.media_type, a.size, a.status,
    a.agent, a.trace_id, a.task_id, a.metadata::text AS metadata, a.created_at,
    ARRAY(SELECT i.input_id FROM artifact_input i WHERE i.artifact_id = a.id ORDER BY i.input_id) AS inputs"""

# In order of id, so that two group commits that share projects cannot deadlock. NO KEY leaves foreign keys alone.
_LOCK_PROJECTS = "SELECT id FROM project WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"

# The versions are read under the project's lock; uses artifact_project_id_kind_version_key.
_INSERT = """
INSERT INTO artifact (id, project_id, kind, version, hash, uri, media_type, size, status, agent, trace_id,
                      task_id, metadata, created_at)
SELECT n.id, n.project_id, n.kind,
       coalesce((SELECT max(a.version) FROM artifact a WHERE a.project_id = n.project_id AND a.kind = n.kind), 0)
           + row_number() OVER (PARTITION BY n.project_id, n.kind ORDER BY n.position),
       n.hash, n.uri, n.media_type, n.size, n.status, n.agent, n.trace_id, n.task_id, n.metadata::jsonb,
       coalesce(n.created_at, now())
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
            $9::text[], $10::text[], $11::uuid[], $12::text[], $13::timestamptz[]) WITH ORDINALITY
     AS n (id, project_id, kind, hash, uri, media_type, size, status, agent, trace_id, task_id, metadata,
           created_at, position)
WHERE NOT EXISTS (SELECT 1 FROM artifact a WHERE a.id = n.id)
ORDER BY n.position
"""

_INSERT_INPUTS = """
INSERT INTO artifact_input (artifact_id, input_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING
"""

_BY_ID = f"SELECT {_COLUMNS} FROM artifact a WHERE a.id = ANY($1::uuid[])"  # noqa: S608 - constants only

# Uses artifact_project_id_kind_version_key.
_BY_VERSION = f"""
SELECT {_COLUMNS} FROM unnest($1::uuid[], $2::text[], $3::int[]) AS w (project_id, kind, version)
JOIN artifact a ON a.project_id = w.project_id AND a.kind = w.kind AND a.version = w.version
"""  # noqa: S608 - constants only

# Uses artifact_project_id_kind_version_key backwards.
_LATEST = f"""
SELECT DISTINCT ON (a.kind) {_COLUMNS} FROM artifact a
WHERE a.project_id = $1 AND ($2::text[] IS NULL OR a.kind = ANY($2)) AND ($3::text IS NULL OR a.status = $3)
ORDER BY a.kind, a.version DESC
"""  # noqa: S608 - constants only

# The same, once for each project.
_LATEST_OF = f"""
SELECT DISTINCT ON (a.project_id, a.kind) {_COLUMNS} FROM artifact a WHERE a.project_id = ANY($1::uuid[])
ORDER BY a.project_id, a.kind, a.version DESC
"""  # noqa: S608 - constants only

# Keyset on the unique sequence: page n costs what page 1 costs.
_LIST = f"""
SELECT {_COLUMNS} FROM artifact a
WHERE a.sequence > $1 AND ($2::uuid IS NULL OR a.project_id = $2) AND ($3::text IS NULL OR a.kind = $3)
  AND ($4::text IS NULL OR a.status = $4)
ORDER BY a.sequence LIMIT $5
"""  # noqa: S608 - constants only

# Uses artifact_project_id_kind_version_key backwards.
_VERSIONS = f"""
SELECT {_COLUMNS} FROM artifact a
WHERE a.project_id = $1 AND a.kind = $2 AND ($3::int IS NULL OR a.version < $3) ORDER BY a.version DESC LIMIT $4
"""  # noqa: S608 - constants only

_SET_STATUS = """
UPDATE artifact a SET status = n.status FROM unnest($1::uuid[], $2::text[]) AS n (id, status)
WHERE a.id = n.id AND a.status <> n.status
"""

_INSERT_VALIDATIONS = """
INSERT INTO validation (id, artifact_id, task_id, passed, findings, created_at)
SELECT n.id, n.artifact_id, n.task_id, n.passed, n.findings::jsonb, now()
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bool[], $5::text[])
     AS n (id, artifact_id, task_id, passed, findings)
ON CONFLICT (id) DO NOTHING
RETURNING artifact_id, passed
"""

_VALIDATIONS = """
SELECT id, artifact_id, task_id, passed, findings::text AS findings, created_at FROM validation
WHERE artifact_id = $1 ORDER BY created_at, id
"""


class NewArtifact(BaseModel):
    """An artifact whose bytes are stored and which has no version yet.

    Attributes:
        id: Derived from the task and the kind, so that a repeated outcome is recognised.
        created_at: When it was made; None for the time of the transaction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    project_id: UUID
    kind: str
    hash: str
    uri: str
    size: int
    agent: str
    trace_id: str
    task_id: UUID
    media_type: str = TREE_MEDIA_TYPE
    status: ArtifactStatus = ArtifactStatus.PENDING
    inputs: tuple[UUID, ...] = ()
    metadata: Mapping[str, JsonValue] = {}
    created_at: datetime | None = None


class StoredArtifact(ArtifactRef):
    """An artifact with everything its row says.

    Attributes:
        sequence: Order of creation over all projects; the key to page by.
        size: Bytes of the canonical document.
    """

    sequence: int
    size: int
    metadata: Mapping[str, JsonValue] = {}


class NewValidation(BaseModel):
    """What a validator said of an artifact, before it is stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    artifact_id: UUID
    task_id: UUID
    passed: bool
    findings: tuple[Finding, ...] = ()


class Validation(NewValidation):
    """A stored validation."""

    created_at: datetime


async def insert(connection: Connection, drafts: Sequence[NewArtifact]) -> list[ArtifactRef]:
    """Store artifacts, each with the next version of its kind in its project.

    Takes the row lock of every project involved until the transaction ends, so that versions have no gaps and
    no doubles. A draft whose id is already stored is left as it is.

    Returns:
        One reference per draft, in the drafts' order.

    Raises:
        NotFoundError: A draft names a project or an input that does not exist; roll back.
    """
    if not drafts:
        return []
    await lock_projects(connection, {draft.project_id for draft in drafts})
    unique = {draft.id: draft for draft in drafts}.values()
    await connection.execute(_INSERT, *_columns_of(list(unique)))
    pairs = [(draft.id, source) for draft in unique for source in draft.inputs]
    try:
        await connection.execute(_INSERT_INPUTS, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFoundError(
            f"an artifact names an input that does not exist: {error.detail}.",
            remedy="Store the inputs first; the transaction must be rolled back.",
            field="inputs",
        ) from error
    stored = await get_many(connection, [draft.id for draft in drafts])
    return [reference(stored[draft.id]) for draft in drafts]


async def lock_projects(connection: Connection, project_ids: Iterable[UUID]) -> None:
    """Lock projects' rows until the transaction ends.

    Raises:
        NotFoundError: One of them does not exist.
    """
    wanted = set(project_ids)
    found = {row["id"] for row in await connection.fetch(_LOCK_PROJECTS, list(wanted))}
    if missing := sorted(wanted - found):
        raise NotFoundError(
            f"there is no project {missing[0]}.", remedy="List the projects with `factory project list`.", field="id"
        )


async def get(connection: Connection, artifact_id: UUID) -> StoredArtifact:
    """Return one artifact.

    Raises:
        NotFoundError: There is none with this id.
    """
    found = await get_many(connection, [artifact_id])
    try:
        return found[artifact_id]
    except KeyError:
        raise NotFoundError(
            f"there is no artifact {artifact_id}.",
            remedy="List a project's artifacts with `factory artifact list`.",
            field="id",
        ) from None


async def get_many(connection: Connection, artifact_ids: Iterable[UUID]) -> dict[UUID, StoredArtifact]:
    """Return those of the artifacts that exist, by id."""
    rows = await connection.fetch(_BY_ID, list(set(artifact_ids)))
    return {row["id"]: artifact_from_row(dict(row)) for row in rows}


async def get_versions(
    connection: Connection, versions: Iterable[tuple[UUID, str, int]]
) -> dict[tuple[UUID, str, int], StoredArtifact]:
    """Return those of the artifacts that exist, each by its project, kind and version."""
    wanted = sorted(set(versions))
    columns = ([item[place] for item in wanted] for place in range(3))
    rows = await connection.fetch(_BY_VERSION, *columns)
    found = (artifact_from_row(dict(row)) for row in rows)
    return {(artifact.project_id, artifact.kind, artifact.version): artifact for artifact in found}


async def latest(
    connection: Connection,
    project_id: UUID,
    kinds: Sequence[str] | None = None,
    status: ArtifactStatus | None = None,
) -> list[ArtifactRef]:
    """Return the newest version of each kind, sorted by kind.

    Args:
        connection: Where to read.
        project_id: The project.
        kinds: Only these kinds, or None for all.
        status: Only versions in this status count, so that an invalid newest version hides no valid older one.
    """
    rows = await connection.fetch(_LATEST, project_id, None if kinds is None else list(kinds), status)
    return [reference(artifact_from_row(dict(row))) for row in rows]


async def latest_of(connection: Connection, project_ids: Iterable[UUID]) -> list[StoredArtifact]:
    """Return the newest version of each kind in each of the projects, sorted by project and kind."""
    rows = await connection.fetch(_LATEST_OF, list(project_ids))
    return [artifact_from_row(dict(row)) for row in rows]


async def list_artifacts(
    connection: Connection,
    *,
    project_id: UUID | None = None,
    kind: str | None = None,
    status: ArtifactStatus | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[StoredArtifact]:
    """Return artifacts in the order they were created.

    Args:
        connection: Where to read.
        project_id: Only this project's.
        kind: Only of this kind.
        status: Only in this status.
        after: The `sequence` of the last artifact of the page before.
        limit: At most so many; a shorter page is the last.
    """
    rows = await connection.fetch(_LIST, after, project_id, kind, status, limit)
    return [artifact_from_row(dict(row)) for row in rows]


async def versions(
    connection: Connection, project_id: UUID, kind: str, *, before: int | None = None, limit: int = 100
) -> list[StoredArtifact]:
    """Return the versions of a kind in a project, the newest first.

    Args:
        connection: Where to read.
        project_id: The project.
        kind: The kind.
        before: Only versions before this one.
        limit: At most so many.
    """
    rows = await connection.fetch(_VERSIONS, project_id, kind, before, limit)
    return [artifact_from_row(dict(row)) for row in rows]


async def set_status(connection: Connection, statuses: Mapping[UUID, ArtifactStatus]) -> None:
    """Set the status of artifacts; ids that do not exist are ignored."""
    ids = sorted(statuses)
    await connection.execute(_SET_STATUS, ids, [statuses[key].value for key in ids])


async def record_validations(connection: Connection, validations: Sequence[NewValidation]) -> None:
    """Store what validators said and give each artifact the status that follows from it.

    A validation whose id is already stored changes neither the record nor the status. Of several for one
    artifact in one call the last one decides.
    """
    columns = (
        [item.id for item in validations],
        [item.artifact_id for item in validations],
        [item.task_id for item in validations],
        [item.passed for item in validations],
        [json.dumps([finding.model_dump(mode="json") for finding in item.findings]) for item in validations],
    )
    rows = await connection.fetch(_INSERT_VALIDATIONS, *columns)
    new = {row["artifact_id"]: row["passed"] for row in rows}
    await set_status(
        connection, {key: ArtifactStatus.VALID if passed else ArtifactStatus.INVALID for key, passed in new.items()}
    )


async def record_validation(connection: Connection, validation: NewValidation) -> None:
    """Store what a validator said of one artifact, as `record_validations` does."""
    await record_validations(connection, [validation])


async def validations(connection: Connection, artifact_id: UUID) -> list[Validation]:
    """Return an artifact's validations, oldest first."""
    rows = await connection.fetch(_VALIDATIONS, artifact_id)
    return [Validation.model_validate(dict(row) | {"findings": json.loads(row["findings"])}) for row in rows]


def artifact_from_row(row: Mapping[str, Any]) -> StoredArtifact:
    """Read an artifact from a row; columns it has beside the artifact's own are ignored."""
    values = {name: row[name] for name in StoredArtifact.model_fields}
    values["metadata"] = json.loads(row["metadata"] or "{}")
    return StoredArtifact.model_validate(values)


def reference(artifact: StoredArtifact) -> ArtifactRef:
    """Return the part of an artifact's row that travels with tasks."""
    return ArtifactRef.model_validate(artifact.model_dump(include=set(ArtifactRef.model_fields)))


def _columns_of(drafts: Sequence[NewArtifact]) -> tuple[list[Any], ...]:
    return (
        [draft.id for draft in drafts],
        [draft.project_id for draft in drafts],
        [draft.kind for draft in drafts],
        [draft.hash for draft in drafts],
        [draft.uri for draft in drafts],
        [draft.media_type for draft in drafts],
        [draft.size for draft in drafts],
        [draft.status.value for draft in drafts],
        [draft.agent for draft in drafts],
        [draft.trace_id for draft in drafts],
        [draft.task_id for draft in drafts],
        [json.dumps(dict(draft.metadata)) for draft in drafts],
        [draft.created_at for draft in drafts],
    )
