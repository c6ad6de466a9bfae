"""A job's partitions on Ray Data: a pool of actors that hold the model, and tasks that chunk where a GPU would wait."""

import functools
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext

from factory.memory.jobs.sources import Partition
from factory.memory.jobs.work import Plan
from factory.memory.jobs.workers import EmbeddingWorker, partition_row, read_and_chunk

_PARTITIONS_WAITING = 2


def execute(
    plan: Plan,
    partitions: Mapping[int, Partition],
    workers: int | None,
    cpus_per_worker: int,
    *,
    chunk_apart: bool | None,
) -> Iterator[dict[str, Any]]:
    """Do partitions, and yield what is said of each as soon as it is done.

    A worker that dies is replaced, and its partition done again.

    Raises:
        RayError: A worker raised an error, or Ray gave up replacing workers.
    """
    gpus, cpus = cluster_size()
    gpus = gpus if plan.spec.uses_gpu else 0
    apart = gpus > 0 if chunk_apart is None else chunk_apart
    room = gpus or max(1, (cpus - int(apart)) // cpus_per_worker)
    size = max(1, min(workers or room, room, len(partitions)))
    # Where the workers own all cores, chunking apart would wait for a core for ever.
    apart = apart and cpus > size * cpus_per_worker
    rows = [partition_row(number, partition) for number, partition in partitions.items()]
    with _quiet():
        # One block per row, so that each is handed out and reported by itself.
        dataset: ray.data.Dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
        if apart:
            chunk = functools.partial(read_and_chunk, plan=plan)
            dataset = dataset.map_batches(chunk, batch_size=1, batch_format="pyarrow", num_cpus=1)
        dataset = dataset.map_batches(
            EmbeddingWorker,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(plan, cpus_per_worker),
            fn_constructor_kwargs={"are_chunked": apart},
            compute=ActorPoolStrategy(
                min_size=1, max_size=size, initial_size=1, max_tasks_in_flight_per_actor=_PARTITIONS_WAITING
            ),
            num_cpus=cpus_per_worker,
            num_gpus=1 if gpus else 0,
        )
        for row in dataset.iter_rows():
            yield json.loads(row["done"])


def cluster_size() -> tuple[int, int]:
    """Return how many GPUs and CPUs Ray has."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("GPU", 0)), max(1, int(resources.get("CPU", 1)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data's own bars and messages off the terminal, where the caller draws its own."""
    context = DataContext.get_current()
    bars, context.enable_progress_bars = context.enable_progress_bars, False
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        log.setLevel(level)
