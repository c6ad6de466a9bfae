"""Reading what hits say: the texts stay in the segments, and only the row groups that hold hits are read."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from factory.memory.segments import ROW_GROUP_ROWS, read_group

_COLUMNS = (
    "chunk_id",
    "document_key",
    "tenant",
    "project_id",
    "kind",
    "version",
    "agent",
    "created_at",
    "path",
    "title",
    "ordinal",
    "text",
    "tokens",
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk as it was stored, with the score that it got.

    Attributes:
        chunk_id: 16 bytes.
        score: Cosine of the angle to the query.
        document_key: Of its document.
        tenant: Whose it is.
        project_id: Empty where it belongs to no project.
        kind: The artifact's kind.
        version: Of the document.
        agent: Who made it.
        created_at: When, with a time zone.
        path: File name or path.
        title: Where in the document it stands.
        ordinal: Its place in the document, from 0.
        text: What was embedded.
        tokens: Its length in tokens of the model.
    """

    chunk_id: bytes
    score: float
    document_key: str
    tenant: str
    project_id: str
    kind: str
    version: int
    agent: str
    created_at: datetime
    path: str
    title: str
    ordinal: int
    text: str
    tokens: int


class PassageReader:
    """Reads rows of segments and remembers the row groups read last. Safe to use from several threads.

    Args:
        cache_bytes: How much to remember.
        options: What fsspec needs beside the URLs.
    """

    def __init__(self, cache_bytes: int, options: Mapping[str, Any]) -> None:
        self._limit = cache_bytes
        self._options = options
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()
        self._bytes = 0

    def read(self, url: str, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return rows of one segment without their vectors, in the order asked for.

        Raises:
            IntegrityError: The segment is damaged.
            NotFoundError: It is gone.
        """
        groups = {group: self._group(url, group) for group in sorted({row // ROW_GROUP_ROWS for row in rows})}
        return [groups[row // ROW_GROUP_ROWS].slice(row % ROW_GROUP_ROWS, 1).to_pylist()[0] for row in rows]

    def _group(self, url: str, group: int) -> pa.Table:
        key = (url, group)
        with self._lock:
            if key in self._groups:
                self._groups.move_to_end(key)
                return self._groups[key]
        table = read_group(url, group, _COLUMNS, options=self._options)
        with self._lock:
            if key not in self._groups:
                self._groups[key] = table
                self._bytes += table.nbytes
            while self._bytes > self._limit and len(self._groups) > 1:
                _, oldest = self._groups.popitem(last=False)
                self._bytes -= oldest.nbytes
        return table
