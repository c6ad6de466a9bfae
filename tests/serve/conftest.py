"""The gateway's application on a fresh database, asked without a network between."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from factory.artifacts import records
from factory.artifacts.records import NewArtifact
from factory.control.projects import NewProject
from factory.control.submission import submit_vision
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.ids import derived_id, new_id
from factory.domain.project import Project
from factory.identity.principal import Role, Scope
from factory.serve.app import build_app
from factory.serve.gateway import Gateway, open_gateway
from factory.serve.memory import LocalMemory
from factory.settings import Settings

URL = "http://gateway.test"
VISION = "# Clinic\n\nAs a receptionist I want to book an appointment for a patient.\n"
# High enough for any test that does not test limits.
LIMITS = "limits:\n  - {classes: [read, write, search, stream, internal, anonymous], limit: 1000000/minute}\n"


@dataclass
class Office:
    """A gateway with people of two tenants.

    Attributes:
        ada: Token of a platform user of tenant `north`.
        bob: Token of a platform user of tenant `north`.
        eve: Token of an admin of tenant `south`.
        root: Token of an admin of tenant `north`.
        agent: Token of a service of the factory.
    """

    gateway: Gateway
    client: httpx.AsyncClient
    ada: str = ""
    bob: str = ""
    eve: str = ""
    root: str = ""
    agent: str = ""
    projects: dict[str, Project] = field(default_factory=dict)

    async def prepare(self) -> None:
        for name, tenant, role in (
            ("ada", "north", Role.PLATFORM_USER),
            ("bob", "north", Role.PLATFORM_USER),
            ("eve", "south", Role.ADMIN),
            ("root", "north", Role.ADMIN),
        ):
            await self.gateway.identity.users.add(name, tenant=tenant, roles=[role])
            setattr(self, name, await self.token(name))
        self.agent = await self.gateway.identity.issuer.token_for_service("backend-developer")

    async def token(self, name: str, scopes: Sequence[Scope] = tuple(Scope)) -> str:
        return await self.gateway.identity.issuer.token_for_user(name, scopes=scopes)

    async def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=_headers(token, headers))

    async def post(self, path: str, body: object, token: str | None = None, **headers: str) -> httpx.Response:
        return await self.client.post(path, json=body, headers=_headers(token, headers))

    async def project(self, tenant: str = "north", name: str = "Clinic") -> Project:
        """Begin a project, as nobody in particular."""
        service = self.gateway.service
        new = NewProject(name=name, slug=name.lower(), blueprint="api-service", build_key=str(new_id()), tenant=tenant)
        return await submit_vision(service.database, service.bus, service.store, new, VISION)

    async def artifact(self, project: Project, files: dict[str, str], kind: str = "backlog") -> ArtifactRef:
        """Store the next version of an artifact."""
        service = self.gateway.service
        stored = service.store.put_content(Content(files=files))
        task_id = derived_id("task", project.id, kind, stored.hash)
        async with service.database.transaction() as connection:
            (vision,) = await records.latest(connection, project.id, ["vision"])
            draft = NewArtifact(
                id=derived_id(task_id, kind),
                project_id=project.id,
                kind=kind,
                hash=stored.hash,
                uri=stored.uri,
                size=stored.size,
                status=ArtifactStatus.VALID,
                agent="product-owner",
                trace_id=project.trace_id,
                task_id=task_id,
                inputs=(vision.id,),
            )
            (artifact,) = await records.insert(connection, [draft])
        return artifact

    async def vision_of(self, project: Project) -> UUID:
        async with self.gateway.database.transaction() as connection:
            (vision,) = await records.latest(connection, project.id, ["vision"])
        return vision.id


OpenOffice = Callable[[Settings], Awaitable[Office]]


@pytest.fixture
def gateway_settings(settings: Settings, tmp_path: Path) -> Settings:
    """Give settings under which nothing is limited."""
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    return settings.model_copy(update={"rate_limits": limits})


@asynccontextmanager
async def open_office(settings: Settings, url: str = URL) -> AsyncIterator[Office]:
    """Open a gateway with its people."""
    async with open_gateway(settings, url, LocalMemory) as gateway:
        transport = httpx.ASGITransport(build_app(gateway), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            office = Office(gateway, client)
            await office.prepare()
            yield office


@pytest.fixture
async def office(gateway_settings: Settings) -> AsyncIterator[Office]:
    """Give a gateway with its people."""
    async with open_office(gateway_settings) as opened:
        yield opened


def _headers(token: str | None, headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {**({"Authorization": f"Bearer {token}"} if token else {}), **named}
