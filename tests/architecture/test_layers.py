"""The rules of the code base that no single test of behaviour would notice."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
LINES_PER_MODULE = 600

_REGISTRIES = r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|deb[.]debian[.]org"
_FORBIDDEN = re.compile(rf"{_REGISTRIES}|(?<![\w.])/(?:work|root)/[a-z.]")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_imports_point_one_way() -> None:
    done = subprocess.run([BIN / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_import_against_the_direction_is_noticed(tmp_path: Path) -> None:
    package = tmp_path / "factory"
    for name in ("__init__", "garbage", "settings", "service", *(f"{layer}/__init__" for layer in _LAYERS)):
        path = package / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    assert _lint(tmp_path).returncode == 0
    (package / "domain" / "product.py").write_text("from factory.storage import anything\n")
    broken = _lint(tmp_path)
    assert broken.returncode == 1
    assert "factory.domain.product -> factory.storage" in broken.stdout


_LAYERS = (
    "cli", "serve", "client", "actors", "control", "recovery", "skills", "events", "artifacts", "memory", "identity",
    "observability", "integrations", "sandbox", "storage", "domain",
)  # fmt: skip


def _lint(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin", "PYTHONSAFEPATH": ""},
    )


def test_nothing_names_this_machine_or_a_package_registry() -> None:
    found = []
    for path in tracked():
        if path.suffix in {".png", ".ico", ".whl"}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if _FORBIDDEN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert found == []


@pytest.mark.parametrize("name", ["utils.py", "helpers.py", "common.py", "misc.py"])
def test_modules_are_named_after_what_they_hold(name: str) -> None:
    assert [str(path.relative_to(ROOT)) for path in tracked(f"**/{name}", name)] == []


def test_modules_stay_short_enough_to_read() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked("factory/**/*.py")
        if "/templates/" not in str(path) and (lines := path.read_text().count("\n")) > LINES_PER_MODULE
    }
    assert long == {}
