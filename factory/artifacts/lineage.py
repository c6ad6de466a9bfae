"""Where everything came from: artifacts, the events and tasks that made them, their inputs and commits."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.artifacts.records import StoredArtifact, get, get_many, list_artifacts
from factory.domain.artifact import ArtifactStatus
from factory.storage.database import Connection

ROOT_KIND = "vision"

_PAGE = 500

# Visits each artifact once, because UNION drops those already found: diamonds stay cheap and a cycle ends. What was
# reused of another project is not followed further: how that came about is that project's own business.
# Uses artifact_pkey and artifact_input_pkey.
_ANCESTORS = """
WITH RECURSIVE chain (id) AS (
    SELECT $1::uuid
    UNION
    SELECT i.input_id FROM chain c
    JOIN artifact a ON a.id = c.id AND a.project_id = $2
    JOIN artifact_input i ON i.artifact_id = c.id
)
SELECT id FROM chain
"""

_TASKS = """
SELECT id, step, agent, goal, status, attempt, skill, input_ids, cause_event, started_at, ended_at FROM task
WHERE id = ANY($1::uuid[])
"""

# Uses event_by_project.
_EVENTS = """
SELECT event_id AS id, event_type, topic, originating_agent, causation_id, "timestamp",
       CASE event_type WHEN 'ArtifactCreated' THEN (payload ->> 'artifact_id')::uuid
                       WHEN 'ProjectCreated' THEN (payload ->> 'vision_artifact_id')::uuid END AS artifact_id
FROM event WHERE project_id = $1 ORDER BY transaction_id, position
"""

_COMMITS = "SELECT artifact_id, commit_sha AS id, position FROM artifact_commit WHERE project_id = $1 ORDER BY position"


class Relation(StrEnum):
    """What an edge says; read as `source relation target`."""

    DERIVED_FROM = "derived-from"
    REUSED = "reused"
    ANNOUNCED_BY = "announced-by"
    MADE_BY = "made-by"
    READ = "read"
    CAUSED_BY = "caused-by"
    COMMITTED_AS = "committed-as"


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ArtifactNode(_Node):
    """An artifact version."""

    type: Literal["artifact"] = "artifact"
    id: UUID
    project_id: UUID
    kind: str
    version: int
    hash: str
    uri: str
    status: ArtifactStatus
    agent: str
    trace_id: str
    created_at: datetime


class TaskNode(_Node):
    """The task that made an artifact."""

    type: Literal["task"] = "task"
    id: UUID
    step: str
    agent: str
    goal: str
    status: str
    attempt: int
    skill: str | None
    started_at: datetime | None
    ended_at: datetime | None


class EventNode(_Node):
    """An event that announced an artifact, caused a task, or led to one that did."""

    type: Literal["event"] = "event"
    id: UUID
    event_type: str
    topic: str
    originating_agent: str
    timestamp: datetime


class CommitNode(_Node):
    """The commit that holds an artifact."""

    type: Literal["commit"] = "commit"
    id: str
    position: int


Node = Annotated[ArtifactNode | TaskNode | EventNode | CommitNode, Field(discriminator="type")]


class Edge(_Node):
    """A relation between two nodes, by key."""

    source: str
    target: str
    relation: Relation


class Lineage(_Node):
    """The graph of one project.

    Attributes:
        nodes: Artifacts in the order they were made, then those of other projects that they reused, tasks, events in
            order, commits in order.
    """

    project_id: UUID
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as plain JSON values; each node carries its key."""
        return {
            "project_id": str(self.project_id),
            "nodes": [{"key": key_of(node), **node.model_dump(mode="json")} for node in self.nodes],
            "edges": [edge.model_dump(mode="json") for edge in self.edges],
        }


@dataclass(frozen=True, slots=True)
class TreeItem:
    """An artifact in the tree that a terminal shows.

    Attributes:
        also_from: Artifacts it was derived from beside the one it stands under.
        reused: Artifacts of other projects that memory gave.
        children: What was derived from it last; every artifact stands in the tree once.
    """

    artifact: ArtifactNode
    task: TaskNode | None
    commit: CommitNode | None
    also_from: tuple[ArtifactNode, ...]
    reused: tuple[ArtifactNode, ...]
    children: tuple["TreeItem", ...]


def key_of(node: ArtifactNode | TaskNode | EventNode | CommitNode) -> str:
    """Return the name of a node in edges: its type and its id."""
    return f"{node.type}:{node.id}"


async def lineage(connection: Connection, project_id: UUID) -> Lineage:
    """Return everything between a project's vision and its artifacts and commits."""
    artifacts = await project_artifacts(connection, project_id)
    own = {artifact.id for artifact in artifacts}
    foreign = await get_many(connection, {source for artifact in artifacts for source in artifact.inputs} - own)
    reused = sorted(foreign.values(), key=lambda artifact: artifact.sequence)
    tasks = await connection.fetch(_TASKS, list({artifact.task_id for artifact in artifacts}))
    commits = await connection.fetch(_COMMITS, project_id)
    events = await connection.fetch(_EVENTS, project_id)
    edges = [
        *_artifact_edges(artifacts, foreign, {row["id"] for row in tasks}),
        *(_edge("task", row["id"], Relation.READ, "artifact", source) for row in tasks for source in row["input_ids"]),
        *(_edge("artifact", row["artifact_id"], Relation.COMMITTED_AS, "commit", row["id"]) for row in commits),
    ]
    known = {row["id"]: dict(row) for row in events}
    event_edges, reached = _event_edges(known, {row["id"]: row["cause_event"] for row in tasks})
    return Lineage(
        project_id=project_id,
        nodes=(
            *(ArtifactNode.model_validate(artifact.model_dump()) for artifact in (*artifacts, *reused)),
            *(TaskNode.model_validate(dict(row)) for row in tasks),
            *(EventNode.model_validate(known[event_id]) for event_id in known if event_id in reached),
            *(CommitNode.model_validate(dict(row)) for row in commits),
        ),
        edges=(*edges, *event_edges),
    )


async def chain(connection: Connection, artifact_id: UUID) -> list[StoredArtifact]:
    """Return an artifact and everything it was derived from, newest first: a whole chain ends with the vision.

    What was reused of other projects follows after that.

    Raises:
        NotFoundError: There is no such artifact.
    """
    project_id = (await get(connection, artifact_id)).project_id
    ids = [row["id"] for row in await connection.fetch(_ANCESTORS, artifact_id, project_id)]
    found = await get_many(connection, ids)
    return sorted(found.values(), key=lambda item: (item.project_id == project_id, item.sequence), reverse=True)


async def project_artifacts(connection: Connection, project_id: UUID) -> list[StoredArtifact]:
    """Return all artifacts of a project in the order they were made."""
    found: list[StoredArtifact] = []
    while True:
        after = found[-1].sequence if found else 0
        page = await list_artifacts(connection, project_id=project_id, after=after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


def as_tree(graph: Lineage) -> tuple[TreeItem, ...]:
    """Return the artifacts as trees, each under the newest artifact it was derived from."""
    every = [node for node in graph.nodes if isinstance(node, ArtifactNode)]
    artifacts = [node for node in every if node.project_id == graph.project_id]
    foreign = {key_of(node): node for node in every if node.project_id != graph.project_id}
    order = {key_of(node): number for number, node in enumerate(artifacts)}
    sources: dict[str, list[str]] = {key: [] for key in order}
    reused: dict[str, list[ArtifactNode]] = {}
    for edge in graph.edges:
        if edge.relation is Relation.REUSED and edge.target in foreign:
            reused.setdefault(edge.source, []).append(foreign[edge.target])
        if edge.relation is Relation.DERIVED_FROM and edge.target in order:
            sources[edge.source].append(edge.target)
    for found in sources.values():
        found.sort(key=order.__getitem__)
    nodes: Mapping[str, Node] = {key_of(node): node for node in graph.nodes}
    by_relation = {(edge.source, edge.relation): nodes.get(edge.target) for edge in graph.edges}

    def item(node: ArtifactNode) -> TreeItem:
        key = key_of(node)
        task = by_relation.get((key, Relation.MADE_BY))
        commit = by_relation.get((key, Relation.COMMITTED_AS))
        return TreeItem(
            artifact=node,
            task=task if isinstance(task, TaskNode) else None,
            commit=commit if isinstance(commit, CommitNode) else None,
            also_from=tuple(artifacts[order[source]] for source in sources[key][:-1]),
            reused=tuple(reused.get(key, ())),
            children=tuple(item(child) for child in artifacts if sources[key_of(child)][-1:] == [key]),
        )

    return tuple(item(node) for node in artifacts if not sources[key_of(node)])


def _artifact_edges(artifacts: Iterable[StoredArtifact], foreign: Collection[UUID], tasks: set[UUID]) -> Iterable[Edge]:
    for artifact in artifacts:
        for source in artifact.inputs:
            relation = Relation.REUSED if source in foreign else Relation.DERIVED_FROM
            yield _edge("artifact", artifact.id, relation, "artifact", source)
        if artifact.task_id in tasks:
            yield _edge("artifact", artifact.id, Relation.MADE_BY, "task", artifact.task_id)


def _event_edges(
    events: Mapping[UUID, Mapping[str, Any]], causes: Mapping[UUID, UUID | None]
) -> tuple[list[Edge], set[UUID]]:
    """Connect artifacts and tasks to their events and walk from those back along their causes."""
    edges = [
        _edge("artifact", event["artifact_id"], Relation.ANNOUNCED_BY, "event", event_id)
        for event_id, event in events.items()
        if event["artifact_id"] is not None
    ]
    pending = [event_id for event_id, event in events.items() if event["artifact_id"] is not None]
    for task_id, cause in causes.items():
        if cause is not None and cause in events:
            edges.append(_edge("task", task_id, Relation.CAUSED_BY, "event", cause))
            pending.append(cause)
    reached: set[UUID] = set()
    while pending:
        event_id = pending.pop()
        cause = events[event_id]["causation_id"]
        if event_id not in reached and cause in events:
            edges.append(_edge("event", event_id, Relation.CAUSED_BY, "event", cause))
            pending.append(cause)
        reached.add(event_id)
    return edges, reached


def _edge(source_type: str, source: object, relation: Relation, target_type: str, target: object) -> Edge:
    return Edge(source=f"{source_type}:{source}", target=f"{target_type}:{target}", relation=relation)
