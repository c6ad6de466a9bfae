"""Counters of tokens and short ways to chunk, for the tests of chunking."""

import re

from factory.memory.chunking import TokenCounter, chunk_document
from factory.memory.documents import Chunk, Document

_TOKEN = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> int:
    """Count as a word piece model does at best: words and punctuation, and two special tokens."""
    return len(_TOKEN.findall(text)) + 2


def chunks_of(
    text: str, path: str = "", *, counter: TokenCounter = words, limit: int = 256, media_type: str = ""
) -> list[Chunk]:
    """Chunk a text as a document of this path."""
    return chunk_document(Document(key="key", text=text, path=path, media_type=media_type), counter, limit)


def titles(chunks: list[Chunk]) -> list[str]:
    """Return the titles in order."""
    return [chunk.title for chunk in chunks]


def dense(text: str) -> str:
    """Return what is not white space, as it comes out of chunking."""
    return "".join(re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text).split())
