import re
from collections import defaultdict

import asyncpg
import pytest
from pydantic import BaseModel, ValidationError

from factory.domain.errors import BadInputError, ErrorCategory, RetryableError, TerminalError
from factory.recovery import classification
from factory.recovery.classification import ErrorRule, classify, register_error_rule


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


class PaperJam(OSError):  # noqa: N818 - printers name it so
    """An error of somebody's own agent."""


@pytest.fixture
def clean_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "_RULES", defaultdict(list))


@pytest.mark.usefixtures("clean_rules")
@pytest.mark.parametrize(
    ("rule", "error", "applies"),
    [
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, error=PaperJam), PaperJam("tray 2"), True),
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, error="PaperJam"), PaperJam("tray 2"), True),
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, error=OSError), PaperJam("tray 2"), True),
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, error=PaperJam), OSError("tray 2"), False),
        (
            ErrorRule(ErrorCategory.BUDGET, retryable=True, message=r"quota .*exceeded"),
            ValueError("quota is exceeded"),
            True,
        ),
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, message=r"quota"), ValueError("no page"), False),
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, error=PaperJam, message="tray 1"), PaperJam("tray 2"), False),
        (
            ErrorRule(ErrorCategory.BUDGET, retryable=True, was=ErrorCategory.TIMEOUT),
            TerminalError("x", category=ErrorCategory.TIMEOUT),
            True,
        ),
        (ErrorRule(ErrorCategory.BUDGET, retryable=True, was=ErrorCategory.TIMEOUT), TerminalError("x"), False),
    ],
)
def test_an_agent_says_what_its_own_errors_mean(rule: ErrorRule, error: Exception, applies: bool) -> None:  # noqa: FBT001
    before = classify(error, "printer")
    register_error_rule(rule, agent="printer")
    found = classify(error, "printer")
    assert (found.category is ErrorCategory.BUDGET and found.retryable) is applies
    assert applies or found == before
    assert classify(error, "plotter") == before


@pytest.mark.usefixtures("clean_rules")
def test_rules_of_the_agent_come_before_those_for_all_and_later_ones_before_earlier_ones() -> None:
    for category, agent in (
        (ErrorCategory.POISON, "printer"),
        (ErrorCategory.BUDGET, "printer"),
        (ErrorCategory.EXPIRED, ""),
    ):
        register_error_rule(ErrorRule(category, retryable=False, error=PaperJam), agent=agent)
    assert classify(PaperJam(), "printer").category is ErrorCategory.BUDGET
    assert classify(PaperJam(), "plotter").category is ErrorCategory.EXPIRED
    assert classify(PaperJam()).category is ErrorCategory.EXPIRED


def test_a_rule_about_everything_or_with_a_broken_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="names a class"):
        ErrorRule(ErrorCategory.BUDGET, retryable=True)
    with pytest.raises(re.error, match="unterminated"):
        ErrorRule(ErrorCategory.BUDGET, retryable=True, message="[")
