"""Shards as Ray actors over the cluster."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from factory.garbage import collect_rarely
from factory.memory.collections import Collection
from factory.memory.fleet import Fleet, ShardLostError
from factory.memory.host import Answer, Request, ShardHost
from factory.memory.passages import Passage
from factory.memory.shard import ManifestDelta, ShardStats
from factory.settings import Settings
from factory.storage.database import Database

T = TypeVar("T")

NAMESPACE = "factory"
# A search that takes longer than this is not waited for; loading segments may take longer by far.
_SEARCH_SECONDS = 30.0
_APPLY_SECONDS = 600.0
_CONCURRENCY = 16


class ShardActor:
    """The Ray actor that hosts a shard. Ray restarts it when it dies; it comes up empty, and is told everything again.

    Its local indexes outlive it on the same machine, so that little is read and nothing computed anew.
    """

    def __init__(self, collection: Collection, folder: str, index: str) -> None:
        self._host = ShardHost(collection, Path(folder), index=index)
        collect_rarely()

    def held(self) -> tuple[int, tuple[str, ...]]:
        """Return the version of the collection that the shard has, and its segments."""
        return self._host.held()

    def apply(self, delta: ManifestDelta, since: int) -> int:
        """Tell the shard of a change."""
        return self._host.apply(delta, since)

    def search(self, request: Request) -> Answer:
        """Ask the shard."""
        return self._host.search(request)

    def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what chunks say."""
        return self._host.passages(chunk_ids)

    def stats(self) -> ShardStats:
        """Return what the shard holds."""
        return self._host.stats()


class RayShard:
    """A shard in a Ray actor, which any process of the cluster may speak to.

    Args:
        actor: Its handle.
        name: For error messages.
    """

    def __init__(self, actor: Any, name: str) -> None:  # noqa: ANN401 - actor handles are untyped
        self._actor = actor
        self._name = name

    async def held(self) -> tuple[int, tuple[str, ...]]:
        """Return the version of the collection that the shard has, and its segments; waits for one coming up."""
        held: tuple[int, tuple[str, ...]] = await self._answer(self._actor.held.remote(), _APPLY_SECONDS)
        return held

    async def apply(self, delta: ManifestDelta, since: int) -> int:
        """Tell the shard of a change."""
        version: int = await self._answer(self._actor.apply.remote(delta, since), _APPLY_SECONDS)
        return version

    async def search(self, request: Request) -> Answer:
        """Ask the shard."""
        answer: Answer = await self._answer(self._actor.search.remote(request), _SEARCH_SECONDS)
        return answer

    async def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what chunks say."""
        found: dict[bytes, Passage] = await self._answer(self._actor.passages.remote(list(chunk_ids)), _SEARCH_SECONDS)
        return found

    async def stats(self) -> ShardStats:
        """Return what the shard holds."""
        stats: ShardStats = await self._answer(self._actor.stats.remote(), _SEARCH_SECONDS)
        return stats

    async def _answer(self, reference: Any, seconds: float) -> Any:  # noqa: ANN401 - the caller knows the type
        try:
            async with asyncio.timeout(seconds):
                return await reference
        except RayTaskError as error:
            # What the shard itself raised, such as a clear word on bad input.
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except (RayActorError, ActorUnavailableError, GetTimeoutError, TimeoutError) as error:
            raise ShardLostError(
                f"the shard {self._name} does not answer: {type(error).__name__}.", remedy="Ask again in a moment."
            ) from error


def cluster_fleet(
    database: Database, settings: Settings, collection: Collection, *, shards: int | None = None
) -> Fleet:
    """Return the collection's shards on the Ray cluster that this process is connected to; those missing are started.

    They stay when this process ends, until `stop_shards` or the end of the cluster.

    Args:
        database: Where the registry is.
        settings: Say how many shards and replicas there are.
        collection: To search.
        shards: In place of the setting.
    """
    replicas = []
    for replica in range(settings.memory_replicas):
        names = [f"shard-{number}" for number in range(shards or settings.memory_shards)]
        replicas.append({name: _ray_shard(settings, collection, name, replica) for name in names})
    return Fleet(database, collection, replicas)


def stop_shards(collection: str, shards: int, replicas: int) -> None:
    """End the actors of a collection's shards; what they hold can be read again."""
    for replica in range(replicas):
        for number in range(shards):
            with contextlib.suppress(ValueError):
                actor = ray.get_actor(_actor_name(collection, f"shard-{number}", replica), namespace=NAMESPACE)
                ray.kill(actor, no_restart=True)


def _ray_shard(settings: Settings, collection: Collection, name: str, replica: int) -> RayShard:
    actor_name = _actor_name(collection.name, name, replica)
    folder = settings.data_dir / "shards" / collection.name / f"{name}-{replica}"
    actor: Any = (
        ray.remote(ShardActor)
        .options(
            name=actor_name,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_restarts=-1,
            max_concurrency=_CONCURRENCY,
        )
        .remote(collection, str(folder), settings.memory_index)
    )
    return RayShard(actor, actor_name)


def _actor_name(collection: str, shard: str, replica: int) -> str:
    return f"memory-{collection}-{shard}-{replica}"
