"""What a keyword index on disk holds, in words that are written after the index itself."""

import fcntl
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from factory.domain.errors import ConflictError

# Raise it when the analysis of text or the fields change: an index of another format is filled again.
FORMAT = 1
_FILE = "contents.json"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a complete application left.

    Attributes:
        version: Of the shard.
        segments: Names of those it holds.
        stamp: Of tantivy's commit, which rises.
    """

    version: int = 0
    segments: frozenset[str] = frozenset()
    stamp: int = 0

    @classmethod
    def read(cls, folder: Path, data: Path) -> Self | None:
        """Return what the index holds, or None where it cannot be believed.

        Killed between the commit and `write`, the index holds more than is said here. That does no harm: what it
        is told to apply next it has already, and to apply it again changes nothing. An index older than is said here
        (restored from a copy) would miss chunks, and is not believed.
        """
        try:
            said: dict[str, Any] = json.loads((folder / _FILE).read_bytes())
            committed = int(json.loads((data / "meta.json").read_bytes())["opstamp"])
            contents = cls(int(said["version"]), frozenset(map(str, said["segments"])), int(said["stamp"]))
            believed = said["format"] == _format() and committed >= contents.stamp
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return contents if believed else None

    @staticmethod
    def forget(folder: Path) -> None:
        """Remove what was said."""
        (folder / _FILE).unlink(missing_ok=True)

    def write(self, folder: Path) -> None:
        """Say it, whole or not at all."""
        said = {
            "format": _format(),
            "version": self.version,
            "segments": sorted(self.segments),
            "stamp": self.stamp,
        }
        draft = folder / f"{_FILE}.new"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(said, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / _FILE)


class FolderLock:
    """Holds a folder for one index of one process; the operating system lets go of it when the process dies.

    Raises:
        ConflictError: Another holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "lock").open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise ConflictError(
                f"another keyword index is open on {folder}.", remedy="Close it, or use a folder of its own."
            ) from error

    def release(self) -> None:
        """Let go of it."""
        self._file.close()


def _format() -> str:
    return f"{FORMAT}, tantivy {version('tantivy')}"
