"""Grants: policies that hold for somebody on a project, or on all projects of a tenant (R34)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from factory.domain.errors import NotFoundError
from factory.domain.ids import derived_id
from factory.identity.access import Grant, PolicyName
from factory.storage.database import Connection

_COLUMNS = "id, subject, policy, tenant, project_id, kinds, granted_by, created_at"
# Unique index access_grant_once.
_INSERT = f"""
INSERT INTO access_grant (id, subject, policy, tenant, project_id, kinds, granted_by)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant of this module
# Primary key.
_FIND = f"SELECT {_COLUMNS} FROM access_grant WHERE id = $1"  # noqa: S608
_REMOVE = f"DELETE FROM access_grant WHERE id = $1 RETURNING {_COLUMNS}"  # noqa: S608
# Index access_grant_once.
_OF_SUBJECT = f"SELECT {_COLUMNS} FROM access_grant WHERE subject = $1"  # noqa: S608
# Index access_grant_by_project where a project is given.
_LIST = f"""
SELECT {_COLUMNS} FROM access_grant
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::uuid IS NULL OR project_id = $2)
    AND ($3::text IS NULL OR subject = $3) AND ($4::uuid IS NULL OR id > $4)
ORDER BY id LIMIT $5
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant as it is stored.

    Attributes:
        granted_by: The subject who gave it.
    """

    id: UUID
    grant: Grant
    granted_by: str
    created_at: datetime


async def add(connection: Connection, grant: Grant, *, by: str) -> GrantRecord:
    """Store a grant in the caller's transaction; one that is there already stays as it is."""
    kinds = sorted(grant.kinds) if grant.kinds is not None else None
    identity = derived_id("grant", grant.subject, grant.policy, grant.tenant, grant.project_id, kinds)
    row = await connection.fetchrow(
        _INSERT, identity, grant.subject, grant.policy.value, grant.tenant, grant.project_id, kinds, by
    )
    return _record(row) if row is not None else await get(connection, identity)


async def get(connection: Connection, grant_id: UUID) -> GrantRecord:
    """Return a grant.

    Raises:
        NotFoundError: There is none with this id.
    """
    row = await connection.fetchrow(_FIND, grant_id)
    if row is None:
        raise NotFoundError(f"there is no grant {grant_id}.", remedy="See `factory grant list`.", field="grant")
    return _record(row)


async def remove(connection: Connection, grant_id: UUID) -> GrantRecord:
    """Take a grant back, in the caller's transaction, and return what it was.

    Raises:
        NotFoundError: There is none with this id.
    """
    row = await connection.fetchrow(_REMOVE, grant_id)
    if row is None:
        raise NotFoundError(f"there is no grant {grant_id}.", remedy="See `factory grant list`.", field="grant")
    return _record(row)


async def of_subject(connection: Connection, subject: str) -> tuple[Grant, ...]:
    """Return what was granted to somebody."""
    return tuple(_record(row).grant for row in await connection.fetch(_OF_SUBJECT, subject))


async def listed(
    connection: Connection,
    *,
    tenant: str | None = None,
    project_id: UUID | None = None,
    subject: str | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Sequence[GrantRecord]:
    """Return one page of grants, by id.

    Args:
        connection: Where to read.
        tenant: Only in this tenant; None for all.
        project_id: Only on this project.
        subject: Only to this subject.
        after: The last grant of the page before.
        limit: At most so many.
    """
    return [_record(row) for row in await connection.fetch(_LIST, tenant, project_id, subject, after, limit)]


def _record(row: asyncpg.Record) -> GrantRecord:
    grant = Grant(
        subject=row["subject"],
        policy=PolicyName(row["policy"]),
        tenant=row["tenant"],
        project_id=row["project_id"],
        kinds=frozenset(row["kinds"]) if row["kinds"] is not None else None,
    )
    return GrantRecord(row["id"], grant, row["granted_by"], row["created_at"])
