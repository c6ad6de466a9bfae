"""The audit trail of the caller's tenant (R35)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from factory.identity.access import Action
from factory.identity.audit.entry import AuditRecord
from factory.identity.audit.reading import AuditFilter, find
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import Reader
from factory.serve.rest.pages import CursorText, Limit, Page, next_of, place_of

router = APIRouter(tags=["audit"])

_Text = Annotated[str | None, Query(max_length=300)]


class AuditPage(Page[AuditRecord]):
    """One page of the audit trail."""


@router.get("/audit")
async def list_entries(
    caller: Reader,
    subject: _Text = None,
    action: _Text = None,
    resource_id: _Text = None,
    project_id: UUID | None = None,
    allowed: bool | None = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> AuditPage:
    """List who did what to what, when and from where, the latest first."""
    await caller.require_tenant(Action.READ_AUDIT)
    tenant = None if caller.principal.tenant == EVERY_TENANT else caller.principal.tenant
    which = AuditFilter(tenant, subject, action, project_id, resource_id, allowed, since, until)
    bound = ("audit", which)
    place = place_of(caller, cursor, *bound)
    before = place if isinstance(place, int) else None
    found = await find(caller.gateway.database, which, before=before, limit=limit)
    last = found[-1].sequence if found else None
    return AuditPage(items=tuple(found), next=next_of(caller, found, limit, last, *bound))
