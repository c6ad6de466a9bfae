"""Contracts of semantic memory: what was embedded, and what was curated."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from factory.events.contracts.payload import Payload
from factory.events.topics import Topic

_SYSTEM = (Topic.SYSTEM,)


class EmbeddingCompleted(Payload, topics=_SYSTEM):
    """A document is in semantic memory, and found by every search that asks for this version or a later one.

    Attributes:
        artifact_id: The artifact it is, if it is one.
        version: Of the collection.
        chunks: How many the document has.
        embedded: How many of them were new; the vectors of the others were known.
    """

    collection: str
    segment_id: UUID
    artifact_id: UUID | None = None
    version: int = Field(ge=1)
    chunks: int = Field(ge=1)
    embedded: int = Field(ge=0)
    model: str


class Note(BaseModel):
    """One thing worth remembering of a project.

    Attributes:
        name: Tells it from the project's other notes, over all of its revisions: `entity/Patient` for instance.
        text: Markdown.
        sources: The kinds of artifacts that say so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    text: str
    sources: list[str] = []


class KnowledgeCurated(Payload, topics=_SYSTEM):
    """What a released project taught, one note for each thing; it replaces the notes of earlier revisions.

    Attributes:
        revision: Of the project.
        notes: All of them; what is missing is forgotten.
    """

    revision: int = Field(ge=1)
    notes: list[Note]
