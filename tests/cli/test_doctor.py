"""The doctor finds what is missing and says what to do."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from factory.cli.checks import Check, check_data_dir, check_database, look
from factory.settings import Settings


def doctor(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    extra = {"FACTORY_DATA_DIR": str(data_dir)} | environment
    command: list[str | Path] = [Path(sys.executable).with_name("factory"), "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | extra)


def findings(ended: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ended.stdout)}


def test_a_fit_machine_passes_with_everything_started(tmp_path: Path) -> None:
    ended = doctor(tmp_path, "--json")
    found = findings(ended)
    failed = [check for check in found.values() if check["level"] == "failed"]
    assert ended.returncode == 0, failed
    assert set(found) == {
        "python",
        "packages",
        "language model",
        "git",
        "data folder",
        "disk",
        "temporary folder",
        "memory",
        "shared memory",
        "ports",
        "sandbox",
        "database",
        "ray",
    }
    assert "PostgreSQL 18" in found["database"]["detail"]
    assert "Ray 2" in found["ray"]["detail"]


def test_a_folder_that_cannot_be_written_fails_with_the_setting_to_change(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    ended = doctor(occupied, "--quick")
    assert ended.returncode == 1
    (line, remedy) = [line for line in ended.stdout.splitlines() if "data folder" in line or "FACTORY_DATA_DIR" in line]
    assert line.startswith("failed")
    assert "FACTORY_DATA_DIR" in remedy
    assert check_data_dir(tmp_path / "new").passed


def test_quick_starts_nothing(tmp_path: Path) -> None:
    ended = doctor(tmp_path, "--quick", "--json")
    assert ended.returncode == 0
    assert {"sandbox", "database", "ray"} & set(findings(ended)) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tool_that_is_only_useful_is_a_warning(tmp_path: Path) -> None:
    ended = doctor(tmp_path, "--quick", "--json", PATH=str(tmp_path))
    git = findings(ended)["git"]
    assert git["level"] == "warning"
    assert "apt-get install git" in git["remedy"]
    assert ended.returncode == 0


def test_a_database_that_does_not_answer_is_told_apart_from_the_rest(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url="postgresql://nobody@127.0.0.1:1/none",
        database_connect_timeout=timedelta(seconds=0),
    )
    found = check_database(settings)
    assert not found.passed
    assert found.required
    assert found.remedy


def test_levels_follow_from_need() -> None:
    assert Check("x", passed=True, detail="", required=True).level == "ok"
    assert Check("x", passed=False, detail="", required=True).level == "failed"
    assert Check("x", passed=False, detail="", required=False).level == "warning"


def test_every_check_says_what_it_found_and_what_to_do(tmp_path: Path) -> None:
    for check in look(Settings(data_dir=tmp_path), start=False):
        assert check.detail
        assert check.remedy or check.passed
