"""What an exception means for the task it ended."""

import traceback

import asyncpg
from pydantic import ValidationError

from factory.domain.errors import BadInputError, ClassifiedError, ErrorCategory, RetryableError
from factory.domain.task import TaskError
from factory.storage.database import is_connection_lost, is_contention

_STACK_LIMIT = 16_000
_MESSAGE_LIMIT = 4_000

# By name, because this module must not need Ray.
_WORKER_LOST = frozenset(
    {
        "RayActorError",
        "ActorDiedError",
        "WorkerCrashedError",
        "NodeDiedError",
        "OutOfMemoryError",
        "ActorUnavailableError",
    }
)
# A missing or forbidden file does not come back by trying again.
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


def classify(error: BaseException) -> TaskError:
    """Return what an exception means: its category, and whether another attempt may succeed.

    What is not known to pass is a defect and final: a deterministic task that failed once fails again.
    """
    root = _root(error)
    category, retryable = _meaning(root)
    return TaskError(
        message=_storable(str(root) or type(root).__name__)[:_MESSAGE_LIMIT],
        category=category,
        retryable=retryable,
        error_type=type(root).__name__,
        stack=_storable("".join(traceback.format_exception(error)))[-_STACK_LIMIT:],
    )


def _meaning(error: BaseException) -> tuple[ErrorCategory, bool]:  # noqa: PLR0911 - a table reads better than a chain
    match error:
        case ClassifiedError():
            return error.category, isinstance(error, RetryableError)
        case BadInputError():
            return ErrorCategory.VALIDATION, False
        case ValidationError():
            return ErrorCategory.SCHEMA, False
        case MemoryError():
            return ErrorCategory.WORKER_LOST, True
        case TimeoutError():
            return ErrorCategory.TIMEOUT, True
        case _ if _WORKER_LOST.intersection(base.__name__ for base in type(error).__mro__):
            return ErrorCategory.WORKER_LOST, True
        case _ if is_connection_lost(error) or is_contention(error):
            return ErrorCategory.DEPENDENCY, True
        case asyncpg.InsufficientResourcesError():
            return ErrorCategory.DEPENDENCY, True
        case OSError():
            return ErrorCategory.DEPENDENCY, not isinstance(error, _LASTING)
    return ErrorCategory.DEFECT, False


def _root(error: BaseException) -> BaseException:
    """Return the exception of the task itself, which Ray wraps in one of its own."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) and type(error).__module__.startswith("ray.") else error


def _storable(text: str) -> str:
    """Return the text without what PostgreSQL cannot store."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
