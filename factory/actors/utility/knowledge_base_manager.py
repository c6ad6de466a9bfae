"""The Knowledge Base Manager: curates what released projects taught (R05)."""

import asyncio
from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.actors.utility.knowledge import distil
from factory.actors.utility.semantic_embedder import SemanticEmbedder
from factory.domain.artifact import ArtifactRef
from factory.events.contracts.memory import KnowledgeCurated
from factory.settings import Settings


class KnowledgeBaseManager(Agent):
    """Answers a release with notes on the product, its entities and its rules.

    The Semantic Embedder puts them into memory; those of an earlier revision go, and of those that did not change the
    vectors stay.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="knowledge-base-manager",
        title="Knowledge Base Manager",
        subcluster="utility",
        consumes=("ProjectReleased",),
        facts=("latest-artifacts",),
        max_size=1,
    )

    @classmethod
    def is_available(cls, settings: Settings) -> bool:
        """Whether there is a memory to curate."""
        return SemanticEmbedder.is_available(settings)

    async def execute(self, work: Work) -> None:
        """Distil the latest valid artifacts; a sandbox teaches nothing."""
        project = work.task.needed_project
        found = work.task.facts.get("latest-artifacts")
        if project.sandbox_of is not None or not isinstance(found, list):
            return
        artifacts = [ArtifactRef.model_validate(item) for item in found]
        contents = await asyncio.gather(*(self.read(artifact) for artifact in artifacts))
        by_kind = {artifact.kind: content for artifact, content in zip(artifacts, contents, strict=True)}
        notes = await asyncio.to_thread(distil, project.name, by_kind)
        work.events = (draft(KnowledgeCurated(revision=project.revision, notes=notes)),)
