"""The report on a generated project's tests: `test-report.json`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from factory.domain.task import Finding

PATH = "test-report.json"
_MOST_NAMED = 20


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CaseReport(_Strict):
    """One test; `message` says why where it did not pass."""

    name: str
    outcome: Literal["passed", "failed", "error", "skipped"]
    message: str | None = None


class SuiteReport(_Strict):
    """The tests of one module or class."""

    name: str
    tests: tuple[CaseReport, ...]


class CheckReport(_Strict):
    """One command over the project; `output` is the end of what it said."""

    name: str
    passed: bool
    output: str


class ProjectTestReport(_Strict):
    """What the tests and checks of one generated project gave; equal projects give equal bytes.

    Attributes:
        requirements_hash: Names the environment they ran in.
        sandbox: How they were confined: `bubblewrap` or `limits`.
    """

    passed: int
    failed: int
    skipped: int
    errors: int
    checks: tuple[CheckReport, ...]
    suites: tuple[SuiteReport, ...]
    requirements_hash: str
    sandbox: Literal["bubblewrap", "limits"]

    def findings(self) -> tuple[Finding, ...]:
        """Return an error for each check and each test that did not pass, and one where nothing was tested."""
        problems = [f"{check.name} failed: {check.output[-600:]}" for check in self.checks if not check.passed]
        bad = [
            f"{suite.name}::{case.name} {case.outcome}: {case.message or 'no message'}"
            for suite in self.suites
            for case in suite.tests
            if case.outcome in ("failed", "error")
        ]
        problems += bad[:_MOST_NAMED]
        if len(bad) > _MOST_NAMED:
            problems.append(f"{len(bad) - _MOST_NAMED} more tests did not pass.")
        if self.passed == 0:
            problems.append("no test passed: the project has none, or none could be run.")
        return tuple(
            Finding(rule="project-tests-pass", level="semantic", severity="error", message=problem, path=PATH)
            for problem in problems
        )
