"""Agents: who works here, and on what."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from factory.actors.agent import AgentSpec
from factory.actors.roster import load_roster
from factory.control import tasks
from factory.control.tasks import TaskRecord
from factory.identity.access import Action, Resource, ResourceType
from factory.serve.caller import Reader
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, moment_and_id, next_of

router = APIRouter(tags=["agent"])

AgentName = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9-]*$")]
TaskStatus = Literal["assigned", "running", "done", "failed"]


class AgentSummary(Answered):
    """An agent.

    Attributes:
        produces: Kinds of artifacts.
        most_actors: How far its pool may grow.
    """

    name: str
    title: str
    subcluster: str
    produces: tuple[str, ...]
    skills: tuple[str, ...]
    fewest_actors: int
    most_actors: int


class AgentList(Answered):
    """All agents, in the order of their sub-clusters."""

    items: tuple[AgentSummary, ...]


class TaskPage(Page[TaskRecord]):
    """One page of an agent's tasks, with how many there are in each state."""

    agent: str
    counts: dict[str, int]


@router.get("/agents")
async def list_agents(caller: Reader) -> AgentList:
    """List the agents with what they make and the skills they may use."""
    await caller.require_tenant(Action.READ_AGENT)
    plugins = tuple(caller.gateway.settings.plugins)
    return AgentList(items=tuple(_summary(agent.spec) for agent in load_roster(plugins)))


@router.get("/agent/{agent_id}/task-status")
async def task_status(
    caller: Reader,
    agent_id: AgentName,
    status: TaskStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> TaskPage:
    """Tell what an agent works on: its tasks in the projects that the caller may see, the latest first."""
    found_agent = load_roster(tuple(caller.gateway.settings.plugins)).find(agent_id)
    await caller.require(Action.READ_AGENT, Resource(ResourceType.AGENT, agent_id, caller.principal.tenant))
    visible = await caller.sees(Action.READ_PROJECT)
    bound = ("tasks", agent_id, status)
    async with caller.gateway.database.transaction() as connection:
        found = await tasks.page_tasks(
            connection,
            found_agent.spec.name,
            tenant=visible.tenant,
            project_ids=visible.project_ids,
            status=status,
            before=moment_and_id(caller, cursor, *bound),
            limit=limit,
        )
        counts = await tasks.count_tasks(connection, agent_id, tenant=visible.tenant, project_ids=visible.project_ids)
    last = [found[-1].assigned_at.isoformat(), str(found[-1].id)] if found else None
    return TaskPage(agent=agent_id, counts=counts, items=tuple(found), next=next_of(caller, found, limit, last, *bound))


def _summary(spec: AgentSpec) -> AgentSummary:
    return AgentSummary(
        name=spec.name,
        title=spec.title,
        subcluster=spec.subcluster,
        produces=spec.produces,
        skills=spec.skills,
        fewest_actors=spec.min_size,
        most_actors=spec.max_size,
    )
