"""What the peers' scripts have in common: arguments, worker processes, the clock and the one line of JSON.

Runs in every peer's environment, so it knows the standard library alone.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

_CALIBRATE_SECONDS = 0.5
_WARM_UP_CHAINS = 3
_PATIENCE_SECONDS = 240

_shared: list[Barrier] = []


class Peer(Protocol):
    """A library as a contestant, in one worker process."""

    async def open(self, dsn: str, number: int, steps: int) -> None:
        """Connect and start what works; the number tells worker processes apart."""

    async def run(self, chains: int) -> None:
        """Take so many chains of `steps` steps to their ends, all at once."""

    async def close(self) -> None:
        """Stop and disconnect."""


class Together(Generic[T]):
    """Joins what many tasks ask for into one call, whenever the call before has ended."""

    def __init__(self, call: Callable[[list[T]], Awaitable[object]]) -> None:
        self._call = call
        self._asked: list[T] = []
        self._answer: asyncio.Future[None] | None = None
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, item: T) -> None:
        """Return when a call with this item has returned."""
        self._asked.append(item)
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
        answer = self._answer
        if self._calling is None or self._calling.done():
            self._calling = asyncio.create_task(self._serve())
        await answer

    async def _serve(self) -> None:
        while self._answer is not None:
            asked, answer = self._asked, self._answer
            self._asked, self._answer = [], None
            try:
                await self._call(asked)
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                answer.set_exception(error)
            else:
                answer.set_result(None)


def main(
    prepare: Callable[[str], None],
    peer: Callable[[], Peer],
    *,
    processes: int,
    at_once: int,
    documented: Callable[[], Peer] | None = None,
) -> None:
    """Measure a peer and print the figures.

    Args:
        prepare: Makes the tables of a database; called once, before any worker process starts.
        peer: Makes a contestant.
        processes: How many worker processes serve this library best on two cores.
        at_once: How many chains at once a worker process has to have before more make it no faster.
        documented: Makes a contestant as the library's documentation shows it, where that differs.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--mode", choices=("throughput", "chain", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--chains", type=int, default=50, help="how many chains run alone")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--processes", type=int, default=processes)
    parser.add_argument("--at-once", type=int, default=at_once)
    parser.add_argument("--as-documented", action="store_true", help="in one process, without what makes it faster")
    options = parser.parse_args()
    if options.as_documented:
        options.processes = 1
        peer = documented or peer
    # On Linux the workers share what this process has imported, which for some libraries takes seconds.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    barrier = context.Barrier(options.processes)
    figures = {}
    with ProcessPoolExecutor(options.processes, context, initializer=_share, initargs=(barrier,)) as workers:
        workers.submit(prepare, options.dsn).result()
        if options.mode != "chain":
            figures["throughput"] = _together(workers, peer, options)
        if options.mode != "throughput":
            figures["chain"] = workers.submit(_run_alone, peer, options).result()
    sys.stdout.write(json.dumps(figures) + "\n")


def _share(barrier: Barrier) -> None:
    """Give a worker process the barrier that all of them wait at."""
    _shared.append(barrier)


def _run_alone(peer: Callable[[], Peer], options: argparse.Namespace) -> dict[str, float]:
    return asyncio.run(_alone(peer(), options))


async def _alone(peer: Peer, options: argparse.Namespace) -> dict[str, float]:
    """Run chains one after another and return how long they took, in milliseconds."""
    await peer.open(options.dsn, 0, options.steps)
    for _ in range(_WARM_UP_CHAINS):
        await peer.run(1)
    taken = []
    for _ in range(options.chains):
        started = time.perf_counter()
        await peer.run(1)
        taken.append((time.perf_counter() - started) * 1000)
    await peer.close()
    taken.sort()
    median = statistics.median(taken)
    return {
        "chains": len(taken),
        "p50": median,
        "p95": taken[math.ceil(0.95 * len(taken)) - 1],
        "p99": taken[math.ceil(0.99 * len(taken)) - 1],
        "per_step": median / options.steps,
    }


def _together(workers: ProcessPoolExecutor, peer: Callable[[], Peer], options: argparse.Namespace) -> dict[str, float]:
    """Run many chains at once in every worker process and return the steps per second of all together."""
    # Each waits for the others at the barrier, so no worker process takes two of them.
    running = [workers.submit(_run_together, peer, options, number) for number in range(options.processes)]
    results = [future.result() for future in running]
    steps = sum(result[0] for result in results)
    seconds = max(result[2] for result in results) - min(result[1] for result in results)
    return {"steps": steps, "seconds": seconds, "steps_per_second": steps / seconds, "processes": options.processes}


def _run_together(peer: Callable[[], Peer], options: argparse.Namespace, number: int) -> tuple[int, float, float]:
    return asyncio.run(_measure(peer(), options, number))


async def _measure(peer: Peer, options: argparse.Namespace, number: int) -> tuple[int, float, float]:
    (barrier,) = _shared
    at_once = options.at_once
    await peer.open(options.dsn, number, options.steps)
    await peer.run(max(1, at_once // 4))
    # All processes calibrate together: alone, each would find itself faster than it is beside the others.
    await asyncio.to_thread(barrier.wait, _PATIENCE_SECONDS)
    chains, spent = 0, 0.0
    began = time.perf_counter()
    while spent < _CALIBRATE_SECONDS:
        await peer.run(at_once)
        spent = time.perf_counter() - began
        chains += at_once
    chains = max(at_once, round(chains * options.seconds / spent))
    await asyncio.to_thread(barrier.wait, _PATIENCE_SECONDS)
    # One clock for all processes: the machine's.
    began = time.monotonic()
    await peer.run(chains)
    ended = time.monotonic()
    await peer.close()
    return chains * options.steps, began, ended
