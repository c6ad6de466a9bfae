"""A file for what is not in PostgreSQL yet: written before the answer, so that a killed process loses nothing."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from factory.domain.ids import new_id

_SUFFIX = ".spool"


class Spool:
    """Lines of one process, in a file that it alone holds locked.

    A line is handed to the kernel at once: it survives the process, though not the machine.

    Args:
        folder: Where the spools of all processes of this machine lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._open()

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._written

    def append(self, line: bytes) -> None:
        """Add a line.

        Raises:
            OSError: The disk is full, or gone.
        """
        self._written += os.write(self._file.fileno(), line + b"\n")

    def rotate(self) -> Path | None:
        """Begin a new file, and return the one before where it holds anything; the caller removes it."""
        if not self._written:
            return None
        done, file = self._path, self._file
        self._open()
        file.close()
        return done

    def abandoned(self) -> Iterator[Path]:
        """Yield the spools of processes that are gone, each locked for the caller meanwhile."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path == self._path:
                continue
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield path
            except (BlockingIOError, FileNotFoundError):
                continue

    def close(self) -> None:
        """Leave the file; it is removed where it is empty."""
        self._file.close()
        if not self._written:
            self._path.unlink(missing_ok=True)

    def _open(self) -> None:
        name = new_id().hex
        # Locked before it has the name by which others look for spools whose owner is gone.
        fresh = self._folder / f"{name}.new"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._file: IO[bytes] = os.fdopen(handle, "wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._path = fresh.rename(self._folder / f"{name}{_SUFFIX}")
        self._written = 0


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a spool; a last line that was cut off by a crash is left out."""
    found: list[dict[str, Any]] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            values = json.loads(line) if line else None
        except ValueError:
            continue
        if isinstance(values, dict):
            found.append(values)
    return found
