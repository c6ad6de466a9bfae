import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from factory.settings import Settings
from factory.storage.database import (
    CommitUnknownError,
    Connection,
    Database,
    is_connection_lost,
    is_contention,
)
from factory.storage.embedded import DatabaseUnavailableError


async def test_json_values_are_python_objects(database: Database) -> None:
    value = {"a": [1, None, "ü"], "b": {"c": True}}
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", value) == value
        assert await connection.fetchval("SELECT $1::jsonb[]", [value, None]) == [value, None]


async def test_a_cut_connection_is_replaced_at_the_next_transaction(database: Database) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert is_connection_lost(caught.value)
    async with database.transaction() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_work_runs_again_after_a_cut_and_after_a_deadlock(database: Database) -> None:
    await database.run(
        lambda c: c.execute("CREATE TABLE n (id int PRIMARY KEY, v int); INSERT INTO n VALUES (1,0),(2,0)")
    )
    attempts = 0
    both = asyncio.Barrier(2)

    async def cut_once(connection: Connection) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await database.run(cut_once)
    assert attempts == 2

    async def add(first: int, second: int) -> None:
        met = False

        async def work(connection: Connection) -> None:
            nonlocal met
            await connection.execute("UPDATE n SET v = v + 1 WHERE id = $1", first)
            if not met:
                met = True
                await both.wait()
            await connection.execute("UPDATE n SET v = v + 1 WHERE id = $1", second)

        await database.run(work)

    await asyncio.gather(add(1, 2), add(2, 1))
    rows = await database.run(lambda c: c.fetch("SELECT v FROM n"))
    assert [row["v"] for row in rows] == [2, 2]


async def test_hooks_run_once_after_a_commit_only(database: Database) -> None:
    calls: list[str] = []

    def hook() -> None:
        calls.append("called")

    async with database.transaction() as connection:
        database.after_commit(connection, hook)
        database.after_commit(connection, hook)
        assert calls == []
    assert calls == ["called"]
    with pytest.raises(RuntimeError):  # noqa: PT012 - a transaction is the block under test
        async with database.transaction() as connection:
            database.after_commit(connection, hook)
            raise RuntimeError
    database.after_commit(connection, hook)
    assert calls == ["called"]


async def test_a_transaction_left_idle_is_ended_by_the_server(settings: Settings) -> None:
    hasty = settings.model_copy(update={"database_idle_timeout": timedelta(milliseconds=20)})
    async with await Database.open(hasty) as database:
        with pytest.raises(Exception) as caught:  # noqa: PT011, PT012 - the kind is asserted below
            async with database.transaction() as connection:
                watcher = await database.connect()
                while await watcher.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' "
                    "AND datname = current_database()"
                ):
                    await asyncio.sleep(0.01)
                await watcher.close()
                await connection.fetchval("SELECT 1")
        assert is_connection_lost(caught.value)


async def test_a_statement_that_takes_too_long_is_no_lost_connection(settings: Settings) -> None:
    hasty = settings.model_copy(update={"database_statement_timeout": timedelta(milliseconds=20)})
    async with await Database.open(hasty) as database:
        with pytest.raises(asyncpg.QueryCanceledError) as caught:
            await database.run(lambda connection: connection.execute("SELECT pg_sleep(60)"))
        assert not is_connection_lost(caught.value)


async def test_an_external_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url=f"postgresql://nobody@/nothing?host={tmp_path}",
        database_connect_timeout=timedelta(milliseconds=50),
    )
    with pytest.raises(DatabaseUnavailableError, match="does not answer"):
        await Database.open(settings)


async def test_a_database_that_refuses_the_user_is_not_waited_for(settings: Settings) -> None:
    url = str(settings.database_url).replace("postgres@", "stranger@")
    refused = settings.model_copy(update={"database_url": url})
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await Database.open(refused)


async def test_a_closed_database_says_so(settings: Settings) -> None:
    database = await Database.open(settings)
    await database.close()
    with pytest.raises(DatabaseUnavailableError, match="closed"):
        async with database.transaction():
            pass


def test_errors_are_told_apart() -> None:
    assert is_connection_lost(CommitUnknownError("x"))
    assert is_connection_lost(ConnectionRefusedError())
    assert not is_connection_lost(FileNotFoundError())
    assert is_contention(asyncpg.SerializationError("x"))
    assert not is_contention(asyncpg.UniqueViolationError("x"))
