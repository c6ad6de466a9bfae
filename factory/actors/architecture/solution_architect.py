"""The Solution Architect."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class SolutionArchitect(Agent):
    """Models the product's domain and lays out the architecture that carries it."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="solution-architect",
        title="Solution Architect",
        subcluster="architecture",
        produces=(
            "domain-model",
            "architecture",
        ),
        skills=(
            "native-domain-model",
            "native-architecture",
        ),
    )
