"""What services ask of one another over HTTP: run an agent, verify a project, search, broadcast, measure."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field, JsonValue

from factory.actors.roster import load_roster
from factory.actors.subscriptions import topic_of
from factory.artifacts import records
from factory.artifacts.records import StoredArtifact
from factory.artifacts.verify import verify
from factory.control.projects import get_project
from factory.control.submission import first_event
from factory.domain.artifact import ArtifactStatus
from factory.domain.errors import BadInputError, ConflictError, TerminalError
from factory.domain.ids import derived_id, new_id
from factory.domain.project import Project
from factory.events.contracts.tasks import TaskAssigned
from factory.events.delivery import Cursor
from factory.events.envelope import Envelope
from factory.events.journal import tail
from factory.events.topics import Topic
from factory.identity.access import Action, Resource, ResourceType, project_resource
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import Caller, IdempotencyKey
from factory.serve.idempotency import Answer
from factory.serve.internal.insider import Insider
from factory.serve.internal.metrics import exposition
from factory.serve.rest.memory import MemoryAnswer, MemoryQuery, find
from factory.serve.rest.pages import Answered
from factory.storage.database import Connection

router = APIRouter(tags=["internal"])

_PAGE = 500
_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9-]*$")]


class AgentExecution(Answered):
    """A task for an agent, outside the project's blueprint.

    Attributes:
        goal: The kind of artifact to make; one that the agent makes.
        inputs: Kinds of valid artifacts of the project that it is made from.
    """

    agent: _Name
    project_id: UUID
    goal: _Name
    inputs: Annotated[tuple[_Name, ...], Field(max_length=50)] = ()
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class AssignedWork(Answered):
    """A task that was assigned, and the event that tells its agent."""

    task_id: UUID
    event_id: UUID


class ProjectReference(Answered):
    """Which project."""

    project_id: UUID


class Problem(Answered):
    """Something that is not as it was recorded."""

    check: str
    subject: str
    message: str


class ProjectVerdict(Answered):
    """Whether a project's bytes, versions, ancestry and commits are as they were recorded."""

    project_id: UUID
    valid: bool
    problems: tuple[Problem, ...]


class Broadcast(Answered):
    """An event to publish; its payload must meet the contract.

    Attributes:
        event_id: Published once, however often it is sent; made up where it is left out.
    """

    event_type: Annotated[str, Field(min_length=1, max_length=100)]
    version: Annotated[int, Field(ge=1, le=1_000)] = 1
    topic: Topic
    project_id: UUID | None = None
    payload: dict[str, JsonValue]
    event_id: UUID | None = None


class PublishedEvent(Answered):
    """An event that was published."""

    event_id: UUID


class LoggedPage(Answered):
    """Events in their order, and the place after them."""

    items: tuple[Envelope, ...]
    place: str


class PausedSubscription(Answered):
    """Why a subscription is held."""

    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class SubscriptionState(Answered):
    """A subscription, and what waits for it."""

    name: str
    paused: bool
    ready: int
    delayed: int
    in_flight: int


@router.post("/agent/execute", status_code=HTTPStatus.ACCEPTED, response_model=AssignedWork)
async def execute(caller: Insider, body: AgentExecution, key: IdempotencyKey = None) -> Response:
    """Assign a task to an agent; what comes of it is an artifact like any other."""
    gateway = caller.gateway
    agent = load_roster(tuple(gateway.settings.plugins)).find(body.agent)
    await caller.require(Action.EXECUTE_AGENT, Resource(ResourceType.AGENT, body.agent, EVERY_TENANT))
    if body.goal not in agent.spec.produces:
        raise BadInputError(
            f"agent {body.agent} does not make {body.goal!r}.",
            remedy=f"It makes: {', '.join(agent.spec.produces) or 'no artifacts'}.",
            field="goal",
        )
    project = await _project(caller, body.project_id, Action.ASSIGN_TASK)
    task_id = derived_id("executed", caller.principal.subject, key or new_id())

    async def work(connection: Connection) -> Answer:
        found = await records.latest(connection, project.id, list(body.inputs), ArtifactStatus.VALID)
        known = {artifact.kind: artifact.id for artifact in found}
        if missing := [kind for kind in body.inputs if kind not in known]:
            raise ConflictError(f"the project has no valid {', '.join(missing)} yet.", field="inputs")
        payload = TaskAssigned(
            task_id=task_id,
            step=f"executed-{body.goal}",
            agent=body.agent,
            goal=body.goal,
            revision=project.revision,
            round=0,
            input_ids=[known[kind] for kind in body.inputs],
            parameters=dict(body.parameters),
        )
        cause = await first_event(connection, project)
        event = cause.caused(
            payload, topic=topic_of(agent), originating_agent=_name(caller), event_id=derived_id("assigned", task_id)
        )
        await gateway.service.bus.publish(connection, [event])
        return Answer.of(AssignedWork(task_id=task_id, event_id=event.event_id), HTTPStatus.ACCEPTED)

    return await caller.once(key, body, work)


@router.post("/project/validate")
async def validate(caller: Insider, body: ProjectReference) -> ProjectVerdict:
    """Check a project's bytes, versions, ancestry and commits."""
    project = await _project(caller, body.project_id, Action.VALIDATE_PROJECT)
    service = caller.gateway.service
    async with caller.gateway.database.transaction() as connection:
        found = await verify(connection, service.store, project.id, service.repositories)
    problems = tuple(Problem(check=one.check, subject=str(one.subject), message=one.message) for one in found)
    return ProjectVerdict(project_id=project.id, valid=not problems, problems=problems)


@router.post("/semantic/memory-query")
async def memory_query(caller: Insider, body: MemoryQuery) -> MemoryAnswer:
    """Search semantic memory over every tenant that the service works for."""
    return MemoryAnswer(hits=tuple(await find(caller, body)))


@router.post("/event/broadcast", status_code=HTTPStatus.ACCEPTED, response_model=PublishedEvent)
async def broadcast(caller: Insider, body: Broadcast, key: IdempotencyKey = None) -> Response:
    """Publish an event to whoever subscribed to it."""
    await caller.require(Action.PUBLISH_EVENT, Resource(ResourceType.TOPIC, body.topic.value, EVERY_TENANT))
    if body.project_id is not None:
        await _project(caller, body.project_id, Action.READ_PROJECT)
    identity = body.event_id or derived_id("broadcast", caller.principal.subject, key or new_id())

    async def work(connection: Connection) -> Answer:
        event = Envelope(
            event_id=identity,
            event_type=body.event_type,
            version=body.version,
            topic=body.topic,
            project_id=body.project_id,
            originating_agent=_name(caller),
            trace_id=caller.facts.trace_id,
            traceparent=caller.facts.traceparent,
            correlation_id=identity,
            timestamp=datetime.now(UTC),
            payload=body.payload,
        )
        try:
            await caller.gateway.service.bus.publish(connection, [event])
        except TerminalError as error:
            raise BadInputError(error.message, remedy=error.remedy, field=error.field or "payload") from error
        return Answer.of(PublishedEvent(event_id=identity), HTTPStatus.ACCEPTED)

    return await caller.once(key, body, work)


@router.get("/event/log")
async def log(
    caller: Insider,
    after: Annotated[str, Query(pattern=r"^\d{1,18}-\d{1,18}$", description="Go on after this place.")] = "0-0",
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
) -> LoggedPage:
    """Read the log of all events in their order."""
    await caller.require(Action.RECEIVE_EVENT, Resource(ResourceType.TOPIC, Topic.SYSTEM.value, EVERY_TENANT))
    found = await tail(caller.gateway.database, Cursor.parse(after), None, limit)
    place = str(found[-1].cursor) if found else after
    return LoggedPage(items=tuple(one.event for one in found), place=place)


@router.get("/artifacts/{artifact_id}")
async def artifact(caller: Insider, artifact_id: UUID) -> StoredArtifact:
    """Return an artifact's metadata; its bytes lie at its address in the object store."""
    async with caller.gateway.database.transaction() as connection:
        found = await records.get(connection, artifact_id)
        project = await get_project(connection, found.project_id)
    await caller.require(
        Action.READ_ARTIFACT,
        Resource(ResourceType.ARTIFACT, str(found.id), project.tenant, project.id, found.kind),
    )
    return found


@router.get("/projects/{project_id}")
async def project(caller: Insider, project_id: UUID) -> Project:
    """Return a project."""
    return await _project(caller, project_id, Action.READ_PROJECT)


@router.get("/control/subscriptions")
async def subscriptions(caller: Insider) -> list[SubscriptionState]:
    """List the subscriptions with what waits for each: the control plane's picture of the work."""
    await caller.require(Action.READ_METRICS, Resource(ResourceType.TENANT, EVERY_TENANT, EVERY_TENANT))
    bus = caller.gateway.service.bus
    return [
        SubscriptionState(
            name=one.subscription.name,
            paused=one.pause is not None,
            ready=one.backlog.ready,
            delayed=one.backlog.delayed,
            in_flight=one.backlog.in_flight,
        )
        for one in await bus.standings()
    ]


_Subscription = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[a-z0-9][a-z0-9.-]*$")]


@router.post("/control/subscription/{name}/pause", response_model=PausedSubscription)
async def pause(caller: Insider, name: _Subscription, body: PausedSubscription, key: IdempotencyKey = None) -> Response:
    """Hold a subscription: nothing more of it is handed out."""
    await caller.require(Action.EXECUTE_AGENT, Resource(ResourceType.AGENT, name, EVERY_TENANT))

    async def work(connection: Connection) -> Answer:
        await caller.gateway.service.bus.pause(connection, name, by=caller.principal.subject, reason=body.reason)
        return Answer.of(body)

    return await caller.once(key, body, work)


@router.post("/control/subscription/{name}/resume", status_code=HTTPStatus.NO_CONTENT)
async def resume(caller: Insider, name: _Subscription) -> None:
    """Let a subscription go on."""
    await caller.require(Action.EXECUTE_AGENT, Resource(ResourceType.AGENT, name, EVERY_TENANT))
    await caller.gateway.database.run(lambda connection: caller.gateway.service.bus.resume(connection, name))


@router.get("/observability/metrics", response_class=PlainTextResponse)
async def metrics(caller: Insider) -> PlainTextResponse:
    """Return figures in Prometheus' text format."""
    await caller.require(Action.READ_METRICS, Resource(ResourceType.TENANT, EVERY_TENANT, EVERY_TENANT))
    text = await exposition(caller.gateway)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _project(caller: Caller, project_id: UUID, action: Action) -> Project:
    async with caller.gateway.database.transaction() as connection:
        found = await get_project(connection, project_id)
    await caller.require(action, project_resource(found))
    return found


def _name(caller: Caller) -> str:
    return caller.principal.subject.removeprefix("service:")
