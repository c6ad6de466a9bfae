"""What an embedder answers: a stored segment that is to become part of a collection."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DocumentChunks(_Frozen):
    """What one version of a document consists of.

    Attributes:
        key: Of the document, unique with its tenant.
        chunk_ids: 32 hexadecimal digits each, in order; none where the document has become empty.
    """

    tenant: str
    key: str
    project_id: str
    kind: str
    version: int
    chunk_ids: tuple[str, ...]


class NewSegment(_Frozen):
    """A stored segment that is to become part of a collection.

    Attributes:
        id: Derived from the work that made it, so that repeated work registers it once.
        model: Name of the embedding model.
        dimension: Of its vectors.
        normalised: Whether they have unit length.
        hash: SHA-256 of the file; empty where it is not known.
        rows: How many chunks it holds, at least one.
        size: Bytes of the file.
        documents: Those it holds chunks of.
        artifact_id: The artifact whose files the documents are, if they are.
        embedded: How many of the chunks were embedded for it; the vectors of the others were known.
    """

    id: UUID
    collection: str
    model: str
    dimension: int = Field(ge=1)
    normalised: bool = True
    url: str
    hash: str = ""
    rows: int = Field(ge=1)
    size: int = Field(ge=0)
    documents: tuple[DocumentChunks, ...]
    artifact_id: UUID | None = None
    embedded: int = Field(default=0, ge=0)
