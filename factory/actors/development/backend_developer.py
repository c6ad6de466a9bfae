"""The Backend Developer."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class BackendDeveloper(Agent):
    """Writes the service and its tests from the model and the specifications."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="backend-developer",
        title="Backend Developer",
        subcluster="development",
        produces=("backend",),
        skills=("native-backend",),
    )
