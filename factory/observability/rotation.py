"""Files that several processes append to, and that one of them moves aside once they are large."""

import fcntl
import os
from pathlib import Path


def older_file(path: Path) -> Path:
    """Return where a file that has grown large is moved to; one older file is kept."""
    return path.with_name(f"{path.name}.1")


def move_aside(path: Path, descriptor: int, *, at_bytes: int) -> bool:
    """Rename an open file that has reached a size, unless another process has; tell whether it had that size.

    What others write before they notice the new file lands in the older one.

    Raises:
        OSError: The file cannot be locked or renamed.
    """
    if os.fstat(descriptor).st_size < at_bytes:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        # The lock is on the file itself: once it is ours, another process may have moved that file already.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            path.rename(older_file(path))
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True
