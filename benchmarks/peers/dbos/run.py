"""DBOS: a workflow of as many steps as a chain has.

Choices:
    - Workflows and steps are coroutines, started directly rather than through a queue, which saves the queue's polls.
    - The pool of the system database has its default of 20 connections.
    - No console logs below errors and no telemetry.
"""

import asyncio
import sys
from pathlib import Path

from dbos import DBOS, DBOSConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peer

_AT_ONCE = 32


@DBOS.step()
async def relay(step: int) -> int:
    """Take a step."""
    return step + 1


@DBOS.workflow()
async def chain(steps: int) -> int:
    """Take the steps one after another."""
    step = 0
    for _ in range(steps):
        step = await relay(step)
    return step


def _launch(dsn: str, number: int) -> None:
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": dsn,
        "executor_id": f"benchmark-{number}",
        "application_version": "benchmark",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()


class Dbos:
    """Chains as workflows of one executor."""

    async def open(self, dsn: str, number: int, steps: int) -> None:
        """Launch DBOS."""
        self._steps = steps
        await asyncio.to_thread(_launch, dsn, number)

    async def run(self, chains: int) -> None:
        """Start a workflow per chain, so many at a time, and wait for their results."""
        left = iter(range(chains))

        async def lane() -> None:
            for _ in left:
                handle = await DBOS.start_workflow_async(chain, self._steps)
                await handle.get_result()

        await asyncio.gather(*(lane() for _ in range(min(_AT_ONCE, chains))))

    async def close(self) -> None:
        """Stop DBOS."""
        await asyncio.to_thread(DBOS.destroy)


def prepare(dsn: str) -> None:
    """Make the system tables, which the first launch does."""
    _launch(dsn, 0)
    DBOS.destroy()


if __name__ == "__main__":
    peer.main(prepare, Dbos, processes=2, at_once=_AT_ONCE)
