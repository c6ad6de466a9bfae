"""Projects: lists, one project, how far it is, what it was made of, and what people may do with it."""

import hashlib
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Response
from pydantic import Field

from factory.artifacts import lineage as lineages
from factory.control import projects
from factory.control.progress import Progress, read_progress
from factory.domain.project import Project, ProjectMetadata, ProjectStatus
from factory.identity.access import Action
from factory.serve.caller import Caller, IdempotencyKey, Reader, Writer
from factory.serve.idempotency import Answer
from factory.serve.problems import HttpError, describe
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, next_of, place_of
from factory.storage.database import Connection

router = APIRouter(tags=["project"])

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=100, description="The `ETag` that the change is based on.")
]


class ProjectCounts(Answered):
    """How many projects there are, by state."""

    total: int
    by_status: dict[ProjectStatus, int]


class ProjectChange(Answered):
    """What people record about a project; what is left out stays as it is."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    stakeholders: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] | None = None
    goals: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] | None = None
    deadline: datetime | None = None
    risk: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] | None = None


class Compensation(Answered):
    """Why a project's work is to be undone, and from where on."""

    reason: Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"\S")]
    from_step: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class AcceptedEvent(Answered):
    """Something was asked for; this event asks for it."""

    event_id: UUID


class ProjectPage(Page[Project]):
    """One page of projects."""


@router.get("/projects")
async def list_projects(
    caller: Reader,
    status: ProjectStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> ProjectPage:
    """List the projects that the caller may see, the newest first."""
    visible = await caller.sees(Action.READ_PROJECT)
    bound = ("projects", status)
    place = place_of(caller, cursor, *bound)
    async with caller.gateway.database.transaction() as connection:
        found = await projects.page_projects(
            connection,
            tenant=visible.tenant,
            ids=visible.project_ids,
            status=status,
            before=UUID(str(place)) if place is not None else None,
            limit=limit,
        )
    last = str(found[-1].id) if found else None
    return ProjectPage(items=tuple(found), next=next_of(caller, found, limit, last, *bound))


@router.get("/projects/counts")
async def count(caller: Reader) -> ProjectCounts:
    """Count the projects that the caller may see, by state."""
    visible = await caller.sees(Action.READ_PROJECT)
    async with caller.gateway.database.transaction() as connection:
        counts = await projects.count_projects(connection, tenant=visible.tenant, ids=visible.project_ids)
    return ProjectCounts(total=sum(counts.values()), by_status=counts)


@router.get("/project/{project_id}")
async def show(caller: Reader, project_id: UUID, response: Response) -> Project:
    """Return a project; its `ETag` is what a change of it must name."""
    project = await read_project(caller, project_id, Action.READ_PROJECT)
    response.headers["ETag"] = etag(project)
    return project


@router.patch(
    "/project/{project_id}", responses=describe(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
)
async def change(
    caller: Writer, project_id: UUID, body: ProjectChange, response: Response, if_match: IfMatch = None
) -> Project:
    """Change what people record about a project; somebody else's change in between is not overwritten."""
    project = await read_project(caller, project_id, Action.CHANGE_PROJECT)
    if if_match is None:
        raise HttpError(
            HTTPStatus.PRECONDITION_REQUIRED,
            "the request does not say which state of the project it is based on.",
            remedy="Send the project's ETag as If-Match.",
            field="If-Match",
        )

    async def attempt(connection: Connection) -> Project:
        current = await projects.lock_project(connection, project.id)
        if if_match not in ("*", etag(current)):
            raise HttpError(
                HTTPStatus.PRECONDITION_FAILED,
                "the project was changed in the meantime.",
                remedy="Read it again, and base the change on what it is now.",
                field="If-Match",
            )
        given = body.model_dump(exclude_unset=True, exclude_none=True)
        name = given.pop("name", current.name)
        metadata = ProjectMetadata.model_validate({**current.metadata.model_dump(), **given})
        return await projects.describe_project(connection, current, name, metadata)

    changed = await caller.gateway.database.run(attempt)
    response.headers["ETag"] = etag(changed)
    return changed


@router.get("/project/{project_id}/status")
async def status(caller: Reader, project_id: UUID) -> Progress:
    """Tell how far a project is: each step with its agent, attempt, time and artifact, and what it waits for."""
    await read_project(caller, project_id, Action.READ_PROJECT)
    async with caller.gateway.database.transaction() as connection:
        return await read_progress(connection, project_id, caller.gateway.settings.blueprint_dir)


@router.get("/project/{project_id}/lineage")
async def lineage(caller: Reader, project_id: UUID) -> dict[str, Any]:
    """Return the graph of everything a project was made of: artifacts, tasks, events, commits."""
    await read_project(caller, project_id, Action.READ_ARTIFACT)
    async with caller.gateway.database.transaction() as connection:
        graph = await lineages.lineage(connection, project_id)
    return graph.to_dict()


@router.post("/project/{project_id}/compensate", status_code=HTTPStatus.ACCEPTED, response_model=AcceptedEvent)
async def compensate(caller: Writer, project_id: UUID, body: Compensation, key: IdempotencyKey = None) -> Response:
    """Undo what a project has done, or what one of its steps and those that build on it have."""
    await read_project(caller, project_id, Action.CHANGE_PROJECT)

    async def work(connection: Connection) -> Answer:
        event = await caller.gateway.service.request_compensation(connection, project_id, body.reason, body.from_step)
        return Answer.of(AcceptedEvent(event_id=event), HTTPStatus.ACCEPTED)

    return await caller.once(key, body, work)


@router.post("/project/{project_id}/replay", status_code=HTTPStatus.CREATED, response_model=Project)
async def replay(caller: Writer, project_id: UUID, key: IdempotencyKey = None) -> Response:
    """Run a project's whole flow again in a sandbox; the original stays as it is."""
    await read_project(caller, project_id, Action.CHANGE_PROJECT)

    async def work(connection: Connection) -> Answer:
        sandbox = await caller.gateway.service.begin_replay(connection, project_id)
        await caller.gateway.authority.own(connection, caller.principal, sandbox.id)
        return Answer.of(sandbox, HTTPStatus.CREATED, location=f"/api/v1/project/{sandbox.id}")

    return await caller.once(key, None, work)


async def read_project(caller: Caller, project_id: UUID, action: Action) -> Project:
    """Return a project that the caller may do something to.

    Raises:
        ForbiddenError: They may not do that.
        NotFoundError: There is no such project, or none that they may see.
    """
    async with caller.gateway.database.transaction() as connection:
        project = await projects.get_project(connection, project_id)
    await caller.require_project(action, project)
    return project


def etag(project: Project) -> str:
    """Return what changes whenever a project does."""
    return f'"{hashlib.sha256(project.model_dump_json().encode()).hexdigest()[:32]}"'
