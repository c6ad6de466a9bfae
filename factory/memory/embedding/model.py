"""What every embedder promises, whether its model runs here or behind an endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_TITLE_TOKENS = 32


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """What must be equal for two vectors to be comparable, and how much text one vector can stand for.

    Attributes:
        name: Of the model: its name on the hub, its folder, or what the endpoint calls it.
        dimension: Length of its vectors.
        normalised: Whether its vectors have unit length, as all embedders here return them.
        max_tokens: Longest text that it reads, in tokens as `Embedder.count_tokens` counts them; the rest of a longer
            one has no influence on its vector.
    """

    name: str
    dimension: int
    normalised: bool = True
    max_tokens: int = 512

    @property
    def chunk_tokens(self) -> int:
        """How many tokens a chunk may have, so that its title, which is embedded with it, is read as well."""
        return max(self.max_tokens - _TITLE_TOKENS, self.max_tokens // 2)


class Embedder(Protocol):
    """Turns texts into vectors. Calls from several threads are safe."""

    @property
    def model(self) -> EmbeddingModel:
        """What the vectors were made with."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text, in their order.

        Any text is accepted: an empty one, and one with lone surrogates, which are read as U+FFFD. A text that is
        longer than `model.max_tokens` is truncated.

        Returns:
            Shape (number of texts, `model.dimension`), float32, rows of unit length.

        Raises:
            RetryableError: An endpoint cannot be reached or is overloaded, after its own retries.
            TerminalError: The model or the endpoint refuses the texts, or answers with something else than vectors.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """Return the length of a whole text in the model's tokens, with those that the model adds to every text."""
        ...


def well_formed(text: str) -> str:
    """Return a text that can be encoded: lone surrogates, which JSON can smuggle in, become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def unit_length(vectors: NDArray[Any]) -> Vectors:
    """Return the rows at length one, as float32.

    A row that has no direction, because it is zero or not finite, becomes NaN in every component: whoever stores
    vectors can tell it, and no similarity to it is ever above another.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    usable = np.isfinite(lengths) & (lengths > 0)
    scaled: Vectors = np.divide(rows, lengths, out=np.full_like(rows, np.nan), where=usable)
    return scaled
