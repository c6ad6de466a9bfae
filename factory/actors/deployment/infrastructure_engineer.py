"""The Infrastructure Engineer."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class InfrastructureEngineer(Agent):
    """Writes the container image and the Kubernetes manifests."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="infrastructure-engineer",
        title="Infrastructure Engineer",
        subcluster="deployment",
        produces=("deployment",),
        skills=("native-deployment",),
    )
