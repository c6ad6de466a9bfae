"""Services of products that lack what most have, or whose names are not plain words."""

import tempfile
from pathlib import Path

import pytest

from factory.sandbox import EnvironmentCache
from tests.backend.conftest import Service, generate, write
from tests.documents.conftest import PRODUCTS


@pytest.mark.parametrize("name", ["tiny", "silent", "cyclic", "hostile"])
def test_its_service_is_clean_and_passes_its_tests(tmp_path: Path, name: str) -> None:
    files = generate(PRODUCTS[name]())
    write(files, tmp_path)
    cache = EnvironmentCache(Path(tempfile.gettempdir()) / "factory-test-environments")
    service = Service(tmp_path, cache.ensure(files["requirements.txt"]) / "bin" / "python")
    for command in (
        ("ruff", "check"),
        ("ruff", "format", "--check"),
        ("mypy", "--no-incremental"),
        ("pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider"),
    ):
        done = service.run(*command)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr


def test_only_what_is_there_is_imported_and_tested() -> None:
    files = generate(PRODUCTS["silent"]())
    assert "tests/test_permissions.py" not in files
    assert not [path for path, text in files.items() if "domain.enums" in text]


def test_a_label_that_is_no_plain_word_stays_out_of_the_code() -> None:
    files = generate(PRODUCTS["hostile"]())
    assert '__label__ = "end"' in files["src/hostile/persistence/tables/end.py"]
    assert "<script>" not in files["README.md"]
