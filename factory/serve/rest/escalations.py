"""Approvals: questions that the factory puts to people, and their answers."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from factory.control import escalations
from factory.control.escalations import Escalation
from factory.control.projects import get_project
from factory.domain.recovery import EscalationState
from factory.identity.access import Action, project_resource, tenant_resource
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import Caller, IdempotencyKey, Reader, Writer
from factory.serve.idempotency import Answer
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, moment_and_id, next_of
from factory.storage.database import Connection

router = APIRouter(tags=["escalation"])


class EscalationPage(Page[Escalation]):
    """One page of escalations."""


class EscalationDecision(Answered):
    """A person's answer, with the reason, which is recorded."""

    answer: Literal["approve", "reject", "retry"]
    note: Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"\S")]


@router.get("/escalations")
async def list_escalations(
    caller: Reader,
    state: EscalationState | None = None,
    project_id: UUID | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> EscalationPage:
    """List what people are asked, the newest first; `state=open` waits for an answer."""
    visible = await caller.sees(Action.READ_ESCALATION)
    bound = ("escalations", state, project_id)
    before = moment_and_id(caller, cursor, *bound)
    async with caller.gateway.database.transaction() as connection:
        found = await escalations.page(
            connection,
            tenant=visible.tenant,
            project_ids=visible.project_ids,
            state=state,
            project_id=project_id,
            before=before,
            limit=limit,
        )
    last = [found[-1].created_at.isoformat(), str(found[-1].id)] if found else None
    return EscalationPage(items=tuple(found), next=next_of(caller, found, limit, last, *bound))


@router.get("/escalation/{escalation_id}")
async def show(caller: Reader, escalation_id: UUID) -> Escalation:
    """Return one escalation: the question, who is asked, what happens if nobody answers."""
    return await read_escalation(caller, escalation_id, Action.READ_ESCALATION)


@router.post("/escalation/{escalation_id}/decide", response_model=Escalation)
async def decide(caller: Writer, escalation_id: UUID, body: EscalationDecision, key: IdempotencyKey = None) -> Response:
    """Answer an escalation; it is decided once, and its workflow goes on or ends accordingly."""
    await read_escalation(caller, escalation_id, Action.DECIDE_ESCALATION)

    async def work(connection: Connection) -> Answer:
        decided = await escalations.decide(
            connection,
            caller.gateway.service.bus,
            str(escalation_id),
            body.answer,
            by=caller.principal.subject,
            note=body.note,
        )
        return Answer.of(decided)

    return await caller.once(key, body, work)


async def read_escalation(caller: Caller, escalation_id: UUID, action: Action) -> Escalation:
    """Return an escalation that the caller may do something to.

    Raises:
        ForbiddenError: They may not do that.
        NotFoundError: There is none, or none that they may see.
    """
    async with caller.gateway.database.transaction() as connection:
        escalation = await escalations.get(connection, escalation_id)
        project = await get_project(connection, escalation.project_id) if escalation.project_id else None
    await caller.require(action, project_resource(project) if project else tenant_resource(EVERY_TENANT))
    return escalation
