"""The registry of segments: which of them make up a collection, and which of their chunks are dead.

Everything happens on the caller's connection, inside the caller's transaction: a segment is in memory if and only if
the event that says so was published. A writer holds the collection's row until it commits, so that versions appear in
order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from factory.domain.errors import ConflictError, NotFoundError
from factory.domain.memory import DocumentChunks, HeldDocument, NewSegment
from factory.memory.collections import Collection, ensure_collection
from factory.storage.database import Connection

# A segment below this many rows is small; a run of so many small ones is compacted.
SMALL_ROWS = 20_000
SMALL_RUN = 16

# Primary key.
_ADVANCE = "UPDATE memory_collection SET version = version + $2 WHERE name = $1 RETURNING version"
_KNOWN = "SELECT id, version FROM memory_segment WHERE id = ANY ($1)"
_INSERT = """
INSERT INTO memory_segment (id, collection, url, hash, rows, size, sequence, version)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_DOCUMENTS = """
SELECT d.tenant, d.key, d.version, d.chunk_ids FROM unnest($2::text[], $3::text[]) AS w (tenant, key)
JOIN memory_document d ON d.collection = $1 AND d.tenant = w.tenant AND d.key = w.key
"""
_UPSERT = """
INSERT INTO memory_document (collection, tenant, key, project_id, kind, version, chunk_ids, sequence)
SELECT $1, tenant, key, project_id, kind, version, ARRAY(
        SELECT substring(ids FROM place FOR 16) FROM generate_series(1, length(ids), 16) AS place ORDER BY place
    ), $8
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::bytea[])
    AS n (tenant, key, project_id, kind, version, ids)
ON CONFLICT (collection, tenant, key) DO UPDATE SET project_id = EXCLUDED.project_id, kind = EXCLUDED.kind,
    version = EXCLUDED.version, chunk_ids = EXCLUDED.chunk_ids, sequence = EXCLUDED.sequence, updated_at = now()
"""
_BURY = """
INSERT INTO memory_tombstone AS t (collection, chunk_id, sequence, version)
SELECT $1, chunk_id, sequence, $4 FROM unnest($2::bytea[], $3::bigint[]) AS n (chunk_id, sequence)
ON CONFLICT (collection, chunk_id) DO UPDATE
    SET sequence = greatest(t.sequence, EXCLUDED.sequence), version = EXCLUDED.version
"""
# memory_document_by_project and memory_segment_live. What a segment was compacted into has the next higher sequence.
_HELD = """
SELECT d.collection, d.tenant, d.key, d.kind, d.project_id, d.chunk_ids, s.url FROM memory_document d
CROSS JOIN LATERAL (
    SELECT url FROM memory_segment WHERE collection = d.collection AND sequence >= d.sequence
        AND dropped_version IS NULL ORDER BY sequence LIMIT 1
) s
WHERE d.project_id = $1 AND d.kind = $2 AND d.chunk_ids <> '{}'
"""
# memory_document_by_project, or the primary key.
_FORGET_PROJECT = """
DELETE FROM memory_document WHERE collection = $1 AND project_id = $2 RETURNING chunk_ids
"""
_FORGET_KEYS = """
DELETE FROM memory_document WHERE collection = $1 AND tenant = $2 AND key = ANY ($3) RETURNING chunk_ids
"""
# memory_segment_by_version and memory_segment_dropped.
_ADDED = """
SELECT id, url, hash, rows, size, sequence FROM memory_segment
WHERE collection = $1 AND version > $2 AND version <= $3 AND (dropped_version IS NULL OR dropped_version > $3)
ORDER BY sequence
"""
_DROPPED = """
SELECT url FROM memory_segment
WHERE collection = $1 AND dropped_version > $2 AND dropped_version <= $3 AND version <= $2
"""
_TOMBSTONES = """
SELECT chunk_id, sequence FROM memory_tombstone WHERE collection = $1 AND version > $2 AND version <= $3
"""
VERSION = "SELECT version FROM memory_collection WHERE name = $1"
_DROP = """
UPDATE memory_segment SET dropped_version = $2, dropped_at = now() WHERE id = ANY ($1) AND dropped_version IS NULL
RETURNING sequence
"""
# What no living segment is old enough for.
_FORGET_TOMBSTONES = """
DELETE FROM memory_tombstone t WHERE collection = $1 AND sequence < coalesce((
    SELECT min(sequence) FROM memory_segment WHERE collection = $1 AND dropped_version IS NULL
), 9223372036854775807)
"""
_SIZES = """
SELECT c.name AS collection, c.model, c.dimension, c.version, s.segments, s.rows, s.bytes,
    (SELECT count(*) FROM memory_document d WHERE d.collection = c.name AND d.chunk_ids <> '{}') AS documents,
    (SELECT count(*) FROM memory_tombstone t WHERE t.collection = c.name) AS tombstones
FROM memory_collection c CROSS JOIN LATERAL (
    SELECT count(*) AS segments, coalesce(sum(rows), 0)::bigint AS rows, coalesce(sum(size), 0)::bigint AS bytes
    FROM memory_segment s WHERE s.collection = c.name AND s.dropped_version IS NULL
) s ORDER BY c.name
"""
_CROWDED = """
SELECT collection FROM memory_segment WHERE dropped_version IS NULL AND rows < $1
GROUP BY collection HAVING count(*) >= $2 ORDER BY collection
"""
_URLS = "SELECT url FROM memory_segment WHERE collection = $1"
_GONE = """
DELETE FROM memory_segment WHERE collection = $1 AND dropped_at <= clock_timestamp() - $2::interval
RETURNING id, url, hash, rows, size, sequence
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a collection.

    Attributes:
        sequence: Of two segments with the same chunk the higher wins.
    """

    id: UUID
    url: str
    hash: str
    rows: int
    size: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What changed in a collection between two versions.

    Attributes:
        since: The first, 0 for everything.
        version: The second.
        added: Segments that came and are still there, by rising sequence.
        dropped: URLs of segments that went.
        tombstones: By chunk, up to which sequence it is dead.
    """

    since: int
    version: int
    added: tuple[Segment, ...] = ()
    dropped: tuple[str, ...] = ()
    tombstones: Mapping[bytes, int] = field(default_factory=dict)


async def register(connection: Connection, segments: Sequence[NewSegment]) -> int:
    """Make segments part of their collection; what they replace of their documents is dead with the same commit.

    A document may have chunks in several of them. One that memory holds in a later version stays as it is: what only
    the earlier one has is dead at once, and where all are such, nothing is registered. The collection is made if it is
    missing. Segments that are registered already are left as they are.

    Args:
        connection: In the caller's transaction.
        segments: At least one, all of one collection.

    Returns:
        The version of the collection from which on they are searched.

    Raises:
        ConflictError: The collection is of another model.
    """
    collection = segments[0].collection
    ids = [segment.id for segment in segments]
    known = {row["id"]: row["version"] for row in await connection.fetch(_KNOWN, ids)}
    if len(known) == len(segments):
        return int(max(known.values()))
    for segment in segments:
        wanted = Collection(collection, segment.model, segment.dimension, normalised=segment.normalised)
        await ensure_collection(connection, wanted)
    # Locks the collection, so that nobody registers the same beside us.
    last = await _advance(connection, collection, len(segments))
    known = {row["id"]: row["version"] for row in await connection.fetch(_KNOWN, ids)}
    fresh = [segment for segment in segments if segment.id not in known]
    first = last - len(segments) + 1
    documents = _merged(fresh)
    before = await _before(connection, collection, documents)
    late = {key for key, item in documents.items() if key in before and before[key][0] > item.version}
    if not fresh or (documents and len(late) == len(documents)):
        return int(max(known.values(), default=last))
    for version, segment in enumerate(fresh, first):
        await connection.execute(
            _INSERT,
            segment.id,
            collection,
            segment.url,
            segment.hash,
            segment.rows,
            segment.size,
            version,
            version,
        )
    dead = _copies(fresh, first)
    for key, item in documents.items():
        new = {bytes.fromhex(chunk) for chunk in item.chunk_ids}
        old = set(before[key][1]) if key in before else set()
        # A chunk that both versions have has come anew, and its later row counts.
        _extend(dead, old & new, first - 1)
        _extend(dead, new - old if key in late else old - new, last)
    await _bury(connection, collection, dead, last)
    await _remember(connection, collection, [item for key, item in documents.items() if key not in late], last)
    return last


async def forget_project(connection: Connection, collection: str, project_id: str) -> int:
    """Take every document of a project out of a collection; return how many chunks died.

    Raises:
        NotFoundError: There is no such collection.
    """
    return await _forget(connection, collection, _FORGET_PROJECT, project_id)


async def forget_documents(connection: Connection, collection: str, tenant: str, keys: Sequence[str]) -> int:
    """Take documents out of a collection; return how many chunks died.

    Raises:
        NotFoundError: There is no such collection.
    """
    return await _forget(connection, collection, _FORGET_KEYS, tenant, list(keys))


async def held_documents(connection: Connection, project_id: str, kind: str) -> list[HeldDocument]:
    """Return what every collection holds of a project's artifacts of one kind."""
    rows = await connection.fetch(_HELD, project_id, kind)
    return [HeldDocument(**{**dict(row), "chunk_ids": [chunk.hex() for chunk in row["chunk_ids"]]}) for row in rows]


async def read_manifest(connection: Connection, collection: str, since: int = 0) -> Manifest:
    """Return what a shard that knows one version must learn to know the latest.

    Raises:
        NotFoundError: There is no such collection.
    """
    version = await connection.fetchval(VERSION, collection)
    if version is None:
        raise _unknown(collection)
    if version <= since:
        return Manifest(since=since, version=version)
    added = await connection.fetch(_ADDED, collection, since, version)
    dropped = await connection.fetch(_DROPPED, collection, since, version) if since else []
    tombstones = await connection.fetch(_TOMBSTONES, collection, since, version)
    return Manifest(
        since=since,
        version=version,
        added=tuple(Segment(**dict(row)) for row in added),
        dropped=tuple(row["url"] for row in dropped),
        tombstones={row["chunk_id"]: row["sequence"] for row in tombstones},
    )


async def replace(connection: Connection, collection: str, old: Sequence[Segment], new: Segment | None) -> int:
    """Put a compacted segment in the place of others; return the version from which on it is searched.

    Args:
        connection: In the caller's transaction.
        collection: That they belong to.
        old: Segments whose sequences follow one another, with none of another living segment between them.
        new: Their living chunks, with the highest of their sequences; None where none lives.

    Raises:
        ConflictError: One of the old segments was replaced meanwhile; the new one is not needed.
        NotFoundError: There is no such collection.
    """
    version = await _advance(connection, collection)
    dropped = await connection.fetch(_DROP, [segment.id for segment in old], version)
    if len(dropped) != len(old):
        raise ConflictError(
            f"{len(old) - len(dropped)} of the segments to compact in {collection!r} were replaced meanwhile.",
            remedy="Nothing: another process has compacted them.",
        )
    if new is not None:
        await connection.execute(
            _INSERT, new.id, collection, new.url, new.hash, new.rows, new.size, new.sequence, version
        )
    await connection.execute(_FORGET_TOMBSTONES, collection)
    return version


async def take_dropped(connection: Connection, collection: str, grace: timedelta) -> list[Segment]:
    """Remove the records of segments that were replaced so long ago that no search reads them; return them."""
    rows = await connection.fetch(_GONE, collection, grace)
    return [Segment(**dict(row)) for row in rows]


async def collection_sizes(connection: Connection) -> list[dict[str, Any]]:
    """Return every collection with its model, and how many documents, segments, rows, bytes and tombstones it has."""
    return [dict(row) for row in await connection.fetch(_SIZES)]


async def crowded_collections(connection: Connection) -> list[str]:
    """Return the collections that have many small segments."""
    return [row["collection"] for row in await connection.fetch(_CROWDED, SMALL_ROWS, SMALL_RUN)]


async def known_urls(connection: Connection, collection: str) -> frozenset[str]:
    """Return the URLs of every registered segment, replaced ones included."""
    return frozenset(row["url"] for row in await connection.fetch(_URLS, collection))


def _merged(segments: Sequence[NewSegment]) -> dict[tuple[str, str], DocumentChunks]:
    """Return each document once, with its chunks of all segments."""
    found: dict[tuple[str, str], DocumentChunks] = {}
    for item in (item for segment in segments for item in segment.documents):
        key = (item.tenant, item.key)
        other = found.get(key)
        if other is not None and other.version == item.version:
            ids = dict.fromkeys((*other.chunk_ids, *item.chunk_ids))
            found[key] = item.model_copy(update={"chunk_ids": tuple(ids)})
        elif other is None or other.version < item.version:
            found[key] = item
    return found


def _copies(segments: Sequence[NewSegment], first: int) -> dict[bytes, int]:
    """Return the chunks that several segments have, with the sequence up to which they are dead: the last copy counts.

    Two shards may hold the copies, and neither sees the other's.
    """
    latest: dict[str, int] = {}
    copies: dict[bytes, int] = {}
    for sequence, segment in enumerate(segments, first):
        for chunk in (chunk for item in segment.documents for chunk in item.chunk_ids):
            if latest.setdefault(chunk, sequence) != sequence:
                latest[chunk] = sequence
                copies[bytes.fromhex(chunk)] = sequence - 1
    return copies


def _extend(dead: dict[bytes, int], chunks: Iterable[bytes], sequence: int) -> None:
    for chunk in chunks:
        dead[chunk] = max(dead.get(chunk, 0), sequence)


async def _before(
    connection: Connection, collection: str, documents: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[int, Sequence[bytes]]]:
    keys = list(documents)
    rows = await connection.fetch(_DOCUMENTS, collection, [tenant for tenant, _ in keys], [key for _, key in keys])
    return {(row["tenant"], row["key"]): (row["version"], row["chunk_ids"]) for row in rows}


async def _advance(connection: Connection, collection: str, steps: int = 1) -> int:
    version = await connection.fetchval(_ADVANCE, collection, steps)
    if version is None:
        raise _unknown(collection)
    return int(version)


async def _bury(connection: Connection, collection: str, dead: Mapping[bytes, int], version: int) -> None:
    if dead:
        # In order of id, so that two writers cannot wait for one another.
        ids = sorted(dead)
        await connection.execute(_BURY, collection, ids, [dead[chunk] for chunk in ids], version)


async def _remember(connection: Connection, collection: str, documents: Sequence[DocumentChunks], version: int) -> None:
    await connection.execute(
        _UPSERT,
        collection,
        [item.tenant for item in documents],
        [item.key for item in documents],
        [item.project_id for item in documents],
        [item.kind for item in documents],
        [item.version for item in documents],
        [bytes.fromhex("".join(item.chunk_ids)) for item in documents],
        version,
    )


async def _forget(connection: Connection, collection: str, statement: str, *which: object) -> int:
    version = await _advance(connection, collection)
    rows = await connection.fetch(statement, collection, *which)
    dead = {chunk: version for row in rows for chunk in row["chunk_ids"]}
    await _bury(connection, collection, dead, version)
    return len(dead)


def _unknown(collection: str) -> NotFoundError:
    return NotFoundError(
        f"there is no collection {collection!r}.", remedy="See `factory memory status`.", field="collection"
    )
