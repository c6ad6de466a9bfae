"""The audit trail: nothing lost, nothing twice, nothing changed unseen."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from factory.domain.ids import new_id
from factory.identity.audit import AuditEntry, AuditTrail, write
from factory.identity.audit.reading import AuditFilter, find, verify, walk
from factory.identity.audit.trail import AuditFullError
from factory.settings import Settings
from factory.storage.database import Database

_KILLED = """
import asyncio, json, os, sys
from factory.domain.ids import new_id
from factory.identity.audit import AuditEntry, AuditTrail
from factory.identity.audit import trail as trails
from factory.settings import Settings
from factory.storage.database import Database

async def main():
    settings = Settings()
    trails._EVERY_SECONDS = 3600
    async with await Database.open(settings) as database:
        trail = await AuditTrail.open(database, settings)
        for number in range(200):
            entry = AuditEntry(id=new_id(), subject="user:ada", action="project:read", allowed=True, route=f"/{number}")
            trail.record(entry)
            print(entry.id, flush=True)
        print("recorded", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def entry(subject: str = "user:ada", **more: object) -> AuditEntry:
    return AuditEntry.model_validate(
        {"id": new_id(), "subject": subject, "action": "project:read", "allowed": True, **more}
    )


async def test_what_a_killed_process_recorded_is_shipped_by_the_next(settings: Settings, database: Database) -> None:
    environment = {
        **os.environ,
        "FACTORY_DATA_DIR": str(settings.data_dir),
        "FACTORY_DATABASE_URL": settings.database_url or "",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED], env=environment, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    told: list[str] = []
    for line in process.stdout:
        if line.strip() == "recorded":
            break
        told.append(line.strip())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(told) == 200
    trail = await AuditTrail.open(database, settings)
    async with asyncio.timeout(30):
        while len(list((settings.data_dir / "audit").glob("*.spool"))) > 1:
            await asyncio.sleep(0.05)
    await trail.close()
    found = [str(one.id) async for one in walk(database)]
    assert found == told
    assert await verify(database) == (200, None)


async def test_two_writers_make_one_chain(settings: Settings, database: Database) -> None:
    first, second = [await AuditTrail.open(database, settings) for _ in range(2)]
    for _ in range(50):
        first.record(entry("user:ada"))
        second.record(entry("user:bob"))
        await asyncio.sleep(0)
    await asyncio.gather(first.flush(), second.flush())
    await asyncio.gather(first.close(), second.close())
    assert await verify(database) == (100, None)
    assert len(await find(database, AuditFilter(subject="user:bob"), limit=200)) == 50


async def test_an_entry_joins_once_however_often_it_is_told(database: Database) -> None:
    one = entry()
    for _ in range(3):
        await database.run(lambda connection: write(connection, [one]))
    assert await verify(database) == (1, None)


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        ("UPDATE audit_entry SET subject = 'user:nobody' WHERE sequence = 2", 2, "columns"),
        ('UPDATE audit_entry SET document = document || \'{"route": "/x"}\' WHERE sequence = 2', 2, "hash"),
        ("DELETE FROM audit_entry WHERE sequence = 2", 2, "missing"),
        ("UPDATE audit_entry SET sequence = 9 WHERE sequence = 3", 3, "missing"),
    ],
)
async def test_what_was_changed_behind_its_back_shows(database: Database, change: str, where: int, why: str) -> None:
    await database.run(lambda connection: write(connection, [entry() for _ in range(3)]))
    async with database.transaction() as connection:
        await connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER USER")
        await connection.execute(change)
        await connection.execute("ALTER TABLE audit_entry ENABLE TRIGGER USER")
    count, broken = await verify(database)
    assert broken is not None
    assert (count, broken.sequence) == (where - 1, where)
    assert why in broken.reason


async def test_filters_and_pages_find_what_is_meant(database: Database) -> None:
    project = UUID(int=5)
    entries = [entry("user:ada", tenant="north", project_id=project), entry("user:bob", tenant="south", allowed=False)]
    await database.run(lambda connection: write(connection, entries))
    assert [one.sequence for one in await find(database, AuditFilter())] == [2, 1]
    assert [one.sequence for one in await find(database, AuditFilter(), limit=1)] == [2]
    assert [one.sequence for one in await find(database, AuditFilter(), before=2)] == [1]
    for which in (AuditFilter(tenant="north"), AuditFilter(project_id=project), AuditFilter(allowed=True)):
        assert [one.subject for one in await find(database, which)] == ["user:ada"]


async def test_what_is_not_audited_does_not_happen(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.identity.audit.trail._MOST_WAITING_BYTES", 500)
    monkeypatch.setattr("factory.identity.audit.trail._EVERY_SECONDS", 3_600)
    trail = await AuditTrail.open(database, settings)
    trail.record(entry())
    trail.record(entry())
    with pytest.raises(AuditFullError):
        trail.record(entry())
    await trail.close()
    assert (await verify(database))[1] is None


def test_an_entry_is_one_line_whatever_is_in_it() -> None:
    line = entry("a\nb\x00c", route="x" * 5_000).line()
    assert b"\n" not in line
    values = json.loads(line)
    assert "\x00" not in values["subject"]
    assert len(values["route"]) == 1_000
