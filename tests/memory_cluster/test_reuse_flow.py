"""A project reuses what an earlier one defined, through the whole machinery on real Ray; and only where it may."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factory.actors.host import Host
from factory.artifacts import records
from factory.artifacts.lineage import Relation, lineage
from factory.artifacts.records import NewArtifact, StoredArtifact
from factory.artifacts.verify import verify
from factory.control.progress import Progress
from factory.control.projects import NewProject, create_project
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.ids import new_id
from factory.domain.product import DomainModel
from factory.domain.project import Project, ProjectStatus
from factory.memory import registry
from factory.memory.cluster_search import ClusterSearch
from factory.memory.collections import Collection
from factory.memory.documents import Document
from factory.memory.embedding import Embedder, load_embedder
from factory.memory.writing import write_documents
from factory.service import BuildRequest, FactoryService
from factory.settings import Settings
from factory.skills.native.domain_model import write_domain_model
from factory.skills.native.vision_document import parse_vision
from factory.skills.skill import SkillContext

pytestmark = pytest.mark.timeout(300)

SHOP = """# Book shop

- Book: title, isbn (unique), price (money), genre (one of novel, poetry)

As a clerk I want to register a book so that it can be sold.
As a clerk I want to list books.
"""
LIBRARY = """# Library

As a librarian I want to register a book so that it can be lent.
As a librarian I want to list books.
"""
# North shares within itself. East says that it reads north, and north has offered nothing; west says so and may.
SHARING = """
rules:
  - {name: within-north, readers: {tenants: north}, from: {projects: any, kinds: [domain-model, architecture]}}
  - {name: east, readers: {tenants: east}, from: {tenants: north, projects: any, kinds: any}}
  - {name: west, readers: {tenants: west}, from: {tenants: north, projects: any, kinds: any}}
offers:
  - {name: to-west, tenant: north, to: west, projects: book-shop, kinds: domain-model}
"""


class Town:
    """A factory for several tenants, and its memory."""

    def __init__(self, factory: FactoryService, settings: Settings) -> None:
        self.factory = factory
        self.settings = settings

    async def earlier(self, tenant: str, embedder: Embedder) -> ArtifactRef:
        """Store a project with a domain model, and remember that."""
        database = self.factory.database
        async with database.transaction() as connection:
            new = NewProject("Book shop", "book-shop", "modelling", build_key=tenant, tenant=tenant)
            project = await create_project(connection, new)
            content = modelled(project, SHOP)
            blob = self.factory.store.put_content(content)
            draft = NewArtifact(
                id=new_id(),
                project_id=project.id,
                kind="domain-model",
                hash=blob.hash,
                uri=blob.uri,
                size=blob.size,
                agent="solution-architect",
                trace_id=project.trace_id,
                task_id=new_id(),
                status=ArtifactStatus.VALID,
            )
            (ref,) = await records.insert(connection, [draft])
        segment = await asyncio.to_thread(
            write_documents,
            documents(project, ref, content),
            segment_id=new_id(),
            collection=self.settings.memory_collection,
            folder=self.settings.segment_url,
            embedder=embedder,
            version=1,
        )
        assert segment is not None
        async with database.transaction() as connection:
            await registry.register(connection, [segment])
        return ref

    async def build(self, tenant: str, folder: Path) -> Progress:
        """Build a library for a tenant and return how it ended."""
        settings = self.settings.model_copy(update={"tenant": tenant})
        request = BuildRequest("Library", "library", LIBRARY, "modelling", folder / tenant)
        client = FactoryService(settings, self.factory.database)
        project, _ = await client.begin(request)
        last: Progress | None = None
        async for progress in client.watch(project.id):
            last = progress
        assert last is not None
        return last

    async def model(self, project: Project) -> StoredArtifact:
        """Return the domain model of a project."""
        async with self.factory.database.transaction() as connection:
            (found,) = await records.list_artifacts(connection, project_id=project.id, kind="domain-model")
        return found


def modelled(project: Project, vision: str) -> Content:
    """Return the domain model of a vision, made as the factory makes it."""
    document = parse_vision(vision, project.name)
    inputs = {"vision-document": Content(files={".factory/vision-document.json": document.model_dump_json()})}
    return write_domain_model(SkillContext(project, inputs)).content


def documents(project: Project, ref: ArtifactRef, content: Content) -> list[Document]:
    return [
        Document(
            key=f"{project.id}/{ref.kind}/{path}",
            text=text,
            path=path,
            tenant=project.tenant,
            project_id=str(project.id),
            kind=ref.kind,
            version=ref.version,
            agent=ref.agent,
            created_at=ref.created_at,
        )
        for path, text in content.files.items()
    ]


@pytest.fixture
async def town(tmp_path: Path, database_url: str) -> AsyncIterator[Town]:
    rules = tmp_path / "sharing.yaml"
    rules.write_text(SHARING)
    settings = Settings(
        data_dir=tmp_path / "factory",
        database_url=database_url,
        memory_sharing=rules,
        blueprint_dir=Path(__file__).parent / "blueprints",
    )
    async with await FactoryService.open(settings) as factory:
        yield Town(factory, settings)


async def test_an_entity_is_reused_where_a_rule_allows_it_and_nowhere_else(town: Town, tmp_path: Path) -> None:
    embedder = await asyncio.to_thread(load_embedder)
    source = await town.earlier("north", embedder)
    await town.earlier("alone", embedder)
    agents = ("vision-architect", "solution-architect", "artifact-validator")
    host = await asyncio.to_thread(Host.start, town.settings, agents)
    try:
        model = embedder.model
        collection = Collection(town.settings.memory_collection, model.name, model.dimension)
        search = await asyncio.to_thread(ClusterSearch.start, town.factory.database, town.settings, collection)
        await search.warm()
        # One after another: one actor of each agent is enough, and each loads a language model.
        ends = [await town.build(tenant, tmp_path) for tenant in ("north", "alone", "east", "west")]
    finally:
        await asyncio.to_thread(host.stop)
    assert {progress.project.status for progress in ends} == {ProjectStatus.RELEASED}
    models = {progress.project.tenant: await town.model(progress.project) for progress in ends}
    fields = {tenant: names(town.factory.store.content(artifact)) for tenant, artifact in models.items()}
    assert fields["north"] == fields["west"] == ["title", "isbn", "price", "genre"]
    assert fields["alone"] == fields["east"] == ["title"], "no rule of its own, and no offer"

    page = town.factory.store.content(models["north"]).text("docs/domain-model.md")
    assert "(reused from project Book shop, domain-model v1)" in page
    for tenant, artifact in models.items():
        reused = tenant in {"north", "west"}
        assert (source.id in artifact.inputs) == reused
        assert ("recalled" in artifact.metadata) == reused
    async with town.factory.database.transaction() as connection:
        for progress in ends:
            problems = await verify(connection, town.factory.store, progress.project.id, town.factory.repositories)
            assert problems == []
        graph = await lineage(connection, models["north"].project_id)
    assert [edge.target for edge in graph.edges if edge.relation is Relation.REUSED] == [f"artifact:{source.id}"]


def names(content: Content) -> list[str]:
    """Return the fields of the book in a domain model."""
    model = DomainModel.model_validate_json(content.text(".factory/domain-model.json"))
    return [field.name for field in model.entity("Book").fields]
