import asyncio
from collections.abc import Iterator
from itertools import count

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from factory.storage.embedded import EmbeddedServer
from factory.storage.migrate import MIGRATIONS, current_revision, latest_revision, migrate

_numbers = count(1)


@pytest.fixture
def empty_url(postgres: EmbeddedServer) -> Iterator[str]:
    name = f"empty_{next(_numbers)}"
    asyncio.run(_administer(postgres, f"CREATE DATABASE {name}"))
    yield postgres.dsn(name)
    asyncio.run(_administer(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


async def _administer(server: EmbeddedServer, command: str) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    await connection.execute(command)
    await connection.close()


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def test_there_is_one_line_of_revisions_and_files_are_named_after_them() -> None:
    assert scripts().get_heads() == [latest_revision()]
    for script in scripts().walk_revisions():
        assert script.module.__file__ is not None
        assert f"/{script.revision}_" in script.module.__file__


async def test_many_processes_migrate_an_empty_database_once(empty_url: str) -> None:
    results = await asyncio.gather(*(migrate(empty_url) for _ in range(6)))
    assert sum(results) == 1
    connection = await asyncpg.connect(empty_url)
    assert await current_revision(connection) == latest_revision()
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await connection.close()
    assert not await migrate(empty_url)


async def test_a_database_newer_than_the_code_is_left_alone(empty_url: str) -> None:
    await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert not await migrate(empty_url)
    assert await current_revision(connection) == "9999"
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    await connection.execute("CREATE TABLE dead_letter (n int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_url)
    assert await connection.fetchval("SELECT to_regclass('event')") is None
    await connection.execute("DROP TABLE dead_letter")
    await connection.close()
    assert await migrate(empty_url)
