"""Generated services are clean, pass their own tests, and hold what they promise."""

from collections.abc import Callable

import pytest

from tests.backend.conftest import Service, generate
from tests.backend.models import MODELS

Services = Callable[[str], Service]


@pytest.mark.parametrize("name", MODELS)
def test_equal_models_give_equal_bytes(name: str) -> None:
    assert generate(MODELS[name]()) == generate(MODELS[name]())


@pytest.mark.parametrize("name", MODELS)
def test_it_is_clean_under_its_own_configuration(services: Services, name: str) -> None:
    service = services(name)
    for command in (("ruff", "check"), ("ruff", "format", "--check"), ("mypy", "--no-incremental")):
        done = service.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", MODELS)
def test_its_own_tests_pass(services: Services, name: str) -> None:
    done = services(name).run("pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-4000:]


def test_nothing_is_generated_that_the_model_does_not_ask_for() -> None:
    files = generate(MODELS["shop"]())
    assert "src/json_service/persistence/tables/silent.py" in files
    assert "src/json_service/api/silents.py" not in files
    assert "src/json_service/domain/silent.py" not in files
    clinic = generate(MODELS["clinic"]())
    assert "patch" not in clinic["src/clinic/api/doctors.py"]
    assert "GeoPoint" not in clinic["src/clinic/api/types.py"]


@pytest.mark.parametrize("name", MODELS)
def test_there_is_no_placeholder(name: str) -> None:
    for path, text in generate(MODELS[name]()).items():
        if path.startswith(("src/", "migrations/versions")):
            lines = [line.strip() for line in text.splitlines()]
            assert "pass" not in lines, path
            assert not any(line.startswith(("# ---", "# ===")) or "TODO" in line for line in lines), path
