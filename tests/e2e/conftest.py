"""A running factory, and the example visions built in it, once for all tests of this folder."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from factory.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "visions").glob("*.md"))


@dataclass
class Workplace:
    """A data directory of its own with a factory running on it."""

    folder: Path
    environment: dict[str, str]
    built: dict[Path, dict[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings that the running factory has."""
        return Settings(data_dir=self.folder / "data")

    def factory(self, *arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the `factory` command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "factory", *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def read(self, *arguments: str | Path) -> Any:
        """Return what a command prints with `--json`."""
        return json.loads(self.factory(*arguments, "--json").stdout)

    def build(self, vision: Path) -> dict[str, Any]:
        """Return the summary of a vision's build; the first call builds it."""
        if vision not in self.built:
            self.built[vision] = self.read("build", vision, "--out", self.folder / "products" / vision.stem)
        return self.built[vision]

    def repository(self, vision: Path) -> Path:
        """Return the repository of a built vision."""
        return Path(self.build(vision)["repository"])

    def spans(self) -> list[dict[str, Any]]:
        """Return every span exported so far."""
        lines = (self.folder / "traces.jsonl").read_text().splitlines()
        scopes = [scope for line in lines for part in json.loads(line)["resourceSpans"] for scope in part["scopeSpans"]]
        return [span for scope in scopes for span in scope["spans"]]

    @property
    def python(self) -> Path:
        """The interpreter of the environment that generated projects are tested in."""
        (environment,) = [path for path in (self.folder / "data" / "environments").iterdir() if path.is_dir()]
        return environment / "bin" / "python"


@pytest.fixture(scope="package")
def workplace() -> Iterator[Workplace]:
    """Give a running factory."""
    with tempfile.TemporaryDirectory(prefix="factory-e2e-") as name:
        folder = Path(name)
        environment = {
            **os.environ,
            "FACTORY_DATA_DIR": str(folder / "data"),
            "FACTORY_TRACE_FILE": str(folder / "traces.jsonl"),
        }
        place = Workplace(folder, environment)
        place.factory("up")
        try:
            yield place
        finally:
            place.factory("down")


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def vision(request: pytest.FixtureRequest) -> Path:
    """Give each example in turn."""
    path: Path = request.param
    return path
