"""What a build makes valid is in semantic memory soon after, once, and nothing of a sandbox is."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from factory.cli.lifecycle import HostProcess
from factory.memory.collections import get_collection
from factory.memory.embedding import load_embedder
from factory.memory.filters import Filter
from factory.memory.local import local_fleet
from factory.memory.search import Searcher
from factory.service import BuildRequest, FactoryService
from factory.settings import Settings

ROOT = Path(__file__).parents[2]
AGENTS = ("vision-architect", "solution-architect", "artifact-validator")
EMBEDDED = """
SELECT payload FROM event WHERE event_type = 'EmbeddingCompleted' AND project_id = $1 ORDER BY position
"""
SHOP = """# Book shop

- Book: title, isbn (unique), price (money)

As a clerk I want to register a book so that it can be sold.
"""


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="factory-memory-") as folder, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "FACTORY_DATA_DIR": folder,
            "FACTORY_MEMORY": "on",
            "FACTORY_BLUEPRINT_DIR": str(Path(__file__).parent / "blueprints"),
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
async def factory(settings: Settings) -> AsyncIterator[FactoryService]:
    async with await FactoryService.open(settings) as opened:
        yield opened


async def build(factory: FactoryService, host: HostProcess, name: str, vision: str, folder: Path) -> UUID:
    request = BuildRequest(name=name, slug=name.lower(), vision=vision, blueprint="modelling", out_dir=folder / name)
    project, _ = await factory.begin(request)
    await watch(factory, host, project.id)
    return project.id


async def watch(factory: FactoryService, host: HostProcess, project_id: UUID) -> None:
    async for _ in factory.watch(project_id):
        host.check()
    async with asyncio.timeout(120):
        while await factory.unremembered(project_id):
            host.check()
            await asyncio.sleep(0.1)


async def embedded(factory: FactoryService, project_id: UUID) -> list[dict[str, Any]]:
    rows = await factory.database.fetch(EMBEDDED, project_id)
    return [row["payload"] if isinstance(row["payload"], dict) else json.loads(row["payload"]) for row in rows]


@pytest.mark.timeout(300)
async def test_a_build_is_remembered_once(
    factory: FactoryService, host: HostProcess, settings: Settings, tmp_path: Path
) -> None:
    project = await build(factory, host, "Shop", SHOP, tmp_path)
    said = await embedded(factory, project)
    artifacts = {str(artifact.id) for artifact in await factory.artifacts(project)}
    # Each artifact, the vision as well, and what the release taught.
    assert sorted(str(entry["artifact_id"]) for entry in said) == sorted([*artifacts, "None"])
    async with factory.database.transaction() as connection:
        collection = await get_collection(connection, settings.memory_collection)
    assert max(entry["version"] for entry in said) == collection.version
    async with local_fleet(factory.database, settings, collection) as fleet:
        searcher = Searcher(fleet, load_embedder())
        (hits,) = await searcher.search(["selling literature"], condition=Filter(tenant="acme", kinds=("vision",)))
        assert {hit.passage.project_id for hit in hits} == {str(project)}
        (hits,) = await searcher.search(["what is known of a book"], condition=Filter(kinds=("knowledge",)))
        assert hits[0].passage.path == "entity/Book.md"
        assert "- isbn: text, required, unique" in hits[0].passage.text
        assert await searcher.search(["book"], condition=Filter(tenant="another")) == [[]]


@pytest.mark.timeout(300)
async def test_a_sandbox_is_not_remembered(factory: FactoryService, host: HostProcess, tmp_path: Path) -> None:
    project = await build(factory, host, "Shop", SHOP, tmp_path)
    sandbox = await factory.replay(project)
    await watch(factory, host, sandbox.id)
    assert await embedded(factory, sandbox.id) == []
