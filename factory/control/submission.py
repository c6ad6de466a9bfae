"""Takes visions in: a new project with its first artifact and first event, in one transaction."""

import asyncio
from pathlib import Path
from uuid import UUID

from factory.artifacts import records
from factory.artifacts.blobs import BlobStore, StoredBlob
from factory.artifacts.records import NewArtifact
from factory.control.blueprints import find_blueprint
from factory.control.projects import NewProject, build_key, create_project
from factory.domain.artifact import KINDS, ArtifactStatus, Content
from factory.domain.errors import BadInputError
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectMetadata
from factory.events.bus import EventBus
from factory.events.contracts.recovery import WorkflowRequested
from factory.events.contracts.system import ProjectCreated
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.observability.traceparents import project_traceparent
from factory.storage.database import Connection, Database

NAME = "project-manager"


async def submit_vision(database: Database, bus: EventBus, store: BlobStore, new: NewProject, vision: str) -> Project:
    """Create a project from a vision's text and set the factory going.

    The text must have been checked before: the vision artifact is valid from the start.
    """
    stored = await store_vision(store, vision)
    async with database.transaction() as connection:
        return await begin_project(connection, bus, new, stored)


async def submit_request(
    connection: Connection, bus: EventBus, store: BlobStore, cause: Envelope, blueprint_dir: Path | None
) -> Project:
    """Create the project that a `WorkflowRequested` asks for, in the caller's transaction.

    Raises:
        BadInputError: The request belongs to a project already.
        NotFoundError: There is no such blueprint.
    """
    request = cause.read(WorkflowRequested)
    if cause.project_id is not None:
        raise BadInputError(
            f"event {cause.event_id} belongs to project {cause.project_id}, and asks for a new one.",
            remedy="Publish it without a project.",
            field="project_id",
        )
    chosen = find_blueprint(request.blueprint, blueprint_dir)
    new = NewProject(
        name=request.name,
        slug=request.slug,
        blueprint=chosen.name,
        build_key=build_key(request.vision, chosen.name, str(cause.event_id)),
        caused_by=cause.traceparent,
        metadata=ProjectMetadata(risk=request.risk, priority=request.priority),
    )
    return await begin_project(connection, bus, new, await store_vision(store, request.vision))


async def store_vision(store: BlobStore, vision: str) -> StoredBlob:
    """Store a vision's bytes, which a project can then begin from."""
    content = Content(files={KINDS["vision"].primary: vision})
    return await asyncio.to_thread(store.put_content, content)


async def begin_project(connection: Connection, bus: EventBus, new: NewProject, vision: StoredBlob) -> Project:
    """Create a project from a vision whose bytes are stored, and publish that it exists."""
    project = await create_project(connection, new)
    task_id = derived_id("submission", project.id)
    draft = NewArtifact(
        id=derived_id(task_id, "vision"),
        project_id=project.id,
        kind="vision",
        hash=vision.hash,
        uri=vision.uri,
        size=vision.size,
        status=ArtifactStatus.VALID,
        agent=NAME,
        trace_id=project.trace_id,
        task_id=task_id,
    )
    (vision_ref,) = await records.insert(connection, [draft])
    event = project_created(project, vision_ref.id, vision_ref.uri)
    await bus.publish(connection, [event])
    return project


def project_created(project: Project, vision_artifact_id: UUID, uri: str | None = None) -> Envelope:
    """Return the event that tells of a project, with an id derived from it."""
    payload = ProjectCreated(
        name=project.name,
        slug=project.slug,
        blueprint=project.blueprint,
        revision=project.revision,
        vision_artifact_id=vision_artifact_id,
    )
    return Envelope.of(
        payload,
        topic=Topic.SYSTEM,
        project_id=project.id,
        originating_agent=NAME,
        traceparent=project_traceparent(project),
        event_id=derived_id("ProjectCreated", project.id, project.revision),
        artifact_uri=uri,
    )


async def first_event(connection: Connection, project: Project) -> Envelope:
    """Return a project's `ProjectCreated` again, as the cause of what a person sets off later."""
    (vision,) = await records.latest(connection, project.id, ["vision"])
    return project_created(project, vision.id, vision.uri)
