"""What memory holds: documents, the chunks they are cut into, and the rows that a segment stores of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

ID_BYTES = 16
MODEL_KEY = "factory.model"
DIMENSION_KEY = "factory.dimension"
NORMALISED_KEY = "factory.normalised"
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Document:
    """One version of something that is to be found again: a file of an artifact, or of a corpus.

    Attributes:
        key: Names the thing over all of its versions; unique within a collection and a tenant.
        text: Its content.
        media_type: As in an artifact, `text/markdown` for instance; where it is empty, the ending of `path` decides.
        path: File name or path, for people and to tell the format.
        tenant: Whose it is; nobody else finds it unless a policy says so.
        project_id: Empty where it belongs to no project.
        kind: The artifact's kind, or one of the corpus's own.
        version: Of the artifact, from 1.
        agent: Who made it.
        created_at: When, with a time zone.
    """

    key: str
    text: str
    media_type: str = ""
    path: str = ""
    tenant: str = ""
    project_id: str = ""
    kind: str = ""
    version: int = 1
    agent: str = ""
    created_at: datetime = _EPOCH


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document, small enough for the embedding model.

    Attributes:
        id: 16 bytes that depend on the document's key and the chunk's own text, not on its place or version: a new
            version of a document keeps the ids of the chunks that it did not change.
        ordinal: Its place in the document, from 0.
        title: Where it stands: the headings above it, the qualified name of the definition, or a JSON pointer.
        text: What is embedded and shown.
        tokens: Its length in tokens of the embedding model.
    """

    id: bytes
    ordinal: int
    title: str
    text: str
    tokens: int


def chunk_id(document_key: str, tenant: str, title: str, text: str, repeat: int = 0) -> bytes:
    """Return the id of a chunk.

    Args:
        document_key: Of its document.
        tenant: Of its document.
        title: Of the chunk.
        text: Of the chunk.
        repeat: How many equal chunks stand before it in the same document.
    """
    digest = hashlib.blake2b(digest_size=ID_BYTES)
    for part in (tenant, document_key, title, text, str(repeat)):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()


def embedded_text(title: str, text: str) -> str:
    """Return what a chunk's vector stands for: where it stands, and what it says."""
    return f"{title}\n{text}" if title else text


def chunk_row(document: Document, chunk: Chunk) -> dict[str, Any]:
    """Return what a segment stores of a chunk, but its vector: one value for each column of `chunk_schema`."""
    return {
        "chunk_id": chunk.id,
        "document_key": document.key,
        "tenant": document.tenant,
        "project_id": document.project_id,
        "kind": document.kind,
        "version": document.version,
        "agent": document.agent,
        "created_at": document.created_at,
        "path": document.path,
        "title": chunk.title,
        "ordinal": chunk.ordinal,
        "text": chunk.text,
        "tokens": chunk.tokens,
    }


def chunk_schema() -> pa.Schema:
    """Return the columns of a segment without its vectors."""
    return pa.schema([field for field in segment_schema(1) if field.name != "vector"])


def segment_schema(dimension: int, metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """Return the columns of a segment whose vectors have this dimension.

    Args:
        dimension: Of the embedding model.
        metadata: Facts of the whole file, such as the model's name under `MODEL_KEY`.
    """
    return pa.schema(
        [
            pa.field("chunk_id", pa.binary(ID_BYTES), nullable=False),
            pa.field("document_key", pa.string(), nullable=False),
            pa.field("tenant", pa.string(), nullable=False),
            pa.field("project_id", pa.string(), nullable=False),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("version", pa.int32(), nullable=False),
            pa.field("agent", pa.string(), nullable=False),
            pa.field("created_at", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("path", pa.string(), nullable=False),
            pa.field("title", pa.string(), nullable=False),
            pa.field("ordinal", pa.int32(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("tokens", pa.int32(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
        ],
        metadata=dict(metadata) if metadata else None,
    )
