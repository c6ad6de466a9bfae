"""Formats: tell from a document's media type or path how to read it."""

from enum import StrEnum
from pathlib import PurePosixPath

from factory.memory.documents import Document


class Format(StrEnum):
    """How a document is read. OpenAPI and AsyncAPI are told from other YAML and JSON by their content."""

    MARKDOWN = "markdown"
    PYTHON = "python"
    JAVASCRIPT = "javascript"
    TYPESCRIPT = "typescript"
    YAML = "yaml"
    JSON = "json"
    TEXT = "text"


_BY_SUBTYPE = {
    "markdown": Format.MARKDOWN,
    "python": Format.PYTHON,
    "javascript": Format.JAVASCRIPT,
    "ecmascript": Format.JAVASCRIPT,
    "typescript": Format.TYPESCRIPT,
    "yaml": Format.YAML,
    "json": Format.JSON,
    "plain": Format.TEXT,
}
_BY_ENDING = {
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".py": Format.PYTHON,
    ".pyi": Format.PYTHON,
    ".js": Format.JAVASCRIPT,
    ".cjs": Format.JAVASCRIPT,
    ".mjs": Format.JAVASCRIPT,
    ".jsx": Format.JAVASCRIPT,
    ".ts": Format.TYPESCRIPT,
    ".cts": Format.TYPESCRIPT,
    ".mts": Format.TYPESCRIPT,
    ".tsx": Format.TYPESCRIPT,
    ".yaml": Format.YAML,
    ".yml": Format.YAML,
    ".json": Format.JSON,
}


def format_of(document: Document) -> Format:
    """Return the format that the media type names; where it is empty or names none of these, the ending of the path.

    A structured suffix counts (`application/vnd.oai.openapi+json` is JSON), an `x-` before a subtype does not matter,
    and what neither names is text.
    """
    essence = document.media_type.split(";", 1)[0].strip().lower()
    subtype = essence.partition("/")[2].rpartition("+")[2].removeprefix("x-")
    return _BY_SUBTYPE.get(subtype) or _BY_ENDING.get(PurePosixPath(document.path.lower()).suffix, Format.TEXT)
