"""Reranking: a cross-encoder reads the query together with each of the best hits and puts them in a new order.

It is off unless a model is named. A cross-encoder reads every pair anew: on one CPU core a small one (MiniLM, 6
layers) takes about as long for a pair as the embedding of the passage took.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factory.domain.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit to be read.

    Attributes:
        id: Of the chunk.
        text: What the model reads of it, title included; what is beyond the model's length is not read.
    """

    id: bytes
    text: str


class Reranker:
    """Scores pairs of query and passage.

    Args:
        model: A name or a local path that `sentence_transformers.CrossEncoder` takes.
        device: As PyTorch names it; None takes a GPU where there is one.
        batch: Pairs that are read at once.

    Raises:
        BadInputError: The extra `embeddings` is not installed, or there is no such model.
    """

    def __init__(self, model: str, *, device: str | None = None, batch: int = 32) -> None:
        try:
            # Takes seconds to load, and is optional.
            from sentence_transformers import CrossEncoder  # noqa: PLC0415
        except ImportError as error:
            raise BadInputError(
                f"the reranking model {model!r} cannot be used: {error}.",
                remedy="Install the extra with `pip install 'factory[embeddings]'`, or search without a reranker.",
                field="rerank",
            ) from error
        try:
            self._model: Any = CrossEncoder(model, device=device, num_labels=1)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInputError(
                f"the reranking model {model!r} cannot be loaded: {error}.",
                remedy="Give a cross-encoder with one output: a name that can be downloaded here, or a folder.",
                field="rerank",
            ) from error
        self._batch = batch

    def rank(self, query: str, passages: Sequence[Passage], k: int) -> list[tuple[bytes, float]]:
        """Return the ids of the best passages and the model's scores, best first.

        Equals keep the order in which they were given; passages of which the model makes no number come last.

        Args:
            query: What was searched for.
            passages: Best first, as fused; 50 to 100 are usual.
            k: How many to return at most.

        Raises:
            BadInputError: `k` is not positive.
        """
        if k < 1:
            raise BadInputError(f"{k} results were asked for.", remedy="Ask for at least one.", field="k")
        if not passages:
            return []
        scores = self._model.predict(
            [(query, passage.text) for passage in passages], batch_size=self._batch, show_progress_bar=False
        )
        scored = [(passage.id, float(score)) for passage, score in zip(passages, scores, strict=True)]
        # A comparison with NaN is false both ways, which would leave the order to chance.
        return sorted(scored, key=lambda hit: -hit[1] if hit[1] == hit[1] else float("inf"))[:k]
