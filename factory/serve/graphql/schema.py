"""The types and fields. Every field is held to what the caller may see, as the REST routes are."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import strawberry
from strawberry.dataloader import DataLoader
from strawberry.extensions import MaxAliasesLimiter, MaxTokensLimiter, QueryDepthLimiter
from strawberry.scalars import JSON
from strawberry.types import Info

from factory.artifacts import lineage, records
from factory.artifacts.records import StoredArtifact
from factory.control import escalations as questions
from factory.control import projects as work
from factory.control import tasks as assigned
from factory.control.progress import read_progress
from factory.domain.errors import BadInputError
from factory.domain.project import Project as DomainProject
from factory.domain.project import ProjectStatus
from factory.domain.recovery import EscalationState
from factory.events.delivery import Cursor
from factory.events.journal import tail
from factory.identity.access import Action, Resource, ResourceType
from factory.serve.caller import Caller
from factory.serve.graphql.limits import MOST_ALIASES, MOST_DEPTH, MOST_TOKENS
from factory.serve.rest.artifacts import read_artifact
from factory.serve.rest.pages import moment_and_id, next_of, place_of
from factory.serve.rest.projects import read_project

T = TypeVar("T")
_MOST = 100
First = Annotated[int, strawberry.argument(description="At most so many, up to 100.")]
After = Annotated[str | None, strawberry.argument(description="`next` of the page before.")]


@dataclass(slots=True)
class Context:
    """What resolvers are given.

    Attributes:
        latest: The newest version of each kind, by project.
    """

    caller: Caller
    latest: DataLoader[UUID, list[StoredArtifact]]


Ask = Info[Context, None]


@strawberry.type
class Page(Generic[T]):
    """One page of a list; `next` is the cursor of the page that follows."""

    items: list[T]
    next: str | None


@strawberry.type
class File:
    """A file of an artifact."""

    path: str
    text: str


@strawberry.type
class Artifact:
    """A version of an artifact."""

    id: strawberry.ID
    project_id: strawberry.ID
    kind: str
    version: int
    hash: str
    status: str
    agent: str
    size: int
    created_at: datetime
    stored: strawberry.Private[StoredArtifact]

    @strawberry.field(description="Its files, or one of them.")
    async def files(self, info: Ask, path: str | None = None) -> list[File]:
        """Read the artifact's bytes."""
        caller = info.context.caller
        await read_artifact(caller, self.stored.id)
        content = await asyncio.to_thread(caller.gateway.service.store.content, self.stored)
        return [File(path=name, text=text) for name, text in sorted(content.files.items()) if path in (None, name)]

    @strawberry.field(description="What it was made from, back to the vision.")
    async def lineage(self, info: Ask) -> list["Artifact"]:
        """Walk the artifact's inputs."""
        caller = info.context.caller
        await read_artifact(caller, self.stored.id)
        async with caller.gateway.database.transaction() as connection:
            found = await lineage.chain(connection, self.stored.id)
        return [_artifact(one) for one in found if one.project_id == self.stored.project_id]


@strawberry.type
class Step:
    """A step of a project's workflow."""

    step: str
    agent: str
    goal: str
    status: str
    attempt: int
    seconds: float | None
    message: str


@strawberry.type
class Event:
    """An event of a project."""

    id: strawberry.ID
    type: str
    topic: str
    agent: str
    at: datetime
    payload: JSON


@strawberry.type
class Project:
    """A project."""

    id: strawberry.ID
    name: str
    slug: str
    blueprint: str
    status: str
    revision: int
    created_at: datetime
    updated_at: datetime
    metadata: JSON
    known: strawberry.Private[DomainProject]

    @strawberry.field(description="The newest version of each kind of artifact, or of some.")
    async def artifacts(self, info: Ask, kinds: list[str] | None = None) -> list[Artifact]:
        """Look the artifacts up, for all projects of the answer at once."""
        await info.context.caller.require(Action.READ_ARTIFACT, _resource(self.known))
        found = await info.context.latest.load(self.known.id)
        return [_artifact(one) for one in found if kinds is None or one.kind in kinds]

    @strawberry.field(description="Every version of a kind, the newest first.")
    async def versions(self, info: Ask, kind: str, first: First = 20) -> list[Artifact]:
        """Look the versions up."""
        caller = info.context.caller
        await caller.require(
            Action.READ_ARTIFACT,
            Resource(ResourceType.ARTIFACT, "", self.known.tenant, self.known.id, kind),
        )
        async with caller.gateway.database.transaction() as connection:
            found = await records.versions(connection, self.known.id, kind, limit=_size(first))
        return [_artifact(one) for one in found]

    @strawberry.field(description="The steps of its workflow, in their order.")
    async def steps(self, info: Ask) -> list[Step]:
        """Read the progress."""
        gateway = info.context.caller.gateway
        async with gateway.database.transaction() as connection:
            progress = await read_progress(connection, self.known.id, gateway.settings.blueprint_dir)
        return [
            Step(
                step=one.step,
                agent=one.agent,
                goal=one.goal,
                status=one.status,
                attempt=one.attempt,
                seconds=one.seconds,
                message=one.message,
            )
            for one in progress.steps
        ]

    @strawberry.field(description="Its events in their order.")
    async def events(self, info: Ask, first: First = 20, after: After = None) -> Page[Event]:
        """Read the log."""
        caller = info.context.caller
        await caller.require(Action.READ_EVENT, _resource(self.known))
        bound = ("graphql-events", self.known.id)
        place = place_of(caller, after, *bound)
        start = Cursor.parse(str(place)) if place is not None else Cursor()
        size = _size(first)
        found = await tail(caller.gateway.database, start, self.known.id, size)
        items = [
            Event(
                id=strawberry.ID(str(one.event.event_id)),
                type=one.event.event_type,
                topic=one.event.topic.value,
                agent=one.event.originating_agent,
                at=one.event.timestamp,
                payload=_json(dict(one.event.payload)),
            )
            for one in found
        ]
        last = str(found[-1].cursor) if found else None
        return Page(items=items, next=next_of(caller, found, size, last, *bound))

    @strawberry.field(description="The graph of everything it was made of.")
    async def lineage(self, info: Ask) -> JSON:
        """Read the graph."""
        caller = info.context.caller
        await caller.require(Action.READ_ARTIFACT, _resource(self.known))
        async with caller.gateway.database.transaction() as connection:
            graph = await lineage.lineage(connection, self.known.id)
        return _json(graph.to_dict())


@strawberry.type
class Task:
    """A task of an agent."""

    id: strawberry.ID
    project_id: strawberry.ID
    step: str
    goal: str
    status: str
    attempt: int
    message: str | None
    assigned_at: datetime


@strawberry.type
class Escalation:
    """A question that the factory puts to people."""

    id: strawberry.ID
    project_id: strawberry.ID | None
    agent: str
    question: str
    severity: str
    state: str
    deadline: datetime
    created_at: datetime
    decided_by: str | None
    note: str | None


@strawberry.type
class Query:
    """Everything that can be asked for."""

    @strawberry.field(description="The projects that the caller may see, the newest first.")
    async def projects(
        self, info: Ask, status: str | None = None, first: First = 20, after: After = None
    ) -> Page[Project]:
        """List projects."""
        caller = info.context.caller
        visible = await caller.sees(Action.READ_PROJECT)
        wanted = _state(ProjectStatus, status, "status")
        bound = ("graphql-projects", wanted)
        place = place_of(caller, after, *bound)
        size = _size(first)
        async with caller.gateway.database.transaction() as connection:
            found = await work.page_projects(
                connection,
                tenant=visible.tenant,
                ids=visible.project_ids,
                status=wanted,
                before=UUID(str(place)) if place is not None else None,
                limit=size,
            )
        last = str(found[-1].id) if found else None
        return Page(items=[_project(one) for one in found], next=next_of(caller, found, size, last, *bound))

    @strawberry.field(description="One project.")
    async def project(self, info: Ask, id: strawberry.ID) -> Project:  # noqa: A002 - the name in the schema
        """Return a project."""
        return _project(await read_project(info.context.caller, _id(id), Action.READ_PROJECT))

    @strawberry.field(description="One version of an artifact.")
    async def artifact(self, info: Ask, id: strawberry.ID) -> Artifact:  # noqa: A002 - the name in the schema
        """Return an artifact."""
        return _artifact(await read_artifact(info.context.caller, _id(id)))

    @strawberry.field(description="An agent's tasks in the projects that the caller may see, the latest first.")
    async def tasks(self, info: Ask, agent: str, first: First = 20, after: After = None) -> Page[Task]:
        """List an agent's tasks."""
        caller = info.context.caller
        await caller.require(Action.READ_AGENT, Resource(ResourceType.AGENT, agent, caller.principal.tenant))
        visible = await caller.sees(Action.READ_PROJECT)
        bound = ("graphql-tasks", agent)
        size = _size(first)
        async with caller.gateway.database.transaction() as connection:
            found = await assigned.page_tasks(
                connection,
                agent,
                tenant=visible.tenant,
                project_ids=visible.project_ids,
                before=moment_and_id(caller, after, *bound),
                limit=size,
            )
        items = [
            Task(
                id=strawberry.ID(str(one.id)),
                project_id=strawberry.ID(str(one.project_id)),
                step=one.step,
                goal=one.goal,
                status=one.status,
                attempt=one.attempt,
                message=one.message,
                assigned_at=one.assigned_at,
            )
            for one in found
        ]
        last = [found[-1].assigned_at.isoformat(), str(found[-1].id)] if found else None
        return Page(items=items, next=next_of(caller, found, size, last, *bound))

    @strawberry.field(description="What people are asked, the newest first.")
    async def escalations(
        self, info: Ask, state: str | None = None, first: First = 20, after: After = None
    ) -> Page[Escalation]:
        """List escalations."""
        caller = info.context.caller
        visible = await caller.sees(Action.READ_ESCALATION)
        wanted = _state(EscalationState, state, "state")
        bound = ("graphql-escalations", wanted)
        size = _size(first)
        async with caller.gateway.database.transaction() as connection:
            found = await questions.page(
                connection,
                tenant=visible.tenant,
                project_ids=visible.project_ids,
                state=wanted,
                before=moment_and_id(caller, after, *bound),
                limit=size,
            )
        last = [found[-1].created_at.isoformat(), str(found[-1].id)] if found else None
        return Page(items=[_escalation(one) for one in found], next=next_of(caller, found, size, last, *bound))


def make_context(caller: Caller) -> Context:
    """Return what the resolvers of one request share."""

    async def latest(ids: list[UUID]) -> Sequence[list[StoredArtifact]]:
        async with caller.gateway.database.transaction() as connection:
            found = await records.latest_of(connection, ids)
        by_project: dict[UUID, list[StoredArtifact]] = defaultdict(list)
        for artifact in found:
            by_project[artifact.project_id].append(artifact)
        return [by_project[project_id] for project_id in ids]

    return Context(caller, DataLoader(load_fn=latest))


def _project(found: DomainProject) -> Project:
    return Project(
        id=strawberry.ID(str(found.id)),
        name=found.name,
        slug=found.slug,
        blueprint=found.blueprint,
        status=found.status.value,
        revision=found.revision,
        created_at=found.created_at,
        updated_at=found.updated_at,
        metadata=_json(found.metadata.model_dump(mode="json")),
        known=found,
    )


def _artifact(found: StoredArtifact) -> Artifact:
    return Artifact(
        id=strawberry.ID(str(found.id)),
        project_id=strawberry.ID(str(found.project_id)),
        kind=found.kind,
        version=found.version,
        hash=found.hash,
        status=found.status.value,
        agent=found.agent,
        size=found.size,
        created_at=found.created_at,
        stored=found,
    )


def _escalation(found: questions.Escalation) -> Escalation:
    return Escalation(
        id=strawberry.ID(str(found.id)),
        project_id=strawberry.ID(str(found.project_id)) if found.project_id else None,
        agent=found.agent,
        question=found.question,
        severity=found.severity.value,
        state=found.state.value,
        deadline=found.deadline,
        created_at=found.created_at,
        decided_by=found.decided_by,
        note=found.note,
    )


def _resource(project: DomainProject) -> Resource:
    return Resource(ResourceType.PROJECT, str(project.id), project.tenant, project.id)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadInputError(f"{text!r} is no id.", remedy="Give a UUID.", field="id") from None


def _size(first: int) -> int:
    if not 1 <= first <= _MOST:
        raise BadInputError(f"first is {first}.", remedy=f"Give 1 to {_MOST}.", field="first")
    return first


S = TypeVar("S", ProjectStatus, EscalationState)


def _state(states: type[S], text: str | None, field: str) -> S | None:
    if text is None:
        return None
    if text not in set(states):
        raise BadInputError(f"{text!r} is no state.", remedy=f"States: {', '.join(states)}.", field=field)
    return states(text)


def _json(value: Any) -> JSON:  # noqa: ANN401 - any JSON value
    return JSON(value)


schema = strawberry.Schema(
    query=Query,
    extensions=[
        lambda: QueryDepthLimiter(max_depth=MOST_DEPTH),
        lambda: MaxAliasesLimiter(max_alias_count=MOST_ALIASES),
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
    ],
)
