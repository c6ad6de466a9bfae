"""The end of a run: a process of the harness works until its standard input closes, however its parent ends."""

import asyncio
import os
import threading


def watch_parent() -> asyncio.Event:
    """Return an event that is set once standard input closes."""
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        # Not through sys.stdin, whose lock would be held while the interpreter ends.
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=wait, daemon=True).start()
    return closed
