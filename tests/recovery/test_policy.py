from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.task import TaskError
from factory.recovery.policy import DeadLetter, Policies, Retry, RetryPolicy, decide, redrive_delay

POLICY = RetryPolicy(max_attempts=4, max_crashes=3, delays=((0, 1), (30, 60), (300, 600)))


def error(category: ErrorCategory = ErrorCategory.DEPENDENCY, *, retryable: bool = True) -> TaskError:
    return TaskError(message="no", category=category, retryable=retryable, error_type="Problem")


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


@pytest.mark.parametrize(
    ("attempt", "crash_count", "category", "expected"),
    [
        (1, 0, ErrorCategory.DEPENDENCY, Retry(seconds(0.5))),
        (2, 0, ErrorCategory.DEPENDENCY, Retry(seconds(45))),
        (3, 0, ErrorCategory.DEPENDENCY, Retry(seconds(450))),
        (4, 0, ErrorCategory.DEPENDENCY, DeadLetter(ErrorCategory.DEPENDENCY)),
        (4, 2, ErrorCategory.DEPENDENCY, Retry(seconds(45))),
        (1, 0, ErrorCategory.WORKER_LOST, Retry(seconds(0.5))),
        (5, 1, ErrorCategory.WORKER_LOST, Retry(seconds(45))),
        (3, 2, ErrorCategory.WORKER_LOST, DeadLetter(ErrorCategory.WORKER_LOST)),
    ],
)
def test_a_retryable_error_is_tried_again_until_its_count_is_used_up(
    attempt: int, crash_count: int, category: ErrorCategory, expected: Retry | DeadLetter
) -> None:
    assert decide(error(category), attempt, crash_count, POLICY, lambda: 0.5) == expected


@pytest.mark.parametrize("category", ErrorCategory)
def test_a_final_error_is_never_tried_again(category: ErrorCategory) -> None:
    assert decide(error(category, retryable=False), 1, 0, POLICY) == DeadLetter(category)


@given(st.integers(1, 50), st.floats(0, 1))
def test_delays_stay_within_their_range_and_the_last_one_repeats(failures: int, chance: float) -> None:
    low, high = POLICY.delays[min(failures, 3) - 1]
    assert seconds(low) <= POLICY.delay(failures, chance) <= seconds(high)


@given(st.integers(0, 200))
def test_every_task_comes_to_an_end(crashes: int) -> None:
    attempt = crash_count = 0
    for _ in range(1000):
        attempt += 1
        lost = crashes > crash_count
        decision = decide(
            error(ErrorCategory.WORKER_LOST if lost else ErrorCategory.TIMEOUT), attempt, crash_count, POLICY
        )
        if isinstance(decision, DeadLetter):
            break
        crash_count += lost
    assert attempt <= POLICY.max_attempts + POLICY.max_crashes


def test_the_shipped_default_starts_small_then_waits_half_a_minute_then_minutes() -> None:
    policy = Policies.load().find(agent="any", step="any", category=ErrorCategory.DEPENDENCY)
    delays = [policy.delay(n, 0.5) for n in range(1, policy.max_attempts)]
    assert delays == sorted(delays)
    assert delays[0] < seconds(1)
    assert any(seconds(30) <= delay <= seconds(60) for delay in delays)
    assert seconds(300) <= delays[-1] <= seconds(600)


def test_the_most_specific_override_wins(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(
        """
default: {max_attempts: 9}
overrides:
  - {agent: writer, max_attempts: 8, max_crashes: 1}
  - {agent: writer, step: draft, max_attempts: 7}
  - {agent: writer, max_attempts: 6}
  - {category: budget, max_attempts: 1}
"""
    )
    policies = Policies.load(path)

    def found(agent: str, step: str, category: ErrorCategory = ErrorCategory.DEFECT) -> tuple[int, int]:
        policy = policies.find(agent=agent, step=step, category=category)
        return policy.max_attempts, policy.max_crashes

    shipped = Policies.load().default
    assert found("other", "draft") == (9, shipped.max_crashes)
    assert found("writer", "edit") == (6, 1)
    assert found("writer", "draft") == (7, 1)
    assert found("other", "x", ErrorCategory.BUDGET) == (1, shipped.max_crashes)


@pytest.mark.parametrize(
    "text",
    [
        "default: {max_attempts: 0}",
        "default: {delays: [[2, 1]]}",
        "overrides: [{agnet: x}]",
        "[]",
        "default: [",
        "default: {delays: []}",
    ],
)
def test_a_policy_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=r"policies\.yaml"):
        Policies.load(path)


def test_a_missing_policy_file_is_named() -> None:
    with pytest.raises(BadInputError, match="nowhere"):
        Policies.load(Path("nowhere/policies.yaml"))


def test_overrides_reach_task_kinds_and_error_classes(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(
        """
overrides:
  - {goal: book, max_attempts: 3}
  - {error_type: PaperJam, max_attempts: 4}
  - {agent: printer, goal: book, error_type: PaperJam, max_attempts: 5}
"""
    )
    policies = Policies.load(path)

    def found(agent: str, goal: str, error_type: str) -> int:
        category = ErrorCategory.DEPENDENCY
        return policies.find(agent=agent, step="s", goal=goal, category=category, error_type=error_type).max_attempts

    assert found("writer", "book", "OSError") == 3
    assert found("writer", "leaflet", "PaperJam") == 4
    assert found("printer", "book", "PaperJam") == 5
    assert found("printer", "leaflet", "OSError") == Policies.load().default.max_attempts


@given(st.integers(1, 50), st.floats(0, 1))
def test_redrives_wait_within_their_range_and_the_last_one_repeats(redrive: int, chance: float) -> None:
    delays = [(60.0, 120.0), (600.0, 900.0)]
    low, high = delays[min(redrive, 2) - 1]
    assert seconds(low) <= redrive_delay(delays, redrive, chance) <= seconds(high)


def test_a_redrive_without_a_range_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one range"):
        redrive_delay([], 1, 0.5)
