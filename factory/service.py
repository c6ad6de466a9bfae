"""What can be asked of a factory by whoever reaches its database: submit a vision, watch it, receive the repository."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

from factory.actors.permission import Permissions
from factory.actors.roster import load_roster
from factory.actors.subscriptions import CONTROL, ORCHESTRATION, agent_subscriptions, events_subscription, topics_of
from factory.actors.utility.knowledge_base_manager import KnowledgeBaseManager
from factory.actors.utility.semantic_embedder import SemanticEmbedder
from factory.artifacts import records
from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.control import projects
from factory.control.blueprints import Blueprint, find_blueprint
from factory.control.orchestrator import Orchestrator
from factory.control.progress import Progress, read_progress
from factory.control.projects import NewProject, build_key
from factory.control.sandbox import replay_project
from factory.control.submission import NAME as SUBMITTER
from factory.control.submission import first_event, submit_vision
from factory.domain.artifact import ArtifactRef
from factory.domain.errors import BadInputError, ConflictError
from factory.domain.project import Project, ProjectStatus
from factory.events.bus import EventBus
from factory.events.contracts.system import CompensationRequested
from factory.events.topics import Topic
from factory.settings import Settings
from factory.skills.native.vision_document import parse_vision
from factory.skills.native.vision_document.source import read_source
from factory.storage.database import Connection, Database

DEFAULT_BLUEPRINT = "api-service"

# Index delivery_log_by_event.
HANDLED = """
SELECT EXISTS (SELECT FROM delivery_log
               WHERE event_id = $1 AND subscription = $2 AND outcome IN ('done', 'dead'))
"""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build and where to.

    Attributes:
        vision: The text of the vision, checked.
        out_dir: The folder that becomes the product's repository.
    """

    name: str
    slug: str
    vision: str
    blueprint: str
    out_dir: Path

    @property
    def key(self) -> str:
        """What makes two requests the same build."""
        return build_key(self.vision, self.blueprint, str(self.out_dir))


@dataclass(frozen=True, slots=True)
class ReadVision:
    """What a vision says of the project that it is for."""

    name: str
    slug: str
    blueprint: str


def read_vision(text: str, blueprint: str | None, fallback: str, blueprint_dir: Path | None) -> ReadVision:
    """Check that a product can be built from a vision, and return what it is to be called.

    Takes a moment: the text is parsed as language.

    Args:
        text: The vision.
        blueprint: To follow; None for what the vision's front matter names, else `api-service`.
        fallback: The product's name where the vision has none.
        blueprint_dir: Of further blueprints.

    Raises:
        BadInputError: Nothing can be built from the text.
        NotFoundError: There is no such blueprint.
    """
    chosen = find_blueprint(blueprint or read_source(text).blueprint or DEFAULT_BLUEPRINT, blueprint_dir)
    understood = parse_vision(text, fallback)
    return ReadVision(understood.title, understood.draft.slug, chosen.name)


# delivery_ready_by_priority and delivery_taken: what some subscriptions have of one project.
_UNREMEMBERED = """
SELECT (SELECT count(*) FROM delivery WHERE subscription = ANY ($1) AND project_id = $2)
    + (SELECT count(*) FROM delivery_delayed WHERE subscription = ANY ($1) AND project_id = $2) AS count
"""


class FactoryService:
    """A factory's database, artifacts and repositories, with what people ask of them.

    Work is done by whatever supervisors run; this class starts none.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.bus = EventBus(database)
        self.store = BlobStore(settings.blob_url)
        self.repositories = RepositoryStore(settings.repositories_dir)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Reach or start the database and declare who receives which events.

        Raises:
            DatabaseUnavailableError: The database does not answer.
            BadInputError: A plugin named in the settings cannot be used, or policy forbids an agent what it is for.
        """
        roster = load_roster(tuple(settings.plugins))
        available = [agent for agent in roster if agent.is_available(settings)]
        Permissions.load(settings.policy_dir).check(available)
        database = await Database.open(settings)
        factory = cls(settings, database)
        await factory.bus.declare((*CONTROL, *agent_subscriptions(available)))
        return factory

    async def close(self) -> None:
        """Leave the database."""
        await self.database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def blueprint(self, name: str) -> Blueprint:
        """Return a blueprint whose agents are all known.

        Raises:
            BadInputError: A compensation asks its agent for something that the agent does not name.
            NotFoundError: There is no such blueprint, or one of its agents is not in the roster.
        """
        blueprint = find_blueprint(name, self.settings.blueprint_dir)
        roster = load_roster(tuple(self.settings.plugins))
        for agent in blueprint.agents:
            roster.find(agent)
        for step, compensation in blueprint.compensations.items():
            goals = roster.find(compensation.agent).spec.produces
            if compensation.goal not in goals:
                raise BadInputError(
                    f"the compensation of step {step!r} asks {compensation.agent} for {compensation.goal!r}.",
                    remedy=f"It can be asked for: {', '.join(goals) or 'nothing'}.",
                    field="compensation",
                )
        return blueprint

    async def begin(self, request: BuildRequest, *, new: bool = False) -> tuple[Project, bool]:
        """Create a project, or take up the unfinished one of the same request.

        Args:
            request: What to build.
            new: Create one even where an unfinished one exists.

        Returns:
            The project, and whether it was there before.
        """
        if not new:
            known = await self.database.run(lambda connection: self._take_up(connection, request.key))
            if known is not None:
                return known, True
        created = NewProject(
            name=request.name,
            slug=request.slug,
            blueprint=request.blueprint,
            build_key=request.key,
            out_dir=str(request.out_dir),
            tenant=self.settings.tenant,
        )
        return await submit_vision(self.database, self.bus, self.store, created, request.vision), False

    @property
    def orchestrator(self) -> Orchestrator:
        """What advances projects, for what a person sets off."""
        topics = topics_of(load_roster(tuple(self.settings.plugins)))
        return Orchestrator(self.bus, self.store, self.repositories, topics, self.settings.blueprint_dir)

    async def compensate(self, project_id: UUID, reason: str, from_step: str | None = None) -> UUID:
        """Ask for everything a project has done to be undone, in a transaction of its own; see `request_compensation`.

        Returns:
            The id of the event that asks; see `is_handled`.
        """
        async with self.database.transaction() as connection:
            return await self.request_compensation(connection, project_id, reason, from_step)

    async def request_compensation(
        self, connection: Connection, project_id: UUID, reason: str, from_step: str | None = None
    ) -> UUID:
        """Ask for everything a project has done to be undone, or for a step and what builds on it.

        Returns:
            The id of the event that asks; see `is_handled`.

        Raises:
            BadInputError: The blueprint has no such step.
            ConflictError: The project is being compensated already.
        """
        project = await projects.lock_project(connection, project_id)
        steps = [step.id for step in find_blueprint(project.blueprint, self.settings.blueprint_dir).steps]
        if from_step is not None and from_step not in steps:
            raise BadInputError(
                f"blueprint {project.blueprint!r} has no step {from_step!r}.",
                remedy=f"Steps: {', '.join(steps)}.",
                field="from_step",
            )
        if project.status is ProjectStatus.COMPENSATING:
            raise ConflictError(
                f"project {project.id} is being compensated already.",
                remedy=f"See `factory project show {project.id}`.",
                field="status",
            )
        cause = await first_event(connection, project)
        request = CompensationRequested(reason=reason, from_step=from_step)
        event = cause.caused(request, topic=Topic.SYSTEM, originating_agent=SUBMITTER)
        await self.bus.publish(connection, [event])
        return event.event_id

    async def is_handled(self, event_id: UUID) -> bool:
        """Tell whether the orchestrator is done with an event, well or not."""
        async with self.database.transaction() as connection:
            handled: bool = await connection.fetchval(HANDLED, event_id, ORCHESTRATION.name)
        return handled

    async def replay(self, project_id: UUID) -> Project:
        """Run a project's whole flow again in a sandbox, and return the sandbox; the original stays as it is."""
        async with self.database.transaction() as connection:
            return await self.begin_replay(connection, project_id)

    async def begin_replay(self, connection: Connection, project_id: UUID) -> Project:
        """Begin a sandbox that replays a project, in the caller's transaction; see `replay`."""
        original = await projects.get_project(connection, project_id)
        return await replay_project(connection, self.bus, original)

    async def _take_up(self, connection: Connection, key: str) -> Project | None:
        known = await projects.find_undelivered(connection, key)
        if known is None or known.status is not ProjectStatus.FAILED:
            return known
        await self.orchestrator.advance(connection, await first_event(connection, known), resume=True)
        return await projects.get_project(connection, known.id)

    async def watch(self, project_id: UUID, *, every_seconds: float = 0.2) -> AsyncIterator[Progress]:
        """Yield a project's progress, the last time when it has ended."""
        while True:
            progress = await self.database.run(
                lambda connection: read_progress(connection, project_id, self.settings.blueprint_dir)
            )
            yield progress
            if progress.ended:
                return
            await asyncio.sleep(every_seconds)

    async def unremembered(self, project_id: UUID) -> int:
        """Return how many steps are left until a project is in semantic memory, with what it taught."""
        subscriptions = [events_subscription(agent) for agent in (SemanticEmbedder, KnowledgeBaseManager)]
        rows = await self.database.fetch(_UNREMEMBERED, subscriptions, project_id)
        return int(rows[0]["count"])

    async def artifacts(self, project_id: UUID) -> list[ArtifactRef]:
        """Return the newest version of each kind."""
        return await self.database.run(lambda connection: records.latest(connection, project_id))

    async def deliver(self, project: Project, out_dir: Path) -> Path:
        """Write a released project's repository to a folder, and record that it was handed over.

        Raises:
            ConflictError: The project is not released, is a sandbox, or the folder holds something else.
        """
        if project.sandbox_of is not None:
            # What a sandbox makes stays inside: a replay must have no effect that the original had.
            raise ConflictError(
                f"project {project.id} is a sandbox of {project.sandbox_of}; it is not handed over.",
                remedy="Compare it with its original: factory project compare.",
                field="project",
            )
        if project.status is not ProjectStatus.RELEASED:
            raise ConflictError(f"project {project.slug!r} is {project.status}, not released.", field="status")
        path = await asyncio.to_thread(self.repositories.materialise, project, out_dir)
        await self.database.run(lambda connection: projects.set_delivered(connection, project.id))
        return path
