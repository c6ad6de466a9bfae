"""One shard with everything that it searches by: vectors and keywords, over the same segments."""

import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factory.domain.errors import BadInputError
from factory.memory.collections import Collection
from factory.memory.filters import Filter
from factory.memory.index.kinds import IndexSetting
from factory.memory.keywords.index import COLUMNS, KeywordIndex
from factory.memory.parts import SegmentRef
from factory.memory.passages import Passage
from factory.memory.segments import read_batches, read_columns
from factory.memory.shard import ManifestDelta, Shard, ShardOptions, ShardStats

Vectors = npt.NDArray[np.float32]
Found = list[tuple[bytes, float]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a shard: some queries at once.

    Attributes:
        texts: Of the queries, for the search by keywords; none leaves it out.
        vectors: (q, dimension), of the same queries; None leaves the search by vectors out.
        k: How many chunks of each search.
        condition: What they must meet.
        min_version: The version of the collection that the answer must reflect.
    """

    texts: tuple[str, ...]
    vectors: Vectors | None
    k: int
    condition: Filter | None = None
    min_version: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a shard found: for each query chunk ids with their scores, the best first.

    Attributes:
        version: Of the collection, as the shard knows it.
        dense: By vectors, with cosines.
        keyword: By keywords, with BM25 scores.
    """

    version: int
    dense: tuple[Found, ...]
    keyword: tuple[Found, ...]


class ShardHost:
    """Keeps a shard's two indexes on the same segments. Its methods block; several threads may search.

    Args:
        collection: That it is a shard of.
        folder: A local folder for its indexes, which may be lost.
        index: Which kind of index a large segment gets.
        keywords: Whether to search by keywords as well.
    """

    def __init__(
        self, collection: Collection, folder: Path, *, index: str = IndexSetting.AUTO.value, keywords: bool = True
    ) -> None:
        options = ShardOptions(index=IndexSetting(index), model=collection.model)
        self._shard = Shard(collection.dimension, folder / "vectors", options)
        self._folder = folder / "keywords"
        self._keywords: KeywordIndex | None = None
        if keywords:
            self._keywords = KeywordIndex(self._folder)
        self._refs: dict[str, SegmentRef] = {}
        self._applying = threading.Lock()
        self._is_new = True

    @property
    def version(self) -> int:
        """The version of the collection that searches see."""
        return self._shard.version

    def held(self) -> tuple[int, tuple[str, ...]]:
        """Return the version of the collection that searches see, and the URLs of the segments they look at."""
        with self._applying:
            return self._shard.version, tuple(self._refs)

    def apply(self, delta: ManifestDelta, since: int = 0) -> int:
        """Take over a change, unless a later one was told already; see `Shard.apply`.

        Args:
            delta: What changed.
            since: The version that it begins from. A shard that is not so far, since it has come up anew, leaves it.

        Returns:
            The version that searches see then.
        """
        with self._applying:
            if delta.version < self._shard.version or self._shard.version < since:
                return self._shard.version
            refs = {url: ref for url, ref in self._refs.items() if url not in delta.dropped}
            refs |= {ref.url: ref for ref in delta.added}
            gone = [ref for url, ref in self._refs.items() if url not in refs]
            # What a dropped segment held must be read while its file is sure to be there.
            suspects = {chunk for deletion in delta.deletions for chunk in deletion.chunk_ids}
            for ref in gone if self._keywords else ():
                suspects.update(_ids(ref))
            self._shard.apply(delta)
            self._refs = refs
            if self._keywords is not None:
                self._keywords = self._follow(self._keywords, suspects)
            return self._shard.version

    def search(self, request: Request) -> Answer:
        """Return the best chunks for each query, by either search.

        Raises:
            BadInputError: The vectors have another dimension than the collection's, or `k` is out of bounds.
            RetryableError: The shard has not got to the version that was asked for.
        """
        # Read before the search, which may run while a change is taken over: the answer reflects this much at least.
        version = self._shard.version
        dense: tuple[Found, ...] = ()
        keyword: tuple[Found, ...] = ()
        if request.vectors is not None:
            hits = self._shard.search(request.vectors, request.k, request.condition, min_version=request.min_version)
            counts = hits.counts()
            dense = tuple(
                list(zip(hits.chunk_ids(query), map(float, hits.scores[query][:count]), strict=True))
                for query, count in enumerate(counts)
            )
        if request.texts:
            if self._keywords is None:
                raise BadInputError("the shard keeps no keywords.", remedy="Search by vectors alone.", field="mode")
            keyword = tuple(self._keywords.search(text, request.k, request.condition) for text in request.texts)
        return Answer(version, dense, keyword)

    def passages(self, chunk_ids: Sequence[bytes]) -> dict[bytes, Passage]:
        """Return what chunks say; without those that are not alive here."""
        return self._shard.passages(chunk_ids)

    def stats(self) -> ShardStats:
        """Return what the shard holds."""
        return self._shard.stats()

    def close(self) -> None:
        """Let another host open the folder. It cannot be used afterwards."""
        if self._keywords is not None:
            self._keywords.close()

    def _follow(self, keywords: KeywordIndex, suspects: Iterable[bytes]) -> KeywordIndex:
        """Bring the keywords to where the vectors are."""
        stale = keywords.version > self._shard.version or (self._is_new and not keywords.segments <= self._refs.keys())
        if stale:
            # Which chunks the segments held that went while nobody looked is not known any more.
            keywords.close()
            shutil.rmtree(self._folder)
            keywords = KeywordIndex(self._folder)
        self._is_new = False
        missing = [ref for url, ref in self._refs.items() if url not in keywords.segments]
        dead = set(suspects) - self._shard.living([*suspects])
        rows = self._living_rows(sorted(missing, key=lambda ref: ref.sequence))
        keywords.apply(rows, dead, version=self._shard.version, segments=list(self._refs))
        return keywords

    def _living_rows(self, refs: Sequence[SegmentRef]) -> Iterator[pa.RecordBatch]:
        for ref in refs:
            alive = self._shard.living_rows(ref.url)
            begin = 0
            for batch in read_batches(ref.url, COLUMNS):
                yield batch.filter(pa.array(alive[begin : begin + len(batch)]))
                begin += len(batch)


def _ids(ref: SegmentRef) -> list[bytes]:
    packed = read_columns(ref.url).ids.astype(">u8").tobytes()
    return [packed[place : place + 16] for place in range(0, len(packed), 16)]
