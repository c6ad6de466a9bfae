"""What a build makes valid is in semantic memory soon after, once, and nothing of a sandbox is."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from factory.cli.lifecycle import HostProcess
from factory.client import BuildRequest, Factory
from factory.memory.collections import get_collection
from factory.memory.embedding import load_embedder
from factory.memory.filters import Filter
from factory.memory.local import local_fleet
from factory.memory.search import Mode, Searcher
from factory.settings import Settings

ROOT = Path(__file__).parents[2]
AGENTS = ("greeter", "answerer", "artifact-validator", "semantic-embedder")
EMBEDDED = """
SELECT payload FROM event WHERE event_type = 'EmbeddingCompleted' AND project_id = $1 ORDER BY position
"""
PENDING = "SELECT count(*) FROM delivery WHERE subscription = 'semantic-embedder.events'"


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="factory-memory-") as folder, pytest.MonkeyPatch.context() as patch:
        blueprints = Path(folder) / "blueprints"
        blueprints.mkdir()
        shutil.copy(ROOT / "tests/actors/blueprints/courtesy.yaml", blueprints)
        for name, value in {
            "FACTORY_DATA_DIR": folder,
            "FACTORY_MEMORY": "on",
            "FACTORY_PLUGINS": '["tests.actors.greeting"]',
            "FACTORY_BLUEPRINT_DIR": str(blueprints),
            "FACTORY_TENANT": "acme",
            "PYTHONPATH": str(ROOT),
        }.items():
            patch.setenv(name, value)
        yield Settings()


@pytest.fixture(scope="module")
def host(settings: Settings) -> Iterator[HostProcess]:
    process = HostProcess(settings, AGENTS, attached=True)
    yield process
    process.stop()


@pytest.fixture
async def factory(settings: Settings) -> AsyncIterator[Factory]:
    async with await Factory.open(settings) as opened:
        yield opened


async def build(factory: Factory, host: HostProcess, name: str, vision: str, folder: Path) -> UUID:
    request = BuildRequest(name=name, slug=name.lower(), vision=vision, blueprint="courtesy", out_dir=folder / name)
    project, _ = await factory.begin(request)
    await watch(factory, host, project.id)
    return project.id


async def watch(factory: Factory, host: HostProcess, project_id: UUID) -> None:
    async for _ in factory.watch(project_id):
        host.check()
    async with asyncio.timeout(120):
        while (await factory.database.fetch(PENDING))[0]["count"]:
            host.check()
            await asyncio.sleep(0.1)


async def embedded(factory: Factory, project_id: UUID) -> list[dict[str, Any]]:
    rows = await factory.database.fetch(EMBEDDED, project_id)
    return [row["payload"] if isinstance(row["payload"], dict) else json.loads(row["payload"]) for row in rows]


@pytest.mark.timeout(300)
async def test_a_build_is_remembered_once(
    factory: Factory, host: HostProcess, settings: Settings, tmp_path: Path
) -> None:
    project = await build(factory, host, "World", "Greet everyone who comes in by the door.", tmp_path)
    said = await embedded(factory, project)
    artifacts = {str(artifact.id) for artifact in await factory.artifacts(project)}
    assert {entry["artifact_id"] for entry in said} == artifacts
    assert len(said) == len(artifacts) == 4  # the vision as well
    async with factory.database.transaction() as connection:
        collection = await get_collection(connection, settings.memory_collection)
    assert max(entry["version"] for entry in said) == collection.version
    async with local_fleet(factory.database, settings, collection) as fleet:
        searcher = Searcher(fleet, load_embedder())
        (hits,) = await searcher.search(["people entering a room"], condition=Filter(tenant="acme"))
        assert hits[0].passage.kind == "vision"
        assert hits[0].passage.project_id == str(project)
        (hits,) = await searcher.search(["hello"], mode=Mode.KEYWORD)
        assert {hit.passage.kind for hit in hits} == {"greeting", "farewell"}
        assert await searcher.search(["door"], condition=Filter(tenant="another")) == [[]]


@pytest.mark.timeout(300)
async def test_a_sandbox_is_not_remembered(factory: Factory, host: HostProcess, tmp_path: Path) -> None:
    project = await build(factory, host, "Moon", "Greet whoever lands.", tmp_path)
    sandbox = await factory.replay(project)
    await watch(factory, host, sandbox.id)
    assert await embedded(factory, sandbox.id) == []
