"""What the supervisor looks up in memory for an agent, without Ray: whose, of what, and what happens when it fails."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest

from factory.actors.agent import Agent, AgentSpec
from factory.actors.context import Job
from factory.actors.recall import MemorySearch, Recall, queries_of
from factory.artifacts import records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.lineage import Relation, as_tree, chain, lineage
from factory.artifacts.records import NewArtifact
from factory.artifacts.verify import verify
from factory.control.projects import NewProject, create_project
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.ids import new_id
from factory.domain.memory import SIMILAR_ARTIFACTS, UNAVAILABLE, RecalledPassage
from factory.domain.project import Project
from factory.domain.task import Task
from factory.events.contracts.system import ProjectFailed
from factory.events.delivery import Delivery
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.memory.collections import Collection, ensure_collection
from factory.memory.filters import Filter
from factory.memory.passages import Passage
from factory.memory.search import Hit
from factory.memory.sharing import Sharing
from factory.settings import Settings
from factory.skills.catalogue import Catalogue
from factory.skills.skill import Make, Skill, SkillContext, SkillResult
from factory.storage.database import Database

OPEN = Sharing.model_validate({"rules": [{"name": "all", "from": {"projects": "any", "kinds": "greeting"}}]})
SPEC = AgentSpec(
    name="reminder", title="Reminder", subcluster="vision", produces=("greeting",), facts=(SIMILAR_ARTIFACTS,)
)


@dataclass
class Shelf:
    """A search that answers what it is told to, and keeps what it was asked."""

    hits: list[Hit] = field(default_factory=list)
    error: Exception | None = None
    opened: int = 0
    asked: list[tuple[tuple[str, ...], tuple[Filter, ...]]] = field(default_factory=list)

    async def open(self, _: Collection) -> MemorySearch:
        self.opened += 1
        return self

    async def warm(self) -> None:
        pass

    async def search(self, queries: Sequence[str], k: int, conditions: Sequence[Filter]) -> list[Hit]:
        assert k >= 1
        self.asked.append((tuple(queries), tuple(conditions)))
        if self.error is not None:
            raise self.error
        return self.hits


@dataclass
class World:
    """A database with a collection, and ways to fill it."""

    database: Database
    store: BlobStore
    shelf: Shelf = field(default_factory=Shelf)

    def recall(self, sharing: Sharing = OPEN, collection: str = "artifacts") -> Recall:
        return Recall(self.database, self.store, sharing, collection, self.shelf.open)

    async def project(self, name: str, tenant: str = "north", sandbox_of: UUID | None = None) -> Project:
        async with self.database.transaction() as connection:
            new = NewProject(
                name=name,
                slug=name.lower(),
                blueprint="courtesy",
                build_key=name,
                tenant=tenant,
                sandbox_of=sandbox_of,
            )
            return await create_project(connection, new)

    async def artifact(
        self, project: Project, kind: str, text: str, *, status: ArtifactStatus = ArtifactStatus.VALID
    ) -> ArtifactRef:
        blob = self.store.put_content(Content(files={f"{kind}.txt": text}))
        draft = NewArtifact(
            id=new_id(),
            project_id=project.id,
            kind=kind,
            hash=blob.hash,
            uri=blob.uri,
            size=blob.size,
            agent="greeter",
            trace_id=project.trace_id,
            task_id=new_id(),
            status=status,
        )
        async with self.database.transaction() as connection:
            (ref,) = await records.insert(connection, [draft])
        return ref

    def remember(self, project: Project, ref: ArtifactRef, **changes: Any) -> None:
        passage = Passage(
            chunk_id=new_id().bytes,
            score=0.9,
            document_key=f"{project.id}/{ref.kind}/{ref.kind}.txt",
            tenant=project.tenant,
            project_id=str(project.id),
            kind=ref.kind,
            version=ref.version,
            agent=ref.agent,
            created_at=ref.created_at,
            path=f"{ref.kind}.txt",
            title="",
            ordinal=0,
            text="Hello, there.",
            tokens=4,
        )
        self.shelf.hits.append(Hit(replace(passage, **changes), 0.9))


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    async with database.transaction() as connection:
        await ensure_collection(connection, Collection("artifacts", "model", 4))
    return World(database, BlobStore((tmp_path / "blobs").as_uri()))


def job(project: Project | None, *inputs: ArtifactRef, goal: str = "greeting") -> Job:
    task = Task(
        id=new_id(),
        project=project,
        step="greet",
        agent="reminder",
        goal=goal,
        attempt=1,
        inputs=inputs,
        cause_id=new_id(),
        correlation_id=new_id(),
        traceparent=f"00-{'1' * 32}-{'2' * 16}-01",
        facts={"other": 1},
    )
    event = Envelope.of(
        ProjectFailed(reason="because", step="first"),
        topic=Topic.SYSTEM,
        project_id=None,
        originating_agent="tester",
        traceparent=task.traceparent,
    )
    delivery = Delivery(
        uid=1,
        id=1,
        subscription="reminder.tasks",
        event=event,
        fence=1,
        attempt=1,
        owner=new_id(),
        deadline=event.timestamp,
        crash_count=0,
        losses=0,
        ordered=False,
        max_attempts=1,
    )
    return Job(delivery, task, 10.0)


async def fact(recall: Recall, *jobs: Job, spec: AgentSpec = SPEC) -> Any:
    (found,) = await recall.add(jobs, spec)
    assert found.task.facts["other"] == 1
    return found.task.facts.get(SIMILAR_ARTIFACTS, "missing")


async def test_without_a_rule_or_a_collection_or_the_wish_nothing_is_started(world: World) -> None:
    reader = await world.project("Reader")
    vision = await world.artifact(reader, "vision", "Be nice.")
    assert await fact(world.recall(Sharing.load()), job(reader, vision)) == "missing"
    assert await fact(world.recall(collection="nothing"), job(reader, vision)) == "missing"
    assert await fact(world.recall(), job(reader, vision), spec=SPEC.model_copy(update={"facts": ()})) == "missing"
    assert await fact(world.recall(), job(reader, vision, goal="answer")) == "missing"
    assert await fact(world.recall(), job(None, vision)) == "missing"
    assert world.shelf.opened == 0


async def test_what_other_projects_made_comes_with_its_artifact(world: World) -> None:
    first, reader = await world.project("First"), await world.project("Reader")
    ref = await world.artifact(first, "greeting", "Hello, there.")
    world.remember(first, ref)
    own = await world.artifact(reader, "greeting", "Hello, me.")
    world.remember(reader, own)
    (found,) = await fact(
        world.recall(), job(reader), spec=SPEC.model_copy(update={"questions": {"greeting": ("hi",)}})
    )
    passage = RecalledPassage.model_validate(found)
    assert (passage.project, passage.project_id, passage.text) == ("First", str(first.id), "Hello, there.")
    assert passage.artifact == ref
    assert world.shelf.asked == [(("hi",), (Filter(tenant="north", kinds=("greeting",)),))]


async def test_a_hit_is_checked_once_more(world: World) -> None:
    """The search is not believed: not about the tenant, not about the kind, not about what is still valid."""
    reader, first = await world.project("Reader"), await world.project("First")
    foreign = await world.project("Foreign", "south")
    spec = SPEC.model_copy(update={"questions": {"greeting": ("hi",)}})
    ref = await world.artifact(first, "greeting", "Hello.")
    alien = await world.artifact(foreign, "greeting", "Hello.")
    withdrawn = await world.artifact(first, "greeting", "Bye.", status=ArtifactStatus.WITHDRAWN)
    world.remember(foreign, alien)
    world.remember(foreign, alien, tenant="north")
    world.remember(first, ref, kind="vision")
    world.remember(first, ref, version=7)
    world.remember(first, withdrawn)
    assert await fact(world.recall(), job(reader), spec=spec) == []
    world.remember(first, ref)
    world.remember(first, ref, project_id="corpus/notes")
    found = await fact(world.recall(), job(reader), spec=spec)
    assert [item["artifact"] is None for item in found] == [False, True]


async def test_a_sandbox_neither_learns_from_its_original_nor_teaches(world: World) -> None:
    original = await world.project("Original")
    sandbox = await world.project("Sandbox", sandbox_of=original.id)
    spec = SPEC.model_copy(update={"questions": {"greeting": ("hi",)}})
    for project in (original, sandbox):
        world.remember(project, await world.artifact(project, "greeting", "Hello."))
    assert await fact(world.recall(), job(sandbox), spec=spec) == []
    assert await fact(world.recall(), job(original), spec=spec) == []


async def test_memory_that_fails_is_noted_and_the_task_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = await world.project("Reader")
    spec = SPEC.model_copy(update={"questions": {"greeting": ("hi",)}})
    world.shelf.error = RuntimeError("the shards are gone")
    assert await fact(world.recall(), job(reader), spec=spec) == UNAVAILABLE

    async def hang(*_: object) -> list[Hit]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr("factory.actors.recall._PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(world.shelf, "search", hang)
    assert await fact(world.recall(), job(reader), spec=spec) == UNAVAILABLE


async def test_projects_may_be_shared_by_their_slug(world: World) -> None:
    reader, first, other = [await world.project(name) for name in ("Reader", "First", "Other")]
    rule = {"name": "one", "from": {"projects": "first", "kinds": "any"}}
    spec = SPEC.model_copy(update={"questions": {"greeting": ("hi",)}})
    for project in (first, other):
        world.remember(project, await world.artifact(project, "greeting", "Hello."))
    found = await fact(world.recall(Sharing.model_validate({"rules": [rule]})), job(reader), spec=spec)
    assert [item["project"] for item in found] == ["First"]
    assert world.shelf.asked[0][1] == (Filter(tenant="north", project_ids=(str(first.id),), kinds=("greeting",)),)


def test_queries_are_the_entities_or_the_first_lines() -> None:
    vision = Content(files={".factory/vision.md": "# Shop\n\nA shop sells books.\nMore.\nAnd more.\n"})
    assert queries_of({"vision": vision, "unheard-of": vision}) == ("Shop A shop sells books. More.",)
    assert queries_of({}) == ()


def echo(context: SkillContext) -> SkillResult:
    said = [item.content.text("greeting.txt") for item in context.memory if item.content]
    used = tuple(item.passage for item in context.memory if item.content)
    return SkillResult(Content(files={"greeting.txt": f"{' '.join(said) or 'Hello.'}\n"}), recalled=used)


class Reminder(Agent):
    """Says what was said before."""

    spec: ClassVar[AgentSpec] = SPEC.model_copy(update={"skills": ("echo",), "questions": {"greeting": ("hi",)}})


async def test_what_an_agent_reused_is_in_the_lineage_and_holds_to_verification(world: World, tmp_path: Path) -> None:
    first, reader = await world.project("First"), await world.project("Reader")
    source = await world.artifact(first, "vision", "Be nice.")
    ref = await world.artifact(first, "greeting", "Hello, there.")
    async with world.database.transaction() as connection:
        await connection.execute("INSERT INTO artifact_input VALUES ($1, $2)", ref.id, source.id)
    vision = await world.artifact(reader, "vision", "Be nice.")
    world.remember(first, ref)
    skills = Catalogue([Skill("echo", "greeting", ("vision",), Make.NATIVE, echo)])
    agent = Reminder(world.store, skills, Settings(data_dir=tmp_path))
    (prepared,) = await world.recall().add([job(reader, vision)], agent.spec)
    outcome = await agent.run_one(prepared.task)
    assert outcome.error is None
    draft = outcome.artifact
    assert draft is not None
    assert draft.inputs == (vision.id, ref.id)
    entries: Any = draft.metadata["recalled"]
    assert [entry["artifact_id"] for entry in entries] == [str(ref.id)]

    made = NewArtifact(
        **draft.model_dump(), project_id=reader.id, agent="reminder", trace_id=reader.trace_id, task_id=prepared.task.id
    )
    async with world.database.transaction() as connection:
        await records.insert(connection, [made])
        graph = await lineage(connection, reader.id)
        found = await chain(connection, made.id)
        assert await verify(connection, world.store, reader.id) == []
    assert [edge.target for edge in graph.edges if edge.relation is Relation.REUSED] == [f"artifact:{ref.id}"]
    (root,) = as_tree(graph)
    assert [node.id for node in root.children[0].reused] == [ref.id]
    assert [item.id for item in found] == [made.id, vision.id, ref.id], "not what the other project made it of"


async def test_an_agent_does_without_what_cannot_be_read(world: World, tmp_path: Path) -> None:
    reader, first = await world.project("Reader"), await world.project("First")
    vision = await world.artifact(reader, "vision", "Be nice.")
    ref = await world.artifact(first, "greeting", "Hello, there.")
    world.remember(first, ref)
    skills = Catalogue([Skill("echo", "greeting", ("vision",), Make.NATIVE, echo)])
    agent = Reminder(world.store, skills, Settings(data_dir=tmp_path))
    (prepared,) = await world.recall().add([job(reader, vision)], agent.spec)
    Path(ref.uri.removeprefix("file://")).unlink()
    outcome = await agent.run_one(prepared.task)
    assert outcome.error is None
    assert outcome.artifact is not None
    assert "recalled" not in outcome.artifact.metadata
    answers: tuple[Any, ...] = (UNAVAILABLE, None, [])
    for answer in answers:
        task = prepared.task.model_copy(update={"facts": {SIMILAR_ARTIFACTS: answer}})
        assert (await agent.run_one(task)).error is None
