"""Builders of rows, vectors and segments for the tests of memory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from factory.memory.documents import segment_schema
from factory.memory.parts import SegmentRef
from factory.memory.segments import Model, write_segment

DIMENSION = 16
MODEL = Model("test-model", DIMENSION)
DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)

Vectors = npt.NDArray[np.float32]


def identity(number: int) -> bytes:
    """Return the chunk id of a number; ids of one hundred share their first half, and some end in zero bytes."""
    return (number // 100).to_bytes(8, "big") + (number % 100).to_bytes(2, "big") + bytes(6)


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Return vectors of length 1."""
    result: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return result


def clustered(count: int, dimension: int, *, clusters: int = 200, seed: int = 1) -> Vectors:
    """Return unit vectors in clusters, as those of texts are."""
    choice = np.random.default_rng(seed)
    centres = choice.normal(size=(clusters, dimension))
    members = choice.integers(0, clusters, count)
    return unit(centres[members] + choice.normal(size=(count, dimension)) * 0.7)


def batch(ids: Sequence[bytes], vectors: Vectors, **columns: Sequence[object]) -> pa.RecordBatch:
    """Return rows of a segment; a column that is not named gets a value that follows from the row's number."""
    numbers = range(len(ids))
    values: dict[str, Sequence[object]] = {
        "chunk_id": ids,
        "document_key": [f"key-{n % 7}" for n in numbers],
        "tenant": [f"tenant-{n % 2}" for n in numbers],
        "project_id": [f"project-{n % 5}" for n in numbers],
        "kind": [f"kind-{n % 3}" for n in numbers],
        "version": [n % 4 + 1 for n in numbers],
        "agent": [f"agent-{n % 2}" for n in numbers],
        "created_at": [DAY_ZERO + timedelta(days=n % 10) for n in numbers],
        "path": [f"path-{n}" for n in numbers],
        "title": ["" for _ in numbers],
        "ordinal": [n % 100 for n in numbers],
        "text": [f"text of {chunk.hex()}" for chunk in ids],
        "tokens": [3 for _ in numbers],
    } | columns
    schema = segment_schema(vectors.shape[1])
    arrays = [pa.array(values[field.name], field.type) for field in schema if field.name != "vector"]
    vector = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.RecordBatch.from_arrays([*arrays, vector], schema=schema)


def segment(folder: Path, sequence: int, rows: pa.RecordBatch, model: Model = MODEL) -> SegmentRef:
    """Write a segment and return what a shard is told of it."""
    written = write_segment(str(folder / f"segment-{sequence}.parquet"), [rows], model)
    return SegmentRef(written.url, sequence, written.rows, written.hash)
