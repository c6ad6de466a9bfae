"""Sandboxes: a project's whole flow again, under another id, with nothing leaving the factory.

What reaches the outside asks for `Project.sandbox_of` first. Today that is the hand-over of the repository
(`factory.service.FactoryService.deliver`), which refuses a sandbox; a push, a notification or a deployment must do
the same.
"""

from factory.artifacts import records
from factory.artifacts.blobs import StoredBlob
from factory.control.projects import NewProject
from factory.control.submission import begin_project
from factory.domain.errors import ConflictError
from factory.domain.ids import new_id
from factory.domain.project import Project
from factory.events.bus import EventBus
from factory.storage.database import Connection


async def replay_project(connection: Connection, bus: EventBus, original: Project) -> Project:
    """Create a sandbox of a project from the same vision and set the factory going.

    The original is only read: the sandbox has its own id, trace, events, artifacts and repository. Blobs are shared,
    because they are addressed by their content and never changed.

    Raises:
        ConflictError: The project has no vision to begin from.
    """
    found = await records.latest(connection, original.id, ["vision"])
    if not found:
        raise ConflictError(f"project {original.id} has no vision to begin from.", field="project")
    vision = await records.get(connection, found[0].id)
    new = NewProject(
        name=original.name,
        slug=original.slug,
        blueprint=original.blueprint,
        # No build command may take a sandbox for its own unfinished project.
        build_key=f"sandbox:{new_id()}",
        sandbox_of=original.id,
        tenant=original.tenant,
        metadata=original.metadata,
    )
    return await begin_project(connection, bus, new, StoredBlob(vision.hash, vision.uri, vision.size))
