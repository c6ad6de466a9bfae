import json
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest

from factory.artifacts import commits, records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.lineage import ArtifactNode, CommitNode, EventNode, Relation, TaskNode, as_tree, chain, lineage
from factory.artifacts.repository import RepositoryStore
from factory.artifacts.verify import verify
from factory.domain.artifact import ArtifactRef, ArtifactStatus
from factory.domain.errors import NotFoundError
from factory.domain.ids import derived_id, new_id
from factory.domain.project import Project
from factory.events.bus import EventBus
from factory.events.contracts.payload import Payload
from factory.events.contracts.system import ArtifactCreated, ProjectCreated
from factory.events.contracts.tasks import TaskAssigned
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.storage.database import Connection, Database
from tests.artifacts.builders import insert_project, make_draft, make_project, tree

# kind → the kinds it was derived from; the last one is a second version.
STEPS: Mapping[str, tuple[str, ...]] = {
    "vision": (),
    "vision-document": ("vision",),
    "backlog": ("vision-document",),
    "domain-model": ("vision-document", "backlog"),
    "backend": ("domain-model", "vision"),
}
FILES = {
    "vision": {".factory/vision.md": "# Clinic\n"},
    "vision-document": {"docs/vision.md": "# Vision\n"},
    "backlog": {"docs/backlog.md": "# Backlog\n"},
    "domain-model": {"docs/domain-model.md": "# Model\n"},
    "backend": {"README.md": "# Clinic\n", "src/clinic/main.py": "app = 1\r\n", "tests/test_a.py": ""},
}


class Finished:
    """A project that went through all steps, with its events, tasks and commits."""

    def __init__(self, store: BlobStore, repositories: RepositoryStore) -> None:
        self.store, self.repositories = store, repositories
        self.artifacts: dict[str, ArtifactRef] = {}
        self.events: dict[str, UUID] = {}

    async def build(self, connection: Connection, bus: EventBus, project: Project) -> None:
        for kind, sources in STEPS.items():
            content = tree(FILES[kind])
            blob = self.store.put_content(content)
            inputs = tuple(self.artifacts[source].id for source in sources)
            draft = make_draft(project, kind, content, *inputs).model_copy(update={"uri": blob.uri})
            if kind != "vision":
                await self._assign(connection, bus, project, draft, self.events[sources[0]])
            [artifact] = await records.insert(connection, [draft])
            self.artifacts[kind] = artifact
            await records.set_status(connection, {artifact.id: ArtifactStatus.VALID})
            payload: Payload = ProjectCreated(
                name="Clinic", slug="clinic", blueprint="api-service", revision=1, vision_artifact_id=artifact.id
            )
            if kind != "vision":
                payload = ArtifactCreated(
                    artifact_id=artifact.id,
                    kind=kind,
                    version=1,
                    hash=artifact.hash,
                    step=kind,
                    task_id=artifact.task_id,
                    agent=artifact.agent,
                )
            self.events[kind] = await self._publish(connection, bus, project, payload, self.events.get(f"{kind} task"))
            parent = await commits.head(connection, project.id)
            sha = self.repositories.commit(artifact, content, parent)
            await commits.record_commit(connection, project.id, artifact.id, sha)
        release = self.repositories.release_commit(project, str(await commits.head(connection, project.id)))
        await connection.execute(
            "UPDATE project SET status = 'released', released_commit = $2 WHERE id = $1", project.id, release
        )

    async def _assign(
        self, connection: Connection, bus: EventBus, project: Project, draft: records.NewArtifact, cause: UUID
    ) -> None:
        payload = TaskAssigned(
            task_id=draft.task_id,
            step=draft.kind,
            agent=draft.agent,
            goal=draft.kind,
            revision=1,
            round=0,
            input_ids=list(draft.inputs),
            parameters={},
        )
        assigned = await self._publish(connection, bus, project, payload, cause)
        self.events[f"{draft.kind} task"] = assigned
        await connection.execute(
            "INSERT INTO task (id, project_id, revision, step, round, agent, goal, status, input_ids, cause_event,"
            " event_id) VALUES ($1, $2, 1, $3, 0, $4, $3, 'done', $5, $6, $7)",
            draft.task_id,
            project.id,
            draft.kind,
            draft.agent,
            list(draft.inputs),
            cause,
            assigned,
        )

    async def _publish(
        self, connection: Connection, bus: EventBus, project: Project, payload: Payload, cause: UUID | None
    ) -> UUID:
        event = Envelope.of(
            payload,
            topic=Topic.SYSTEM,
            project_id=project.id,
            originating_agent="test",
            traceparent=f"00-{project.trace_id}-{'1' * 16}-01",
            event_id=new_id(),
            causation_id=cause,
        )
        await bus.publish(connection, [event])
        return event.event_id


@pytest.fixture
async def finished(
    connection: Connection, database: Database, project: Project, store: BlobStore, repositories: RepositoryStore
) -> Finished:
    built = Finished(store, repositories)
    bus = EventBus(database)
    async with database.transaction() as transaction:
        await built.build(transaction, bus, project)
    assert await records.list_artifacts(connection, project_id=project.id)
    return built


async def test_the_graph_joins_artifacts_events_tasks_and_commits(
    connection: Connection, project: Project, finished: Finished
) -> None:
    graph = await lineage(connection, project.id)
    kinds = [node.kind for node in graph.nodes if isinstance(node, ArtifactNode)]
    assert kinds == list(STEPS)
    assert len([node for node in graph.nodes if isinstance(node, TaskNode)]) == 4
    assert len([node for node in graph.nodes if isinstance(node, CommitNode)]) == 5
    assert {node.id for node in graph.nodes if isinstance(node, EventNode)} == set(finished.events.values())
    backend = finished.artifacts["backend"]
    edges = {(edge.source, edge.relation, edge.target) for edge in graph.edges}
    recorded = await commits.commit_of(connection, backend.id)
    assert recorded is not None
    for source, relation, target in (
        (f"artifact:{backend.id}", Relation.COMMITTED_AS, f"commit:{recorded.commit_sha}"),
        (f"artifact:{backend.id}", Relation.MADE_BY, f"task:{backend.task_id}"),
        (f"artifact:{backend.id}", Relation.DERIVED_FROM, f"artifact:{finished.artifacts['vision'].id}"),
        (f"artifact:{backend.id}", Relation.ANNOUNCED_BY, f"event:{finished.events['backend']}"),
        (f"event:{finished.events['backend']}", Relation.CAUSED_BY, f"event:{finished.events['backend task']}"),
        (f"task:{backend.task_id}", Relation.READ, f"artifact:{finished.artifacts['domain-model'].id}"),
        (f"task:{backend.task_id}", Relation.CAUSED_BY, f"event:{finished.events['domain-model']}"),
    ):
        assert (source, relation, target) in edges
    document = json.loads(json.dumps(graph.to_dict()))
    keys = {node["key"] for node in document["nodes"]}
    assert {edge[end] for edge in document["edges"] for end in ("source", "target")} <= keys


async def test_the_tree_holds_every_artifact_once(connection: Connection, project: Project, finished: Finished) -> None:
    assert finished.artifacts
    [root] = as_tree(await lineage(connection, project.id))
    shown, item = [], root
    while item.children:
        shown.append(item.artifact.kind)
        [item] = item.children
    assert [*shown, item.artifact.kind] == list(STEPS)
    assert [node.kind for node in item.also_from] == ["vision"]
    assert root.task is None
    assert item.task is not None
    assert item.task.step == "backend"
    assert item.commit is not None
    assert item.commit.position == 5


async def test_a_chain_ends_with_the_vision(connection: Connection, finished: Finished) -> None:
    found = await chain(connection, finished.artifacts["domain-model"].id)
    assert [artifact.kind for artifact in found] == ["domain-model", "backlog", "vision-document", "vision"]
    with pytest.raises(NotFoundError):
        await chain(connection, new_id())


async def test_wide_and_cyclic_inputs_are_walked_once(connection: Connection, project: Project) -> None:
    ids = [derived_id(project.id, "backend", name) for name in range(60)]
    drafts = [make_draft(project, "backend", tree({}), *ids[:name], name=name) for name in range(60)]
    await records.insert(connection, drafts)
    await connection.execute("INSERT INTO artifact_input VALUES ($1, $2)", ids[0], ids[-1])
    assert len(await chain(connection, ids[-1])) == 60


async def test_a_finished_project_has_no_problem(connection: Connection, project: Project, finished: Finished) -> None:
    assert await verify(connection, finished.store, project.id, finished.repositories) == []


async def test_damage_of_every_sort_is_found(
    connection: Connection, project: Project, finished: Finished, tmp_path: Path
) -> None:
    async def found(store: BlobStore = finished.store, **where: RepositoryStore) -> set[tuple[str, str]]:
        repositories = where.get("repositories", finished.repositories)
        problems = await verify(connection, store, project.id, repositories)
        return {(problem.check, problem.message.split(":")[0]) for problem in problems}

    assert {check for check, _ in await found(store=BlobStore(str(tmp_path / "empty")))} == {"bytes"}
    assert {check for check, _ in await found(repositories=RepositoryStore(tmp_path / "none"))} == {"commits"}
    backlog, model = finished.artifacts["backlog"], finished.artifacts["domain-model"]
    await connection.execute("UPDATE artifact SET size = size + 1, version = 7 WHERE id = $1", backlog.id)
    assert {check for check, _ in await found()} == {"bytes", "versions", "commits"}
    await connection.execute("UPDATE artifact SET size = size - 1, version = 1 WHERE id = $1", backlog.id)
    await connection.execute("DELETE FROM artifact_input WHERE artifact_id = $1", backlog.id)
    await connection.execute("DELETE FROM artifact_input WHERE artifact_id = $1", model.id)
    assert ("ancestry", "it was not derived from the vision") in await found()
    other = make_project()
    await insert_project(connection, other)
    [foreign] = await records.insert(connection, [make_draft(other, "vision", tree({}))])
    await connection.execute("INSERT INTO artifact_input VALUES ($1, $2)", model.id, foreign.id)
    assert any("another project" in message for _, message in await found())


async def test_false_commits_are_found(connection: Connection, project: Project, finished: Finished) -> None:
    backlog, model = finished.artifacts["backlog"], finished.artifacts["domain-model"]

    async def messages() -> str:
        problems = await verify(connection, finished.store, project.id, finished.repositories)
        return "\n".join(problem.message for problem in problems)

    recorded = await commits.commit_of(connection, model.id)
    assert recorded is not None
    set_commit = "UPDATE artifact_commit SET commit_sha = $2 WHERE artifact_id = $1"
    await connection.execute(set_commit, backlog.id, recorded.commit_sha)
    assert "its trailers name another artifact" in await messages()
    await connection.execute(set_commit, backlog.id, "0" * 40)
    assert "main does not contain this commit" in await messages()
    assert "has no object" in await messages()
    await connection.execute("DELETE FROM artifact_commit WHERE artifact_id = $1", backlog.id)
    assert "released without a commit of it" in await messages()
    assert "not in the recorded order" in await messages()


async def test_a_commit_with_other_files_is_found(connection: Connection, project: Project, finished: Finished) -> None:
    other = tree({"docs/backlog.md": "# Another backlog\n"})
    blob = finished.store.put_content(other)
    await connection.execute(
        "UPDATE artifact SET hash = $2, uri = $3, size = $4 WHERE id = $1",
        finished.artifacts["backlog"].id,
        blob.hash,
        blob.uri,
        blob.size,
    )
    problems = await verify(connection, finished.store, project.id, finished.repositories)
    assert [problem.message for problem in problems] == ["the file 'docs/backlog.md' is not the artifact's"]
