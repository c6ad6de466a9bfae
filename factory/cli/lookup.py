"""Finds and reads the artifacts that `factory artifact` shows."""

from uuid import UUID

from factory.artifacts import records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.diff import ContentDiff, diff
from factory.artifacts.records import StoredArtifact
from factory.cli.session import load_settings, reading
from factory.control.projects import get_project, prefix_range
from factory.domain.artifact import KINDS, ArtifactStatus, Content
from factory.domain.errors import BadInputError, NotFoundError
from factory.storage.database import Connection

# Primary key, as a range: a UUID sorts as its hexadecimal digits do.
BY_PREFIX = "SELECT id FROM artifact WHERE id BETWEEN $1 AND $2 LIMIT 2"
# Unique index (project_id, kind, version), backwards where no version is given.
BY_VERSION = """
SELECT id FROM artifact WHERE project_id = $1 AND kind = $2 AND ($3::int IS NULL OR version = $3)
ORDER BY version DESC LIMIT 1
"""
# Unique index (sequence), backwards.
BEFORE_LATEST = """
SELECT sequence FROM artifact
WHERE ($1::uuid IS NULL OR project_id = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR status = $3)
ORDER BY sequence DESC OFFSET $4 LIMIT 1
"""


async def listed(project: str | None, kind: str | None, status: str | None, limit: int) -> list[StoredArtifact]:
    """Return the latest artifacts in the order they were made.

    Raises:
        BadInputError: The kind or the status is not known, or the project's prefix is ambiguous.
        NotFoundError: There is no such project.
    """
    if kind is not None and kind not in KINDS:
        raise BadInputError(f"{kind!r} is not a kind of artifact.", remedy=f"Kinds: {', '.join(KINDS)}.", field="kind")
    if status is not None and status not in set(ArtifactStatus):
        known = ", ".join(ArtifactStatus)
        raise BadInputError(f"{status!r} is not a state of an artifact.", remedy=f"States: {known}.", field="status")
    async with reading() as connection:
        project_id = (await get_project(connection, project)).id if project else None
        after = await connection.fetchval(BEFORE_LATEST, project_id, kind, status, limit)
        return await records.list_artifacts(
            connection,
            project_id=project_id,
            kind=kind,
            status=ArtifactStatus(status) if status else None,
            after=after or 0,
            limit=limit,
        )


async def read(which: str, version: int | None = None) -> tuple[StoredArtifact, Content]:
    """Return an artifact with its files, checked against their hash.

    Raises:
        BadInputError: The name cannot be read or is ambiguous.
        NotFoundError: There is no such artifact.
    """
    settings = load_settings()
    async with reading(settings) as connection:
        artifact = await find(connection, which, version)
    return artifact, BlobStore(settings.blob_url).content(artifact)


async def difference(which: str, other: str | None, since: int | None) -> ContentDiff:
    """Return how two artifacts differ.

    Args:
        which: The older one; the newer one where `other` is None.
        other: The newer one, or None to compare `which` with an earlier version of itself.
        since: That version; None for the one before.

    Raises:
        BadInputError: Both `other` and `since` are given, or there is no version before.
        NotFoundError: One of them does not exist.
    """
    settings = load_settings()
    async with reading(settings) as connection:
        older, newer = await _pair(connection, which, other, since)
    store = BlobStore(settings.blob_url)
    return diff(store.content(older), store.content(newer))


async def find(connection: Connection, which: str, version: int | None = None) -> StoredArtifact:
    """Return the artifact that a name stands for: an id or its first digits, or PROJECT/KIND.

    Args:
        connection: Where to look.
        which: The name.
        version: Another version of the same kind in the same project.

    Raises:
        BadInputError: The name cannot be read or is ambiguous.
        NotFoundError: There is no such artifact.
    """
    project, separator, kind = which.partition("/")
    if separator:
        project_id = (await get_project(connection, project)).id
        return await _version_of(connection, project_id, kind, version)
    low, high = prefix_range(which, "artifact")
    rows = await connection.fetch(BY_PREFIX, low, high)
    if not rows:
        raise NotFoundError(f"there is no artifact {which!r}.", remedy="See `factory artifact list`.", field="artifact")
    if len(rows) > 1:
        raise BadInputError(f"several artifacts begin with {which!r}.", remedy="Give more digits.", field="artifact")
    artifact = await records.get(connection, rows[0]["id"])
    if version is None or version == artifact.version:
        return artifact
    return await _version_of(connection, artifact.project_id, artifact.kind, version)


def primary(artifact: StoredArtifact, content: Content) -> str:
    """Return the path of the file to read first."""
    known = KINDS.get(artifact.kind)
    return known.primary if known and known.primary in content.files else min(content.files)


async def _pair(
    connection: Connection, which: str, other: str | None, since: int | None
) -> tuple[StoredArtifact, StoredArtifact]:
    named = await find(connection, which)
    if other is not None:
        if since is not None:
            raise BadInputError(
                "two artifacts were named, and --since as well.", remedy="Leave one of them out.", field="since"
            )
        return named, await find(connection, other)
    if since is None and named.version == 1:
        raise BadInputError(
            f"{named.kind} is at version 1: there is none before it.",
            remedy="Name a second artifact to compare it with.",
            field="artifact",
        )
    return await find(connection, str(named.id), since or named.version - 1), named


async def _version_of(connection: Connection, project_id: UUID, kind: str, version: int | None) -> StoredArtifact:
    found = await connection.fetchval(BY_VERSION, project_id, kind, version)
    if found is None:
        wanted = f"{kind} v{version}" if version else kind
        raise NotFoundError(
            f"project {project_id} has no artifact {wanted!r}.",
            remedy=f"See `factory artifact list --project {project_id}`.",
            field="artifact",
        )
    return await records.get(connection, found)
