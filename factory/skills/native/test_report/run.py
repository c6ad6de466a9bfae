"""Assembles the project, prepares its environment and runs its tests and checks in the jail."""

import sys
import tempfile
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from factory.domain.artifact import KINDS, Content, check_path
from factory.domain.errors import ErrorCategory, TerminalError
from factory.sandbox import EnvironmentCache, Jail, JailResult, SandboxSettings
from factory.skills.native.test_report.report import PATH, CheckReport, ProjectTestReport
from factory.skills.native.test_report.results import JUNIT_PATH, last_lines, read_suites, steady
from factory.skills.skill import SkillContext, SkillResult

_PYTEST = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", f"--junitxml={JUNIT_PATH}")
_RUFF_CHECK = ("python", "-m", "ruff", "check", "--no-cache", ".")
_RUFF_FORMAT = ("python", "-m", "ruff", "format", "--check", "--no-cache", ".")
_MYPY = ("python", "-m", "mypy", "--cache-dir=/dev/null", "--no-color-output")


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    argv: tuple[str, ...]


def run_project_tests(context: SkillContext) -> SkillResult:
    """Run the generated project's tests, linter, formatter and type checker; failures are findings, not exceptions.

    Raises:
        RetryableError: The project's requirements could not be installed.
        SandboxUnavailableError: This machine cannot confine the project's code.
        TerminalError: The project has no requirements file, or two artifacts hold the same path.
    """
    settings = context.settings
    files = project_files(context.inputs)
    requirements = _requirements(files)
    cache = EnvironmentCache(settings.data_dir / "environments")
    jail = Jail(SandboxSettings.of(settings))
    environment = cache.ensure(requirements)
    with tempfile.TemporaryDirectory(prefix="factory-tests-", ignore_cleanup_errors=True) as folder:
        workdir = Path(folder).resolve() / "project"
        _write(files, workdir)
        results = _run_checks(jail, workdir, environment, files)
        folders = {str(environment): "<environment>", sys.base_prefix: "<python>", jail.project_path(workdir): ""}
        suites = read_suites(workdir, folders)
        checks = tuple(_check_report(name, result, folders) for name, result in results.items())
    outcomes = [case.outcome for suite in suites for case in suite.tests]
    report = ProjectTestReport(
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed"),
        skipped=outcomes.count("skipped"),
        errors=outcomes.count("error"),
        checks=checks,
        suites=suites,
        requirements_hash=cache.key(requirements),
        sandbox=jail.mode.value,
    )
    return SkillResult(
        content=Content(files={PATH: report.model_dump_json(indent=2, exclude_none=True) + "\n"}),
        metadata={"seconds": {name: round(result.seconds, 3) for name, result in results.items()}},
        findings=report.findings(),
    )


def project_files(inputs: Mapping[str, Content]) -> dict[str, str]:
    """Return the files that the committed kinds among the inputs make together, as the repository will hold them.

    Raises:
        TerminalError: Two kinds hold the same path.
    """
    files: dict[str, str] = {}
    for kind, spec in KINDS.items():
        if spec.commit_subject is None or kind not in inputs:
            continue
        for path, text in inputs[kind].files.items():
            check_path(path)
            if path in files:
                raise TerminalError(
                    f"{path!r} is written by {kind!r} and by an artifact before it.",
                    category=ErrorCategory.VALIDATION,
                    remedy="Give each path to one kind.",
                    field="inputs",
                )
            files[path] = text
    return files


def _requirements(files: Mapping[str, str]) -> str:
    if "requirements.txt" not in files:
        raise TerminalError(
            "the generated project has no requirements.txt.",
            category=ErrorCategory.VALIDATION,
            remedy="Let the backend artifact pin its requirements there, with those of its tests.",
        )
    return files["requirements.txt"]


def _write(files: Mapping[str, str], workdir: Path) -> None:
    (workdir / JUNIT_PATH).parent.mkdir(parents=True)
    for path, text in files.items():
        target = workdir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")


def _run_checks(jail: Jail, workdir: Path, environment: Path, files: Mapping[str, str]) -> dict[str, JailResult]:
    """Run the tests beside the other checks: two strands, since that is what a small machine can do at once."""
    tests = (_Check("pytest", _PYTEST),)
    others = (
        _Check("ruff check", _RUFF_CHECK),
        _Check("ruff format", _RUFF_FORMAT),
        _Check("mypy", (*_MYPY, *_mypy_targets(files))),
    )

    def strand(checks: tuple[_Check, ...]) -> dict[str, JailResult]:
        return {check.name: jail.run(check.argv, workdir, environment) for check in checks}

    with ThreadPoolExecutor(2, thread_name_prefix="project-tests") as pool:
        first, second = pool.map(strand, (tests, others))
    return first | second


def _mypy_targets(files: Mapping[str, str]) -> tuple[str, ...]:
    """Return what to check: nothing where the project's configuration says it, otherwise its source folders."""
    try:
        configuration = tomllib.loads(files.get("pyproject.toml", "")).get("tool", {}).get("mypy", {})
    except tomllib.TOMLDecodeError:
        configuration = {}
    if {"files", "packages", "modules"} & configuration.keys():
        return ()
    return tuple(folder for folder in ("src", "tests") if any(path.startswith(f"{folder}/") for path in files)) or (
        ".",
    )


def _check_report(name: str, result: JailResult, folders: Mapping[str, str]) -> CheckReport:
    output = steady(f"{result.stdout}\n{result.stderr}", folders)
    passed = result.exit_code == 0
    if result.killed_reason:
        output += f"\nended by the sandbox: {result.killed_reason}"
    # What a passing command says on the way varies with its environment; its last line is the verdict.
    return CheckReport(name=name, passed=passed, output=output.rpartition("\n")[2] if passed else last_lines(output))
