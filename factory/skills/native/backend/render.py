"""From views to files: templates are rendered, then formatted under the generated project's own configuration."""

import subprocess
import sys
import tempfile
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from factory.domain.errors import ErrorCategory, TerminalError
from factory.skills.native.backend import expressions
from factory.skills.native.backend.views import ServiceView
from factory.skills.native.rendering import markdown
from factory.skills.native.service_design import shapes

Context = dict[str, object]


def template_environment() -> Environment:
    """Return the environment of the templates; a name that a template lacks is an error."""
    environment = Environment(
        loader=PackageLoader("factory.skills.native.backend"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the output is Python, not HTML
    )
    environment.filters["quoted"] = expressions.quoted
    environment.filters["markdown"] = markdown.escape
    return environment


class Renderer:
    """Renders templates into files of the project."""

    def __init__(self, service: ServiceView) -> None:
        self._environment = template_environment()
        self._shared: Context = {"service": service, "package": service.package, "shapes": shapes}
        self.files: dict[str, str] = {}

    def add(self, template: str, path: str, **context: object) -> None:
        """Render one template into the file at the path."""
        self.files[path] = self._environment.get_template(f"{template}.jinja").render(**self._shared, **context)


def formatted(files: dict[str, str]) -> dict[str, str]:
    """Return the files with imports sorted, unused ones removed and layout settled, as the project's own ruff does.

    Raises:
        TerminalError: A file is not valid Python, which is a defect of the templates.
    """
    with tempfile.TemporaryDirectory(prefix="factory-backend-") as folder:
        root = Path(folder)
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        _ruff(root, "check", "--fix", "--exit-zero")
        _ruff(root, "format")
        return {path: (root / path).read_text(encoding="utf-8") for path in files}


def _ruff(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "--config", "pyproject.toml", "."]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    if done.returncode:
        raise TerminalError(
            f"ruff {arguments[0]} refused the generated service: {(done.stdout + done.stderr).strip()[:4000]}",
            category=ErrorCategory.DEFECT,
            remedy="Mend the template that made the file.",
        )
