"""Reading the documents of a partition. What cannot be read is refused and counted; it never stops the job."""

import gzip
import json
import lzma
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq

from factory.memory.documents import Document
from factory.memory.embedding.model import well_formed
from factory.memory.jobs.sources import Corpus, Format, Partition, Piece

# Of one document: it is held in memory several times over while it is chunked.
MOST_BYTES = 32 * 1024 * 1024
_EXAMPLES = 5
_NAMES = frozenset(spec.name for spec in fields(Document)) - {"text"}
_SNIFFED_BYTES = 8_192
_ROWS = 1_024
# What says that bytes are wrong. Other errors of reading may pass, so they stop the job, which can be run again.
_DAMAGES = (EOFError, gzip.BadGzipFile, lzma.LZMAError, pa.ArrowInvalid, zlib.error)


class Refusal(StrEnum):
    """Why something of a corpus is not in its segments."""

    NO_TEXT = "no text"
    EMPTY = "nothing to embed"
    NOT_UTF8 = "not UTF-8"
    BINARY = "binary"
    TOO_LARGE = "too large"
    NOT_JSON = "not a JSON object"
    BAD_FIELD = "a field of the wrong type"
    DAMAGED = "the rest of a damaged file"
    NOT_CHUNKED = "the chunker failed"
    NO_VECTOR = "the model gave no vector"
    REFUSED = "refused by the endpoint"


@dataclass
class Refusals:
    """Counts refusals and keeps a few examples of each reason."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: Refusal, what: str, detail: str = "") -> None:
        """Count one.

        Args:
            reason: Why.
            what: Key of the document, or its place in the corpus.
            detail: What an error said.
        """
        self.counts[reason.value] += 1
        known = self.examples.setdefault(reason.value, [])
        if len(known) < _EXAMPLES:
            known.append(well_formed(f"{what}: {detail}" if detail else what)[:300])

    def to_json(self) -> dict[str, Any]:
        """Return them for a file."""
        return {"counts": dict(self.counts), "examples": self.examples}

    def merge(self, value: Mapping[str, Any]) -> None:
        """Add what another gave as `to_json`."""
        self.counts.update(value["counts"])
        for reason, examples in value["examples"].items():
            known = self.examples.setdefault(reason, [])
            known.extend(examples[: _EXAMPLES - len(known)])


@dataclass(frozen=True, slots=True)
class Defaults:
    """What documents have that say nothing else, as most files of a corpus do.

    Attributes:
        tenant: Whose they are.
        project_id: Empty where they belong to no project.
        kind: Of document.
        agent: Who made them.
        created_at: When; the time the job began where it is None.
    """

    tenant: str = ""
    project_id: str = ""
    kind: str = ""
    agent: str = ""
    created_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return them for a manifest."""
        moment = self.created_at
        return {
            "tenant": self.tenant,
            "project_id": self.project_id,
            "kind": self.kind,
            "agent": self.agent,
            "created_at": moment.isoformat() if moment else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Defaults":
        """Return what `to_json` gave."""
        moment = value["created_at"]
        return cls(**{**value, "created_at": datetime.fromisoformat(moment) if moment else None})


def read_documents(corpus: Corpus, partition: Partition, defaults: Defaults, refusals: Refusals) -> Iterator[Document]:
    """Yield the documents of a partition in their order; what is none is put into the refusals.

    Raises:
        OSError: A file is gone or cannot be read.
    """
    filesystem, _ = fsspec.core.url_to_fs(corpus.url, **corpus.options)
    read = {Format.PARQUET: _rows, Format.JSONL: _lines, Format.TEXT: _file}[partition.format]
    for piece in partition.pieces:
        try:
            yield from read(filesystem, piece, corpus.text_column, defaults, refusals)
        except _DAMAGES as error:
            refusals.add(Refusal.DAMAGED, piece.path, str(error))


def document_of(
    record: Mapping[str, Any], key: str, text_column: str, defaults: Defaults, refusals: Refusals
) -> Document | None:
    """Return the document in a row or an object; None after putting it into the refusals.

    Args:
        record: Has the text, as a string or UTF-8 bytes, and may have the fields of a `Document`; one that is empty
            says nothing, and others are ignored.
        key: Of the document where the record has none.
        text_column: The name under which the text is.
        defaults: For fields that it does not have.
        refusals: Where it is counted if it cannot be used.
    """
    given = {name: record[name] for name in _NAMES if record.get(name) not in (None, "")}
    key = well_formed(str(given.pop("key", key)))
    text = _text(record.get(text_column), key, refusals)
    if text is None:
        return None
    try:
        version = int(given.pop("version", 1))
        created_at = _moment(given.pop("created_at", defaults.created_at))
        if not -(2**31) <= version < 2**31:
            raise ValueError(f"the version {version} is out of range")  # noqa: TRY301 - one way out of this block
    except (TypeError, ValueError, OverflowError) as error:
        refusals.add(Refusal.BAD_FIELD, key, str(error))
        return None
    own = {name: getattr(defaults, name) for name in ("tenant", "project_id", "kind", "agent")}
    values = own | {name: well_formed(str(value)) for name, value in given.items()}
    return Document(key=key, text=text, version=version, created_at=created_at, **values)


def _moment(value: object) -> datetime:
    if value is None:
        return datetime.fromtimestamp(0, UTC)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _text(value: object, key: str, refusals: Refusals) -> str | None:
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            refusals.add(Refusal.NOT_UTF8, key, str(error))
            return None
    if not isinstance(value, str):
        refusals.add(Refusal.NO_TEXT, key)
        return None
    # At most 4 bytes a character, so that most texts need not be encoded to be measured.
    if len(value) * 4 > MOST_BYTES and len(well_formed(value).encode()) > MOST_BYTES:
        refusals.add(Refusal.TOO_LARGE, key, f"{len(value)} characters")
        return None
    return well_formed(value)


def _rows(
    filesystem: Any,  # noqa: ANN401 - fsspec is untyped
    piece: Piece,
    text_column: str,
    defaults: Defaults,
    refusals: Refusals,
) -> Iterator[Document]:
    with filesystem.open(piece.path) as opened:
        file = pq.ParquetFile(opened)
        names = [name for name in file.schema_arrow.names if name in _NAMES or name == text_column]
        row = 0
        for group in range(file.num_row_groups):
            first, row = row, row + file.metadata.row_group(group).num_rows
            if row <= piece.start or first >= (row if piece.end is None else piece.end):
                continue
            for batch in file.iter_batches(_ROWS, row_groups=[group], columns=names):
                begin = min(max(0, piece.start - first), batch.num_rows)
                end = batch.num_rows if piece.end is None else max(begin, min(batch.num_rows, piece.end - first))
                for place, record in enumerate(_records(batch.slice(begin, end - begin)), first + begin):
                    document = document_of(record, f"{piece.path}#{place}", text_column, defaults, refusals)
                    if document is not None:
                        yield document
                first += batch.num_rows


def _records(batch: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - pyarrow is untyped
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        # As bytes, because one string that is not UTF-8 would keep the whole column from being read.
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        columns[name] = column.cast(pa.large_binary()).to_pylist() if is_text else _values(column)
    for values in zip(*columns.values(), strict=True):
        record = dict(zip(columns, values, strict=True))
        yield {name: _readable(value, name) for name, value in record.items()}


def _values(column: Any) -> list[Any]:  # noqa: ANN401 - pyarrow is untyped
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_one(value) for value in column]
    return values


def _one(value: Any) -> object:  # noqa: ANN401 - pyarrow is untyped
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        # A time outside the years 1 to 9999: as text it is refused, and its row alone.
        return "out of range"


def _readable(value: object, name: str) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) and name in _NAMES else value


def _lines(
    filesystem: Any,  # noqa: ANN401 - fsspec is untyped
    piece: Piece,
    text_column: str,
    defaults: Defaults,
    refusals: Refusals,
) -> Iterator[Document]:
    """Read the lines that begin in the piece, so that every line belongs to one."""
    with filesystem.open(piece.path, compression="infer") as opened:
        place = piece.start
        if place > 0:
            opened.seek(place - 1)
            place += len(opened.readline()) - 1
        while piece.end is None or place < piece.end:
            line = opened.readline(MOST_BYTES)
            key, place = f"{piece.path}#{place}", place + len(line)
            if not line:
                return
            if len(line) == MOST_BYTES and not line.endswith(b"\n"):
                refusals.add(Refusal.TOO_LARGE, key)
                while line and not line.endswith(b"\n"):
                    line = opened.readline(MOST_BYTES)
                    place += len(line)
                continue
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                refusals.add(Refusal.NOT_JSON, key, str(error))
                continue
            if not isinstance(record, dict):
                refusals.add(Refusal.NOT_JSON, key)
                continue
            document = document_of(record, key, text_column, defaults, refusals)
            if document is not None:
                yield document


def _file(
    filesystem: Any,  # noqa: ANN401 - fsspec is untyped
    piece: Piece,
    text_column: str,  # noqa: ARG001 - all readers are called alike
    defaults: Defaults,
    refusals: Refusals,
) -> Iterator[Document]:
    if filesystem.size(piece.path) > MOST_BYTES:
        refusals.add(Refusal.TOO_LARGE, piece.path)
        return
    data = filesystem.cat_file(piece.path)
    if b"\x00" in data[:_SNIFFED_BYTES]:
        refusals.add(Refusal.BINARY, piece.path)
        return
    text = _text(data, piece.path, refusals)
    if text is not None:
        yield Document(
            key=piece.path,
            text=text,
            path=piece.path,
            tenant=defaults.tenant,
            project_id=defaults.project_id,
            kind=defaults.kind,
            agent=defaults.agent,
            created_at=_moment(defaults.created_at),
        )
