"""The process that hosts a supervisor: behind `factory up`, and behind each `factory build` that finds none.

A process of its own, because Ray writes to the standard output of the process that starts it. Ends on SIGTERM or
SIGINT, and when asked to (`--attached`) as soon as its standard input closes, which happens however its parent dies.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import factory
from factory.actors.host import Host
from factory.observability.logs import configure_logging
from factory.settings import Settings
from factory.storage.database import Database

_HEALTH_SECONDS = 2


async def serve(settings: Settings, agents: Sequence[str] | None, *, attached: bool) -> None:
    """Run the factory until told to stop.

    The state file appears once everything is healthy and goes when it ends; a file whose process is gone
    tells of a factory that was killed. An attached factory writes none: it serves its parent alone.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    _stop_on_signals(loop, stop)
    if attached:
        threading.Thread(target=_await_parent, args=(loop, stop), daemon=True).start()
    async with await Database.open(settings) as database:
        host = await asyncio.to_thread(Host.start, settings, agents, dashboard=not attached)
        # Ray puts its own handler before ours.
        _stop_on_signals(loop, stop)
        try:
            if attached:
                host.warm(agents or ())
                await stop.wait()
            else:
                gateway = await asyncio.to_thread(_start_gateway, settings, database.dsn)
                await _publish_state(settings, host, gateway, database.dsn, stop)
        finally:
            if not attached:
                settings.state_file.unlink(missing_ok=True)
                await asyncio.to_thread(_stop_gateway, settings)
            await asyncio.to_thread(host.stop)


def _stop_on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def end() -> None:
        # The handler that Ray puts in place calls this one, and has the process aborted three seconds later, work or no
        # work (`alarm_on_failure_secs` of Abseil's failure signal handler).
        signal.alarm(0)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)


def _start_gateway(settings: Settings, dsn: str) -> dict[str, str | None]:
    if not settings.gateway:
        return {"gateway": None, "grpc": None}
    # An attached factory does without what the gateway brings along.
    from factory.serve.deployment import start_gateway  # noqa: PLC0415

    # Replicas are ended without a word: as users of the embedded server they would keep it from being stopped.
    address = start_gateway(settings.model_copy(update={"database_url": dsn}))
    return {"gateway": address.url, "grpc": address.grpc}


def _stop_gateway(settings: Settings) -> None:
    if settings.gateway:
        from factory.serve.deployment import stop_gateway  # noqa: PLC0415 - same

        stop_gateway()


async def _publish_state(
    settings: Settings, host: Host, gateway: dict[str, str | None], dsn: str, stop: asyncio.Event
) -> None:
    """Say that the factory runs and keep the pools' sizes up to date, until told to stop.

    `factory status` reads both files, so that it needs no Ray of its own.
    """
    state = {
        "pid": os.getpid(),
        **gateway,
        "dashboard": host.dashboard,
        "database": dsn,
        "version": factory.__version__,
    }
    while not stop.is_set():
        sizes = await asyncio.to_thread(host.sizes)
        _write(settings.pools_file, [{"agent": size.agent, "size": size.size, "busy": size.busy} for size in sizes])
        if state:
            _write(settings.state_file, state)
            state = {}
        try:
            await asyncio.wait_for(stop.wait(), _HEALTH_SECONDS)
        except TimeoutError:
            continue


def _write(path: Path, document: object) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(document) + "\n")
    unfinished.chmod(0o600)
    unfinished.replace(path)


def _await_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(stop.set)


def main() -> None:
    """Run the factory with the settings of the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attached", action="store_true", help="end when standard input closes")
    parser.add_argument("--agents", nargs="*", help="agents whose pools may grow here; all by default")
    arguments = parser.parse_args()
    settings = Settings()
    if not (settings.otlp_endpoint or settings.trace_file):
        # Where nothing collects traces, `factory trace` reads them from the data directory.
        settings = settings.model_copy(update={"trace_file": settings.span_file})
    configure_logging(settings, service="factory")
    asyncio.run(serve(settings, arguments.agents, attached=arguments.attached))


if __name__ == "__main__":
    main()
