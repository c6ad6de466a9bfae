"""The folder of a job, on any fsspec URL, whose files are written once and never change."""

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from factory.artifacts.files import make_directory, sync_directory
from factory.artifacts.folder import Folder

_STAGING = "staging"


@dataclass(frozen=True)
class JobStore(Folder):
    """Files under one URL, by relative name.

    Guarantees: a file under its name is complete, and once there it stays as it is, whoever else writes it; on local
    files it is flushed to disk.
    """

    def put(self, name: str, data: bytes) -> bool:
        """Write a file unless it is there; tell whether this call wrote it."""
        path = self._path(name)
        if isinstance(self._filesystem, LocalFileSystem):
            return self._put_local(Path(path), data)
        self._filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        try:
            self._filesystem.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def get(self, name: str) -> bytes | None:
        """Return a file's content; None where it is not there."""
        try:
            data: bytes = self._filesystem.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return data

    def contents(self, folder: str) -> dict[str, bytes]:
        """Return the files of a folder by name."""
        try:
            paths = self._filesystem.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return {}
        found: dict[str, bytes] = self._filesystem.cat(paths) if paths else {}
        return {path.rsplit("/", 1)[-1]: data for path, data in found.items()}

    def uri(self, name: str) -> str:
        """Return the full address of a file."""
        return str(self._filesystem.unstrip_protocol(self._path(name)))

    def _put_local(self, path: Path, data: bytes) -> bool:
        staging = Path(self._root) / _STAGING
        make_directory(staging)
        make_directory(path.parent)
        staged = staging / f"{path.name}-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with staged.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            written = _name(staged, path)
        finally:
            staged.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                staging.rmdir()
        sync_directory(path.parent)
        return written

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _name(staged: Path, path: Path) -> bool:
    """Give a complete file its name unless that is taken."""
    try:
        path.hardlink_to(staged)
    except FileExistsError:
        return False
    except OSError:
        # Some network shares have no links: two writers in the same instant could then replace one another's file.
        if path.exists():
            return False
        staged.replace(path)
    return True
