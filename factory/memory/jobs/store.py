"""The folder of a job, on any fsspec URL, whose files are written once and never change."""

import contextlib
import functools
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from factory.artifacts.files import make_directory, sync_directory

_STAGING = "staging"


@dataclass(frozen=True)
class JobStore:
    """Files under one URL, by relative name.

    Guarantees: a file under its name is complete, and once there it stays as it is, whoever else writes it; on local
    files it is flushed to disk.

    Attributes:
        url: A path or an fsspec URL.
        options: What fsspec needs beside the URL, such as credentials.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

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

    @property
    def _root(self) -> str:
        return self._opened[1]

    @property
    def _filesystem(self) -> Any:  # noqa: ANN401 - fsspec is untyped
        return self._opened[0]

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url, **self.options)
        return filesystem, str(root).rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the opened file system behind: connections do not travel between processes."""
        return {"url": self.url, "options": dict(self.options)}


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
