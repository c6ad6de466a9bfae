"""Generated services of the hand-written products, and an environment that runs them."""

import datetime as dt
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from factory.domain.artifact import Content
from factory.domain.product import DomainModel
from factory.domain.project import Project, ProjectStatus
from factory.sandbox import EnvironmentCache
from factory.skills.native import api_specification, backend, event_catalogue
from factory.skills.skill import SkillContext
from tests.backend.models import MODELS

_MOMENT = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Service:
    """A generated repository on disk, and the Python that has its requirements."""

    root: Path
    python: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module in the repository."""
        command = [str(self.python), "-m", *arguments]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False, timeout=300)


def project_of(model: DomainModel) -> Project:
    """Return a project for the model."""
    return Project(
        id=UUID(int=1),
        name=model.name,
        slug=model.slug,
        blueprint="api-service",
        status=ProjectStatus.DEVELOPMENT,
        trace_id="0" * 32,
        created_at=_MOMENT,
        updated_at=_MOMENT,
    )


def generate(model: DomainModel) -> dict[str, str]:
    """Return the files of the specifications and the service."""
    inputs = {"domain-model": Content(files={".factory/domain-model.json": model.model_dump_json()})}
    for skill in (*api_specification.SKILLS, *event_catalogue.SKILLS, *backend.SKILLS):
        result = skill.run(SkillContext(project_of(model), inputs))
        assert not hasattr(result, "__await__")
        inputs[skill.produces] = result.content
    del inputs["domain-model"]
    return {path: text for content in inputs.values() for path, text in content.files.items()}


def write(files: dict[str, str], root: Path) -> None:
    """Write the files below the folder."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Service]:
    """Give a function that returns the generated service of a product; each is made once."""
    made: dict[str, Service] = {}
    cache = EnvironmentCache(Path(tempfile.gettempdir()) / "factory-test-environments")

    def service(name: str) -> Service:
        if name not in made:
            files = generate(MODELS[name]())
            root = tmp_path_factory.mktemp(name)
            write(files, root)
            made[name] = Service(root, cache.ensure(files["requirements.txt"]) / "bin" / "python")
        return made[name]

    return service
