"""The Release Manager."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class ReleaseManager(Agent):
    """Plans the release and writes its notes."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="release-manager",
        title="Release Manager",
        subcluster="deployment",
        produces=("release-plan",),
        skills=("native-release-plan",),
    )
