"""Who the caller is, what they may do and why, and what was granted on a project (R34)."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from factory.control.projects import get_project
from factory.identity import grants
from factory.identity.access import Action, Grant, PolicyName, Resource, ResourceType, project_resource, tenant_resource
from factory.identity.grants import GrantRecord
from factory.identity.principal import PrincipalKind, Role, Scope
from factory.serve.caller import Caller, IdempotencyKey, Reader, Writer
from factory.serve.idempotency import Answer
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, next_of, place_of
from factory.serve.rest.projects import read_project
from factory.storage.database import Connection

router = APIRouter(tags=["access"])

_SUBJECT = r"^(user|service):[!-~]+$|^https://[!-~]+\|[!-~]+$"
_Kind = Annotated[str, Field(min_length=1, max_length=100)]


class Me(Answered):
    """The caller, as the token proves."""

    subject: str
    kind: PrincipalKind
    name: str
    tenant: str
    roles: tuple[Role, ...]
    scopes: tuple[Scope, ...]
    expires_at: datetime | None


class Explanation(Answered):
    """Whether the caller may do something, and which policies say so."""

    allowed: bool
    policies: tuple[str, ...]
    reason: str


class ProjectGrant(Answered):
    """A policy that holds for somebody on a project; `kinds` narrows it to some kinds of artifacts."""

    id: UUID
    subject: str
    policy: PolicyName
    project_id: UUID | None
    kinds: tuple[str, ...] | None
    granted_by: str
    created_at: datetime


class NewGrant(Answered):
    """What is to be granted to whom."""

    subject: Annotated[str, Field(min_length=3, max_length=300, pattern=_SUBJECT)]
    policy: PolicyName
    kinds: Annotated[tuple[_Kind, ...], Field(min_length=1, max_length=100)] | None = None


class GrantPage(Page[ProjectGrant]):
    """One page of grants."""


@router.get("/me")
async def me(caller: Reader) -> Me:
    """Tell who the caller is."""
    principal = caller.principal
    return Me(
        subject=principal.subject,
        kind=principal.kind,
        name=principal.name,
        tenant=principal.tenant,
        roles=tuple(sorted(principal.roles)),
        scopes=tuple(sorted(principal.scopes)),
        expires_at=principal.expires_at,
    )


@router.get("/me/may")
async def may(
    caller: Reader,
    action: Action,
    project_id: Annotated[UUID | None, Query(description="Of a project; else in the caller's tenant.")] = None,
    kind: Annotated[str | None, Query(max_length=100, description="Of an artifact of this kind.")] = None,
) -> Explanation:
    """Tell whether the caller may do something, and why."""
    resource = tenant_resource(caller.principal.tenant)
    if project_id is not None:
        project = await read_project(caller, project_id, Action.READ_PROJECT)
        resource = project_resource(project)
        if kind is not None:
            resource = Resource(ResourceType.ARTIFACT, str(project.id), project.tenant, project.id, kind)
    decision = await caller.gateway.authority.decide(caller.principal, action, resource)
    return Explanation(allowed=decision.allowed, policies=decision.policies, reason=decision.reason)


@router.get("/project/{project_id}/grants")
async def list_grants(caller: Reader, project_id: UUID, limit: Limit = 100, cursor: CursorText = None) -> GrantPage:
    """List what was granted on a project."""
    project = await read_project(caller, project_id, Action.MANAGE_IDENTITY)
    bound = ("grants", project_id)
    place = place_of(caller, cursor, *bound)
    after = UUID(str(place)) if place is not None else None
    async with caller.gateway.database.transaction() as connection:
        found = await grants.listed(connection, tenant=project.tenant, project_id=project.id, after=after, limit=limit)
    last = str(found[-1].id) if found else None
    return GrantPage(items=tuple(_shown(one) for one in found), next=next_of(caller, found, limit, last, *bound))


@router.post("/project/{project_id}/grants", status_code=HTTPStatus.CREATED, response_model=ProjectGrant)
async def add_grant(caller: Writer, project_id: UUID, body: NewGrant, key: IdempotencyKey = None) -> Response:
    """Grant a policy on a project."""
    project = await read_project(caller, project_id, Action.MANAGE_IDENTITY)
    kinds = frozenset(body.kinds) if body.kinds is not None else None
    grant = Grant(body.subject, body.policy, project.tenant, project.id, kinds)

    async def work(connection: Connection) -> Answer:
        record = await caller.gateway.authority.grant(connection, grant, by=caller.principal.subject)
        return Answer.of(_shown(record), HTTPStatus.CREATED)

    return await caller.once(key, body, work)


@router.delete("/grant/{grant_id}")
async def remove_grant(caller: Writer, grant_id: UUID) -> ProjectGrant:
    """Take a grant back."""
    record = await _readable(caller, grant_id)
    await caller.gateway.database.run(lambda connection: caller.gateway.authority.revoke(connection, record.id))
    return _shown(record)


async def _readable(caller: Caller, grant_id: UUID) -> GrantRecord:
    async with caller.gateway.database.transaction() as connection:
        record = await grants.get(connection, grant_id)
        on = record.grant.project_id
        project = await get_project(connection, on) if on is not None else None
    await caller.require(
        Action.MANAGE_IDENTITY, project_resource(project) if project else tenant_resource(record.grant.tenant)
    )
    return record


def _shown(record: GrantRecord) -> ProjectGrant:
    grant = record.grant
    return ProjectGrant(
        id=record.id,
        subject=grant.subject,
        policy=grant.policy,
        project_id=grant.project_id,
        kinds=tuple(sorted(grant.kinds)) if grant.kinds is not None else None,
        granted_by=record.granted_by,
        created_at=record.created_at,
    )
