"""Compaction: many small segments become one, without what is dead."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from factory.domain.errors import BadInputError
from factory.memory.columns import Mask
from factory.memory.liveness import Deletion, IdTable, Prefixes, no_tombstones, survivors, with_deletions
from factory.memory.parts import SegmentRef
from factory.memory.segments import SegmentFile, read_batches, read_columns, read_model, write_segment


def compact(
    segments: Sequence[SegmentRef],
    deletions: Iterable[Deletion],
    url: str,
    *,
    options: Mapping[str, Any] | None = None,
) -> SegmentFile | None:
    """Write the living rows of several segments as one new segment, the oldest segment's rows first.

    Memory holds the ids of all rows and one batch of them, not the segments. The inputs stay as they are. Register
    the new segment under the highest sequence number of the inputs and drop them in the same change: whatever was
    deleted or written meanwhile has a higher one, and so counts.

    Give a run of segments without gaps in their sequence numbers, or deletions for every chunk that was replaced;
    otherwise a chunk that a segment between them replaced comes back.

    Args:
        segments: All of one model.
        deletions: All that are known.
        url: Of the new segment; nothing lies there yet.
        options: What fsspec needs beside the URLs.

    Returns:
        Facts of the new segment, or None where no row is alive: then nothing is written.

    Raises:
        BadInputError: There is no segment, or they are of different models.
        ConflictError: Something lies at the URL already.
        IntegrityError: A segment is damaged.
        NotFoundError: A segment does not exist.
    """
    ordered = sorted(segments, key=lambda ref: ref.sequence)
    if not ordered:
        raise BadInputError("no segment was to be compacted.", remedy="Name at least one.", field="segments")
    models = {read_model(ref.url, options=options) for ref in ordered}
    if len(models) > 1:
        raise BadInputError(
            f"segments of {', '.join(sorted(f'{model.name!r}' for model in models))} were to be compacted into one.",
            remedy="Compact the segments of one collection.",
            field="segments",
        )
    alive = _alive(ordered, deletions, options)
    if not any(mask.any() for mask in alive):
        return None
    return write_segment(url, _living(ordered, alive, options), models.pop(), options=options)


def _alive(
    ordered: Sequence[SegmentRef], deletions: Iterable[Deletion], options: Mapping[str, Any] | None
) -> list[Mask]:
    tables = []
    for ref in ordered:
        ids = read_columns(ref.url, options=options).ids
        tables.append(IdTable(ids, np.full(len(ids), ref.sequence, np.int64)))
    prefixes: Prefixes = np.unique(np.concatenate([table.ids[:, 0] for table in tables]))
    masks = []
    for table, (rows, alive) in zip(
        tables, survivors(tables, with_deletions(no_tombstones(), deletions), prefixes), strict=True
    ):
        mask = np.zeros(len(table), np.bool_)
        mask[rows] = alive
        masks.append(mask)
    return masks


def _living(
    ordered: Sequence[SegmentRef], alive: Sequence[Mask], options: Mapping[str, Any] | None
) -> Iterator[pa.RecordBatch]:
    for ref, mask in zip(ordered, alive, strict=True):
        begin = 0
        for batch in read_batches(ref.url, options=options):
            yield batch.filter(pa.array(mask[begin : begin + len(batch)]))
            begin += len(batch)
