"""procrastinate: a job per step, which defers the next and is then marked as finished.

Choices:
    - One asynchronous worker per process with many jobs at once, woken by LISTEN/NOTIFY.
    - Jobs are kept when they have succeeded, which is the default and what the others do.
    - It polls every 20 ms besides (the default is 5 s): the worker clears the mark of a notification that arrives while
      it fetches, so that a chain alone would wait for the poll at most of its steps.
    - Jobs that finish at the same time defer their next ones in one call of `batch_defer_async`.
    - The next job and the end of this one are two transactions: after a crash a step may run and hand over twice. The
      library offers no way to join the two.
"""

import asyncio
import logging
import sys
from pathlib import Path

from procrastinate import App, PsycopgConnector

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peer

_AT_ONCE = 30
_CONNECTIONS = 12
_POLL_SECONDS = 0.02


class Procrastinate:
    """Chains as jobs of a queue that belongs to this process."""

    async def open(self, dsn: str, number: int, steps: int) -> None:
        """Start the worker."""
        self._steps = steps
        self._left = 0
        self._ended = asyncio.Event()
        self._app = App(connector=PsycopgConnector(conninfo=dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS))
        self._task = self._app.task(name="relay", queue=f"benchmark-{number}")(self._relay)
        self._handover = peer.Together(self._defer)
        await self._app.open_async()
        self._worker = asyncio.create_task(
            self._app.run_worker_async(
                queues=[f"benchmark-{number}"],
                concurrency=_AT_ONCE,
                fetch_job_polling_interval=_POLL_SECONDS,
                install_signal_handlers=False,
            )
        )

    async def run(self, chains: int) -> None:
        """Defer the first job of each chain and wait until the last has ended."""
        self._left = chains
        self._ended.clear()
        await self._defer([1] * chains)
        await self._ended.wait()

    async def close(self) -> None:
        """Stop the worker and disconnect."""
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        await self._app.close_async()

    async def _defer(self, steps: list[int]) -> None:
        await self._task.batch_defer_async(*({"step": step} for step in steps))

    async def _relay(self, step: int) -> None:
        if step < self._steps:
            await self._handover.ask(step + 1)
            return
        self._left -= 1
        if not self._left:
            self._ended.set()


async def _install(dsn: str) -> None:
    async with App(connector=PsycopgConnector(conninfo=dsn)).open_async() as app:
        await app.schema_manager.apply_schema_async()


def prepare(dsn: str) -> None:
    """Make the tables."""
    asyncio.run(_install(dsn))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    peer.main(prepare, Procrastinate, processes=1, at_once=_AT_ONCE)
