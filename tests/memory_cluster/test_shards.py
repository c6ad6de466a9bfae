"""Shards on Ray actors: killed at any moment, they come back by themselves and answer as before."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from factory.domain.ids import derived_id
from factory.domain.memory import DocumentChunks, NewSegment
from factory.memory import registry
from factory.memory.collections import Collection
from factory.memory.documents import chunk_id, segment_schema
from factory.memory.fleet import Fleet, ShardLostError
from factory.memory.host import Request
from factory.memory.segments import Model, write_segment
from factory.memory.shards import cluster_fleet, stop_shards
from factory.settings import Settings
from factory.storage.database import Database

DIMENSION = 16
SEGMENTS = 12
ROWS = 50
COLLECTION = Collection("spread", "noise", DIMENSION)
"""Vectors of no model: what is tested here is where they are."""


@pytest.fixture
async def database(new_database_url: Callable[[], Awaitable[str]], tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings(database_url=await new_database_url(), data_dir=tmp_path, memory_shards=2, memory_replicas=2)
    async with await Database.open(settings) as opened:
        yield opened


@pytest.fixture
def stopped(cluster: str) -> Iterator[str]:
    yield cluster
    stop_shards("spread", 3, 2)


async def fill(database: Database, first: int, count: int) -> np.ndarray:
    """Register segments of random vectors; return the vectors."""
    chance = np.random.default_rng(first)
    vectors = chance.normal(size=(count * ROWS, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for number in range(count):
        part = vectors[number * ROWS : (number + 1) * ROWS]
        key = f"d{first + number}"
        ids = [chunk_id(key, "t", "", f"word{first + number}x{row}") for row in range(ROWS)]
        rows = [
            {
                "chunk_id": identity,
                "document_key": key,
                "tenant": "t",
                "project_id": "p",
                "kind": "note",
                "version": 1,
                "agent": "a",
                "created_at": 0,
                "path": "",
                "title": "",
                "ordinal": row,
                "text": f"word{first + number}x{row}",
                "tokens": 1,
                "vector": part[row].tolist(),
            }
            for row, identity in enumerate(ids)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=segment_schema(DIMENSION))
        url = (database.settings.data_dir / f"{key}.parquet").as_uri()
        stored = write_segment(url, [batch], Model("noise", DIMENSION))
        document = DocumentChunks(
            tenant="t", key=key, project_id="p", kind="note", version=1, chunk_ids=tuple(i.hex() for i in ids)
        )
        new = NewSegment(
            # Ids decide which shard holds a segment: with these, each of three shards holds some.
            id=derived_id("segment", first + number),
            collection="spread",
            model="noise",
            dimension=DIMENSION,
            url=url,
            hash=stored.hash,
            rows=ROWS,
            size=stored.size,
            documents=(document,),
        )
        async with database.transaction() as connection:
            await registry.register(connection, [new])
    return vectors


async def nearest(fleet: Fleet, queries: np.ndarray) -> list[list[tuple[bytes, float]]]:
    answer = await fleet.search(Request((), queries, 5))
    return [list(found) for found in answer.dense]


def processes() -> list[int]:
    """Return the processes of the living shards."""
    found = psutil.Process().children(recursive=True)
    return sorted(process.pid for process in found if "ray::ShardActor" in " ".join(process.cmdline()))


@pytest.mark.usefixtures("stopped")
@pytest.mark.timeout(240)
async def test_killed_shards_come_back_and_say_the_same(database: Database) -> None:
    vectors = await fill(database, 0, SEGMENTS)
    fleet = cluster_fleet(database, database.settings, COLLECTION)
    queries = vectors[::37].copy()
    before = await nearest(fleet, queries)
    for query, found in zip(queries, before, strict=True):
        exact = np.sort(vectors @ query)[::-1][:5]
        assert np.allclose([score for _, score in found], exact, atol=1e-5)
    await fleet.sync()
    held = dict(await fleet.stats())
    assert sum(stats.rows for name, stats in held.items() if name.endswith("/0")) == SEGMENTS * ROWS
    assert all(stats.rows for stats in held.values())

    # One shard of one replica: the other replica answers meanwhile, and then both do again.
    os.kill(processes()[0], signal.SIGKILL)
    for _ in range(4):
        assert await nearest(fleet, queries) == before
    # Every shard at once: nobody can answer until Ray has them back.
    for pid in processes():
        os.kill(pid, signal.SIGKILL)
    await fill(database, SEGMENTS, 1)
    after = await answered(fleet, queries)
    for old, new in zip(before, after, strict=True):
        assert {identity for identity, _ in new} <= {identity for identity, _ in old} | new_ids()
    # Another process that speaks to the same shards sees the same.
    other = cluster_fleet(database, database.settings, COLLECTION)
    assert await nearest(other, queries) == after


def new_ids() -> set[bytes]:
    return {chunk_id(f"d{SEGMENTS}", "t", "", f"word{SEGMENTS}x{row}") for row in range(ROWS)}


async def answered(fleet: Fleet, queries: np.ndarray) -> list[list[tuple[bytes, float]]]:
    while True:
        try:
            return await nearest(fleet, queries)
        except ShardLostError:
            continue


@pytest.mark.usefixtures("stopped")
@pytest.mark.timeout(240)
async def test_a_shard_that_joins_takes_its_share_and_no_answer_changes(database: Database) -> None:
    vectors = await fill(database, 0, SEGMENTS)
    settings = database.settings.model_copy(update={"memory_replicas": 1})
    two = cluster_fleet(database, settings, COLLECTION, shards=2)
    before = await nearest(two, vectors[::11].copy())
    first = {name: stats.rows for name, stats in await two.stats()}
    three = cluster_fleet(database, settings, COLLECTION, shards=3)
    await three.sync()
    assert await nearest(three, vectors[::11].copy()) == before
    second = {name: stats.rows for name, stats in await three.stats()}
    assert sum(first.values()) == sum(second.values()) == SEGMENTS * ROWS
    assert second["shard-2/0"] > 0
    # What the new shard has, and nothing else, went away from the others.
    assert all(second[name] <= rows for name, rows in first.items())
