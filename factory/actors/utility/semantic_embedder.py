"""The Semantic Embedder: puts every valid artifact into semantic memory (R05)."""

import asyncio
import importlib.util
import os
import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from factory.actors.agent import Agent, AgentSpec, Work
from factory.domain.artifact import ArtifactRef
from factory.domain.ids import derived_id
from factory.domain.memory import KNOWLEDGE, HeldDocument
from factory.events.contracts.memory import KnowledgeCurated
from factory.settings import Settings

# Every process knows every agent; Arrow and what reads code are loaded by the one that embeds.
if TYPE_CHECKING:
    from factory.memory.documents import Document
    from factory.memory.embedding import Embedder, EmbeddingModel, Vectors

# Tasks of one batch run in threads, and the model is loaded once.
_LOADING = threading.Lock()
_NICENESS = 10


class Embeddable(BaseModel):
    """What the supervisor looks up: the artifact that became valid, if it is one, and what memory holds of it."""

    model_config = ConfigDict(frozen=True)

    artifact: ArtifactRef | None = None
    held: tuple[HeldDocument, ...] = ()


class SemanticEmbedder(Agent):
    """Chunks an artifact's files, or curated notes, embeds what memory does not hold, and stores one segment.

    The supervisor makes the segment part of the collection and publishes `EmbeddingCompleted` in the transaction of
    the acknowledgement. The model is loaded with the first task and stays.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="semantic-embedder",
        title="Semantic Embedder",
        subcluster="utility",
        consumes=("KnowledgeCurated", "ProjectCreated", "ValidationPassed"),
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
        """Write the documents of an artifact, or the notes; a sandbox is not remembered, nothing of it may leave."""
        from factory.memory.writing import write_documents  # noqa: PLC0415

        facts = work.task.facts.get("embeddable")
        if facts is None or work.task.needed_project.sandbox_of is not None:
            return
        found = Embeddable.model_validate(facts)
        collection = self.settings.memory_collection
        documents = await self._documents(work, found.artifact)
        subject = found.artifact.id if found.artifact else work.task.id
        segment = await asyncio.to_thread(
            partial(
                write_documents,
                documents,
                segment_id=derived_id("segment", collection, subject),
                collection=collection,
                folder=self.settings.segment_url,
                embedder=_Measured(await asyncio.to_thread(self._loaded), work, self._provider),
                version=max((document.version for document in documents), default=1),
                known=[item for item in found.held if item.collection == collection],
            )
        )
        work.segment = segment and segment.model_copy(
            update={"artifact_id": found.artifact.id if found.artifact else None}
        )

    async def _documents(self, work: Work, artifact: ArtifactRef | None) -> "list[Document]":
        from factory.memory.documents import Document  # noqa: PLC0415

        project = work.task.needed_project
        if artifact is None:
            curated = KnowledgeCurated.model_validate(work.task.payload, extra="ignore")
            return [
                Document(
                    key=f"{project.id}/{KNOWLEDGE}/{note.name}",
                    text=note.text,
                    path=f"{note.name}.md",
                    tenant=project.tenant,
                    project_id=str(project.id),
                    kind=KNOWLEDGE,
                    version=curated.revision,
                    agent="knowledge-base-manager",
                    created_at=project.updated_at,
                )
                for note in curated.notes
            ]
        content = await self.read(artifact)
        return [
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

    @property
    def _provider(self) -> str:
        return "sentence_transformers" if self.settings.embedding_url is None else "openai"

    def _loaded(self) -> "Embedder":
        from factory.memory.embedding import EmbedderSpec  # noqa: PLC0415

        with _LOADING:
            if self._embedder is None:
                # Nothing waits for what is remembered; a build does for everything else.
                os.nice(_NICENESS)
                self._embedder = EmbedderSpec.of(self.settings).load()
            return self._embedder


class _Measured:
    """An embedder whose use is measured, by the conventions for generative AI.

    https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
    """

    def __init__(self, embedder: "Embedder", work: Work, provider: str) -> None:
        self._embedder = embedder
        self._work = work
        self._provider = provider

    @property
    def model(self) -> "EmbeddingModel":
        """What the vectors are made with."""
        return self._embedder.model

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return one vector per text."""
        model = self.model
        with self._work.stage(f"embeddings {model.name}", "execute") as noted:
            noted["gen_ai.operation.name"] = "embeddings"
            noted["gen_ai.provider.name"] = self._provider
            noted["gen_ai.request.model"] = model.name
            noted["gen_ai.embeddings.dimension.count"] = model.dimension
            noted["gen_ai.usage.input_tokens"] = sum(map(self.count_tokens, texts))
            return self._embedder.embed(texts)

    def count_tokens(self, text: str) -> int:
        """Return the length of a text in tokens."""
        return self._embedder.count_tokens(text)
