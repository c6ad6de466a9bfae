"""`POST /api/v1/memory/search`: semantic memory, as far as the caller may see it (R27)."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from factory.identity.access import Action
from factory.memory.filters import Filter
from factory.memory.search import Hit, Mode
from factory.serve.caller import Caller, Seeker
from factory.serve.rest.pages import Answered

router = APIRouter(tags=["memory"])

_MOST = 100
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class MemoryQuery(Answered):
    """What to look for, and where.

    Attributes:
        collection: The collection of artifacts unless another is named.
        mode: By meaning (`dense`), by words (`keyword`), or both (`hybrid`).
        limit: At most so many passages.
        project_ids: Only in these projects.
        kinds: Only in artifacts of these kinds.
        agents: Only what these agents made.
        versions: The first and the last version; null leaves a side open.
        created: Not before the first time and before the second; null leaves a side open.
    """

    query: Annotated[str, Field(min_length=1, max_length=4_000, pattern=r"\S")]
    collection: Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] | None = None
    mode: Mode = Mode.HYBRID
    limit: Annotated[int, Field(ge=1, le=_MOST)] = 10
    project_ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=_MOST)] | None = None
    kinds: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=_MOST)] | None = None
    agents: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=_MOST)] | None = None
    versions: tuple[_Version | None, _Version | None] | None = None
    created: tuple[AwareDatetime | None, AwareDatetime | None] | None = None


class MemoryHit(Answered):
    """A passage that was found.

    Attributes:
        score: Comparable within one answer only.
        dense_rank: Its place in the search by meaning, from 1.
        keyword_rank: The same by words.
        title: Where in the document it stands.
    """

    score: float
    dense_rank: int | None
    keyword_rank: int | None
    chunk_id: str
    project_id: str
    kind: str
    version: int
    agent: str
    created_at: datetime
    path: str
    title: str
    text: str


class MemoryAnswer(Answered):
    """The passages, the best first."""

    hits: tuple[MemoryHit, ...]


@router.post("/memory/search")
async def search(caller: Seeker, body: MemoryQuery) -> MemoryAnswer:
    """Search what the factory remembers of the projects that the caller may see."""
    return MemoryAnswer(hits=tuple(await find(caller, body)))


async def find(caller: Caller, query: MemoryQuery) -> list[MemoryHit]:
    """Return what a query finds in the projects that the caller may see.

    Raises:
        BadInputError: A filter contradicts itself.
        ForbiddenError: The caller may not search memory.
        NotFoundError: There is no such collection.
    """
    visible = await caller.sees(Action.SEARCH_MEMORY)
    asked = frozenset(query.project_ids) if query.project_ids is not None else None
    if visible.project_ids is None:
        projects = asked
    else:
        projects = visible.project_ids if asked is None else visible.project_ids & asked
    if projects is not None and not projects:
        return []
    condition = Filter(
        tenant=visible.tenant,
        project_ids=tuple(sorted(map(str, projects))) if projects is not None else None,
        kinds=query.kinds,
        versions=query.versions,
        agents=query.agents,
        created=query.created,
    )
    name = query.collection or caller.gateway.settings.memory_collection
    found = await caller.gateway.memory.search(name, query.query, query.limit, mode=query.mode, condition=condition)
    return [_hit(one) for one in found]


def _hit(hit: Hit) -> MemoryHit:
    values: dict[str, Any] = asdict(hit.passage)
    values["chunk_id"] = hit.passage.chunk_id.hex()
    kept = {name: values[name] for name in MemoryHit.model_fields if name in values and name != "score"}
    return MemoryHit(score=hit.score, dense_rank=hit.dense_rank, keyword_rank=hit.keyword_rank, **kept)
