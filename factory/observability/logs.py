"""Structured logs: one JSON object per line, with the ids of the trace, project, task and agent at work.

Lines go to `<data_dir>/logs/<service>.jsonl`. Libraries that log through the standard library come out in the
same form. Event names are short constants (`task_claimed`), facts are fields.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import Processor

from factory.observability.rotation import move_aside
from factory.settings import Settings

_ROTATE_AT_BYTES = 32 * 1024 * 1024
_HANDLER = "factory"


def configure_logging(settings: Settings, *, service: str, stderr: bool = False) -> Path:
    """Send the logs of this process to its service's file, and return that file.

    Calling it again replaces what an earlier call set up.

    Args:
        settings: Level and data directory.
        service: Name of the file; processes of one kind share it.
        stderr: Write to standard error as well; off for the command line, whose output is for people.
    """
    path = settings.data_dir / "logs" / f"{service}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    handlers: list[logging.Handler] = [RotatedFileHandler(path)]
    if stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.get_name() == _HANDLER]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        handler.set_name(_HANDLER)
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    return path


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger; it may be made before `configure_logging` runs."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def bound(**ids: Any) -> Iterator[None]:  # noqa: ANN401 - any value that has a text
    """Add fields to every line logged in the block, in this task and those it starts.

    The names in use are `trace`, `project`, `task` and `agent`.
    """
    with structlog.contextvars.bound_contextvars(**{name: str(value) for name, value in ids.items()}):
        yield


class RotatedFileHandler(WatchedFileHandler):
    """Appends to a file that several processes share, and moves it aside once it is large.

    Whoever finds it too large renames it under a lock; the others notice the new file at their next line.
    One older file is kept.
    """

    def __init__(self, path: Path, *, rotate_at: int = _ROTATE_AT_BYTES) -> None:
        super().__init__(path, encoding="utf-8", delay=False)
        self._rotate_at = rotate_at

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, to a new file where the present one is full."""
        try:
            self.reopenIfNeeded()
            if self.stream is not None and move_aside(
                Path(self.baseFilename), self.stream.fileno(), at_bytes=self._rotate_at
            ):
                self.reopenIfNeeded()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)
