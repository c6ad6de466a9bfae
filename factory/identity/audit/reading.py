"""Reads the audit trail, and checks that nothing of it was changed."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from factory.identity.audit.entry import GENESIS, AuditRecord, chained
from factory.identity.audit.trail import columns_of
from factory.storage.database import Database

_PAGE = 1_000

# Primary key, or the index of the subject, the project or the tenant, backwards.
_FIND = """
SELECT sequence, document, hash FROM audit_entry
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR subject = $2)
    AND ($3::text IS NULL OR action = $3) AND ($4::uuid IS NULL OR project_id = $4)
    AND ($5::text IS NULL OR resource_id = $5) AND ($6::boolean IS NULL OR allowed = $6)
    AND ($7::timestamptz IS NULL OR at >= $7) AND ($8::timestamptz IS NULL OR at < $8)
    AND ($9::bigint IS NULL OR sequence < $9)
ORDER BY sequence DESC LIMIT $10
"""
# Primary key.
_WALK = """
SELECT sequence, id, at, subject, tenant, action, resource_type, resource_id, project_id, allowed, document, hash
FROM audit_entry WHERE sequence > $1 ORDER BY sequence LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are meant; None lets everything pass.

    Attributes:
        since: Not before this time.
        until: Before this time.
    """

    tenant: str | None = None
    subject: str | None = None
    action: str | None = None
    project_id: UUID | None = None
    resource_id: str | None = None
    allowed: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the chain does not hold.

    Attributes:
        sequence: Of the first entry that does not fit.
    """

    sequence: int
    reason: str


async def find(
    database: Database, which: AuditFilter, *, before: int | None = None, limit: int = 100
) -> list[AuditRecord]:
    """Return one page of entries, the newest first.

    Args:
        database: Where the trail is.
        which: Which are meant.
        before: The sequence number of the last entry of the page before.
        limit: At most so many.
    """
    rows = await database.fetch(
        _FIND,
        which.tenant,
        which.subject,
        which.action,
        which.project_id,
        which.resource_id,
        which.allowed,
        which.since,
        which.until,
        before,
        limit,
    )
    return [_record(dict(row)) for row in rows]


async def walk(database: Database) -> AsyncIterator[AuditRecord]:
    """Yield every entry, the oldest first."""
    after = 0
    while rows := await database.fetch(_WALK, after, _PAGE):
        for row in rows:
            yield _record(dict(row))
        after = rows[-1]["sequence"]


async def verify(database: Database) -> tuple[int, Broken | None]:
    """Walk the chain, and return how many entries hold and where it breaks, if it does.

    What was cut off at the end cannot be seen by the chain alone: compare the last hash with one that was kept
    elsewhere, as in an export.
    """
    previous, expected = GENESIS, 1
    while rows := await database.fetch(_WALK, expected - 1, _PAGE):
        for row in rows:
            if row["sequence"] != expected:
                return expected - 1, Broken(expected, "the entry is missing")
            if _differs(dict(row)):
                return expected - 1, Broken(expected, "its columns do not say what its document says")
            if chained(previous, expected, row["document"]) != row["hash"]:
                return expected - 1, Broken(expected, "its hash does not fit")
            previous, expected = row["hash"], expected + 1
    return expected - 1, None


def _differs(row: Mapping[str, Any]) -> bool:
    names = ("at", "subject", "tenant", "action", "resource_type", "resource_id", "project_id", "allowed")
    document: Mapping[str, Any] = row["document"]
    return str(row["id"]) != document.get("id") or tuple(row[name] for name in names) != columns_of(document)


def _record(row: Mapping[str, Any]) -> AuditRecord:
    return AuditRecord(**row["document"], sequence=row["sequence"], hash=row["hash"].hex())
