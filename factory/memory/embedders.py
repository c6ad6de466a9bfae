"""The cluster's embedder for queries: one Ray actor that holds the model, so that whoever asks needs none."""

import threading
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from factory.domain.errors import RetryableError
from factory.memory.embedding import Embedder, EmbedderSpec, EmbeddingModel, Vectors
from factory.memory.shards import NAMESPACE
from factory.settings import Settings

NAME = "memory-embedder"


class EmbedderLostError(RetryableError):
    """The embedder did not answer; it comes back by itself."""


class EmbedderActor:
    """The Ray actor. It loads the model with the first question, so that a model that cannot be loaded is an answer."""

    def __init__(self, spec: EmbedderSpec) -> None:
        self._spec = spec
        self._loading = threading.Lock()
        self._embedder: Embedder | None = None

    def embed(self, texts: Sequence[str]) -> tuple[EmbeddingModel, Vectors]:
        """Return the model, and one unit vector per text."""
        embedder = self._loaded()
        return embedder.model, embedder.embed(texts)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts."""
        embedder = self._loaded()
        return sum(min(embedder.count_tokens(text), embedder.model.max_tokens) for text in texts)

    def model(self) -> EmbeddingModel:
        """Return the model."""
        return self._loaded().model

    def _loaded(self) -> Embedder:
        with self._loading:
            if self._embedder is None:
                self._embedder = self._spec.load()
        return self._embedder


class RayEmbedder:
    """The embedder in its actor, which any process of the cluster may ask.

    Args:
        actor: Its handle.
    """

    def __init__(self, actor: Any) -> None:  # noqa: ANN401 - actor handles are untyped
        self._actor = actor

    async def embed(self, texts: Sequence[str]) -> tuple[EmbeddingModel, Vectors]:
        """Return the model, and one unit vector per text; waits while the model is being loaded.

        Raises:
            EmbedderLostError: The actor does not answer.
            FactoryError: What the embedder itself raises, such as that its model is not there.
        """
        found: tuple[EmbeddingModel, Vectors] = await self._answer(self._actor.embed.remote(list(texts)))
        return found

    async def count_tokens(self, texts: Sequence[str]) -> int:
        """Return how many tokens the model reads of the texts; raises what `embed` does."""
        counted: int = await self._answer(self._actor.count_tokens.remote(list(texts)))
        return counted

    async def model(self) -> EmbeddingModel:
        """Return the model; raises what `embed` does."""
        found: EmbeddingModel = await self._answer(self._actor.model.remote())
        return found

    async def _answer(self, asked: Any) -> Any:  # noqa: ANN401 - object references are untyped
        try:
            return await asked
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except (RayActorError, ActorUnavailableError, GetTimeoutError) as error:
            raise EmbedderLostError(
                f"the embedder does not answer: {type(error).__name__}.", remedy="Ask again in a moment."
            ) from error


def cluster_embedder(settings: Settings) -> RayEmbedder:
    """Return the embedder of the Ray cluster that this process is connected to; it is started if it is missing."""
    actor: Any = (
        ray.remote(EmbedderActor)
        .options(name=NAME, namespace=NAMESPACE, get_if_exists=True, lifetime="detached", num_cpus=0, max_restarts=-1)
        .remote(EmbedderSpec.of(settings))
    )
    return RayEmbedder(actor)
