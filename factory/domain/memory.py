"""What goes into memory, a stored segment that is to become part of a collection, and what comes out for agents."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.domain.artifact import ArtifactRef

# The kind of documents that hold what was curated, rather than a file of an artifact.
KNOWLEDGE = "knowledge"
# The fact under which agents find what memory holds of other projects, and what it is when nobody could tell.
SIMILAR_ARTIFACTS = "similar-artifacts"
UNAVAILABLE = "unavailable"


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


class HeldDocument(_Frozen):
    """What a collection holds of a document.

    Attributes:
        chunk_ids: Alive now, in order, 32 hexadecimal digits each.
        url: Of the segment that they stand in.
    """

    collection: str
    tenant: str
    key: str
    kind: str
    project_id: str
    chunk_ids: tuple[str, ...]
    url: str


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


class RecalledPassage(_Frozen):
    """A passage of an earlier project that the reading project may see.

    Attributes:
        document_key: Of the document that it stands in.
        project_id: Empty where it belongs to no project.
        project: The project's name.
        kind: The artifact's kind.
        version: Of the document.
        path: File name or path.
        title: Where in the document it stands.
        score: Comparable within one answer only.
        chunk_id: 32 hexadecimal digits.
        artifact: That it is of; None where it belongs to none.
    """

    document_key: str
    project_id: str
    project: str = ""
    kind: str
    version: int
    path: str
    title: str
    text: str
    score: float
    chunk_id: str
    artifact: ArtifactRef | None = None
