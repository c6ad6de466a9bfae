"""The Ray actor: one agent in one process, without a database connection."""

from collections.abc import Sequence

from factory.actors.roster import load_roster
from factory.artifacts.blobs import BlobStore
from factory.domain.task import Outcome, Task
from factory.observability.logs import configure_logging
from factory.settings import Settings
from factory.skills.catalogue import load_catalogue


class Worker:
    """Hosts one agent. Stateless: it may be killed at any moment and another takes its tasks."""

    def __init__(self, agent: str, settings: Settings) -> None:
        configure_logging(settings, service="worker")
        plugins = tuple(settings.plugins)
        store = BlobStore(settings.blob_url)
        self._agent = load_roster(plugins).find(agent)(store, load_catalogue(plugins), settings)

    async def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Run a batch; one outcome per task, in order."""
        return await self._agent.run(tasks)

    async def ready(self) -> bool:
        """Answer once the process is up."""
        return True
