"""Pages for those who look after the factory: agents, usage, audit."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from factory.control.usage import Grouping
from factory.serve.portal.pages import page
from factory.serve.portal.visitor import Signed
from factory.serve.rest import agents, audit, usage
from factory.serve.rest.agents import AgentName

router = APIRouter(include_in_schema=False)

_PAGE = 50
CursorText = Annotated[str | None, Query(max_length=1_000)]


@router.get("/agents")
async def list_agents(request: Request, visitor: Signed) -> Response:
    """List the agents."""
    return page(request, "agents", visitor.session, agents=(await agents.list_agents(visitor.caller)).items)


@router.get("/agents/{agent_id}")
async def show_agent(request: Request, visitor: Signed, agent_id: AgentName, cursor: CursorText = None) -> Response:
    """Show what an agent works on."""
    found = await agents.task_status(visitor.caller, agent_id, None, _PAGE, cursor)
    return page(request, "agent", visitor.session, page=found)


@router.get("/usage")
async def show_usage(request: Request, visitor: Signed, by: Grouping = Grouping.AGENT) -> Response:
    """Show what was used."""
    return page(request, "usage", visitor.session, report=await usage.usage(visitor.caller, by))


@router.get("/audit")
async def show_audit(request: Request, visitor: Signed, cursor: CursorText = None) -> Response:
    """Show who did what."""
    found = await audit.list_entries(visitor.caller, limit=_PAGE, cursor=cursor)
    return page(request, "audit", visitor.session, page=found)
