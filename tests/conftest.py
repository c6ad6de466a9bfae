"""Fixtures for every area: one embedded PostgreSQL per test run, one fresh migrated database per test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from factory.events.bus import EventBus
from factory.settings import Settings
from factory.storage.database import Database
from factory.storage.embedded import EmbeddedServer
from factory.storage.migrate import migrate

# Builds that are tested for something else need not load a model. Inherited by the processes that tests start.
os.environ.setdefault("FACTORY_MEMORY", "off")
# Factories of different tests may run at the same time.
os.environ.setdefault("FACTORY_GATEWAY_PORT", "0")

TEMPLATE = "template_factory"
_numbers = count(1)


class Folder(pytest.Package):
    """A folder of tests, so that what a fixture of the scope `package` starts ends with the folder's last test.

    For pytest a folder without `__init__.py` is none, and its fixtures of that scope live until the whole run ends.
    """

    def setup(self) -> None:
        """Do nothing: there is no `__init__.py` to import."""


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector:
    """Collect every folder of tests as a package."""
    return Folder.from_parent(parent, path=path)


async def _administer(server: EmbeddedServer, *commands: str) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """Give the run's own server, which holds a migrated template. It does not wait for the disk."""
    with tempfile.TemporaryDirectory(prefix="factory-tests-") as folder:
        server = EmbeddedServer(Path(folder) / "postgres", {"fsync": "off", "full_page_writes": "off"})
        server.attach()

        async def prepare() -> None:
            await _administer(server, f"CREATE DATABASE {TEMPLATE}")
            await migrate(server.dsn(TEMPLATE))

        asyncio.run(prepare())
        yield server
        server.detach()


@pytest.fixture
def new_database_url(postgres: EmbeddedServer) -> Iterator[Callable[[], Awaitable[str]]]:
    """Give a function that makes a fresh migrated database and returns its URL."""
    made: list[str] = []

    async def make() -> str:
        name = f"test_{next(_numbers)}"
        await _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        made.append(name)
        return postgres.dsn(name)

    yield make
    asyncio.run(_administer(postgres, *(f"DROP DATABASE {name} WITH (FORCE)" for name in made)))


@pytest.fixture
def database_url(new_database_url: Callable[[], Awaitable[str]]) -> str:
    """Give the URL of a fresh migrated database."""
    return asyncio.run(_once(new_database_url))


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Give settings with a data directory and a database of this test's own."""
    return Settings(data_dir=tmp_path / "factory", database_url=database_url)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Give a fresh migrated database."""
    async with await Database.open(settings) as opened:
        yield opened


@pytest.fixture
def bus(database: Database) -> EventBus:
    """Give a bus on a fresh database."""
    return EventBus(database)


async def _once(make: Callable[[], Awaitable[str]]) -> str:
    return await make()
