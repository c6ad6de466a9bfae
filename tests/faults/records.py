"""Append-only files outside PostgreSQL: what clients and workers know, judged after the run.

A line is one `write` to a file opened for appending, so it is whole or missing however its writer dies.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self


class Record:
    """Appends lines of JSON."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **line: object) -> None:
        """Append a line; it outlives this process."""
        os.write(self._handle, (json.dumps(line, default=str, separators=(",", ":")) + "\n").encode())

    def write_durably(self, **line: object) -> None:
        """Append a line; it outlives this machine."""
        self.write(**line)
        os.fdatasync(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a record; nothing where there is none."""
    if path.exists():
        with path.open() as lines:
            for line in lines:
                yield json.loads(line)
