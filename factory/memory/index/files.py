"""Index files: made once from a segment, stored beside it, mapped into memory, and made again where they are lost."""

import glob
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import fsspec  # type: ignore[import-untyped]
import structlog
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]

from factory.artifacts.files import locked, make_directory, sweep
from factory.memory.index.build import build
from factory.memory.index.kinds import IndexPlan, IndexSetting, choose
from factory.memory.index.mapped import MappedIndex
from factory.memory.segments import read_vectors

_SUFFIX = ".faiss"
_STAGING_PREFIX = "staged-"  # as `factory.artifacts.files.sweep` looks for
# Nobody writes on a file that did not grow for so long.
_ABANDONED_AFTER_SECONDS = 3600
_NAME_BYTES = 12
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """The index files of the segments that one process serves.

    Where segments lie on a local disk, so do the files, beside them. Otherwise each is copied once to the cache. An
    index is a pure function of its segment: a file that is missing, truncated or of another version of FAISS is made
    anew, which costs time and nothing else.

    Attributes:
        cache: A local folder that may be lost; several processes may share it.
        setting: Which kind of index to build.
        threads: How many threads build one index.
        publish: Whether to store a newly built file beside its segment, for others to copy.
        options: What fsspec needs beside the URLs.
    """

    cache: Path
    setting: IndexSetting = IndexSetting.AUTO
    threads: int = 1
    publish: bool = True
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def open(self, url: str, rows: int, dimension: int, *, content_hash: str = "") -> MappedIndex:
        """Return the index of a segment, built where there is none that can be read.

        Args:
            url: Of the segment.
            rows: How many it has.
            dimension: Of its vectors.
            content_hash: Of the segment's file, so that another file at the same URL gets an index of its own.

        Raises:
            IntegrityError: The segment itself is damaged.
            NotFoundError: There is no such segment.
        """
        plan = choose(rows, self.setting)
        beside, local = self._places(url, plan, content_hash)
        found = _read(local, rows, dimension, plan)
        if found is not None:
            return found
        # Two shards of one machine that start together need the file once.
        with locked(self.cache / f"{local.name}.lock"):
            found = _read(local, rows, dimension, plan)
            if found is None and beside is not None and _copy(*beside, local):
                found = _read(local, rows, dimension, plan)
            if found is not None:
                return found
            sweep(local.parent, older_than=time.time() - _ABANDONED_AFTER_SECONDS)
            _log.info("index.building", segment=url, rows=rows, kind=plan.kind.value, factory=plan.factory)
            write_index(
                build(read_vectors(url, options=self.options), rows, dimension, plan, threads=self.threads), local
            )
            if self.publish and beside is not None:
                _publish(local, *beside)
            return MappedIndex.read(local, plan)

    def forget(self, url: str, rows: int, *, content_hash: str = "") -> None:
        """Remove the local file of a segment that this process serves no more; whoever has it mapped keeps it."""
        beside, local = self._places(url, choose(rows, self.setting), content_hash)
        if beside is not None:
            local.unlink(missing_ok=True)
        (self.cache / f"{local.name}.lock").unlink(missing_ok=True)

    def remove(self, url: str, rows: int, *, content_hash: str = "") -> None:
        """Remove every index of a segment, as the segment is removed: those of other settings and versions too."""
        self.forget(url, rows, content_hash=content_hash)
        filesystem, path = fsspec.core.url_to_fs(url, **self.options)
        for name in filesystem.glob(f"{glob.escape(str(path).removesuffix('.parquet'))}.*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                filesystem.rm_file(name)

    def _places(self, url: str, plan: IndexPlan, content_hash: str) -> tuple[tuple[Any, str] | None, Path]:
        """Return where others find the file, unless that is the local path itself, and the local path."""
        filesystem, path = fsspec.core.url_to_fs(url, **self.options)
        made_of = "\n".join((content_hash or str(path), plan.built_from, faiss.__version__))
        digest = hashlib.blake2b(made_of.encode(), digest_size=_NAME_BYTES).hexdigest()
        stem = str(path).removesuffix(".parquet")
        if isinstance(filesystem, LocalFileSystem):
            return None, Path(f"{stem}.{digest}{_SUFFIX}")
        return (filesystem, f"{stem}.{digest}{_SUFFIX}"), self.cache / f"{digest}{_SUFFIX}"


def _read(path: Path, rows: int, dimension: int, plan: IndexPlan) -> MappedIndex | None:
    try:
        index = MappedIndex.read(path, plan)
    except FileNotFoundError:
        return None
    except RuntimeError as error:  # what FAISS raises for a file that it cannot make sense of
        _log.warning("index.unreadable", path=str(path), error=str(error))
    else:
        if index.rows == rows and index.dimension == dimension:
            return index
        _log.warning("index.mismatch", path=str(path), rows=index.rows, expected=rows)
    path.unlink(missing_ok=True)
    return None


def write_index(index: Any, path: Path) -> None:  # noqa: ANN401 - FAISS is untyped
    """Store an index so that it appears under its name only when it is complete and on disk."""
    make_directory(path.parent)
    staged = path.parent / f"{_STAGING_PREFIX}{secrets.token_hex(8)}"
    try:
        faiss.write_index(index, str(staged))
        _flush(staged)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _copy(filesystem: Any, source: str, path: Path) -> bool:  # noqa: ANN401 - fsspec is untyped
    make_directory(path.parent)
    staged = path.parent / f"{_STAGING_PREFIX}{secrets.token_hex(8)}"
    try:
        with filesystem.open(source, "rb") as remote, staged.open("wb") as file:
            shutil.copyfileobj(remote, file, 1 << 20)
        _flush(staged)
        staged.replace(path)
    except FileNotFoundError:
        return False
    except Exception as error:  # noqa: BLE001 - stores raise errors of their own, and the index can be built
        _log.warning("index.not_copied", source=source, error=str(error))
        return False
    finally:
        staged.unlink(missing_ok=True)
    return True


def _publish(path: Path, filesystem: Any, target: str) -> None:  # noqa: ANN401 - fsspec is untyped
    try:
        # An upload shows only when it is complete, and a second one has an equally good index.
        filesystem.put_file(str(path), target)
    except Exception as error:  # noqa: BLE001 - stores raise errors of their own, and others can build the index
        _log.warning("index.not_published", target=target, error=str(error))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
