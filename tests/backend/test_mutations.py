"""The tests of a generated service fail when its code is broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backend.conftest import Service
from tests.backend.mutations import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_service_is_noticed(services: Callable[[str], Service], tmp_path: Path, mutation: Mutation) -> None:
    whole = services("clinic")
    broken = Service(tmp_path / "clinic", whole.python)
    shutil.copytree(whole.root, broken.root, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache", ".ruff_cache"))
    file = broken.root / mutation.path
    text = file.read_text(encoding="utf-8")
    assert mutation.before in text
    file.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
    done = broken.run("pytest", "-q", "-x", "--tb=no", "-p", "no:cacheprovider", *mutation.tests)
    assert done.returncode == 1, done.stdout[-2000:]
