"""A data folder with one finished and one new project, read through the command line."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from factory.artifacts import commits, records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.records import NewArtifact
from factory.artifacts.repository import RepositoryStore
from factory.cli import app
from factory.control.projects import NewProject
from factory.control.submission import submit_vision
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.ids import derived_id
from factory.domain.project import Project
from factory.events.bus import EventBus
from factory.settings import Settings
from factory.storage.database import Connection, Database
from factory.storage.embedded import EmbeddedServer

VISION = "# Clinic\n\nAs a receptionist I want to book an appointment for a patient.\n"


@dataclass(frozen=True)
class Seeded:
    """What the data folder holds.

    Attributes:
        clinic: Has a vision, two versions of a backlog, a domain model that stands on both, and commits.
        library: Has only its vision.
    """

    settings: Settings
    clinic: Project
    library: Project
    ids: dict[str, UUID]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Seed:
    """Writes the two projects."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = BlobStore(settings.blob_url)
        self._repositories = RepositoryStore(settings.repositories_dir)
        self._head: str | None = None

    async def sow(self) -> Seeded:
        async with await Database.open(self._settings) as database:
            bus = EventBus(database)
            clinic = await submit_vision(database, bus, self._store, _new("Clinic"), VISION)
            async with database.transaction() as connection:
                (vision,) = await records.latest(connection, clinic.id)
                await self._commit(connection, vision, Content(files={".factory/vision.md": VISION}))
                first = await self._add(connection, clinic, "backlog", _backlog("Book"), vision)
                second = await self._add(connection, clinic, "backlog", _backlog("Book and cancel"), vision, first)
                model = await self._add(connection, clinic, "domain-model", _model(), vision, second)
            library = await submit_vision(database, bus, self._store, _new("Library"), VISION)
        ids = {"vision": vision.id, "backlog-1": first.id, "backlog-2": second.id, "domain-model": model.id}
        return Seeded(self._settings, clinic, library, ids)

    async def _add(
        self, connection: Connection, project: Project, kind: str, content: Content, *inputs: ArtifactRef
    ) -> ArtifactRef:
        stored = self._store.put_content(content)
        task_id = derived_id("task", project.id, kind, stored.hash)
        draft = NewArtifact(
            id=derived_id(task_id, kind),
            project_id=project.id,
            kind=kind,
            hash=stored.hash,
            uri=stored.uri,
            size=stored.size,
            status=ArtifactStatus.VALID,
            agent="product-owner",
            trace_id=project.trace_id,
            task_id=task_id,
            inputs=tuple(source.id for source in inputs),
        )
        (artifact,) = await records.insert(connection, [draft])
        await self._commit(connection, artifact, content)
        return artifact

    async def _commit(self, connection: Connection, artifact: ArtifactRef, content: Content) -> None:
        self._head = self._repositories.commit(artifact, content, self._head)
        await commits.record_commit(connection, artifact.project_id, artifact.id, self._head)


@pytest.fixture(scope="package")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """The data folder; its server runs until the last test of this folder, so that no command has to start it."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("cli"))
    server = EmbeddedServer(settings.data_dir / "postgres", settings.database_options)
    server.attach()
    yield asyncio.run(Seed(settings).sow())
    server.detach()


@pytest.fixture
def factory(
    seeded: Seeded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run the command line in this process."""
    monkeypatch.setenv("FACTORY_DATA_DIR", str(seeded.settings.data_dir))
    # What a command sets for the Ray that it starts is no matter of the tests after it.
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["factory", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


def _new(name: str) -> NewProject:
    return NewProject(name=name, slug=name.lower(), blueprint="api-service", build_key=name)


def _backlog(story: str) -> Content:
    return Content(files={"docs/backlog.md": f"# Backlog\n\n- {story}\n", ".factory/backlog.json": "{}\n"})


def _model() -> Content:
    return Content(files={"docs/domain-model.md": "# Model\n", ".factory/domain-model.json": "{}\n"})
