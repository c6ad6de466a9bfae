"""The Project Manager: creates projects, finds them, moves them through their states (R10)."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import JsonValue

from factory.domain.errors import BadInputError, NotFoundError
from factory.domain.ids import new_id, new_trace_id, trace_id_of
from factory.domain.project import DEFAULT_TENANT, Project, ProjectMetadata, ProjectStatus, check_transition
from factory.storage.database import Connection

_COLUMNS = """id, name, slug, blueprint, status, revision, trace_id, sandbox_of, tenant, caused_by,
    metadata::text AS metadata, created_at, updated_at"""
_SHORTEST_PREFIX = 6
_REMEMBERED = 2_048

INSERT = f"""
INSERT INTO project (id, name, slug, blueprint, status, trace_id, metadata, build_key, out_dir, sandbox_of,
    tenant, caused_by)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10, $11, $12) RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant of this module
# Primary key.
BY_ID = f"SELECT {_COLUMNS} FROM project WHERE id = $1"  # noqa: S608
LOCKED = f"{BY_ID} FOR UPDATE"
# Primary key.
BY_IDS = f"SELECT {_COLUMNS} FROM project WHERE id = ANY ($1)"  # noqa: S608
# Primary key, as a range: a UUID sorts as its hexadecimal digits do.
BY_PREFIX = f"SELECT {_COLUMNS} FROM project WHERE id BETWEEN $1 AND $2 LIMIT 2"  # noqa: S608
# Index project_by_status, or the primary key where no status is given.
LIST = f"""
SELECT {_COLUMNS} FROM project WHERE ($1::text IS NULL OR status = $1) ORDER BY id DESC LIMIT $2
"""  # noqa: S608
# Index project_by_tenant_status where a status is given, else project_by_tenant; the primary key where the ids are.
PAGE = f"""
SELECT {_COLUMNS} FROM project
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::uuid[] IS NULL OR id = ANY ($2))
    AND ($3::text IS NULL OR status = $3) AND ($4::uuid IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5
"""  # noqa: S608
# The same.
COUNT = """
SELECT status, count(*) AS count FROM project
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::uuid[] IS NULL OR id = ANY ($2)) GROUP BY status
"""
DESCRIBE = f"""
UPDATE project SET name = $2, metadata = $3::text::jsonb, updated_at = now() WHERE id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
# Index project_by_build_key.
UNDELIVERED = f"""
SELECT {_COLUMNS} FROM project
WHERE build_key = $1 AND delivered_at IS NULL AND status <> 'compensated' ORDER BY created_at DESC LIMIT 1
"""  # noqa: S608
SET_STATUS = "UPDATE project SET status = $2, updated_at = now() WHERE id = $1"
SET_FAILURE = "UPDATE project SET failure = $2::text::jsonb, updated_at = now() WHERE id = $1"
SET_RELEASE = """
UPDATE project SET released_commit = $2, tests_passed = $3, tests_failed = $4, failure = NULL, updated_at = now()
WHERE id = $1
"""
SET_DELIVERED = "UPDATE project SET delivered_at = now() WHERE id = $1"


@dataclass(frozen=True, slots=True)
class NewProject:
    """What is known of a project before it exists.

    Attributes:
        build_key: Equal for builds of the same vision by the same blueprint into the same folder, so that a
            repeated command finds its unfinished project.
        sandbox_of: The project that it replays, if it is a sandbox.
        tenant: Whose it is.
        caused_by: W3C trace context that its trace continues; it begins one of its own without.
    """

    name: str
    slug: str
    blueprint: str
    build_key: str
    out_dir: str | None = None
    sandbox_of: UUID | None = None
    tenant: str = DEFAULT_TENANT
    caused_by: str | None = None
    metadata: ProjectMetadata = field(default_factory=ProjectMetadata)


def build_key(vision: str, blueprint: str, out_dir: str) -> str:
    """Return what makes two build commands the same build."""
    return hashlib.sha256(f"{vision}\x1f{blueprint}\x1f{out_dir}".encode()).hexdigest()


async def create_project(conn: Connection, new: NewProject) -> Project:
    """Insert a project in its first state and return it."""
    row = await conn.fetchrow(
        INSERT,
        new_id(),
        new.name,
        new.slug,
        new.blueprint,
        ProjectStatus.VISIONING.value,
        trace_id_of(new.caused_by) if new.caused_by else new_trace_id(),
        new.metadata.model_dump_json(),
        new.build_key,
        new.out_dir,
        new.sandbox_of,
        new.tenant,
        new.caused_by,
    )
    if row is None:
        raise NotFoundError(f"project {new.slug!r} was not stored.")
    return project_of(row)


async def get_projects(conn: Connection, ids: Collection[UUID]) -> dict[UUID, Project]:
    """Return those of the projects that exist, by their ids."""
    return {row["id"]: project_of(row) for row in await conn.fetch(BY_IDS, list(ids))} if ids else {}


async def get_project(conn: Connection, id_or_prefix: UUID | str) -> Project:
    """Return a project by its id, or by at least six first digits of it.

    Raises:
        BadInputError: The text is no id and no prefix, or several projects begin with it.
        NotFoundError: There is no such project.
    """
    if isinstance(id_or_prefix, UUID):
        row = await conn.fetchrow(BY_ID, id_or_prefix)
        if row is None:
            raise NotFoundError(f"there is no project {id_or_prefix}.", remedy="See `factory project list`.")
        return project_of(row)
    low, high = prefix_range(id_or_prefix, "project")
    rows = await conn.fetch(BY_PREFIX, low, high)
    if not rows:
        raise NotFoundError(
            f"there is no project {id_or_prefix!r}.", remedy="See `factory project list`.", field="project"
        )
    if len(rows) > 1:
        raise BadInputError(
            f"several projects begin with {id_or_prefix!r}.", remedy="Give more digits.", field="project"
        )
    return project_of(rows[0])


async def lock_project(conn: Connection, project_id: UUID) -> Project:
    """Return a project and keep others from changing it until the transaction ends.

    Raises:
        NotFoundError: There is no such project.
    """
    row = await conn.fetchrow(LOCKED, project_id)
    if row is None:
        raise NotFoundError(f"there is no project {project_id}.")
    return project_of(row)


async def list_projects(conn: Connection, limit: int = 50, status: ProjectStatus | None = None) -> list[Project]:
    """Return the newest projects first."""
    return [project_of(row) for row in await conn.fetch(LIST, status.value if status else None, limit)]


async def page_projects(
    conn: Connection,
    *,
    tenant: str | None,
    ids: Collection[UUID] | None = None,
    status: ProjectStatus | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Project]:
    """Return one page of projects, the newest first.

    Args:
        conn: Where to read.
        tenant: Only of this tenant; None for all.
        ids: Only these; None for all.
        status: Only in this state.
        before: The last project of the page before.
        limit: At most so many; a shorter page is the last.
    """
    chosen = None if ids is None else list(ids)
    rows = await conn.fetch(PAGE, tenant, chosen, status.value if status else None, before, limit)
    return [project_of(row) for row in rows]


async def count_projects(
    conn: Connection, *, tenant: str | None, ids: Collection[UUID] | None = None
) -> dict[ProjectStatus, int]:
    """Return how many projects are in each state; states without any are left out."""
    rows = await conn.fetch(COUNT, tenant, None if ids is None else list(ids))
    return {ProjectStatus(row["status"]): row["count"] for row in rows}


async def describe_project(conn: Connection, project: Project, name: str, metadata: ProjectMetadata) -> Project:
    """Change what people record about a locked project."""
    row = await conn.fetchrow(DESCRIBE, project.id, name, metadata.model_dump_json())
    if row is None:
        raise NotFoundError(f"there is no project {project.id}.")
    return project_of(row)


async def find_undelivered(conn: Connection, key: str) -> Project | None:
    """Return the latest project of this build whose repository was not handed over yet, nor its work undone."""
    row = await conn.fetchrow(UNDELIVERED, key)
    return project_of(row) if row else None


async def set_status(conn: Connection, project: Project, status: ProjectStatus) -> None:
    """Move a locked project to another state.

    Raises:
        ConflictError: The project's state does not allow it.
    """
    check_transition(project.status, status)
    await conn.execute(SET_STATUS, project.id, status.value)


async def set_failure(conn: Connection, project_id: UUID, failure: Mapping[str, JsonValue] | None) -> None:
    """Record why a project failed, or that it no longer does."""
    await conn.execute(SET_FAILURE, project_id, json.dumps(failure) if failure is not None else None)


async def set_release(conn: Connection, project_id: UUID, *, commit: str, tests_passed: int, tests_failed: int) -> None:
    """Record the release commit and the result of the product's own tests."""
    await conn.execute(SET_RELEASE, project_id, commit, tests_passed, tests_failed)


async def set_delivered(conn: Connection, project_id: UUID) -> None:
    """Record that the repository was handed over."""
    await conn.execute(SET_DELIVERED, project_id)


def prefix_range(text: str, what: str) -> tuple[UUID, UUID]:
    """Return the lowest and the highest UUID that begin with the given digits.

    Raises:
        BadInputError: Fewer than six digits, or characters that no UUID has.
    """
    digits = text.replace("-", "").lower()
    if not _SHORTEST_PREFIX <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):  # noqa: PLR2004 - a UUID has 32 digits
        raise BadInputError(
            f"{text!r} is not the id of any {what}.", remedy="Give its UUID or at least six first digits.", field=what
        )
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def project_of(row: asyncpg.Record) -> Project:
    """Build a project from a row that has the project's columns."""
    return _project_of(tuple(row.items()))


# Every task of a project reads it, and it seldom changes: what is the same is built once.
@lru_cache(_REMEMBERED)
def _project_of(columns: tuple[tuple[str, Any], ...]) -> Project:
    values = dict(columns)
    return Project(**{**values, "metadata": ProjectMetadata.model_validate_json(values["metadata"])})
