"""The Vision Architect."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class VisionArchitect(Agent):
    """Understands a vision and writes down what it says and what had to be assumed."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="vision-architect",
        title="Vision Architect",
        subcluster="vision",
        produces=("vision-document",),
        skills=("native-vision-document",),
    )
