"""The Product Manager."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class ProductManager(Agent):
    """Turns the understood vision into requirements that can be checked."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="product-manager",
        title="Product Manager",
        subcluster="vision",
        produces=("product-requirements",),
        skills=("native-product-requirements",),
    )
