"""The API Designer."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class ApiDesigner(Agent):
    """Specifies the product's REST API."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="api-designer",
        title="API Designer",
        subcluster="architecture",
        produces=("api-specification",),
        skills=("native-api-specification",),
    )
