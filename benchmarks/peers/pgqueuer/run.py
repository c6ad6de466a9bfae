"""pgqueuer: a job per step, which enqueues the next and is then logged as successful.

Choices:
    - uvloop and several consumers per process, each on a connection of its own: what its own benchmark does.
    - Enqueueing through a pool, as its tuning guide advises, and its recommended autovacuum settings.
    - Durability "durable", the default: all tables are logged.
    - Jobs that finish at the same time enqueue their next ones in one call, as the batch form of `enqueue` allows: each
      call notifies, and commits that notify cannot be grouped by PostgreSQL.
    - The next job and the completion of this one are two transactions, and completions are logged in batches: after a
      crash a step may run and hand over twice. The library offers no way to join the two.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peer

_CONSUMERS = 2
_BATCH = 50
_PRODUCER_CONNECTIONS = 10


class Pgqueuer:
    """Chains as jobs of an entrypoint that belongs to this process."""

    async def open(self, dsn: str, number: int, steps: int) -> None:
        """Start the consumers."""
        self._steps = steps
        self._entrypoint = f"relay-{number}"
        self._left = 0
        self._ended = asyncio.Event()
        self._stack = AsyncExitStack()
        pool = await self._stack.enter_async_context(asyncpg.create_pool(dsn, max_size=_PRODUCER_CONNECTIONS))
        self._queries = Queries(AsyncpgPoolDriver(pool))
        self._handover = peer.Together(self._enqueue)
        self._consumers = []
        self._running = []
        for _ in range(_CONSUMERS):
            connection = await asyncpg.connect(dsn)
            self._stack.push_async_callback(connection.close)
            consumer = PgQueuer(AsyncpgDriver(connection))
            consumer.entrypoint(self._entrypoint)(self._relay)
            self._consumers.append(consumer)
            self._running.append(asyncio.create_task(consumer.run(batch_size=_BATCH)))

    async def run(self, chains: int) -> None:
        """Enqueue the first job of each chain and wait until the last has ended."""
        self._left = chains
        self._ended.clear()
        await self._enqueue([1] * chains)
        await self._ended.wait()

    async def close(self) -> None:
        """Let the consumers end and disconnect."""
        for consumer in self._consumers:
            consumer.shutdown.set()
        await asyncio.gather(*self._running)
        await self._stack.aclose()

    async def _enqueue(self, steps: list[int]) -> None:
        count = len(steps)
        await self._queries.enqueue([self._entrypoint] * count, [str(step).encode() for step in steps], [0] * count)

    async def _relay(self, job: Job) -> None:
        step = int(job.payload or b"1")
        if step < self._steps:
            await self._handover.ask(step + 1)
            return
        self._left -= 1
        if not self._left:
            self._ended.set()


async def _install(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    await connection.close()


def prepare(dsn: str) -> None:
    """Make the tables."""
    asyncio.run(_install(dsn))


if __name__ == "__main__":
    uvloop.install()
    peer.main(prepare, Pgqueuer, processes=1, at_once=200)
