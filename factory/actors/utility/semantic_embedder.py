"""The Semantic Embedder: puts every valid artifact into semantic memory (R05)."""

import asyncio
import importlib.util
import threading
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from factory.actors.agent import Agent, AgentSpec, Work
from factory.domain.artifact import ArtifactRef
from factory.domain.ids import derived_id
from factory.settings import Settings

# Every process knows every agent; Arrow and what reads code are loaded by the one that embeds.
if TYPE_CHECKING:
    from factory.memory.embedding import Embedder

# Tasks of one batch run in threads, and the model is loaded once.
_LOADING = threading.Lock()


class HeldDocument(BaseModel):
    """A document that memory holds, as the supervisor looked it up.

    Attributes:
        chunk_ids: 32 hexadecimal digits each.
        url: Of the segment that its chunks stand in.
    """

    model_config = ConfigDict(frozen=True)

    collection: str
    tenant: str
    key: str
    kind: str
    project_id: str
    chunk_ids: tuple[str, ...]
    url: str


class Embeddable(BaseModel):
    """What the supervisor looks up: the artifact that became valid, and what memory holds of its earlier versions."""

    model_config = ConfigDict(frozen=True)

    artifact: ArtifactRef
    held: tuple[HeldDocument, ...] = ()


class SemanticEmbedder(Agent):
    """Chunks an artifact's files, embeds what memory does not hold, and stores one segment.

    The supervisor makes the segment part of the collection and publishes `EmbeddingCompleted` in the transaction of
    the acknowledgement. The model is loaded with the first task and stays.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="semantic-embedder",
        title="Semantic Embedder",
        subcluster="utility",
        consumes=("ProjectCreated", "ValidationPassed"),
        facts=("embeddable",),
        batch=8,
        max_size=2,
    )

    _embedder: "Embedder | None" = None

    @classmethod
    def is_available(cls, settings: Settings) -> bool:
        """Whether memory is on: where the settings say so, or leave it open and there is something to embed with."""
        if settings.memory != "auto":
            return settings.memory == "on"
        return settings.embedding_url is not None or importlib.util.find_spec("sentence_transformers") is not None

    async def execute(self, work: Work) -> None:
        """Write the artifact's documents; a sandbox is not remembered, since nothing of it may leave."""
        from factory.memory.documents import Document  # noqa: PLC0415
        from factory.memory.writing import Known, write_documents  # noqa: PLC0415

        facts = work.task.facts.get("embeddable")
        project = work.task.needed_project
        if facts is None or project.sandbox_of is not None:
            return
        found = Embeddable.model_validate(facts)
        artifact = found.artifact
        content = await self.read(artifact)
        documents = [
            Document(
                key=f"{project.id}/{artifact.kind}/{path}",
                text=text,
                path=path,
                tenant=project.tenant,
                project_id=str(project.id),
                kind=artifact.kind,
                version=artifact.version,
                agent=artifact.agent,
                created_at=artifact.created_at,
            )
            for path, text in sorted(content.files.items())
        ]
        collection = self.settings.memory_collection
        held = [item for item in found.held if item.collection == collection]
        segment = await asyncio.to_thread(
            partial(
                write_documents,
                documents,
                segment_id=derived_id("segment", collection, artifact.id),
                collection=collection,
                folder=self.settings.segment_url,
                embedder=await asyncio.to_thread(self._loaded),
                version=artifact.version,
                known=[
                    Known(
                        item.tenant,
                        item.key,
                        item.kind,
                        item.project_id,
                        tuple(bytes.fromhex(chunk) for chunk in item.chunk_ids),
                        item.url,
                    )
                    for item in held
                ],
            )
        )
        work.segment = segment and segment.model_copy(update={"artifact_id": artifact.id})

    def _loaded(self) -> "Embedder":
        from factory.memory.embedding import EmbedderSpec  # noqa: PLC0415

        with _LOADING:
            if self._embedder is None:
                self._embedder = EmbedderSpec.of(self.settings).load()
            return self._embedder
