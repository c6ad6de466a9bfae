"""What an exception means for the task it ended."""

import re
import traceback
from collections import defaultdict
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What certain exceptions mean.

    Attributes:
        error: The exception's class, or its name where the class is not to be imported; subclasses count.
        message: A regular expression that its text must contain.
        was: The category that the exception claims for itself.
        category: What it means.
        retryable: Whether another attempt may succeed.
    """

    category: ErrorCategory
    retryable: bool
    error: type[BaseException] | str | None = None
    message: str | None = None
    was: ErrorCategory | None = None

    def __post_init__(self) -> None:
        if self.error is None and self.message is None and self.was is None:
            raise ValueError("a rule for errors names a class, a text or a category; else it would mean all of them")
        if self.message is not None:
            re.compile(self.message)

    def matches(self, error: BaseException) -> bool:
        """Tell whether the rule is about this exception."""
        return (
            (self.error is None or _is_a(error, self.error))
            and (self.message is None or re.search(self.message, str(error)) is not None)
            and (self.was is None or (isinstance(error, ClassifiedError) and error.category is self.was))
        )


_RULES: defaultdict[str, list[ErrorRule]] = defaultdict(list)


def register_error_rule(rule: ErrorRule, *, agent: str = "") -> None:
    """Add a rule for the errors of one agent, or of all.

    Modules of agents and plugins call it when they are imported. Rules of the agent come before those for all, later
    ones before earlier ones, and all of them before what `classify` knows by itself.
    """
    if rule not in _RULES[agent]:
        _RULES[agent].append(rule)


def classify(error: BaseException, agent: str = "") -> TaskError:
    """Return what an exception of an agent means: its category, and whether another attempt may succeed.

    What is not known to pass is a defect and final: a deterministic task that failed once fails again.
    """
    root = _root(error)
    rules = (rule for name in dict.fromkeys((agent, "")) for rule in reversed(_RULES.get(name, ())))
    known = next((rule for rule in rules if rule.matches(root)), None)
    category, retryable = (known.category, known.retryable) if known else _meaning(root)
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
        case _ if any(_is_a(error, name) for name in _WORKER_LOST):
            return ErrorCategory.WORKER_LOST, True
        case _ if is_connection_lost(error) or is_contention(error):
            return ErrorCategory.DEPENDENCY, True
        case asyncpg.InsufficientResourcesError():
            return ErrorCategory.DEPENDENCY, True
        case OSError():
            return ErrorCategory.DEPENDENCY, not isinstance(error, _LASTING)
    return ErrorCategory.DEFECT, False


def _is_a(error: BaseException, kind: type[BaseException] | str) -> bool:
    if isinstance(kind, str):
        return any(base.__name__ == kind for base in type(error).__mro__)
    return isinstance(error, kind)


def _root(error: BaseException) -> BaseException:
    """Return the exception of the task itself, which Ray wraps in one of its own."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) and type(error).__module__.startswith("ray.") else error


def _storable(text: str) -> str:
    """Return the text without what PostgreSQL cannot store."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
