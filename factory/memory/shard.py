"""A shard: some segments of one collection, searched as one. Knows neither Ray nor a database."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from factory.artifacts.errors import IntegrityError
from factory.domain.errors import BadInputError, ConflictError, RetryableError
from factory.memory.columns import ID_WORDS, Ids, bytes_of, joined, words_of
from factory.memory.filters import Filter
from factory.memory.hits import Hits, best
from factory.memory.index.build import use_threads
from factory.memory.index.exact import Found
from factory.memory.index.files import IndexFiles
from factory.memory.index.kinds import IndexSetting
from factory.memory.index.mapped import MappedIndex
from factory.memory.liveness import Deletion, IdTable, no_tombstones, survivors, with_deletions, without
from factory.memory.parts import LoadedSegment, Part, SegmentRef, Tail
from factory.memory.passages import Passage, PassageReader
from factory.memory.segments import read_columns, read_model, read_vectors

# Looked at beyond k, so that chunks with equal scores at the border are chosen by their ids and not by chance.
_TIES = 4
_MOST_HITS = 1000

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """How a shard works.

    Attributes:
        index: Which kind of index a large segment gets.
        tail_rows: Segments of up to so many rows are held in memory together and compared one by one.
        load_threads: How many segments are loaded at once.
        build_threads: How many threads build one index.
        search_threads: How many threads one search uses; more than one pays only for large batches.
        publish: Whether to store a newly built index beside its segment.
        passage_cache_bytes: How much of the texts read last is remembered.
        model: What made the vectors; a segment of another model is refused. Empty: any of the right dimension.
        storage: What fsspec needs beside the URLs.
    """

    index: IndexSetting = IndexSetting.AUTO
    tail_rows: int = 5_000
    load_threads: int = 2
    build_threads: int = 1
    search_threads: int = 1
    publish: bool = True
    passage_cache_bytes: int = 64 << 20
    model: str = ""
    storage: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ManifestDelta:
    """What changed in a collection, as far as it concerns this shard.

    Attributes:
        version: Of the collection, once this is applied.
        added: Segments to serve. One that is served already, at the same URL, is left as it is.
        dropped: URLs of segments to serve no more. One that is not served is no error.
        deletions: Chunks that were deleted or replaced, whichever shard holds them.
        forgotten: Chunks whose tombstones are needed no more, since no segment that they cover is left anywhere.
    """

    version: int
    added: tuple[SegmentRef, ...] = ()
    dropped: tuple[str, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    forgotten: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardStats:
    """What a shard holds.

    Attributes:
        version: Of the collection, as applied.
        segments: How many are served.
        rows: In them.
        live_rows: Those that a search may find.
        tail_segments: How many are held in memory.
        tail_rows: In those; when they grow to many thousands, compaction is due.
        indexes: By kind, how many segments have such an index.
        tombstones: How many are known.
    """

    version: int
    segments: int
    rows: int
    live_rows: int
    tail_segments: int
    tail_rows: int
    indexes: Mapping[str, int]
    tombstones: int


@dataclass(frozen=True)
class _State:
    """Everything a search needs; replaced as a whole, so that a search sees one version from beginning to end."""

    version: int = 0
    sealed: tuple[Part, ...] = ()
    tail: Tail = field(default_factory=Tail)
    tombstones: IdTable = field(default_factory=no_tombstones)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (*self.sealed, self.tail.part) if self.tail.part is not None else self.sealed

    @property
    def refs(self) -> dict[str, SegmentRef]:
        return {ref.url: ref for part in self.parts for ref in part.segments}


class Shard:
    """Searches some segments. Safe to use from several threads: a search sees the state before a change or after it.

    Args:
        dimension: Of the collection's vectors.
        cache_dir: A local folder for index files; it may be lost.
        options: See there.
    """

    def __init__(self, dimension: int, cache_dir: Path, options: ShardOptions | None = None) -> None:
        self._dimension = dimension
        self._options = options or ShardOptions()
        self._files = IndexFiles(
            cache_dir, self._options.index, self._options.build_threads, self._options.publish, self._options.storage
        )
        self._passages = PassageReader(self._options.passage_cache_bytes, self._options.storage)
        self._applying = threading.Lock()
        self._state = _State()

    @property
    def version(self) -> int:
        """The version of the collection that searches see."""
        return self._state.version

    def apply(self, delta: ManifestDelta) -> None:
        """Take over a change. It is seen as a whole or, where an error is raised, not at all.

        Applying a delta twice does no harm. Segments are loaded, and indexes built where they are missing, before
        anything changes; searches go on meanwhile.

        Raises:
            ConflictError: The version is lower than what was applied, or two segments share a sequence number.
            BadInputError: A segment is of another model or dimension.
            IntegrityError: A segment is damaged, or has not as many rows as was said.
            NotFoundError: A segment does not exist.
        """
        with self._applying:
            state = self._state
            if delta.version < state.version:
                raise ConflictError(
                    f"version {delta.version} was to be applied to a shard at version {state.version}.",
                    remedy="Apply changes in the order of their versions, or make a new shard.",
                    field="version",
                )
            have = state.refs
            gone = frozenset(url for url in delta.dropped if url in have)
            new = [ref for ref in delta.added if ref.url not in have or ref.url in gone]
            _check_sequences([ref for ref in have.values() if ref.url not in gone], new)
            self._state = self._changed(state, delta, gone, self._load_all(new))
            for part in state.sealed:
                ref = part.segments[0]
                if ref.url in gone:
                    self._files.forget(ref.url, ref.rows, content_hash=ref.hash)

    def search(self, queries: Vectors, k: int, condition: Filter | None = None, *, min_version: int = 0) -> Hits:
        """Return the best k living chunks for each query.

        Among more than k + 4 chunks of one segment with the very same score, which are chosen is the index's affair.

        Args:
            queries: (q, dimension) or (dimension,), of unit length as the vectors are.
            k: 1 to 1,000.
            condition: What the chunks must meet.
            min_version: The version that the answer must reflect, such as that of one's own last write.

        Raises:
            BadInputError: The queries have another dimension or are not finite, or k is out of bounds.
            RetryableError: The shard has not got so far; it may have in a moment.
        """
        state = self._state
        if min_version > state.version:
            raise RetryableError(
                f"the shard is at version {state.version}, and version {min_version} was asked for.",
                remedy="Ask again in a moment.",
            )
        asked = self._checked(queries, k)
        use_threads(self._options.search_threads)
        answers = []
        for part in state.parts:
            selection = part.selections.of(condition)
            if selection.count:
                answers.append(_located(part, part.search(asked, k + _TIES, selection)))
        return best(answers, len(asked), k)

    def fetch(self, hits: Hits) -> list[list[Passage]]:
        """Return what the chunks of each query say, the best first.

        A chunk that was moved by compaction since the search is found where it is now; one that was deleted
        meanwhile is left out.

        Raises:
            IntegrityError: A segment is damaged.
            NotFoundError: A segment was removed though it is still served.
        """
        state = self._state
        wanted: dict[str, dict[int, list[tuple[int, int]]]] = {}
        for query, place in np.argwhere(hits.rows >= 0):
            found = _live_place(
                state, hits.ids[query, place], int(hits.sequences[query, place]), int(hits.rows[query, place])
            )
            if found is not None:
                ref, number = found
                wanted.setdefault(ref.url, {}).setdefault(number, []).append((int(query), int(place)))
        passages: dict[tuple[int, int], Passage] = {}
        for url, rows in wanted.items():
            for places, row in zip(rows.values(), self._passages.read(url, list(rows)), strict=True):
                for query, place in places:
                    passages[query, place] = Passage(score=float(hits.scores[query, place]), **row)
        queries, k = hits.rows.shape
        return [
            [passages[query, place] for place in range(k) if (query, place) in passages] for query in range(queries)
        ]

    def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what chunks say, by their ids; without those that are not alive here. Their score is 0.

        Raises:
            IntegrityError: A segment is damaged.
            NotFoundError: A segment was removed though it is still served.
        """
        if not chunk_ids:
            return {}
        nowhere = np.zeros((1, len(chunk_ids)), np.int64)
        asked = Hits(words_of(chunk_ids)[None], np.zeros(nowhere.shape, np.float32), nowhere - 1, nowhere)
        return {passage.chunk_id: passage for passage in self.fetch(asked)[0]}

    def living(self, chunk_ids: Sequence[bytes]) -> frozenset[bytes]:
        """Return those of some chunks that are alive here."""
        if not chunk_ids:
            return frozenset()
        prefixes = np.unique(words_of(chunk_ids)[:, 0])
        found: set[bytes] = set()
        for part in self._state.parts:
            rows = part.table.rows_with(prefixes)
            found.update(bytes_of(words) for words in part.columns.ids[rows[part.selections.alive.mask[rows]]])
        return frozenset(found).intersection(chunk_ids)

    def living_rows(self, url: str) -> npt.NDArray[np.bool_]:
        """Return which rows of a segment are alive; none where it is not served."""
        for part in self._state.parts:
            for ref, start in zip(part.segments, part.starts, strict=True):
                if ref.url == url:
                    return part.selections.alive.mask[int(start) : int(start) + ref.rows]
        return np.zeros(0, np.bool_)

    def stats(self) -> ShardStats:
        """Return what the shard holds."""
        state = self._state
        kinds: dict[str, int] = {}
        for part in state.sealed:
            if isinstance(part.source, MappedIndex):
                kinds[part.source.plan.kind.value] = kinds.get(part.source.plan.kind.value, 0) + 1
        tail = state.tail.part
        return ShardStats(
            version=state.version,
            segments=len(state.refs),
            rows=sum(len(part.columns) for part in state.parts),
            live_rows=sum(part.selections.alive.count for part in state.parts),
            tail_segments=len(tail.segments) if tail else 0,
            tail_rows=len(tail.columns) if tail else 0,
            indexes=kinds,
            tombstones=len(state.tombstones),
        )

    def _changed(
        self, state: _State, delta: ManifestDelta, gone: frozenset[str], loaded: Sequence[LoadedSegment]
    ) -> _State:
        small = [segment for segment in loaded if not isinstance(segment.source, MappedIndex)]
        fresh = [Part.sealed(segment) for segment in loaded if isinstance(segment.source, MappedIndex)]
        kept = [part for part in state.sealed if part.segments[0].url not in gone]
        tail = state.tail.without(gone).extended(small)
        tombstones = without(with_deletions(state.tombstones, delta.deletions), delta.forgotten)
        parts = [*kept, *fresh, *([tail.part] if tail.part is not None else [])]
        moved = [part.table for part in state.sealed if part.segments[0].url in gone]
        if state.tail.part is not None and tail.part is not state.tail.part:
            moved.append(state.tail.part.table)
        touched = _touched(parts, fresh, moved, tombstones, small, delta)
        if len(touched):
            decided = survivors([part.table for part in parts], tombstones, touched)
            parts = [part.with_alive(rows, alive) for part, (rows, alive) in zip(parts, decided, strict=True)]
        if tail.part is not None:
            tail = tail.with_part(parts.pop())
        return replace(state, version=delta.version, sealed=tuple(parts), tail=tail, tombstones=tombstones)

    def _load_all(self, refs: Sequence[SegmentRef]) -> list[LoadedSegment]:
        if len(refs) < 2:  # noqa: PLR2004 - one needs no threads
            return [self._load(ref) for ref in refs]
        with ThreadPoolExecutor(min(self._options.load_threads, len(refs)), "load-segment") as pool:
            return list(pool.map(self._load, refs))

    def _load(self, ref: SegmentRef) -> LoadedSegment:
        storage = self._options.storage
        model = read_model(ref.url, options=storage)
        if model.dimension != self._dimension or (self._options.model and model.name != self._options.model):
            raise BadInputError(
                f"the segment {ref.url!r} holds vectors of {model.name!r} with {model.dimension} dimensions, "
                f"the collection those of {self._options.model or 'a model'!r} with {self._dimension}.",
                remedy="Index the documents again with the collection's model, or make another collection.",
                field="model",
            )
        columns = read_columns(ref.url, options=storage)
        if len(columns) != ref.rows:
            raise IntegrityError(
                f"the segment {ref.url!r} has {len(columns)} rows, its record says {ref.rows}.",
                remedy="Restore it from a backup, or index its documents again.",
                field="rows",
            )
        if ref.rows <= self._options.tail_rows:
            return LoadedSegment(ref, columns, np.concatenate(list(read_vectors(ref.url, options=storage))))
        index = self._files.open(ref.url, ref.rows, self._dimension, content_hash=ref.hash)
        return LoadedSegment(ref, columns, index)

    def _checked(self, queries: Vectors, k: int) -> Vectors:
        asked = np.ascontiguousarray(np.atleast_2d(queries), np.float32)
        if asked.ndim != 2 or asked.shape[1] != self._dimension:  # noqa: PLR2004 - a matrix
            raise BadInputError(
                f"queries of shape {np.shape(queries)} were asked of a shard of {self._dimension} dimensions.",
                remedy="Embed them with the collection's model.",
                field="queries",
            )
        if not np.isfinite(asked).all():
            raise BadInputError("a query vector is not finite.", remedy="Embed a text that the model accepts.")
        if not 1 <= k <= _MOST_HITS:
            raise BadInputError(f"{k} hits were asked for.", remedy=f"Ask for 1 to {_MOST_HITS}.", field="k")
        return asked


def _touched(  # noqa: PLR0917 - one thought, cut off from its only caller for its length
    parts: Sequence[Part],
    fresh: Sequence[Part],
    moved: Sequence[IdTable],
    tombstones: IdTable,
    small: Sequence[LoadedSegment],
    delta: ManifestDelta,
) -> npt.NDArray[np.uint64]:
    """Return the prefixes of all chunks whose liveness may have changed, rising.

    A new large segment is compared with the others rather than taken as a whole: a million rows that stand nowhere
    else need no decision.
    """
    prefixes = [part.table.shared_with(other.table) for part in fresh for other in parts if other is not part]
    prefixes += [part.table.shared_with(tombstones) for part in fresh]
    prefixes += [part.table.shared_with(table) for part in parts for table in moved]
    if small:
        prefixes.append(joined([segment.columns for segment in small]).ids[:, 0])
    named = [chunk for deletion in delta.deletions for chunk in deletion.chunk_ids]
    prefixes.append(_prefixes([*named, *delta.forgotten]))
    return np.unique(np.concatenate(prefixes))


def _prefixes(chunk_ids: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    words = np.frombuffer(b"".join(chunk_ids), ">u8").astype(np.uint64)
    return words.reshape(-1, ID_WORDS)[:, 0]


def _check_sequences(kept: Sequence[SegmentRef], new: Sequence[SegmentRef]) -> None:
    owners = {ref.sequence: ref.url for ref in kept}
    for ref in new:
        other = owners.setdefault(ref.sequence, ref.url)
        if other != ref.url:
            raise ConflictError(
                f"the segments {other!r} and {ref.url!r} both have the sequence number {ref.sequence}.",
                remedy="Give every segment of a collection a number of its own.",
                field="sequence",
            )


def _located(part: Part, found: Found) -> Hits:
    """Return what a part found, with the segments that the rows belong to."""
    rows = np.maximum(found.rows, 0)
    numbers = rows - part.starts[np.searchsorted(part.starts, rows, "right") - 1]
    missing = found.rows < 0
    return Hits(
        part.columns.ids[rows],
        found.scores,
        np.where(missing, -1, part.table.sequences[rows]),
        np.where(missing, -1, numbers),
    )


def _live_place(state: _State, words: Ids, sequence: int, number: int) -> tuple[SegmentRef, int] | None:
    """Return where a chunk stands alive now, first of all where it stood when it was found."""
    for part in state.parts:
        row = part.row_of(sequence, number)
        if row is not None and part.selections.alive.holds_row(row) and (part.columns.ids[row] == words).all():
            return part.place(row)
    for part in state.parts:
        for row in part.table.rows_with(words[:1]):
            if part.selections.alive.holds_row(int(row)) and bytes_of(part.columns.ids[row]) == bytes_of(words):
                return part.place(int(row))
    return None
