"""A factory with the greeting plugin: one host process with Ray for all tests of this folder."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from factory.cli.lifecycle import HostProcess
from factory.control.progress import Progress
from factory.service import BuildRequest, FactoryService
from factory.settings import Settings

HERE = Path(__file__).parent
ENVIRONMENT = {
    "FACTORY_PLUGINS": '["tests.actors.greeting", "tests.actors.trouble"]',
    "FACTORY_ESCALATION_POLICIES": str(HERE / "escalations.yaml"),
    "FACTORY_INCIDENT_RULES": str(HERE / "incidents.yaml"),
    "FACTORY_OBSERVE_SECONDS": "1",
    "FACTORY_ROUTING_RULES": str(HERE / "routing.yaml"),
    "FACTORY_BLUEPRINT_DIR": str(HERE / "blueprints"),
    "FACTORY_POOL_IDLE_SECONDS": "8",
    "PYTHONPATH": str(HERE.parents[1]),
}


@pytest.fixture(scope="package")
def plugin_settings() -> Iterator[Settings]:
    """Give settings with the plugin, and a data directory of their own."""
    with tempfile.TemporaryDirectory(prefix="factory-actors-") as folder, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "FACTORY_DATA_DIR": folder}.items():
            patch.setenv(name, value)
        settings = Settings()
        patch.undo()
        yield settings


@pytest.fixture(scope="package")
def host(plugin_settings: Settings) -> Iterator[HostProcess]:
    """Give a running supervisor, which has the same settings in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "FACTORY_DATA_DIR": str(plugin_settings.data_dir)}.items():
            patch.setenv(name, value)
        agents = ("greeter", "answerer", "artifact-validator", "trier", "fuse-keeper", "event-dispatcher")
        process = HostProcess(plugin_settings, agents, attached=True)
    yield process
    process.stop()


@pytest.fixture
async def factory(plugin_settings: Settings) -> AsyncIterator[FactoryService]:
    """Give a client."""
    async with await FactoryService.open(plugin_settings) as opened:
        yield opened


@pytest.fixture
def work(factory: FactoryService, host: HostProcess, tmp_path: Path) -> "Workbench":
    """Give a way to build courtesies."""
    return Workbench(factory, host, tmp_path)


class Workbench:
    """Builds visions by the `courtesy` blueprint."""

    def __init__(self, factory: FactoryService, host: HostProcess, folder: Path) -> None:
        self.factory = factory
        self.host = host
        self.folder = folder

    def request(self, vision: str, name: str = "World") -> BuildRequest:
        """Return a request for a folder of its own."""
        slug = name.lower()
        return BuildRequest(name=name, slug=slug, vision=vision, blueprint="courtesy", out_dir=self.folder / slug)

    async def build(self, request: BuildRequest, *, new: bool = False) -> Progress:
        """Begin a project and watch it to its end."""
        project, _ = await self.factory.begin(request, new=new)
        return await self.watch(project.id)

    async def watch(self, project_id: UUID) -> Progress:
        """Watch a project to its end."""
        last: Progress | None = None
        async for progress in self.factory.watch(project_id):
            self.host.check()
            last = progress
        assert last is not None
        return last
