"""Usage: events, attempts, retries and agents' time, for operations and billing (R14)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from factory.control.usage import Grouping, Usage, read_usage
from factory.identity.access import Action
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import Reader
from factory.serve.rest.pages import Answered
from factory.serve.rest.projects import read_project

router = APIRouter(tags=["usage"])


class UsageReport(Answered):
    """Figures, the busiest first."""

    by: Grouping
    project_id: UUID | None
    since: datetime | None
    items: tuple[Usage, ...]


@router.get("/usage")
async def usage(
    caller: Reader,
    by: Annotated[Grouping, Query(description="What the figures are summed by.")] = Grouping.AGENT,
    project_id: Annotated[UUID | None, Query(description="Only of this project.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only what happened at this time or later.")] = None,
) -> UsageReport:
    """Sum up what was used: of one project, or of the caller's whole tenant."""
    tenant: str | None = None
    if project_id is not None:
        await read_project(caller, project_id, Action.READ_USAGE)
    else:
        await caller.require_tenant(Action.READ_USAGE)
        tenant = None if caller.principal.tenant == EVERY_TENANT else caller.principal.tenant
    async with caller.gateway.database.transaction() as connection:
        found = await read_usage(connection, by, project_id=project_id, since=since, tenant=tenant)
    return UsageReport(by=by, project_id=project_id, since=since, items=tuple(found))
