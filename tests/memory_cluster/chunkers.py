"""Chunkers that workers can import."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from factory.memory.documents import Chunk, Document, chunk_id


def by_paragraph(document: Document, count_tokens: Callable[[str], int], limit: int) -> list[Chunk]:
    """Return the paragraphs, as they are; refuse one that says so."""
    assert limit > 0
    if "do not chunk me" in document.text:
        raise ValueError("as it was asked")
    chunks = []
    seen: dict[str, int] = {}
    for ordinal, text in enumerate(part.strip() for part in document.text.split("\n\n") if part.strip()):
        repeat = seen[text] = seen.get(text, -1) + 1
        identity = chunk_id(document.key, document.tenant, "", text, repeat)
        chunks.append(Chunk(id=identity, ordinal=ordinal, title="", text=text, tokens=count_tokens(text)))
    return chunks


def deadly(document: Document, count_tokens: Callable[[str], int], limit: int) -> list[Chunk]:
    """Return the paragraphs; kill the process at the first sight of a document whose path does not exist yet."""
    if document.path and not (marker := Path(document.path)).exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return by_paragraph(document, count_tokens, limit)
