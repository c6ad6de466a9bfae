"""Recall: what memory holds of other projects, looked up for agents that name the fact `similar-artifacts`.

Memory helps and never hinders: where no rule of sharing lets a project see more than itself, or nothing was ever
embedded, nothing is started; and a search that does not answer in time is done without.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import structlog
from pydantic import JsonValue

from factory.actors.agent import AgentSpec
from factory.actors.context import Job
from factory.artifacts import records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.records import StoredArtifact
from factory.control.projects import get_projects
from factory.domain.artifact import KINDS, ArtifactStatus, Content
from factory.domain.documents import VisionDocument
from factory.domain.errors import NotFoundError
from factory.domain.memory import SIMILAR_ARTIFACTS, UNAVAILABLE, RecalledPassage
from factory.domain.project import Project
from factory.domain.task import TASK_ASSIGNED, Task
from factory.memory.collections import Collection, get_collection
from factory.memory.filters import Filter
from factory.memory.sharing import Sharing
from factory.settings import Settings
from factory.storage.database import Database

if TYPE_CHECKING:  # the indexes that a search brings along are loaded by those alone who search
    from factory.memory.search import Hit

_log = structlog.stdlib.get_logger(__name__)

_PATIENCE_SECONDS = 5.0
_QUERIES = 32
_PER_QUERY = 5
_PASSAGES = 64
_FIRST_LINES = 3
_LONGEST_QUERY = 300
# Reads the whole table, once for a task and only where a rule names a slug.
_SLUGS = """
SELECT p.id, p.tenant, p.slug FROM unnest($1::text[], $2::text[]) AS w (tenant, slug)
JOIN project p ON p.tenant = w.tenant AND p.slug = w.slug
"""


class MemorySearch(Protocol):
    """Searches one collection; see `factory.memory.cluster_search.ClusterSearch`."""

    async def warm(self) -> None:
        """Wait until it can answer at once."""
        ...

    async def search(self, queries: Sequence[str], k: int, conditions: Sequence[Filter]) -> list["Hit"]:
        """Return what is best for any of the queries and meets any of the conditions."""
        ...


OpenSearch = Callable[[Collection], Awaitable[MemorySearch]]


class Recall:
    """Looks up, for tasks, what earlier projects made of the same kind.

    Args:
        database: Where projects, artifacts and collections are.
        store: Where the bytes of the inputs are.
        sharing: Who may read whose memory.
        collection: Name of what is searched.
        open_search: Starts the search, without waiting for what it starts.
    """

    def __init__(
        self, database: Database, store: BlobStore, sharing: Sharing, collection: str, open_search: OpenSearch
    ) -> None:
        self._database = database
        self._store = store
        self._sharing = sharing
        self._collection = collection
        self._open = open_search
        self._opening = asyncio.Lock()
        self._search: MemorySearch | None = None
        self._warming: asyncio.Task[None] | None = None

    @classmethod
    def on_cluster(cls, database: Database, store: BlobStore, settings: Settings, sharing: Sharing) -> "Recall":
        """Return the recall that searches on the Ray cluster."""

        async def start(collection: Collection) -> MemorySearch:
            def begin() -> MemorySearch:
                # It brings the libraries of the indexes along, which a factory that shares nothing does without.
                from factory.memory.cluster_search import ClusterSearch  # noqa: PLC0415

                return ClusterSearch.start(database, settings, collection)

            return await asyncio.to_thread(begin)

        return cls(database, store, sharing, settings.memory_collection, start)

    def begin(self) -> None:
        """Start, in the background, what the first search would have to wait for."""
        if not self._sharing.is_closed:
            self._warming = asyncio.get_running_loop().create_task(self._warm())

    async def close(self) -> None:
        """Stop what `begin` began."""
        if self._warming is not None:
            self._warming.cancel()
            with suppress(asyncio.CancelledError):
                await self._warming

    async def add(self, jobs: Sequence[Job], spec: AgentSpec) -> list[Job]:
        """Return the jobs with what memory holds among the facts of those that may see it.

        The fact is a list of `RecalledPassage` as JSON, the most fitting first, or `unavailable` where memory did not
        answer. It is missing where there is nothing the project might see. Never raises.
        """
        if SIMILAR_ARTIFACTS not in spec.facts or self._sharing.is_closed:
            return list(jobs)
        return list(await asyncio.gather(*(self._added(job, spec) for job in jobs)))

    async def _warm(self) -> None:
        try:
            search = await self._opened()
            if search is not None:
                await search.warm()
        except Exception as error:  # noqa: BLE001 - the first task will run into it, and do without
            _log.warning("memory_not_warm", reason=repr(error))

    async def _added(self, job: Job, spec: AgentSpec) -> Job:
        task = job.task
        if task.project is None or task.event_type != TASK_ASSIGNED or task.goal not in spec.produces:
            return job
        fact: JsonValue
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                found = await self._recalled(task, task.project, spec.questions.get(task.goal, ()))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with memory, the task goes on
            _log.warning("memory_unavailable", task=str(task.id), agent=task.agent, reason=repr(error))
            fact = UNAVAILABLE
        else:
            if found is None:
                return job
            fact = [passage.model_dump(mode="json") for passage in found]
        return replace(job, task=task.model_copy(update={"facts": {**task.facts, SIMILAR_ARTIFACTS: fact}}))

    async def _recalled(self, task: Task, project: Project, questions: Sequence[str]) -> list[RecalledPassage] | None:
        slugs = await self._slugs(project)
        conditions = self._sharing.filters(project, kinds=(task.goal,), own=False, slugs=slugs)
        if not conditions:
            return None
        search = await self._opened()
        if search is None:
            return None
        queries = questions or await self._queries(task)
        if not queries:
            return []
        hits = await search.search(queries, _PER_QUERY, conditions)
        # A sandbox replays what another project did, and must not learn from it.
        itself = {str(project.id), str(project.sandbox_of)}
        kept = [
            hit
            for hit in hits
            if hit.passage.project_id not in itself and self._sharing.allows(project, hit.passage, slugs=slugs)
        ]
        return await self._passages(kept[:_PASSAGES])

    async def _opened(self) -> MemorySearch | None:
        async with self._opening:
            if self._search is None:
                async with self._database.session() as connection:
                    with suppress(NotFoundError):
                        collection = await get_collection(connection, self._collection)
                        self._search = await self._open(collection)
            return self._search

    async def _slugs(self, project: Project) -> Mapping[tuple[str, str], Sequence[str]]:
        wanted = sorted(self._sharing.slugs(project))
        if not wanted:
            return {}
        rows = await self._database.fetch(_SLUGS, [tenant for tenant, _ in wanted], [slug for _, slug in wanted])
        found: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            found.setdefault((row["tenant"], row["slug"]), []).append(str(row["id"]))
        return found

    async def _queries(self, task: Task) -> tuple[str, ...]:
        contents = await asyncio.gather(*(asyncio.to_thread(self._store.content, ref) for ref in task.inputs))
        return queries_of({ref.kind: content for ref, content in zip(task.inputs, contents, strict=True)})

    async def _passages(self, hits: Sequence["Hit"]) -> list[RecalledPassage]:
        """Return the hits with the artifacts they stand in; without those of artifacts that are not valid any more."""
        places = [_place(hit) for hit in hits]
        known = [place for place in places if place is not None]
        async with self._database.session() as connection:
            artifacts = await records.get_versions(connection, known)
            projects = await get_projects(connection, [*{project_id for project_id, _, _ in known}])
        found = []
        for hit, place in zip(hits, places, strict=True):
            artifact = artifacts.get(place) if place else None
            project = projects.get(place[0]) if place else None
            if place is None or (artifact and project and _is_of(artifact, project, hit)):
                found.append(_passage(hit, artifact, project))
        return found


def queries_of(contents: Mapping[str, Content]) -> tuple[str, ...]:
    """Return what to look for in memory, from the input artifacts of a step: pure.

    The entities of the vision document where there is one, otherwise the first lines of each document.
    """
    document = contents.get("vision-document")
    path = ".factory/vision-document.json"
    if document is not None and path in document.files:
        entities = VisionDocument.model_validate_json(document.text(path)).draft.entities
        return tuple(f"{entity.label} fields" for entity in entities[:_QUERIES])
    found = []
    for kind, content in sorted(contents.items()):
        text = content.files.get(KINDS[kind].primary, "") if kind in KINDS else ""
        lines = [line.strip("# ").strip() for line in text.splitlines()]
        query = " ".join([line for line in lines if line][:_FIRST_LINES])[:_LONGEST_QUERY].strip()
        if query:
            found.append(query)
    return tuple(found[:_QUERIES])


def _place(hit: "Hit") -> tuple[UUID, str, int] | None:
    """Return the project, kind and version of a hit's artifact; None where it belongs to no project of the factory."""
    try:
        return UUID(hit.passage.project_id), hit.passage.kind, hit.passage.version
    except ValueError:
        return None  # a file of a corpus, under whatever name that has


def _is_of(artifact: StoredArtifact, project: Project, hit: "Hit") -> bool:
    """Tell whether an artifact still counts, and is whose the hit says it is; nothing is learnt from a sandbox."""
    return (
        artifact.status is ArtifactStatus.VALID and project.tenant == hit.passage.tenant and project.sandbox_of is None
    )


def _passage(hit: "Hit", artifact: StoredArtifact | None, project: Project | None) -> RecalledPassage:
    passage = hit.passage
    return RecalledPassage(
        document_key=passage.document_key,
        project_id=passage.project_id,
        project=project.name if project else "",
        kind=passage.kind,
        version=passage.version,
        path=passage.path,
        title=passage.title,
        text=passage.text,
        score=hit.score,
        chunk_id=passage.chunk_id.hex(),
        artifact=records.reference(artifact) if artifact else None,
    )
