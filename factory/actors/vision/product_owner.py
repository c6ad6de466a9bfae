"""The Product Owner."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class ProductOwner(Agent):
    """Cuts the requirements into stories with acceptance criteria, in the order to build them."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="product-owner",
        title="Product Owner",
        subcluster="vision",
        produces=("backlog",),
        skills=("native-backlog",),
    )
