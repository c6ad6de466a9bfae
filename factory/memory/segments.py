"""Segments: immutable Parquet files that hold chunks with their vectors, on any fsspec URL."""

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import fsspec  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from factory.artifacts.errors import IntegrityError
from factory.artifacts.files import make_directory, sync_directory
from factory.domain.errors import BadInputError, ConflictError, NotFoundError
from factory.memory.columns import ID_WORDS, Columns, Labels
from factory.memory.documents import DIMENSION_KEY, ID_BYTES, MODEL_KEY, NORMALISED_KEY, segment_schema

# A hit's text costs the reading of its row group, and a million rows must not need thousands of groups.
ROW_GROUP_ROWS = 2048
_STAGING_PREFIX = "staged-"  # as `factory.artifacts.files.sweep` looks for
_HASH_BLOCK = 1 << 20
# Float32 rounds a sum of a few hundred squares by less than this; a model that pools in bfloat16 stays below too.
_LENGTH_TOLERANCE = 1e-2
_LABELS = ("tenant", "project_id", "kind", "agent")
_NUMBERS = ("chunk_id", *_LABELS, "version", "created_at")

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Model:
    """The embedding model whose vectors a segment holds.

    Attributes:
        name: As in the collection.
        dimension: Of its vectors.
        normalised: Whether they have unit length.
    """

    name: str
    dimension: int
    normalised: bool = True


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """Facts of one stored segment.

    Attributes:
        url: Where it lies.
        rows: How many chunks it holds.
        size: Bytes of the file.
        hash: SHA-256 of the file, 64 hexadecimal digits; empty where nobody computed it.
    """

    url: str
    rows: int
    size: int = 0
    hash: str = ""


def new_segment_url(folder: str, collection: str, identity: UUID) -> str:
    """Return where a segment is to be stored: another place for each attempt, so that none is in another's way."""
    return f"{folder.rstrip('/')}/{collection}/{identity}-{secrets.token_hex(4)}.parquet"


def write_segment(
    url: str, batches: Iterable[pa.RecordBatch], model: Model, *, options: Mapping[str, Any] | None = None
) -> SegmentFile:
    """Store chunks as a new segment.

    The file appears under its name whole or not at all, and never replaces another. Batches are written as they
    come. A local file is flushed to disk; for an object store the finished file is sent in one piece, so that a
    segment there should stay well below the memory of the machine.

    Args:
        url: A path or an fsspec URL that nothing lies at yet.
        batches: With the columns of `segment_schema`, in any order.
        model: What made the vectors.
        options: What fsspec needs beside the URL.

    Raises:
        BadInputError: There is no row, a column is missing, a chunk id comes twice, or a vector is not finite or
            not of unit length though the model's are.
        ConflictError: Something lies at the URL already.
    """
    filesystem, path = _open(url, options)
    if isinstance(filesystem, LocalFileSystem):
        final = Path(path)
        make_directory(final.parent)
        staged = final.parent / f"{_STAGING_PREFIX}{secrets.token_hex(8)}"
        try:
            rows = _write(staged, batches, model)
            facts = SegmentFile(url, rows, staged.stat().st_size, _file_hash(staged))
            try:
                # A link, unlike a rename, fails where there is a file already.
                final.hardlink_to(staged)
            except FileExistsError:
                raise _taken(url) from None
        finally:
            staged.unlink(missing_ok=True)
        sync_directory(final.parent)
        return facts
    with tempfile.TemporaryDirectory(prefix="factory-segment-") as folder:
        staged = Path(folder) / "segment"
        rows = _write(staged, batches, model)
        content = staged.read_bytes()
    try:
        # Only `create` is put-if-absent; a check beforehand would let two writers pass.
        filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        filesystem.pipe_file(path, content, mode="create")
    except FileExistsError:
        raise _taken(url) from None
    return SegmentFile(url, rows, len(content), hashlib.sha256(content).hexdigest())


def remove_segment(url: str, *, options: Mapping[str, Any] | None = None) -> None:
    """Remove a segment that nobody refers to any more; one that is gone already is no error."""
    filesystem, path = _open(url, options)
    try:
        filesystem.rm_file(path)
    except FileNotFoundError:
        return


def verify_segment(segment: SegmentFile, *, options: Mapping[str, Any] | None = None) -> None:
    """Read a whole segment and compare it with its hash.

    Raises:
        IntegrityError: The bytes are not those that were written.
        NotFoundError: There is no such file.
    """
    filesystem, path = _open(segment.url, options)
    digest = hashlib.sha256()
    try:
        with filesystem.open(path, "rb") as file:
            while block := file.read(_HASH_BLOCK):
                digest.update(block)
    except FileNotFoundError:
        raise _missing(segment.url) from None
    if segment.hash and digest.hexdigest() != segment.hash:
        raise _damaged(segment.url, f"its hash is {digest.hexdigest()} instead of {segment.hash}")


def read_vectors(
    url: str, *, options: Mapping[str, Any] | None = None, batch_rows: int = ROW_GROUP_ROWS
) -> Iterator[Vectors]:
    """Yield the vectors of a segment in the order of its rows, as (m, dimension) of at most `batch_rows` each.

    Raises:
        IntegrityError: The file is damaged.
        NotFoundError: There is no such file.
    """
    for batch in read_batches(url, ("vector",), options=options, batch_rows=batch_rows):
        yield vectors_of(batch)


def read_columns(url: str, *, options: Mapping[str, Any] | None = None) -> Columns:
    """Return what a segment's rows are selected by, without vectors and texts.

    Raises:
        IntegrityError: The file is damaged.
        NotFoundError: There is no such file.
    """
    with _parquet(url, options, read_dictionary=list(_LABELS)) as file:
        table = file.read(columns=list(_NUMBERS), use_threads=False)
    return columns_of(table)


def read_batches(
    url: str,
    columns: Sequence[str] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    batch_rows: int = ROW_GROUP_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a segment in order, with the named columns or all of them.

    Raises:
        IntegrityError: The file is damaged.
        NotFoundError: There is no such file.
    """
    names = list(columns) if columns is not None else None
    with _parquet(url, options) as file:
        yield from file.iter_batches(batch_rows, columns=names, use_threads=False)


def read_group(url: str, group: int, columns: Sequence[str], *, options: Mapping[str, Any] | None = None) -> pa.Table:
    """Return one row group, which holds the rows from `group * ROW_GROUP_ROWS` on.

    Raises:
        IntegrityError: The file is damaged.
        NotFoundError: There is no such file.
    """
    with _parquet(url, options) as file:
        return file.read_row_group(group, columns=list(columns), use_threads=False)


def read_model(url: str, *, options: Mapping[str, Any] | None = None) -> Model:
    """Return the model whose vectors a segment holds.

    Raises:
        IntegrityError: The file is damaged, or it says nothing of a model.
        NotFoundError: There is no such file.
    """
    with _parquet(url, options) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        return Model(
            metadata[MODEL_KEY.encode()].decode(),
            int(metadata[DIMENSION_KEY.encode()]),
            metadata[NORMALISED_KEY.encode()] == b"true",
        )
    except (KeyError, ValueError) as error:
        raise _damaged(url, f"its metadata lacks or garbles {error}") from None


def vectors_of(rows: pa.RecordBatch | pa.Table) -> Vectors:
    """Return the column `vector` as (n, dimension) without copying where it is one piece."""
    column = rows.column("vector")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    dimension = column.type.list_size
    return _values(column.flatten(), np.dtype(np.float32)).reshape(-1, dimension)


def columns_of(table: pa.Table) -> Columns:
    """Return what the rows of a table are selected by."""
    return Columns(
        ids=_ids(table.column("chunk_id")),
        tenant=_labels(table.column("tenant")),
        project_id=_labels(table.column("project_id")),
        kind=_labels(table.column("kind")),
        agent=_labels(table.column("agent")),
        version=_values(table.column("version"), np.dtype(np.int32)),
        created=_values(table.column("created_at").cast(pa.int64()), np.dtype(np.int64)),
    )


def _ids(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype=">u8", count=ID_WORDS * len(chunk), offset=chunk.offset * ID_BYTES)
        for chunk in column.chunks
        if len(chunk)
    ]
    words = np.concatenate(parts) if parts else np.empty(0, ">u8")
    return words.astype(np.uint64).reshape(-1, ID_WORDS)


def _labels(column: pa.ChunkedArray) -> Labels:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    whole = encoded.unify_dictionaries().combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # an empty column combines to no chunk at all
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], pa.string()).dictionary_encode()
    codes = _values(whole.indices, np.dtype(whole.indices.type.to_pandas_dtype()))
    return Labels.of(whole.dictionary.to_pylist(), codes)


def _values(column: pa.Array | pa.ChunkedArray, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the numbers of a column that has no nulls, without copying where it is one piece.

    `to_numpy` does the same, and imports pandas before, which takes longer than all else at a start.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [
        np.frombuffer(chunk.buffers()[1], kind, count=len(chunk), offset=chunk.offset * kind.itemsize)
        for chunk in chunks
        if len(chunk)
    ]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, kind)


def _write(path: Path, batches: Iterable[pa.RecordBatch], model: Model) -> int:
    with path.open("wb") as file:
        rows = write_rows(file, batches, model)
        file.flush()
        os.fsync(file.fileno())
    return rows


def with_vectors(chunks: pa.Table, vectors: Vectors) -> pa.Table:
    """Return chunks, with the columns of `chunk_schema`, as rows of a segment.

    Args:
        chunks: n rows.
        vectors: (n, dimension).
    """
    dimension = vectors.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), dimension)
    return pa.Table.from_arrays([*chunks.columns, column], schema=segment_schema(dimension))


def write_rows(
    file: BinaryIO, batches: Iterable[pa.RecordBatch], model: Model, *, metadata: Mapping[str, str] | None = None
) -> int:
    """Write the content of a segment, in the one form that readers rely on; return the number of rows.

    Args:
        file: Open for writing, and empty.
        batches: As for `write_segment`.
        model: What made the vectors.
        metadata: Further facts of the whole file.

    Raises:
        BadInputError: As for `write_segment`.
    """
    schema = segment_schema(
        model.dimension,
        {
            MODEL_KEY: model.name,
            DIMENSION_KEY: str(model.dimension),
            NORMALISED_KEY: "true" if model.normalised else "false",
            **(metadata or {}),
        },
    )
    # Vectors do not compress; page checksums tell a damaged file from a whole one at every read.
    compression = {
        leaf: "none" if leaf.startswith("vector") else "zstd"
        for leaf in (*(name for name in schema.names if name != "vector"), "vector.list.element")
    }
    seen: list[npt.NDArray[np.uint64]] = []
    rows = 0
    with pq.ParquetWriter(
        file,
        schema,
        compression=compression,
        use_dictionary=["document_key", "path", *_LABELS],
        write_statistics=False,
        write_page_checksum=True,
    ) as writer:
        for table in _regrouped(batches, schema):
            _check_vectors(table, model, rows)
            seen.append(_ids(table.column("chunk_id")))
            rows += len(table)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    _check_ids(seen)
    return rows


def _regrouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield tables of exactly `ROW_GROUP_ROWS`, the last one apart: a row's group follows from its number."""
    waiting: list[pa.Table] = []
    count = 0
    for batch in batches:
        missing = [name for name in schema.names if name not in batch.schema.names]
        if missing:
            raise BadInputError(
                f"the rows of a segment lack the columns {', '.join(missing)}.",
                remedy="Give every column of `segment_schema`.",
                field=missing[0],
            )
        try:
            table = pa.table([batch.column(name) for name in schema.names], schema.names).cast(schema)
        except (pa.ArrowException, ValueError) as error:
            raise BadInputError(
                f"rows do not fit a segment of dimension {schema.field('vector').type.list_size}: {error}.",
                remedy="Give the columns of `segment_schema`, with the model's dimension.",
                field="vector",
            ) from None
        waiting.append(table)
        count += len(table)
        while count >= ROW_GROUP_ROWS:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, ROW_GROUP_ROWS)
            waiting = [whole.slice(ROW_GROUP_ROWS)]
            count -= ROW_GROUP_ROWS
    if count:
        yield pa.concat_tables(waiting)


def _check_vectors(table: pa.Table, model: Model, first: int) -> None:
    vectors = vectors_of(table)
    squares = np.einsum("ij,ij->i", vectors, vectors)
    wrong = ~np.isfinite(squares)
    if model.normalised:
        wrong |= np.abs(squares - 1) > _LENGTH_TOLERANCE
    if wrong.any():
        row = int(np.argmax(wrong))
        chunk = table.column("chunk_id")[row].as_py().hex()
        raise BadInputError(
            f"the vector of chunk {chunk} in row {first + row} has the squared length {squares[row]}"
            f"{', not 1' if model.normalised else ''}.",
            remedy="Leave out what the model could not embed, and normalise the rest.",
            field="vector",
        )


def _check_ids(seen: Sequence[npt.NDArray[np.uint64]]) -> None:
    if not seen:
        raise BadInputError("a segment without a row was to be written.", remedy="Write only what is there.")
    ids = np.concatenate(seen)
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    ordered = ids[order]
    twice = (ordered[1:] == ordered[:-1]).all(axis=1)
    if twice.any():
        chunk = ordered[int(np.argmax(twice))]
        raise BadInputError(
            f"the chunk {chunk.astype('>u8').tobytes().hex()} comes twice in one segment.",
            remedy="Give every chunk once.",
            field="chunk_id",
        )


@contextmanager
def _parquet(
    url: str, options: Mapping[str, Any] | None, *, read_dictionary: list[str] | None = None
) -> Iterator[pq.ParquetFile]:
    filesystem, path = _open(url, options)
    try:
        if isinstance(filesystem, LocalFileSystem):
            source: Any = pa.memory_map(path)
        else:
            source = filesystem.open(path, "rb", block_size=_HASH_BLOCK)
    except FileNotFoundError:
        raise _missing(url) from None
    with source:
        try:
            yield pq.ParquetFile(
                source, read_dictionary=read_dictionary, page_checksum_verification=True, pre_buffer=False
            )
        except (pa.ArrowException, OSError) as error:
            raise _damaged(url, str(error)) from error


def _open(url: str, options: Mapping[str, Any] | None) -> tuple[Any, str]:
    filesystem, path = fsspec.core.url_to_fs(url, **(options or {}))
    return filesystem, str(path)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _taken(url: str) -> ConflictError:
    return ConflictError(f"there is a segment at {url!r} already.", remedy="Choose a new name.", field="url")


def _missing(url: str) -> NotFoundError:
    return NotFoundError(
        f"the segment {url!r} does not exist.", remedy="Check the memory URL in the settings.", field="url"
    )


def _damaged(url: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"the segment {url!r} is damaged: {reason}.",
        remedy="Restore it from a backup, or index its documents again.",
        field="url",
    )
