"""Whether to try again, and when (R16). Pure: clock and chance are the caller's."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.task import TaskError


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= bounds[0] <= bounds[1]:
        raise ValueError("a delay is two numbers of seconds, the smaller first")
    return bounds


DelayRange = Annotated[tuple[float, float], AfterValidator(_rising)]


_KEYS = ("agent", "step", "goal", "category", "error_type")


class RetryPolicy(BaseModel):
    """How often and how fast to try again.

    Attributes:
        max_attempts: Attempts that may end with an error, the first included; lost workers do not count.
        max_crashes: Workers that may be lost while they run the task.
        delays: Seconds before the second, third, … attempt, as ranges to choose from; the last one repeats.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: int = Field(ge=1)
    max_crashes: int = Field(ge=1)
    delays: tuple[DelayRange, ...] = Field(min_length=1)

    def delay(self, failures: int, chance: float) -> timedelta:
        """Return how long to wait after so many failures; chance from 0 to 1 chooses within the range."""
        return _within(self.delays, failures, chance)


def redrive_delay(delays: Sequence[tuple[float, float]], redrive: int, chance: float) -> timedelta:
    """Return how long a dead letter waits for its first, second, … redrive; the last of the ranges repeats.

    Raises:
        ValueError: There are no ranges.
    """
    if not delays:
        raise ValueError("a redrive needs at least one range of seconds to wait")
    return _within(delays, redrive, chance)


def _within(ranges: Sequence[tuple[float, float]], number: int, chance: float) -> timedelta:
    low, high = ranges[min(number, len(ranges)) - 1]
    return timedelta(seconds=low + (high - low) * chance)


class _Override(BaseModel):
    """Values that replace those of the default where every given key matches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent: str | None = None
    step: str | None = None
    goal: str | None = None
    category: ErrorCategory | None = None
    error_type: str | None = None
    max_attempts: int | None = Field(default=None, ge=1)
    max_crashes: int | None = Field(default=None, ge=1)
    delays: tuple[DelayRange, ...] | None = Field(default=None, min_length=1)

    def matches(self, facts: Mapping[str, str]) -> bool:
        return all(value == facts[name] for name, value in self._keys.items())

    @property
    def specificity(self) -> int:
        return len(self._keys)

    @property
    def _keys(self) -> Mapping[str, str]:
        return self.model_dump(include=set(_KEYS), exclude_none=True, mode="json")

    @property
    def values(self) -> Mapping[str, Any]:
        return self.model_dump(include={"max_attempts", "max_crashes", "delays"}, exclude_none=True)


class Policies(BaseModel):
    """The default policy and what overrides it: the entry with more matching keys wins, then the later one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: RetryPolicy
    overrides: tuple[_Override, ...] = ()

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the shipped policies, and over them those of a file of the same shape.

        Raises:
            BadInputError: The file is missing or does not have that shape.
        """
        shipped = yaml.safe_load(resources.files(__package__).joinpath("policies.yaml").read_text("utf-8"))
        if path is None:
            return cls.model_validate(shipped)
        try:
            own = yaml.safe_load(path.read_text("utf-8"))
            own = {} if own is None else own
            return cls.model_validate(
                {
                    **own,
                    "default": {**shipped["default"], **own.get("default", {})},
                    "overrides": [*shipped.get("overrides", ()), *own.get("overrides", ())],
                }
            )
        except (OSError, yaml.YAMLError, ValidationError, AttributeError, TypeError) as error:
            raise BadInputError(
                f"the retry policies in {path} cannot be used: {error}",
                remedy="See factory/recovery/policies.yaml for the shape.",
                field="retry_policies",
            ) from error

    def find(
        self, *, agent: str, step: str, category: ErrorCategory, goal: str = "", error_type: str = ""
    ) -> RetryPolicy:
        """Return the policy for an error of an agent in a step that makes an artifact of the kind `goal`."""
        facts = {"agent": agent, "step": step, "goal": goal, "category": category.value, "error_type": error_type}
        matching = [entry for entry in self.overrides if entry.matches(facts)]
        values = self.default.model_dump()
        for entry in sorted(matching, key=lambda entry: entry.specificity):
            values.update(entry.values)
        return RetryPolicy.model_validate(values)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after a delay."""

    delay: timedelta


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Give up, for the reason of this category."""

    category: ErrorCategory


def decide(
    error: TaskError,
    attempt: int,
    crash_count: int,
    policy: RetryPolicy,
    chance: Callable[[], float] = random.random,
) -> Retry | DeadLetter:
    """Decide what becomes of a task after an error.

    Args:
        error: How this attempt ended.
        attempt: Its number, from 1.
        crash_count: How many of the earlier attempts lost their worker.
        policy: From `Policies.find`.
        chance: Gives a number from 0 to 1 to spread retries that would otherwise come together.
    """
    if not error.retryable:
        return DeadLetter(error.category)
    crashed = error.category is ErrorCategory.WORKER_LOST
    count = crash_count + 1 if crashed else max(attempt - crash_count, 1)
    if count >= (policy.max_crashes if crashed else policy.max_attempts):
        return DeadLetter(error.category)
    return Retry(policy.delay(count, chance()))
