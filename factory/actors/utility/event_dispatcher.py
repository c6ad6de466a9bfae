"""The Event Dispatcher: sends events from outside to an agent or a workflow, by rules."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar, cast
from uuid import UUID

from pydantic import JsonValue

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.actors.roster import load_roster
from factory.actors.subscriptions import topic_of
from factory.artifacts.blobs import BlobStore
from factory.control.routing import Received, RoutingRules, Target, Workflow, filled
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.ids import derived_id
from factory.domain.task import EventDraft, Task
from factory.events.contracts.recovery import EventReceived, WorkflowRequested
from factory.events.contracts.tasks import TaskAssigned
from factory.settings import Settings
from factory.skills.catalogue import Catalogue

_DEFAULT_BLUEPRINT = "api-service"


class EventDispatcher(Agent):
    """Classifies what it receives by the routing rules; what nobody is there for becomes a dead letter."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="event-dispatcher",
        title="Event Dispatcher",
        subcluster="utility",
        consumes=(EventReceived.event_type,),
        facts=("valid-artifacts",),
        batch=32,
    )

    def __init__(self, store: BlobStore, catalogue: Catalogue, settings: Settings) -> None:
        super().__init__(store, catalogue, settings)
        self._rules = RoutingRules.load(settings.routing_rules)

    async def execute(self, work: Work) -> None:
        """Find the route and draft what goes there."""
        task = work.task
        received = EventReceived.model_validate(task.payload, extra="ignore")
        event = Received(kind=received.kind, source=received.source, topic=received.topic, body=received.body)
        route = self._rules.route(event)
        if route.rule is None or route.target.nobody is not None:
            passed = "; ".join(f"{name}: {why}" for name, why in route.passed_over.items())
            raise TerminalError(
                f"event {event.kind!r} from {event.source!r} goes to nobody: {route.target.nobody}"
                f"{f' ({passed})' if passed and route.rule is None else ''}.",
                category=ErrorCategory.SCHEMA,
                remedy="Add a routing rule and redrive it; `factory event route` shows who would get it.",
                field="kind",
            )
        if route.target.workflow is not None:
            drafted = await asyncio.to_thread(_workflow, route.target.workflow, event, route.rule)
        else:
            drafted = self._assignment(route.target, task)
        work.events = (drafted,)

    def _assignment(self, target: Target, task: Task) -> EventDraft:
        agent = load_roster(tuple(self.settings.plugins)).find(target.agent or "")
        if task.project is None:
            raise TerminalError(
                f"agent {agent.spec.name} makes artifacts of projects, and the event belongs to none.",
                category=ErrorCategory.SCHEMA,
                remedy="Publish it with a project.",
                field="project_id",
            )
        known = cast("Mapping[str, JsonValue]", task.facts.get("valid-artifacts") or {})
        missing = [kind for kind in target.inputs if kind not in known]
        if missing:
            raise TerminalError(
                f"project {task.project.slug} has no valid {', '.join(missing)} yet.",
                category=ErrorCategory.DEPENDENCY,
                remedy="Redrive the event when it has.",
            )
        payload = TaskAssigned(
            task_id=derived_id("routed", task.id),
            step=f"routed-{target.goal}",
            agent=agent.spec.name,
            goal=target.goal or "",
            revision=task.project.revision,
            round=0,
            input_ids=[UUID(str(known[kind])) for kind in target.inputs],
            parameters={**target.parameters, "event": dict(task.payload)},
        )
        return draft(payload, topic=topic_of(agent))


def _workflow(workflow: Workflow, event: Received, rule: str) -> EventDraft:
    """Read the vision, as `factory build` does before it starts anything."""
    from factory.skills.native.vision_document import parse_vision  # noqa: PLC0415 - loads a language model
    from factory.skills.native.vision_document.source import read_source  # noqa: PLC0415 - same

    vision = filled(workflow.vision, event.body)
    understood = parse_vision(vision, filled(workflow.name, event.body) or event.kind)
    blueprint = filled(workflow.blueprint, event.body) or read_source(vision).blueprint or _DEFAULT_BLUEPRINT
    payload = WorkflowRequested(
        rule=rule,
        source=event.source,
        name=understood.title,
        slug=understood.draft.slug,
        blueprint=blueprint,
        vision=vision,
        risk=filled(workflow.risk, event.body),
        priority=workflow.priority,
    )
    return draft(payload)
