"""Work that a command waits for: by the running factory, or by one that lives as long as the command."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import typer

from factory.cli.lifecycle import HostProcess, running

if TYPE_CHECKING:
    from factory.control.progress import Progress
    from factory.service import FactoryService


@asynccontextmanager
async def attended(factory: "FactoryService", agents: Sequence[str]) -> AsyncIterator[HostProcess | None]:
    """Make sure that somebody works: start a supervisor for these agents where no factory runs, and stop it after."""
    if running(factory.settings) is not None:
        yield None
        return
    typer.echo("starting Ray and the agents", err=True)
    host = HostProcess(factory.settings, agents, attached=True)
    try:
        yield host
    finally:
        await asyncio.to_thread(host.stop)


async def until_ended(factory: "FactoryService", project_id: UUID, host: HostProcess | None) -> "Progress":
    """Watch a project to its end, naming its steps on standard error as they change.

    Raises:
        FactoryError: The host ended.
    """
    shown: dict[str, str] = {}
    async for progress in factory.watch(project_id):
        if host is not None:
            host.check()
        for step in progress.steps:
            if step.status not in {"waiting", shown.get(step.step)}:
                typer.echo(f"  {step.step:<24} {step.status}", err=True)
                shown[step.step] = step.status
    return progress
