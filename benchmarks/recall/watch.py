"""A second pair of eyes: looks at a contestant's memory while it works."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from benchmarks.recall.contestants import Use

_EVERY_SECONDS = 0.5


class Watch:
    """Notes the most memory that was seen during a block, its end included.

    Args:
        look: Returns what is used now.

    Attributes:
        memory_mib: The most that was held, pages of mapped files included.
        private_mib: The most without those.
    """

    def __init__(self, look: Callable[[], Use]) -> None:
        self._look = look
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self.memory_mib = 0.0
        self.private_mib = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if error is None:
            self._note()

    def _watch(self) -> None:
        while not self._done.wait(_EVERY_SECONDS):
            self._note()

    def _note(self) -> None:
        seen = self._look()
        self.memory_mib = max(self.memory_mib, seen.memory_mib)
        self.private_mib = max(self.private_mib, seen.private_mib)
