"""A local Ray with the gateway and a bare hello-world behind one proxy, and a project to read."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import ray
from ray import serve

from benchmarks.door.hello import hello_application
from factory.actors.host import start_ray
from factory.artifacts.blobs import BlobStore
from factory.control.projects import NewProject
from factory.control.submission import submit_vision
from factory.events.bus import EventBus
from factory.identity.identity import Identity
from factory.identity.principal import Role
from factory.serve.deployment import start_gateway, stop_gateway
from factory.settings import Settings
from factory.storage.database import Database
from factory.storage.embedded import EmbeddedServer

_VISION = "# Clinic\n\nAs a receptionist I want to book an appointment for a patient.\n"
# So high that nothing is refused; every request is counted all the same.
_LIMITS = """
limits:
  - {classes: [read, write, search, stream, internal], limit: "100000000/minute"}
"""


@dataclass(frozen=True)
class Door:
    """What is measured.

    Attributes:
        url: Of the proxy.
        hello: Path of the bare hello-world.
        read: Path of a read of the gateway.
        token: For the gateway.
        project_id: That is read.
        settings: Of the factory.
    """

    url: str
    hello: str
    read: str
    token: str
    project_id: UUID
    settings: Settings


@contextmanager
def stage(*, replicas: int = 1) -> Iterator[Door]:
    """Start everything, and stop it at the end."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    with tempfile.TemporaryDirectory(prefix="factory-door-") as folder:
        # PostgreSQL runs under an account of its own where this is root.
        Path(folder).chmod(0o755)
        limits = Path(folder) / "limits.yaml"
        limits.write_text(_LIMITS)
        settings = Settings(
            data_dir=Path(folder) / "data",
            gateway_port=0,
            gateway_replicas=replicas,
            gateway_max_replicas=replicas,
            rate_limits=limits,
            memory="off",
        )
        server = EmbeddedServer(settings.data_dir / "postgres", settings.database_options)
        server.attach()
        settings = settings.model_copy(update={"database_url": server.dsn("postgres")})
        start_ray(settings)
        try:
            url = start_gateway(settings).url
            serve.run(hello_application(replicas), name="hello", route_prefix="/hello")
            token, project_id = asyncio.run(_prepare(settings, url))
            yield Door(url, "/hello", f"/api/v1/project/{project_id}", token, project_id, settings)
        finally:
            stop_gateway()
            ray.shutdown()
            server.detach()


async def _prepare(settings: Settings, url: str) -> tuple[str, UUID]:
    async with await Database.open(settings) as database:
        identity = await Identity.open(database, settings, url)
        try:
            await identity.users.add("bench", tenant="default", roles=[Role.ADMIN])
            token = await identity.issuer.token_for_user("bench")
        finally:
            await identity.close()
        new = NewProject(name="Clinic", slug="clinic", blueprint="api-service", build_key="bench")
        project = await submit_vision(database, EventBus(database), BlobStore(settings.blob_url), new, _VISION)
    return token, project.id
