"""The shards of one collection, wherever they run: kept at its latest version, and asked as one.

Each replica is a whole set of shards; a search asks one replica, and the next where a shard of it does not answer. A
shard keeps nothing but what it can read again: one that was lost comes back empty and is told everything anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol, TypeVar

from factory.domain.errors import RetryableError
from factory.memory import registry
from factory.memory.collections import Collection
from factory.memory.host import Answer, Found, Request
from factory.memory.liveness import deletions_of
from factory.memory.parts import SegmentRef
from factory.memory.passages import Passage
from factory.memory.placement import holder
from factory.memory.registry import Manifest
from factory.memory.shard import ManifestDelta, ShardStats
from factory.storage.database import Database

T = TypeVar("T")

_ROUNDS = 3


class ShardLostError(RetryableError):
    """A shard did not answer; it comes back by itself."""


class ShardClient(Protocol):
    """A shard, as one speaks to it."""

    async def held(self) -> tuple[int, tuple[str, ...]]:
        """Return the version of the collection that the shard has, 0 where it has just come up, and its segments."""
        ...

    async def apply(self, delta: ManifestDelta, since: int) -> int:
        """Tell the shard of what changed since a version; return the version that it has then."""
        ...

    async def search(self, request: Request) -> Answer:
        """Ask the shard; see `ShardHost.search`."""
        ...

    async def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what those chunks say that are alive in the shard."""
        ...

    async def stats(self) -> ShardStats:
        """Return what the shard holds."""
        ...


class Fleet:
    """The shards of one collection.

    Args:
        database: Where the registry is.
        collection: That they search.
        replicas: For each replica its shards by name; the names are the same in all of them.
    """

    def __init__(
        self, database: Database, collection: Collection, replicas: Sequence[Mapping[str, ShardClient]]
    ) -> None:
        self._database = database
        self._collection = collection
        self._replicas = [dict(shards) for shards in replicas]
        self._versions: dict[tuple[int, str], int] = {}
        self._syncing = [asyncio.Lock() for _ in replicas]
        self._turn = 0

    @property
    def collection(self) -> Collection:
        """The collection that the shards search."""
        return self._collection

    async def search(self, request: Request) -> Answer:
        """Ask all shards of one replica, told of every change before; return the best of their answers.

        Raises:
            ShardLostError: No replica is whole at the moment.
            BadInputError: The request cannot be answered by any shard.
        """
        self._turn += 1
        return await self._ask(lambda number: self._search(number, request))

    async def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what chunks say; without those that died meanwhile.

        Raises:
            ShardLostError: No replica is whole at the moment.
        """
        return await self._ask(lambda number: self._passages(number, chunk_ids))

    async def sync(self) -> int:
        """Tell every shard of all replicas what it does not know yet; return the collection's version.

        Raises:
            ShardLostError: A shard is not there.
        """
        version = await self._latest()
        await asyncio.gather(*(self._sync(number, version) for number in range(len(self._replicas))))
        return version

    async def stats(self) -> list[tuple[str, ShardStats]]:
        """Return what each shard holds, by replica and name."""
        places = [(number, name) for number, shards in enumerate(self._replicas) for name in shards]
        found = await asyncio.gather(*(self._replicas[number][name].stats() for number, name in places))
        return [(f"{name}/{number}", stats) for (number, name), stats in zip(places, found, strict=True)]

    async def _ask(self, question: Callable[[int], Awaitable[T]]) -> T:
        """Ask the replica whose turn it is, and the next where a shard of it does not answer."""
        count = len(self._replicas)
        last: ShardLostError | None = None
        for step in range(count):
            try:
                return await question((self._turn + step) % count)
            except ShardLostError as error:
                last = error
        raise last or ShardLostError(f"the collection {self._collection.name!r} has no shards.")

    async def _passages(self, number: int, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        found = await asyncio.gather(*(shard.passages(chunk_ids) for shard in self._replicas[number].values()))
        return dict(chain.from_iterable(part.items() for part in found))

    async def _search(self, number: int, request: Request) -> Answer:
        shards = self._replicas[number]
        wanted = max(request.min_version, await self._latest())
        for _ in range(_ROUNDS):
            await self._sync(number, wanted)
            answers = await asyncio.gather(*(shard.search(request) for shard in shards.values()))
            behind = [name for name, answer in zip(shards, answers, strict=True) if answer.version < wanted]
            if not behind:
                return _best(answers, request)
            for name in behind:  # they came up anew since they were told
                self._versions.pop((number, name), None)
        raise ShardLostError(f"the shards {', '.join(behind)} of {self._collection.name!r} are lost again and again.")

    async def _latest(self) -> int:
        rows = await self._database.fetch(registry.VERSION, self._collection.name)
        return int(rows[0]["version"]) if rows else 0

    async def _sync(self, number: int, wanted: int) -> None:
        shards = self._replicas[number]
        if all(self._versions.get((number, name), -1) >= wanted for name in shards):
            return
        async with self._syncing[number]:
            for _ in range(_ROUNDS):
                known = {name: self._versions.get((number, name), 0) for name in shards}
                behind = {name: since for name, since in known.items() if not since or since < wanted}
                if not behind:
                    return
                manifests = {since: await self._manifest(since) for since in set(behind.values())}
                told = await asyncio.gather(
                    *(self._tell(shards[name], name, [*shards], manifests[since]) for name, since in behind.items())
                )
                for name, version in zip(behind, told, strict=True):
                    # A shard that is behind what it was told has come up anew, and is told everything.
                    self._versions[number, name] = version if version >= wanted else 0
        raise ShardLostError(f"a shard of {self._collection.name!r} is lost again and again.")

    async def _tell(self, shard: ShardClient, name: str, shards: Sequence[str], manifest: Manifest) -> int:
        """Tell a shard what changed; one that is met for the first time may hold what is another's now."""
        delta = _delta(manifest, name, shards)
        if not manifest.since:
            version, held = await shard.held()
            placed = {ref.url for ref in delta.added}
            if version >= manifest.version and placed == set(held):
                return version
            delta = replace(delta, dropped=tuple(url for url in held if url not in placed))
        return await shard.apply(delta, manifest.since)

    async def _manifest(self, since: int) -> Manifest:
        async with self._database.transaction() as connection:
            return await registry.read_manifest(connection, self._collection.name, since)


def _delta(manifest: Manifest, shard: str, shards: Sequence[str]) -> ManifestDelta:
    """Return what one shard is told: of its own segments, and of everything that died."""
    return ManifestDelta(
        version=manifest.version,
        added=tuple(
            SegmentRef(segment.url, segment.sequence, segment.rows, segment.hash)
            for segment in manifest.added
            if holder(str(segment.id), shards) == shard
        ),
        dropped=manifest.dropped,
        deletions=deletions_of(manifest.tombstones),
    )


def _best(answers: Sequence[Answer], request: Request) -> Answer:
    return Answer(
        min(answer.version for answer in answers),
        tuple(_merged(found, request.k) for found in zip(*(answer.dense for answer in answers), strict=True)),
        tuple(_merged(found, request.k) for found in zip(*(answer.keyword for answer in answers), strict=True)),
    )


def _merged(found: Iterable[Found], k: int) -> Found:
    """Return the best of what several shards found, each chunk once; equal scores in the order of the ids."""
    ordered = sorted(chain.from_iterable(found), key=lambda hit: (-hit[1], hit[0]))
    # While segments move from one shard to another, both may have a chunk.
    return list({identity: (identity, score) for identity, score in reversed(ordered)}.values())[::-1][:k]
