"""Files that survive a kill: whole or absent under their final name, and locks that die with their holder."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STAGING_PREFIX = "staged-"


def make_directory(path: Path) -> None:
    """Create a directory and its parents so that they are still there after a power failure."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Flush a directory, so that a rename inside it is durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes, *, staging: Path, mode: int = 0o644, durable: bool = True) -> None:
    """Write a file that appears under its name only when it is complete.

    Args:
        path: The final name; a file already there is replaced in one step.
        data: The whole content.
        staging: A directory on the same file system for the unfinished file; a killed writer leaves its
            file there, where `sweep` removes it.
        mode: Permission bits, before the umask.
        durable: Whether to flush the file and both names to disk; costs about a third of a millisecond.
    """
    make_directory(staging)
    make_directory(path.parent)
    staged = staging / f"{_STAGING_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sweep(staging: Path, *, older_than: float) -> int:
    """Remove what killed writers left in a staging directory; return how many files went.

    Args:
        staging: The directory given to `write_atomic`.
        older_than: POSIX time; files changed later may belong to a living writer and stay.
    """
    removed = 0
    for file in staging.glob(f"{_STAGING_PREFIX}*"):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < older_than:
                file.unlink()
                removed += 1
    return removed


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of the block.

    The kernel releases the lock when its holder dies, so that a killed process blocks nobody. The file
    stays: removing it would let two holders lock two files of one name.
    """
    make_directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
