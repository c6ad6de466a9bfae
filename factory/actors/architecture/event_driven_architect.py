"""The Event-Driven Architect."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class EventDrivenArchitect(Agent):
    """Describes the events the product tells others."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="event-driven-architect",
        title="Event-Driven Architect",
        subcluster="architecture",
        produces=("event-catalogue",),
        skills=("native-event-catalogue",),
    )
