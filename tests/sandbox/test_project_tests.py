"""The test report: what it says of a good project, of broken ones, and of hostile ones."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from factory.domain.artifact import Content
from factory.domain.errors import TerminalError
from factory.domain.ids import derived_id
from factory.domain.project import Project, ProjectStatus
from factory.skills.native.test_report import SKILLS
from factory.skills.skill import SkillContext, SkillResult

REQUIREMENTS = "".join(f"{name}=={version(name)}\n" for name in ("pytest", "ruff", "mypy"))
GOOD = {
    "requirements.txt": REQUIREMENTS,
    "pyproject.toml": (
        '[tool.pytest.ini_options]\npythonpath = ["src"]\ntestpaths = ["tests"]\n\n'
        '[tool.mypy]\nstrict = true\nmypy_path = "src"\nfiles = ["src", "tests"]\n'
    ),
    "src/shop/__init__.py": '"""A shop."""\n\n\ndef total(prices: list[int]) -> int:\n    return sum(prices)\n',
    "tests/test_shop.py": (
        "import pytest\n\nfrom shop import total\n\n\n"
        "def test_total() -> None:\n    assert total([1, 2]) == 3\n\n\n"
        '@pytest.mark.skip(reason="later")\ndef test_later() -> None:\n    raise AssertionError\n'
    ),
}

Report = Callable[[dict[str, str]], tuple[dict[str, Any], SkillResult]]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def report(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setenv("FACTORY_DATA_DIR", str(data_dir))
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    project = Project(
        id=derived_id("project"),
        name="Shop",
        slug="shop",
        blueprint="api-service",
        status=ProjectStatus.DEVELOPMENT,
        trace_id="1" * 32,
        created_at=moment,
        updated_at=moment,
    )

    def run(files: dict[str, str]) -> tuple[dict[str, Any], SkillResult]:
        inputs = {"backend": Content(files=files), "deployment": Content(files={"Dockerfile": "FROM scratch\n"})}
        result = SKILLS[0].run(SkillContext(project=project, inputs=inputs))
        assert not asyncio.iscoroutine(result)
        assert isinstance(result, SkillResult)
        return json.loads(result.content.text("test-report.json")), result

    return run


def test_good_project_passes_and_reports_the_same_twice(report: Report) -> None:
    first, result = report(GOOD)
    _, again = report(GOOD)

    assert (first["passed"], first["failed"], first["skipped"], first["errors"]) == (1, 0, 1, 0)
    assert {check["name"]: check["passed"] for check in first["checks"]} == {
        "pytest": True,
        "ruff check": True,
        "ruff format": True,
        "mypy": True,
    }
    assert first["suites"][0]["name"] == "tests.test_shop"
    assert first["sandbox"] == "bubblewrap"
    assert result.findings == ()
    assert result.content == again.content
    assert set(result.metadata) == {"seconds"}


def test_each_kind_of_failure_is_a_finding(report: Report) -> None:
    untyped = "def total(prices):\n    import os\n    return sum( prices ) + 1\n"

    found, result = report({**GOOD, "src/shop/__init__.py": untyped})

    assert [check["name"] for check in found["checks"] if not check["passed"]] == [
        "pytest",
        "ruff check",
        "ruff format",
        "mypy",
    ]
    assert {finding.severity for finding in result.findings} == {"error"}
    for check in ("pytest", "ruff check", "ruff format", "mypy"):
        assert any(finding.message.startswith(f"{check} failed") for finding in result.findings)


def test_failed_and_unreadable_tests_are_named_with_their_message(report: Report) -> None:
    broken = GOOD["src/shop/__init__.py"].replace("sum(prices)", "sum(prices) + 1")
    unreadable = "import absent\n"

    found, result = report({**GOOD, "src/shop/__init__.py": broken, "tests/test_other.py": unreadable})
    assert (found["failed"], found["errors"]) == (0, 1)
    assert any("tests.test_other" in finding.message for finding in result.findings)

    found, result = report({**GOOD, "src/shop/__init__.py": broken})
    assert (found["failed"], found["errors"]) == (1, 0)
    (case,) = [case for case in found["suites"][0]["tests"] if case["outcome"] == "failed"]
    assert "assert 4 == 3" in case["message"]
    assert any("tests.test_shop::test_total" in finding.message for finding in result.findings)


def test_report_names_no_folder_of_this_machine(report: Report, data_dir: Path) -> None:
    raising = "import re\n\n\ndef test_it(tmp_path) -> None:\n    re.compile(str(tmp_path) + '(')\n"

    _, result = report({**GOOD, "tests/test_other.py": raising})

    text = result.content.text("test-report.json")
    assert result.findings
    assert str(data_dir) not in text
    assert sys.base_prefix not in text
    assert "/project" not in text


def test_project_without_tests_is_refused(report: Report) -> None:
    files = {path: text for path, text in GOOD.items() if not path.startswith("tests/")}

    found, result = report(files)

    assert found["passed"] == 0
    assert any("no test passed" in finding.message for finding in result.findings)


def test_link_in_place_of_the_results_is_not_followed(report: Report) -> None:
    hostile = (
        "import os\nimport pathlib\n\nimport pytest\n\n\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def link():\n    yield\n    pathlib.Path('.report').rmdir()\n    os.symlink('/etc', '.report')\n"
    )

    found, result = report({**GOOD, "tests/conftest.py": hostile})

    assert found["suites"] == []
    assert result.findings


def test_missing_requirements_is_a_clear_error(report: Report) -> None:
    with pytest.raises(TerminalError, match=r"no requirements\.txt"):
        report({"README.md": "nothing\n"})


def test_two_kinds_with_one_path_are_refused(report: Report) -> None:
    with pytest.raises(TerminalError, match="Dockerfile"):
        report({**GOOD, "Dockerfile": "FROM other\n"})


def test_plain_limits_are_named_in_the_report(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_SANDBOX", "limits")

    found, result = report(GOOD)

    assert (found["sandbox"], found["passed"]) == ("limits", 1), result.findings
