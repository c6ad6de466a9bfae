"""What a job reads: a corpus of files, cut into partitions that stay the same for as long as the job lives."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq

from factory.domain.errors import BadInputError

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_FILES_PER_PARTITION = 2_000
_READERS = 8
# What names a state of a file, by the file system; the first that is there counts.
_STAMPS = ("ETag", "etag", "mtime", "last_modified", "LastModified", "updated")


class Format(StrEnum):
    """How documents lie in a file."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file.

    Attributes:
        path: As the file system names it.
        start: First row of a Parquet file, or byte of another.
        end: The one after the last; None to the file's end.
    """

    path: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    """What becomes one segment: pieces of files of one format, to be read in this order."""

    format: Format
    pieces: tuple[Piece, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return {"format": self.format, "pieces": [[piece.path, piece.start, piece.end] for piece in self.pieces]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Partition":
        """Return what `to_json` gave."""
        return cls(Format(value["format"]), tuple(Piece(*piece) for piece in value["pieces"]))


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    stamp: str
    format: Format
    is_divisible: bool


@dataclass(frozen=True)
class Corpus:
    """Files at an fsspec URL: one file, a folder with all below it except hidden ones, or a glob.

    `.parquet` has one document a row; `.jsonl` and `.ndjson`, compressed or not, one object a line; any other file is
    one document of text.

    Attributes:
        url: A path or an fsspec URL.
        options: What fsspec needs beside the URL, such as credentials.
        text_column: Of Parquet and JSONL.
    """

    url: str
    options: Mapping[str, Any]
    text_column: str

    def open(self) -> tuple[Any, list[_File]]:
        """Return the file system and the files, sorted by path.

        Raises:
            BadInputError: There are none.
        """
        filesystem, path = fsspec.core.url_to_fs(self.url, **self.options)
        if any(mark in path for mark in "*?["):
            found = filesystem.glob(path, detail=True)
        elif filesystem.isdir(path):
            found = filesystem.find(path, detail=True)
            root = path.rstrip("/") + "/"
            found = {p: info for p, info in found.items() if "/." not in "/" + p.removeprefix(root)}
        else:
            found = {path: filesystem.info(path)} if filesystem.exists(path) else {}
        files = [_file(name, info) for name, info in sorted(found.items()) if info.get("type") == "file"]
        if not files:
            raise BadInputError(f"there are no files at {self.url!r}.", remedy="Check the path.", field="source")
        return filesystem, files

    def fingerprint(self) -> str:
        """Return what changes when a file is added, removed or written again.

        Raises:
            BadInputError: There are no files.
        """
        _, files = self.open()
        listed = [[file.path, file.size, file.stamp] for file in files]
        return hashlib.sha256(json.dumps([self.text_column, listed]).encode()).hexdigest()

    def partitions(self, size: int, slots: int) -> list[Partition]:
        """Cut the files into partitions.

        Args:
            size: Most bytes of text of one, about; a compressed file is not cut.
            slots: How many workers there are to be: a small corpus is cut finer, so that all have some.

        Raises:
            BadInputError: There are no files, or a Parquet file has no such column or cannot be read.
        """
        filesystem, files = self.open()
        with ThreadPoolExecutor(_READERS) as threads:
            shapes = list(threads.map(lambda file: self._shape(filesystem, file), files))
        total = sum(units * weight for units, weight in shapes)
        size = int(min(size, max(total / (4 * slots), 64 * 1024)))
        groups = {kind: _Grouping(kind, size) for kind in Format}
        for file, (units, weight) in zip(files, shapes, strict=True):
            groups[file.format].add(file, units, weight)
        return [partition for group in groups.values() for partition in group.finish()]

    def _shape(self, filesystem: Any, file: _File) -> tuple[int, float]:  # noqa: ANN401 - fsspec is untyped
        """Return the number of rows or bytes, and the bytes of text in each."""
        if file.format is not Format.PARQUET:
            return file.size, 1.0
        try:
            with filesystem.open(file.path) as opened:
                metadata = pq.ParquetFile(opened).metadata
                names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
        except (pa.ArrowException, OSError) as error:
            raise BadInputError(f"{file.path} is not a Parquet file: {error}", field="source") from error
        if self.text_column not in names:
            raise BadInputError(
                f"{file.path} has no column {self.text_column!r}, but {', '.join(names)}.",
                remedy="Name the column that holds the text.",
                field="text_column",
            )
        place = names.index(self.text_column)
        text = sum(metadata.row_group(i).column(place).total_uncompressed_size for i in range(metadata.num_row_groups))
        return metadata.num_rows, max(1.0, text / max(1, metadata.num_rows))


class _Grouping:
    """Fills partitions of one format with pieces, in the order of the files."""

    def __init__(self, kind: Format, size: int) -> None:
        self._format = kind
        self._size = size
        self._done: list[Partition] = []
        self._pieces: list[Piece] = []
        self._filled = 0.0

    def add(self, file: _File, units: int, weight: float) -> None:
        """Put a file into the partitions, cut where it may be."""
        step = max(1, int(self._size / weight)) if file.is_divisible else max(1, units)
        for piece in _pieces(file, units, step):
            length = min(step, units - piece.start) * weight
            if self._pieces and (self._filled + length > self._size or len(self._pieces) >= _FILES_PER_PARTITION):
                self._close()
            self._pieces.append(piece)
            self._filled += length

    def finish(self) -> list[Partition]:
        """Return the partitions."""
        if self._pieces:
            self._close()
        return self._done

    def _close(self) -> None:
        self._done.append(Partition(self._format, tuple(self._pieces)))
        self._pieces, self._filled = [], 0.0


def _pieces(file: _File, units: int, step: int) -> Iterator[Piece]:
    if not file.is_divisible:
        yield Piece(file.path)
        return
    for start in range(0, units, step):
        yield Piece(file.path, start, min(start + step, units))


def _file(path: str, info: Mapping[str, Any]) -> _File:
    stamp = next((str(info[name]) for name in _STAMPS if info.get(name) is not None), "")
    name = path.lower()
    plain = name
    for ending in _COMPRESSED:
        plain = plain.removesuffix(ending)
    if name.endswith((".parquet", ".pq")):
        kind = Format.PARQUET
    elif plain.endswith((".jsonl", ".ndjson")):
        kind = Format.JSONL
    else:
        kind = Format.TEXT
    is_divisible = kind is Format.PARQUET or (kind is Format.JSONL and plain == name)
    return _File(path, int(info.get("size") or 0), stamp, kind, is_divisible)
