"""The registry says exactly which chunks are alive, to readers that come at any time and miss any number of changes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from factory.domain.errors import ConflictError, NotFoundError
from factory.domain.ids import new_id
from factory.domain.memory import DocumentChunks, NewSegment
from factory.memory import registry
from factory.memory.collections import Collection, ensure_collection, get_collection
from factory.memory.placement import holder
from factory.memory.registry import Segment
from factory.settings import Settings
from factory.storage.database import Database

WANTED = Collection(name="notes", model="mini", dimension=3)


def chunk(number: int) -> str:
    return f"{number:032x}"


def document(key: str, version: int, *chunks: int, project: str = "p") -> DocumentChunks:
    ids = tuple(chunk(number) for number in chunks)
    return DocumentChunks(tenant="t", key=key, project_id=project, kind="note", version=version, chunk_ids=ids)


def segment(*documents: DocumentChunks, identity: UUID | None = None) -> NewSegment:
    identity = identity or new_id()
    rows = sum(len(item.chunk_ids) for item in documents)
    return NewSegment(
        id=identity,
        collection="notes",
        model=WANTED.model,
        dimension=WANTED.dimension,
        url=f"memory://{identity}",
        rows=rows,
        size=1,
        documents=documents,
    )


@dataclass
class Reader:
    """Knows a collection as a shard does: by what it was told since it last looked."""

    contents: dict[UUID, list[bytes]]
    version: int = 0
    segments: dict[UUID, Segment] = field(default_factory=dict)
    tombstones: dict[bytes, int] = field(default_factory=dict)

    async def follow(self, database: Database) -> None:
        async with database.transaction() as connection:
            told = await registry.read_manifest(connection, "notes", self.version)
        self.segments = {key: item for key, item in self.segments.items() if item.url not in told.dropped}
        self.segments |= {item.id: item for item in told.added}
        self.tombstones |= told.tombstones
        self.version = told.version

    def alive(self) -> set[bytes]:
        latest: dict[bytes, int] = {}
        for item in self.segments.values():
            for identity in self.contents[item.id]:
                latest[identity] = max(latest.get(identity, 0), item.sequence)
        return {identity for identity, sequence in latest.items() if sequence > self.tombstones.get(identity, 0)}


@pytest.fixture
async def database(new_database_url: Callable[[], Awaitable[str]]) -> Database:
    settings = Settings(database_url=await new_database_url())
    opened = await Database.open(settings)
    async with opened.transaction() as connection:
        await ensure_collection(connection, WANTED)
    return opened


async def register(database: Database, new: NewSegment) -> int:
    async with database.transaction() as connection:
        return await registry.register(connection, [new])


@pytest.mark.parametrize("seed", range(4))
async def test_every_reader_sees_what_is_alive(database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a run that can be repeated, not a secret
    contents: dict[UUID, list[bytes]] = {}
    patient, hasty = Reader(contents), Reader(contents)
    model: dict[str, tuple[int, set[bytes]]] = {}
    async with database:
        for _ in range(60):
            action = chance.random()
            if action < 0.7:
                key = chance.choice("abcdef")
                version = max(model.get(key, (0, set()))[0] + chance.choice((-1, 0, 1, 1, 1)), 1)
                # Chunks of two documents are never the same: their ids depend on the document's key.
                numbers = [1000 * ord(key) + number for number in chance.sample(range(12), chance.randrange(1, 6))]
                new = segment(document(key, version, *numbers))
                contents[new.id] = [bytes.fromhex(identity) for identity in new.documents[0].chunk_ids]
                await register(database, new)
                if version >= model.get(key, (0, set()))[0]:
                    model[key] = (version, set(contents[new.id]))
            elif action < 0.8:
                key = chance.choice("abcdef")
                async with database.transaction() as connection:
                    await registry.forget_documents(connection, "notes", "t", [key])
                model.pop(key, None)
            else:
                await compact(database, contents, chance)
            if chance.random() < 0.3:
                await patient.follow(database)
            await hasty.follow(database)
            assert hasty.alive() == set().union(*(alive for _, alive in model.values()))
        await patient.follow(database)
        fresh = Reader(contents)
        await fresh.follow(database)
        assert patient.alive() == hasty.alive() == fresh.alive()
        assert fresh.segments == patient.segments


async def compact(database: Database, contents: dict[UUID, list[bytes]], chance: random.Random) -> None:
    reader = Reader(contents)
    await reader.follow(database)
    ordered = sorted(reader.segments.values(), key=lambda item: item.sequence)
    if len(ordered) < 2:
        return
    start = chance.randrange(len(ordered) - 1)
    old = ordered[start : start + chance.randrange(2, 5)]
    part = Reader(contents, segments={item.id: item for item in old}, tombstones=reader.tombstones)
    alive = sorted(part.alive())
    new = None
    if alive:
        new = Segment(new_id(), f"memory://{new_id()}", "", len(alive), 1, old[-1].sequence)
        contents[new.id] = alive
    async with database.transaction() as connection:
        await registry.replace(connection, "notes", old, new)


async def test_a_repeated_registration_changes_nothing(database: Database) -> None:
    new = segment(document("a", 1, 1, 2))
    async with database:
        first = await register(database, new)
        assert await register(database, new) == first
        async with database.transaction() as connection:
            assert (await get_collection(connection, "notes")).version == first


async def test_a_document_may_lie_in_several_segments(database: Database) -> None:
    first, second = segment(document("a", 1, 1, 2), document("b", 1, 7)), segment(document("a", 1, 2, 3))
    contents = {item.id: [bytes.fromhex(i) for d in item.documents for i in d.chunk_ids] for item in (first, second)}
    reader = Reader(contents)
    async with database:
        async with database.transaction() as connection:
            await registry.register(connection, [first, second])
        await reader.follow(database)
        assert reader.alive() == {bytes.fromhex(chunk(number)) for number in (1, 2, 3, 7)}
        # A shard that holds the first segment alone must not find what the second holds as well.
        alone = Reader(contents, segments={first.id: reader.segments[first.id]}, tombstones=reader.tombstones)
        assert alone.alive() == {bytes.fromhex(chunk(number)) for number in (1, 7)}
        new = segment(document("a", 2, 3))
        contents[new.id] = [bytes.fromhex(chunk(3))]
        await register(database, new)
        await reader.follow(database)
    assert reader.alive() == {bytes.fromhex(chunk(number)) for number in (3, 7)}


async def test_a_late_version_does_not_replace_a_later_one(database: Database) -> None:
    late, mixed = segment(document("a", 1, 1, 3)), segment(document("a", 1, 1, 3), document("b", 1, 9))
    contents = {item.id: [bytes.fromhex(i) for d in item.documents for i in d.chunk_ids] for item in (late, mixed)}
    async with database:
        current = segment(document("a", 2, 1, 2))
        contents[current.id] = [bytes.fromhex(identity) for identity in current.documents[0].chunk_ids]
        for new in (current, late, mixed):
            await register(database, new)
        reader = Reader(contents)
        await reader.follow(database)
    assert late.id not in reader.segments
    assert reader.alive() == {bytes.fromhex(chunk(number)) for number in (1, 2, 9)}


async def test_versions_appear_in_order_though_writers_come_together(database: Database) -> None:
    contents: dict[UUID, list[bytes]] = {}
    reader = Reader(contents)
    segments = [segment(document(f"d{number}", 1, number)) for number in range(40)]
    contents |= {item.id: [bytes.fromhex(item.documents[0].chunk_ids[0])] for item in segments}

    async def read() -> None:
        while len(reader.segments) < len(segments):
            await reader.follow(database)
            assert {item.sequence for item in reader.segments.values()} == set(range(1, len(reader.segments) + 1))

    reader.contents = contents
    async with database:
        await asyncio.gather(read(), *(register(database, item) for item in segments))
    assert len(reader.alive()) == len(segments)


async def test_forgetting_a_project_leaves_the_others(database: Database) -> None:
    new = segment(document("a", 1, 1, project="one"), document("b", 1, 2, project="other"))
    reader = Reader({new.id: [bytes.fromhex(chunk(1)), bytes.fromhex(chunk(2))]})
    async with database:
        await register(database, new)
        async with database.transaction() as connection:
            assert await registry.forget_project(connection, "notes", "one") == 1
            assert await registry.forget_project(connection, "notes", "one") == 0
        await reader.follow(database)
    assert reader.alive() == {bytes.fromhex(chunk(2))}


async def test_only_one_of_two_compactions_happens(database: Database) -> None:
    async with database:
        for number in (1, 2):
            await register(database, segment(document(f"d{number}", 1, number)))
        async with database.transaction() as connection:
            old = (await registry.read_manifest(connection, "notes")).added
            await registry.replace(connection, "notes", old, Segment(new_id(), "memory://x", "", 2, 1, 2))
        with pytest.raises(ConflictError, match="replaced meanwhile"):
            async with database.transaction() as connection:
                await registry.replace(connection, "notes", old, Segment(new_id(), "memory://y", "", 2, 1, 2))
        async with database.transaction() as connection:
            assert await registry.take_dropped(connection, "notes", timedelta(days=1)) == []
            gone = await registry.take_dropped(connection, "notes", timedelta(seconds=-1))
    assert {item.url for item in gone} == {item.url for item in old}


async def test_another_model_is_refused(database: Database) -> None:
    async with database, database.transaction() as connection:
        assert (await ensure_collection(connection, WANTED)).version == 0
        other = Collection(name="notes", model="large", dimension=4)
        with pytest.raises(ConflictError, match="'mini' with 3 dimensions, not of 'large' with 4") as refused:
            await ensure_collection(connection, other)
        assert refused.value.field == "model"
        with pytest.raises(NotFoundError, match="no collection 'other'"):
            await registry.read_manifest(connection, "other")


def test_a_shard_that_joins_takes_only_its_share() -> None:
    segments = [f"segment-{number}" for number in range(2000)]
    before = {name: holder(name, ["a", "b", "c"]) for name in segments}
    after = {name: holder(name, ["c", "d", "a", "b"]) for name in segments}
    moved = [name for name in segments if after[name] != before[name]]
    assert {after[name] for name in moved} == {"d"}
    assert 0.2 < len(moved) / len(segments) < 0.3
    for shard in "abcd":
        assert 0.2 < sum(held == shard for held in after.values()) / len(segments) < 0.3
