"""The Solution Architect."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec
from factory.domain.memory import SIMILAR_ARTIFACTS


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
        facts=(SIMILAR_ARTIFACTS,),
        questions={
            "architecture": (
                "decision: where to keep the data, database",
                "decision: packages, layers, separation",
                "decision: authentication, tokens, roles",
                "decision: errors and problem documents",
                "decision: publish events, outbox",
                "decision: states and transitions, lifecycle",
                "decision: uniqueness, indexes, limits, locks",
                "decision: ownership, permissions, personal data",
                "decision: deletion, references, link tables",
                "decision: exact numbers, money",
            )
        },
    )
