"""Ruff over a tree of files that stands nowhere, under the configuration in that tree."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from factory.skills.validation.rules import Problem

_LONGEST = 120
_FAILED = 2


def lint(files: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what ruff finds, and the files it would format otherwise."""
    with _tree(files) as folder:
        if folder is None:
            return
        checked = _ruff(folder, "check", "--output-format=json", ".")
        if checked.returncode >= _FAILED:
            why = " ".join(checked.stderr.split()).replace(f"{folder}/", "")
            yield Problem(f"ruff cannot work with [tool.ruff]: {why}", "pyproject.toml")
            return
        for entry in json.loads(checked.stdout):
            place = Path(entry["filename"]).relative_to(folder).as_posix()
            yield Problem(f"line {entry['location']['row']}: {entry['code']} {entry['message']}", place)
        formatted = _ruff(folder, "format", "--check", "--output-format=json", ".")
        entries = json.loads(formatted.stdout or "[]")
        for name in sorted({entry["filename"] for entry in entries if entry["code"] == "unformatted"}):
            yield Problem("it is not formatted.", Path(name).relative_to(folder).as_posix())


def tidy(files: Mapping[str, str]) -> dict[str, str]:
    """Return the Python files with their imports sorted and their text formatted, where that changes them."""
    with _tree(files) as folder:
        if folder is None:
            return {}
        _ruff(folder, "check", "--select=I", "--fix-only", "--quiet", ".")
        _ruff(folder, "format", "--quiet", ".")
        made = {path: (folder / path).read_text(encoding="utf-8") for path in files if path.endswith(".py")}
    return {path: text for path, text in made.items() if text != files[path]}


@contextmanager
def _tree(files: Mapping[str, str]) -> Iterator[Path | None]:
    """Write the Python files and the configurations; None where there is no Python."""
    wanted = {path: text for path, text in files.items() if path.endswith((".py", ".toml"))}
    if not any(path.endswith(".py") for path in wanted):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="factory-lint-") as name:
        folder = Path(name).resolve()
        for path, text in wanted.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="")
        if "pyproject.toml" not in wanted and "ruff.toml" not in wanted:
            (folder / "ruff.toml").write_text(f"line-length = {_LONGEST}\n", encoding="utf-8")
        yield folder


def _ruff(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruff", *arguments[:1], "--no-cache", *arguments[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - own command
