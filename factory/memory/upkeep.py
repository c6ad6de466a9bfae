"""Upkeep of a collection: small segments become large ones, and what nobody reads any more is removed."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import structlog

from factory.domain.errors import ConflictError
from factory.domain.ids import new_id
from factory.memory import registry
from factory.memory.compaction import compact
from factory.memory.index.files import IndexFiles
from factory.memory.liveness import deletions_of
from factory.memory.parts import SegmentRef
from factory.memory.registry import SMALL_ROWS, SMALL_RUN, Manifest, Segment
from factory.memory.segments import new_segment_url, remove_segment
from factory.storage.database import Database

_log = structlog.stdlib.get_logger(__name__)

# The most rows of a segment that others were compacted into.
TARGET_ROWS = 200_000
# How long a search that began before may still read a segment that was replaced.
GRACE = timedelta(minutes=10)
# A segment that nobody registered for so long has lost its writer.
_ORPHANED_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Compacted:
    """What upkeep did.

    Attributes:
        before: Segments that were replaced.
        after: Segments that replaced them.
        rows_before: Rows of the former.
        rows_after: Rows of the latter, all of them alive.
        removed: Files that were removed.
    """

    before: int = 0
    after: int = 0
    rows_before: int = 0
    rows_after: int = 0
    removed: int = 0


async def keep_up(
    database: Database, collection: str, folder: str, *, everything: bool = False, grace: timedelta = GRACE
) -> Compacted:
    """Compact what is due and remove what is done with. Safe beside searches, writers, and itself.

    Args:
        database: Where the registry is.
        collection: To compact.
        folder: URL that segments are stored under.
        everything: Rewrite all segments, which rids them of dead rows, instead of long runs of small ones.
        grace: How long what was replaced is kept for searches that began before.

    Raises:
        NotFoundError: There is no such collection.
    """
    async with database.transaction() as connection:
        manifest = await registry.read_manifest(connection, collection)
    done = Compacted()
    for run in runs(manifest.added, everything=everything):
        done = _sum(done, await _compact(database, collection, folder, run, manifest))
    removed = await _remove_dropped(database, collection, grace)
    removed += await _remove_orphans(database, collection, folder)
    return _sum(done, Compacted(removed=removed))


def runs(segments: Sequence[Segment], *, everything: bool = False) -> list[list[Segment]]:
    """Return which neighbours are to become one segment each.

    Neighbours by sequence: a segment between two others may have replaced chunks of the first.
    """
    found: list[list[Segment]] = [[]]
    for segment in sorted(segments, key=lambda item: item.sequence):
        run = found[-1]
        fits = sum(item.rows for item in run) + segment.rows <= TARGET_ROWS
        if not everything and segment.rows >= SMALL_ROWS:
            found.append([])
        elif run and not fits:
            found.append([segment])
        else:
            run.append(segment)
    least = 1 if everything else SMALL_RUN
    return [run for run in found if len(run) >= least]


async def _compact(
    database: Database, collection: str, folder: str, run: Sequence[Segment], manifest: Manifest
) -> Compacted:
    identity = new_id()
    url = new_segment_url(folder, collection, identity)
    refs = [SegmentRef(item.url, item.sequence, item.rows, item.hash) for item in run]
    stored = await asyncio.to_thread(compact, refs, deletions_of(manifest.tombstones), url)
    new = None
    if stored is not None:
        new = Segment(identity, url, stored.hash, stored.rows, stored.size, max(item.sequence for item in run))
    try:
        async with database.transaction() as connection:
            await registry.replace(connection, collection, run, new)
    except ConflictError:
        if new is not None:
            await asyncio.to_thread(remove_segment, url)
        return Compacted()
    return Compacted(len(run), int(new is not None), sum(item.rows for item in run), new.rows if new else 0)


async def _remove_dropped(database: Database, collection: str, grace: timedelta) -> int:
    async with database.transaction() as connection:
        gone = await registry.take_dropped(connection, collection, grace)
    # Killed here, it leaves orphans, which a later round removes.
    with tempfile.TemporaryDirectory(prefix="factory-upkeep-") as nothing:
        indexes = IndexFiles(Path(nothing))
        for segment in gone:
            await asyncio.to_thread(indexes.remove, segment.url, segment.rows, content_hash=segment.hash)
            await asyncio.to_thread(remove_segment, segment.url)
    return len(gone)


async def _remove_orphans(database: Database, collection: str, folder: str) -> int:
    """Remove segments that no registration followed; local folders only, an object store has rules for that."""
    parts = urlsplit(folder)
    if parts.scheme not in ("", "file"):
        return 0
    place = Path(url2pathname(parts.path)) / collection
    cut = time.time() - _ORPHANED_SECONDS
    old = [path for path in place.glob("*.parquet") if path.stat().st_mtime < cut] if place.is_dir() else []
    if not old:
        return 0
    async with database.transaction() as connection:
        known = await registry.known_urls(connection, collection)
    names = {url.rpartition("/")[2] for url in known}
    orphans = [path for path in old if path.name not in names]
    for path in orphans:
        _log.info("orphaned_segment_removed", path=str(path))
        path.unlink(missing_ok=True)
    return len(orphans)


def _sum(one: Compacted, other: Compacted) -> Compacted:
    return Compacted(
        one.before + other.before,
        one.after + other.after,
        one.rows_before + other.rows_before,
        one.rows_after + other.rows_after,
        one.removed + other.removed,
    )
