"""The Ray actor: one agent in one process, without a database connection."""

import contextlib

from factory.actors.roster import load_roster
from factory.actors.wire import pack_outcomes, unpack_tasks
from factory.artifacts.blobs import BlobStore
from factory.garbage import collect_rarely
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
        for skill in self._agent.skills:
            if skill.prepare:
                # What cannot be loaded says so when it is run, as an error of the task.
                with contextlib.suppress(Exception):
                    skill.prepare()
        collect_rarely()

    async def run(self, packed: bytes) -> bytes:
        """Run a batch of packed tasks; one outcome per task, in order, packed as well."""
        return pack_outcomes(await self._agent.run(unpack_tasks(packed)))

    async def ready(self) -> bool:
        """Answer once the process is up."""
        return True
