"""What the peers' scripts have in common: arguments, worker processes, the clock and the one line of JSON.

Runs in every peer's environment, so it knows the standard library alone.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

_CALIBRATE_SECONDS = 0.5
_WARM_UP_CHAINS = 3
_PATIENCE_SECONDS = 240


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


def main(prepare: Callable[[str], None], peer: Callable[[], Peer], *, processes: int, at_once: int) -> None:
    """Measure a peer and print the figures.

    Args:
        prepare: Makes the tables of a database; called once, before any worker process starts.
        peer: Makes a contestant.
        processes: How many worker processes serve this library best on two cores.
        at_once: How many chains a worker process has to have at once before more make it no faster.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--mode", choices=("throughput", "chain", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--chains", type=int, default=50, help="how many chains run alone")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--processes", type=int, default=processes)
    parser.add_argument("--at-once", type=int, default=at_once)
    options = parser.parse_args()
    prepare(options.dsn)
    figures = {}
    if options.mode != "chain":
        figures["throughput"] = _together(peer, options)
    if options.mode != "throughput":
        figures["chain"] = asyncio.run(_alone(peer(), options))
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
    # Some libraries keep threads that outlive their own shutdown by seconds.
    os._exit(0)


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


def _together(peer: Callable[[], Peer], options: argparse.Namespace) -> dict[str, float]:
    """Run many chains at once in every worker process and return the steps per second of all together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(options.processes)
    answers: Queue[tuple[int, float, float]] = context.Queue()
    workers = [
        context.Process(target=_work, args=(peer, options, number, barrier, answers), daemon=True)
        for number in range(options.processes)
    ]
    for worker in workers:
        worker.start()
    results = [answers.get(timeout=_PATIENCE_SECONDS) for _ in workers]
    for worker in workers:
        worker.join()
    steps = sum(result[0] for result in results)
    seconds = max(result[2] for result in results) - min(result[1] for result in results)
    return {"steps": steps, "seconds": seconds, "steps_per_second": steps / seconds, "processes": options.processes}


def _work(
    peer: Callable[[], Peer],
    options: argparse.Namespace,
    number: int,
    barrier: Barrier,
    answers: "Queue[tuple[int, float, float]]",
) -> None:
    answers.put(asyncio.run(_measure(peer(), options, number, barrier)))


async def _measure(peer: Peer, options: argparse.Namespace, number: int, barrier: Barrier) -> tuple[int, float, float]:
    at_once = options.at_once
    await peer.open(options.dsn, number, options.steps)
    await peer.run(at_once)
    # All processes calibrate together: alone, each would find itself faster than it is beside the others.
    await asyncio.to_thread(barrier.wait)
    chains, spent = at_once, 0.0
    began = time.perf_counter()
    while spent < _CALIBRATE_SECONDS:
        await peer.run(at_once)
        spent = time.perf_counter() - began
        chains += at_once
    chains = max(at_once, round((chains - at_once) * options.seconds / spent))
    await asyncio.to_thread(barrier.wait)
    began = time.monotonic()
    await peer.run(chains)
    ended = time.monotonic()
    await peer.close()
    return chains * options.steps, began, ended
