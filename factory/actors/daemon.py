"""A running factory: the process behind `factory up`. Ends on SIGTERM or SIGINT, with everything it started."""

import asyncio
import json
import os
import signal
from pathlib import Path

import factory
from factory.actors.host import Host
from factory.client import Factory
from factory.observability.logs import configure_logging
from factory.settings import Settings

STATE = "factory.json"


def state_file(settings: Settings) -> Path:
    """Where a running factory says that it runs, and where."""
    return settings.run_dir / STATE


async def serve(settings: Settings) -> None:
    """Run the factory until told to stop.

    The state file appears once everything is healthy and goes when it ends; a file whose process is gone
    tells of a factory that was killed.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    path = state_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    async with await Factory.open(settings) as opened:
        host = await asyncio.to_thread(Host.start, settings, dashboard=True)
        state = {
            "pid": os.getpid(),
            "gateway": None,
            "dashboard": host.dashboard,
            "database": opened.database.dsn,
            "version": factory.__version__,
        }
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(state) + "\n")
        unfinished.chmod(0o600)
        unfinished.replace(path)
        try:
            while not stop.is_set():
                await _health(host, path.with_name("pools.json"))
                try:
                    await asyncio.wait_for(stop.wait(), 2)
                except TimeoutError:
                    continue
        finally:
            path.unlink(missing_ok=True)
            await asyncio.to_thread(host.stop)


async def _health(host: Host, path: Path) -> None:
    """Note the pools' sizes for `factory status`, which starts no Ray of its own."""
    sizes = await asyncio.to_thread(host.sizes)
    unfinished = path.with_suffix(".new")
    document = [{"agent": size.agent, "size": size.size, "busy": size.busy} for size in sizes]
    unfinished.write_text(json.dumps(document) + "\n")
    unfinished.replace(path)


def main() -> None:
    """Run the factory with the settings of the environment."""
    settings = Settings()
    configure_logging(settings, service="factory")
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
