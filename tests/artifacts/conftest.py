from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.domain.project import Project
from factory.settings import Settings
from factory.storage.database import Connection, Database
from tests.artifacts.builders import insert_project, make_project


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "blobs"))


@pytest.fixture
def repositories(tmp_path: Path) -> RepositoryStore:
    return RepositoryStore(tmp_path / "repositories")


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture(scope="session")
def database_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One embedded server for all tests here: each test works on a project of its own."""
    return Settings(data_dir=tmp_path_factory.mktemp("database"))


@pytest.fixture
async def database(database_settings: Settings) -> AsyncIterator[Database]:
    async with await Database.open(database_settings) as database:
        yield database


@pytest.fixture
async def connection(database: Database, project: Project) -> AsyncIterator[Connection]:
    """A connection on which the test's project exists."""
    connection = await database.connect()
    await insert_project(connection, project)
    yield connection
    await connection.close()
