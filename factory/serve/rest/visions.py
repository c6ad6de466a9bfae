"""`POST /api/v1/vision/create`: a vision comes in, a project begins (R29)."""

import asyncio
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from factory.artifacts.blobs import BlobStore
from factory.control.projects import NewProject, build_key
from factory.control.submission import begin_project, store_vision
from factory.domain.errors import BadInputError
from factory.domain.ids import new_id
from factory.domain.project import ProjectMetadata, ProjectStatus
from factory.identity.access import Action
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import IdempotencyKey, Writer
from factory.serve.idempotency import Answer
from factory.serve.rest.pages import Answered
from factory.service import read_vision
from factory.storage.database import Connection

router = APIRouter(tags=["vision"])

_LONGEST = 1_000_000
_ITEMS = 100
_Text = Annotated[str, Field(min_length=1, max_length=500)]


class NewVision(Answered):
    """What a product is to be.

    Attributes:
        vision: Markdown: who uses the product, what they do with it, what it holds. Front matter may name it.
        name: Of the product, where the vision does not say it.
        blueprint: The workflow to follow; else the vision's front matter, else `api-service`.
        stakeholders: For people.
        goals: For people.
        deadline: For people.
        risk: How bad a failure would be; escalation rules may ask for it.
        priority: Higher goes first for people; it does not steer the build.
    """

    vision: Annotated[str, Field(min_length=1, max_length=_LONGEST)]
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    blueprint: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9-]*$")] | None = None
    stakeholders: Annotated[tuple[_Text, ...], Field(max_length=_ITEMS)] = ()
    goals: Annotated[tuple[_Text, ...], Field(max_length=_ITEMS)] = ()
    deadline: datetime | None = None
    risk: Annotated[str, Field(min_length=1, max_length=50)] = "normal"
    priority: Annotated[int, Field(ge=-100, le=100)] = 0


class CreatedProject(Answered):
    """A project that has begun."""

    project_id: UUID
    name: str
    slug: str
    blueprint: str
    status: ProjectStatus


@router.post("/vision/create", status_code=HTTPStatus.CREATED, response_model=CreatedProject)
async def create(caller: Writer, body: NewVision, key: IdempotencyKey = None) -> Response:
    """Begin a project from a vision; agents take it up at once."""
    await caller.require_tenant(Action.CREATE_PROJECT)
    tenant = caller.principal.tenant
    if tenant == EVERY_TENANT:
        raise BadInputError(
            "a service of every tenant cannot own a project.", remedy="Use a token of a tenant.", field="tenant"
        )
    service = caller.gateway.service
    understood = await asyncio.to_thread(
        read_vision, body.vision, body.blueprint, body.name or "product", caller.gateway.settings.blueprint_dir
    )
    service.blueprint(understood.blueprint)
    stored = await store_vision(BlobStore(caller.gateway.settings.blob_url), body.vision)
    new = NewProject(
        name=body.name or understood.name,
        slug=understood.slug,
        blueprint=understood.blueprint,
        build_key=build_key(body.vision, understood.blueprint, str(new_id())),
        tenant=tenant,
        caused_by=caller.facts.traceparent,
        metadata=ProjectMetadata(
            stakeholders=body.stakeholders,
            goals=body.goals,
            deadline=body.deadline,
            risk=body.risk,
            priority=body.priority,
        ),
    )

    async def work(connection: Connection) -> Answer:
        project = await begin_project(connection, service.bus, new, stored)
        await caller.gateway.authority.own(connection, caller.principal, project.id)
        created = CreatedProject(
            project_id=project.id,
            name=project.name,
            slug=project.slug,
            blueprint=project.blueprint,
            status=project.status,
        )
        return Answer.of(created, HTTPStatus.CREATED, location=f"/api/v1/project/{project.id}")

    return await caller.once(key, body, work)
