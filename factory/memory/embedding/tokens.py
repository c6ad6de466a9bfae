"""Counting a local model's tokens without loading the model."""

from pathlib import Path
from typing import TYPE_CHECKING

from factory.memory.embedding.model import well_formed

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TokenCounter:
    """Counts tokens, those included that the model adds to every text. Calls from several threads are safe.

    Args:
        tokenizer: Is copied: counting must not depend on the truncation and padding that others set on it.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = type(tokenizer).from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def from_folder(cls, folder: Path) -> "TokenCounter | None":
        """Return the counter of the model in a folder; None where its tokenizer has another format."""
        from tokenizers import Tokenizer  # noqa: PLC0415 - not always installed

        file = folder / "tokenizer.json"
        return cls(Tokenizer.from_file(str(file))) if file.is_file() else None

    def __call__(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self._tokenizer.encode(well_formed(text)))
