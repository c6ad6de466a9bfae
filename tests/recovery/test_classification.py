import asyncpg
import pytest
from pydantic import BaseModel, ValidationError

from factory.domain.errors import BadInputError, ErrorCategory, RetryableError, TerminalError
from factory.recovery.classification import classify


class RayActorError(Exception):
    """Stands for Ray's error of the same name, which is recognized by name."""


class TaskWrapper(Exception):  # noqa: N818 - Ray's name for it has no suffix either
    """Stands for the exception in which Ray hands over that of a task."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("wrapped")
        self.cause = cause


TaskWrapper.__module__ = "ray.exceptions"


class _Model(BaseModel):
    number: int


def _invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        _Model.model_validate({"number": "many"})
    return caught.value


@pytest.mark.parametrize(
    ("error", "category", "retryable"),
    [
        (RetryableError("busy"), ErrorCategory.DEPENDENCY, True),
        (RetryableError("spent", category=ErrorCategory.BUDGET), ErrorCategory.BUDGET, True),
        (TerminalError("no", category=ErrorCategory.VALIDATION), ErrorCategory.VALIDATION, False),
        (BadInputError("no"), ErrorCategory.VALIDATION, False),
        (_invalid(), ErrorCategory.SCHEMA, False),
        (TimeoutError(), ErrorCategory.TIMEOUT, True),
        (MemoryError(), ErrorCategory.WORKER_LOST, True),
        (RayActorError("gone"), ErrorCategory.WORKER_LOST, True),
        (TaskWrapper(TimeoutError()), ErrorCategory.TIMEOUT, True),
        (ConnectionResetError(), ErrorCategory.DEPENDENCY, True),
        (asyncpg.DeadlockDetectedError("x"), ErrorCategory.DEPENDENCY, True),
        (asyncpg.TooManyConnectionsError("x"), ErrorCategory.DEPENDENCY, True),
        (asyncpg.DiskFullError("x"), ErrorCategory.DEPENDENCY, True),
        (OSError(28, "No space left on device"), ErrorCategory.DEPENDENCY, True),
        (FileNotFoundError("x"), ErrorCategory.DEPENDENCY, False),
        (KeyError("x"), ErrorCategory.DEFECT, False),
        (asyncpg.UniqueViolationError("x"), ErrorCategory.DEFECT, False),
    ],
)
def test_errors_are_told_apart(error: Exception, category: ErrorCategory, retryable: bool) -> None:  # noqa: FBT001
    found = classify(error)
    assert (found.category, found.retryable) == (category, retryable)
    assert found.message


def _fail(message: str) -> None:
    raise ValueError(message)


def test_the_record_can_be_stored_and_shows_the_stack() -> None:
    try:
        _fail("a\x00b\udcff" + "x" * 100_000)
    except ValueError as error:
        found = classify(error)
    assert found.message.startswith("a\N{REPLACEMENT CHARACTER}b?")
    assert len(found.message) <= 4_000
    assert len(found.stack) <= 16_000
    assert found.error_type == "ValueError"
    found.stack.encode()


def test_the_remedy_is_part_of_the_message() -> None:
    assert classify(TerminalError("no such kind.", remedy="Name one.")).message == "no such kind. Name one."
