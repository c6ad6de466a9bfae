"""The keyword index of one shard: BM25 over the chunks of its segments, filters included.

It is derived data, a function of the segments and tombstones applied to it. On disk it may be deleted at any time and
is filled again from the segments.

BM25 counts how many chunks hold a word. tantivy counts a deleted chunk until its files are merged, so two replicas of
a shard agree on what matches, and may differ in the third digit of a score.
"""

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import pyarrow as pa
import tantivy

from factory.domain.errors import BadInputError, ConflictError
from factory.memory.documents import ID_BYTES
from factory.memory.filters import Filter
from factory.memory.keywords.analysis import TITLE_REPEATS, words
from factory.memory.keywords.contents import Contents, FolderLock

# The columns of a segment that are read; the vectors are not among them.
COLUMNS = ("chunk_id", "tenant", "project_id", "kind", "version", "agent", "created_at", "title", "text")
# A longer query, such as a whole document, is looked up by its rarest words.
MOST_WORDS = 256

# At least 15 MB, below which tantivy refuses. What is collected in it becomes a file, so more of it means fewer merges.
_WRITER_BYTES = 64_000_000
_BATCH = 2_048
# Hits of equal score are put in order by chunk id, and to do so across the k-th all of them must be seen. Beyond so
# many (copies of one text) it is tantivy's order that decides who is among the k.
_MOST_TIED = 4_096
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT64 = 2**63 - 1
_TOKENIZER = "words"

_Query = tantivy.Query
_MUST, _SHOULD = tantivy.Occur.Must, tantivy.Occur.Should

Row = Mapping[str, Any]
_Item = TypeVar("_Item")
Rows: TypeAlias = pa.Table | Iterable[Row | pa.RecordBatch]


class KeywordIndex:
    """Finds chunks by their words.

    One thread may apply while others search: a search sees all of an application or nothing of it.

    Args:
        folder: Where it is kept, on a local disk, and nothing else is; None keeps it in memory. What lies there and
            cannot be used (another format, damaged, half written by the first application) is removed, and the index
            is empty.

    Raises:
        ConflictError: Another index is open on the folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._lock = FolderLock(folder) if folder else None
        self._folder = folder
        self._schema = _schema()
        try:
            self._index, self._contents = self._open()
        except BaseException:
            self.close()
            raise
        self._writer: Any = None

    @property
    def version(self) -> int:
        """Of the shard, as given to the last application that is known to be complete; 0 before the first."""
        return self._contents.version

    @property
    def segments(self) -> frozenset[str]:
        """Names of the segments it holds, as given to that application."""
        return self._contents.segments

    def __len__(self) -> int:
        """Return the number of chunks."""
        return int(self._index.searcher().num_docs)

    def apply(
        self,
        added: Rows = (),
        removed: Iterable[bytes] = (),
        *,
        version: int,
        segments: Collection[str] | None = None,
    ) -> None:
        """Remove chunks, then add or replace some, in one commit.

        To apply the same once more changes nothing, so that whoever was killed meanwhile applies everything after
        `version` again. When it raises, nothing was changed.

        Args:
            added: Rows with the columns `COLUMNS` of a segment; others are ignored. A chunk that is there already is
                replaced, of two with one id the later stays. Apply segments in the order of their sequence numbers.
            removed: Chunk ids, 16 bytes each; those unknown are ignored.
            version: Of the shard after this.
            segments: Names of all the segments that the index holds after this; None leaves them as they are.

        Raises:
            ConflictError: The index is at a later version, whose removals this would undo.
            BadInputError: A row lacks a column, or has a value in it that a segment could not hold.
        """
        if version < self.version:
            raise ConflictError(
                f"the keyword index is at version {self.version}, and version {version} was to be applied to it.",
                remedy="Apply what comes after it only, or delete its folder and begin with the first segment.",
            )
        if self._writer is None:
            self._writer = self._index.writer(_WRITER_BYTES, 1)
        try:
            for ids in _batches(removed):
                self._delete(ids)
            for rows in _batches(_rows(added)):
                self._replace(rows)
            stamp = int(self._writer.commit())
        except BaseException:
            self._writer.rollback()
            raise
        self._index.reload()
        held = self.segments if segments is None else frozenset(segments)
        self._contents = Contents(version, held, stamp)
        if self._folder:
            self._contents.write(self._folder)

    def search(self, query: str, k: int, where: Filter | None = None) -> list[tuple[bytes, float]]:
        """Return the ids and BM25 scores of the chunks that hold any word of the query, best first.

        Args:
            query: Any text; nothing in it is syntax. One without words finds nothing.
            k: How many at most.
            where: Conditions that each of them meets, applied inside the search: no match is lost to them.

        Raises:
            BadInputError: `k` is not positive.
        """
        if k < 1:
            raise BadInputError(f"{k} results were asked for.", remedy="Ask for at least one.", field="k")
        searcher = self._index.searcher()
        terms = self._terms(searcher, query)
        if terms is None or not searcher.num_docs:
            return []
        conditions = [(_MUST, _Query.const_score_query(condition, 0.0)) for condition in self._conditions(where)]
        wanted = _Query.boolean_query([*conditions, (_MUST, terms)]) if conditions else terms
        # A collector takes memory for all the hits that it may have to hold.
        k = min(k, searcher.num_docs)
        limit = k + 16
        while True:
            hits = searcher.search(wanted, limit, count=False).hits
            if len(hits) < limit or hits[-1][0] < hits[k - 1][0] or limit >= k + _MOST_TIED:
                break
            limit *= 4
        addresses = [address for _, address in hits]
        high = searcher.fast_field_values("id_high", addresses)
        low = searcher.fast_field_values("id_low", addresses)
        found = [(_id(a, b), float(score)) for a, b, (score, _) in zip(high, low, hits, strict=True)]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:k]

    def close(self) -> None:
        """Finish merges under way and let another index open the folder. It cannot be used afterwards."""
        writer, self._writer = getattr(self, "_writer", None), None
        if writer is not None:
            writer.wait_merging_threads()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[Any, Contents]:
        if self._folder is None:
            return self._ready(tantivy.Index(self._schema)), Contents()
        data = self._folder / "bm25"
        contents = Contents.read(self._folder, data)
        if contents is not None:
            try:
                # Reads the head of every file, which finds those that are missing or cut short.
                return self._ready(tantivy.Index(self._schema, path=str(data))), contents
            except (ValueError, OSError):
                pass
        # The word of what is held goes first: without it the rest is not believed.
        Contents.forget(self._folder)
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        return self._ready(tantivy.Index(self._schema, path=str(data))), Contents()

    def _ready(self, index: Any) -> Any:  # noqa: ANN401 - tantivy has no types
        index.register_tokenizer(_TOKENIZER, tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
        # The other policy keeps a thread that looks at the folder twice a second.
        index.config_reader(reload_policy="manual")
        index.reload()
        return index

    def _delete(self, ids: Sequence[bytes]) -> None:
        self._writer.delete_documents_by_query(_Query.term_set_query(self._schema, "chunk_id", list(ids)))

    def _replace(self, rows: Sequence[Row]) -> None:
        try:
            latest = {bytes(row["chunk_id"]): row for row in rows}
            self._delete([*latest])
            for chunk_id, row in latest.items():
                self._writer.add_document(tantivy.Document.from_dict(_fields(chunk_id, row), self._schema))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInputError(
                f"a row for the keyword index is not one of a segment: {error!r}.",
                remedy=f"Give the columns {', '.join(COLUMNS)} in a segment's types.",
            ) from error

    def _terms(self, searcher: Any, query: str) -> Any:  # noqa: ANN401 - tantivy has no types
        """Return the query for any of the words, each as often as it is there; None where there is none."""
        counted = Counter(words(query))
        chosen: Iterable[str] = counted
        if len(counted) > MOST_WORDS:
            frequency = {word: searcher.doc_freq("body", word) for word in counted}
            known = [word for word in counted if frequency[word]]
            chosen = sorted(known, key=lambda word: (frequency[word], word))[:MOST_WORDS]
        terms = [
            (_SHOULD, _Query.boost_query(_Query.term_query(self._schema, "body", word, "freq"), float(counted[word])))
            for word in chosen
        ]
        return _Query.boolean_query(terms) if terms else None

    def _conditions(self, where: Filter | None) -> Iterator[Any]:
        if where is None:
            return
        if where.tenant is not None:
            yield self._any_of("tenant", (where.tenant,))
        if where.project_ids is not None:
            yield self._any_of("project_id", where.project_ids)
        if where.kinds is not None:
            yield self._any_of("kind", where.kinds)
        if where.agents is not None:
            yield self._any_of("agent", where.agents)
        first, last = where.versions or (None, None)
        if first is not None or last is not None:
            yield self._between("version", first, last)
        start, end = where.created or (None, None)
        if start is not None or end is not None:
            yield self._between(
                "created_at",
                None if start is None else _microseconds(start),
                None if end is None else _microseconds(end) - 1,
            )

    def _any_of(self, field: str, values: Sequence[str]) -> Any:  # noqa: ANN401 - tantivy has no types
        # What is no Unicode (a lone surrogate) cannot stand in a segment.
        storable = [value for value in values if value.isascii() or value == _unicode(value)]
        return _Query.term_set_query(self._schema, field, storable) if storable else _Query.empty_query()

    def _between(self, field: str, low: int | None, high: int | None) -> Any:  # noqa: ANN401 - tantivy has no types
        low = max(-_INT64, -_INT64 if low is None else low)
        high = min(_INT64, _INT64 if high is None else high)
        if low > high:
            return _Query.empty_query()
        return _Query.range_query(self._schema, field, tantivy.FieldType.Integer, low, high)


def _schema() -> Any:  # noqa: ANN401 - tantivy has no types
    builder = tantivy.SchemaBuilder()
    # Twice: as a term to delete by, and as two numbers, which come back ten times as fast as a stored value.
    builder.add_bytes_field("chunk_id", indexed=True)
    builder.add_unsigned_field("id_high", fast=True)
    builder.add_unsigned_field("id_low", fast=True)
    for name in ("tenant", "project_id", "kind", "agent"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("version", fast=True)
    # Not a date field, which keeps whole seconds.
    builder.add_integer_field("created_at", fast=True)
    builder.add_text_field("body", tokenizer_name=_TOKENIZER, index_option="freq")
    return builder.build()


def _fields(chunk_id: bytes, row: Row) -> dict[str, object]:
    if len(chunk_id) != ID_BYTES:
        raise BadInputError(
            f"the chunk id {chunk_id.hex()} has {len(chunk_id)} bytes.", remedy=f"Give {ID_BYTES}.", field="chunk_id"
        )
    return {
        "chunk_id": chunk_id,
        "id_high": int.from_bytes(chunk_id[:8], "big"),
        "id_low": int.from_bytes(chunk_id[8:], "big"),
        "tenant": row["tenant"],
        "project_id": row["project_id"],
        "kind": row["kind"],
        "agent": row["agent"],
        "version": row["version"],
        "created_at": _microseconds(row["created_at"]),
        "body": " ".join(words(row["title"]) * TITLE_REPEATS + words(row["text"])),
    }


def _rows(added: Rows) -> Iterator[Row]:
    if isinstance(added, pa.Table):
        added = added.to_batches(max_chunksize=_BATCH)
    for item in added:
        if isinstance(item, pa.RecordBatch):
            present = [name for name in COLUMNS if name in item.schema.names]
            yield from item.select(present).to_pylist()
        else:
            yield item


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def _id(high: int, low: int) -> bytes:
    return high.to_bytes(8, "big") + low.to_bytes(8, "big")


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
