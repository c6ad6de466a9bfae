"""Writes the audit trail: one chain for all replicas."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import structlog

from factory.domain.errors import FactoryError, RetryableError
from factory.identity.audit.entry import GENESIS, AuditEntry, chained
from factory.identity.audit.spool import Spool, read_lines
from factory.settings import Settings
from factory.storage.database import CLIENT_ERRORS, Connection, Database

_EVERY_SECONDS = 0.25
# About a quarter of an hour of a busy gateway. Then requests are refused: what is not audited does not happen.
_MOST_WAITING_BYTES = 256 * 1024 * 1024
_GROUP = 1_000
_log = structlog.stdlib.get_logger(__name__)

# One writer at a time appends to the chain.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('audit-trail', 0))"
# Primary key, backwards.
_LAST = "SELECT sequence, hash FROM audit_entry ORDER BY sequence DESC LIMIT 1"
# Unique index on the id.
_KNOWN = "SELECT id FROM audit_entry WHERE id = ANY ($1::uuid[])"
_INSERT = """
INSERT INTO audit_entry (sequence, id, at, subject, tenant, action, resource_type, resource_id, project_id, allowed,
    document, hash)
SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::uuid[], $10::boolean[], $11::jsonb[], $12::bytea[])
"""


class AuditFullError(RetryableError):
    """The audit trail cannot be written, so that nothing may be done."""


class AuditTrail:
    """Takes entries in, and brings them into the trail.

    Guarantees: an entry that was recorded joins the chain once, even if this process is killed right after; the chain
    has one order over all replicas.
    """

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database = database
        self._spool = spool
        self._ended = asyncio.Event()
        self._shipping = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, database: Database, settings: Settings) -> Self:
        """Begin to write, and take over what killed processes of this machine left behind."""
        spool = await asyncio.to_thread(Spool, settings.data_dir / "audit")
        trail = cls(database, spool)
        trail._task = asyncio.get_running_loop().create_task(trail._ship_on())
        return trail

    async def close(self) -> None:
        """Write what waits, as far as the database answers; the rest is left for the next process."""
        self._ended.set()
        if self._task is not None:
            await self._task
        with contextlib.suppress(FactoryError, *CLIENT_ERRORS):
            await self.flush()
        await asyncio.to_thread(self._spool.close)

    def record(self, entry: AuditEntry) -> None:
        """Add an entry. It is on its way when this returns, and survives this process.

        Raises:
            AuditFullError: Too much waits already.
        """
        self.check()
        self._spool.append(entry.line())

    def check(self) -> None:
        """Make sure that entries can be added.

        Raises:
            AuditFullError: Too much waits already, because the database does not take it.
        """
        if self._spool.size > _MOST_WAITING_BYTES:
            raise AuditFullError(
                "the audit trail cannot be written at the moment.", remedy="The database must answer again."
            )

    async def flush(self) -> None:
        """Bring everything that was recorded into the chain."""
        async with self._shipping:
            done = await asyncio.to_thread(self._spool.rotate)
            if done is not None:
                await self._ship(done)

    async def _ship_on(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _EVERY_SECONDS)
            try:
                await self.flush()
                await self._take_over()
            except (FactoryError, *CLIENT_ERRORS) as error:
                _log.warning("audit_delayed", reason=repr(error))

    async def _take_over(self) -> None:
        async with self._shipping:
            for path in self._spool.abandoned():
                await self._ship(path)

    async def _ship(self, path: Path) -> None:
        lines = await asyncio.to_thread(read_lines, path)
        for first in range(0, len(lines), _GROUP):
            group = lines[first : first + _GROUP]
            await self._database.run(lambda connection, group=group: _append(connection, group))  # type: ignore[misc]
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def write(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries in the caller's transaction, which holds up other writers until it ends."""
    await _append(connection, [json.loads(entry.line()) for entry in entries])


async def _append(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        return
    await connection.execute(_LOCK)
    ids = [UUID(entry["id"]) for entry in entries]
    known = {row["id"] for row in await connection.fetch(_KNOWN, ids)}
    fresh = {key: entry for key, entry in zip(ids, entries, strict=True) if key not in known}
    last = await connection.fetchrow(_LAST)
    sequence, previous = (last["sequence"], last["hash"]) if last is not None else (0, GENESIS)
    rows: list[tuple[Any, ...]] = []
    for key, entry in fresh.items():
        sequence += 1
        previous = chained(previous, sequence, entry)
        rows.append((sequence, key, *columns_of(entry), dict(entry), previous))
    if rows:
        await connection.execute(_INSERT, *([row[place] for row in rows] for place in range(len(rows[0]))))


def columns_of(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the columns that an entry is found by, from `at` to `allowed`."""
    project = entry["project_id"]
    return (
        datetime.fromisoformat(entry["at"]),
        entry["subject"],
        entry["tenant"],
        entry["action"],
        entry["resource_type"],
        entry["resource_id"],
        UUID(project) if project else None,
        entry["allowed"],
    )
