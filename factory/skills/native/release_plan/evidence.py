"""What the tests and checks of the generated service gave, and what its specification promises."""

import yaml
from pydantic import BaseModel, ConfigDict

from factory.skills.native.rendering.english import count

_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


class Check(BaseModel):
    """One command over the project."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    passed: bool


class Suite(BaseModel):
    """The tests of one module; only how many there are matters here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""


class Evidence(BaseModel):
    """The part of a test report that a release depends on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    passed: int
    failed: int
    skipped: int = 0
    errors: int = 0
    checks: tuple[Check, ...] = ()
    suites: tuple[Suite, ...] = ()

    @property
    def tests_are_clean(self) -> bool:
        """Whether tests ran and none of them failed."""
        return self.passed > 0 and not self.failed and not self.errors

    @property
    def is_clean(self) -> bool:
        """Whether nothing in the evidence speaks against a release."""
        return self.tests_are_clean and all(check.passed for check in self.checks)

    @property
    def tests_in_words(self) -> str:
        """The tests' result, naming only what there was."""
        parts = [f"{count(self.passed, 'test')} passed", f"{self.failed} failed"]
        if self.errors:
            parts.append(f"{self.errors} could not run")
        if self.skipped:
            parts.append(f"{self.skipped} {'was' if self.skipped == 1 else 'were'} skipped")
        return ", ".join(parts)


def count_operations(specification: str) -> int:
    """Return how many operations an OpenAPI document describes."""
    document = yaml.safe_load(specification) or {}
    paths = document.get("paths") or {}
    return sum(method in _METHODS for path in paths.values() for method in path)
