"""The Deployment Orchestrator."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec


class DeploymentOrchestrator(Agent):
    """Writes the pipeline that checks and delivers the product."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="deployment-orchestrator",
        title="Deployment Orchestrator",
        subcluster="deployment",
        produces=("pipeline",),
        skills=("native-pipeline",),
    )
