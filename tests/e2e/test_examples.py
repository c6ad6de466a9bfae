"""Every example vision, from the command line to a server under attack."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.artifacts.verify import verify
from factory.domain.product import Actor, DomainModel, Operation
from factory.storage.database import Database
from tests.e2e.conftest import EXAMPLES, Workplace

WORDS = {"title", "description"}
pytestmark = pytest.mark.timeout(600)


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def package_of(repository: Path) -> str:
    """Return the name of the generated package."""
    (package,) = [path.name for path in (repository / "src").iterdir() if (path / "__init__.py").exists()]
    return package


def test_the_build_is_released_with_its_tests_passed(workplace: Workplace, vision: Path) -> None:
    answer = workplace.build(vision)
    assert answer["status"] == "released"
    assert answer["tests"]["failed"] == 0
    assert answer["tests"]["passed"] > 20
    assert {artifact["status"] for artifact in answer["artifacts"]} == {"valid"}
    assert {artifact["version"] for artifact in answer["artifacts"]} == {1}


def test_the_repository_is_clean_and_its_history_carries_trailers(workplace: Workplace, vision: Path) -> None:
    repository = workplace.repository(vision)
    assert run("git", "status", "--porcelain", cwd=repository).stdout == ""
    run("git", "fsck", "--strict", cwd=repository)
    trailers = run("git", "log", "--format=%(trailers:key=Factory-Project,valueonly)", cwd=repository).stdout.split()
    commits = run("git", "rev-list", "--count", "HEAD", cwd=repository).stdout.strip()
    assert trailers == [workplace.build(vision)["project_id"]] * int(commits)


def test_lineage_leads_from_the_vision_to_every_artifact_and_commit(workplace: Workplace, vision: Path) -> None:
    project_id = workplace.build(vision)["project_id"]
    shown = workplace.factory("project", "lineage", project_id, "--verify").stdout
    for artifact in workplace.build(vision)["artifacts"]:
        assert artifact["kind"] in shown

    async def problems() -> list[Any]:
        settings = workplace.settings
        async with await Database.open(settings) as database, database.transaction() as connection:
            repositories = RepositoryStore(settings.repositories_dir)
            row = await connection.fetchrow("SELECT id FROM project WHERE id = $1::text::uuid", project_id)
            assert row is not None
            return list(await verify(connection, BlobStore(settings.blob_url), row["id"], repositories))

    assert asyncio.run(problems()) == []


def test_its_own_checks_pass_outside_the_factory(workplace: Workplace) -> None:
    repository = workplace.repository(EXAMPLES[0])
    python = workplace.python
    run(python, "-m", "ruff", "check", "--no-cache", ".", cwd=repository)
    run(python, "-m", "ruff", "format", "--check", "--no-cache", ".", cwd=repository)
    run(python, "-m", "mypy", "--cache-dir=/dev/null", cwd=repository)


def test_the_migration_runs_on_postgresql(workplace: Workplace, vision: Path) -> None:
    repository = workplace.repository(vision)
    name = f"product_{vision.stem.replace('-', '_')}"

    async def create() -> str:
        async with await Database.open(workplace.settings) as database:
            connection = await database.connect()
            await connection.execute(f'CREATE DATABASE "{name}"')
            await connection.close()
            return database.dsn

    url = asyncio.run(create()).replace("postgresql://", "postgresql+psycopg://").replace("/factory?", f"/{name}?")
    assert name in url
    environment = {"DATABASE_URL": url, "PYTHONPATH": str(repository / "src")}
    run(workplace.python, "-m", "alembic", "upgrade", "head", cwd=repository, **environment)
    run(workplace.python, "-m", "alembic", "check", cwd=repository, **environment)
    run(workplace.python, "-m", "alembic", "downgrade", "base", cwd=repository, **environment)


def test_the_server_serves_what_the_specification_says(workplace: Workplace, vision: Path, tmp_path: Path) -> None:
    repository = workplace.repository(vision)
    specified = yaml.safe_load((repository / "specs" / "openapi.yaml").read_text())
    with serving(workplace, repository, tmp_path) as (url, _):
        served = httpx.get(f"{url}/openapi.json").json()
    assert operations(served) == operations(specified)
    assert shape(served["components"]["schemas"]) == shape(specified["components"]["schemas"])


def test_no_request_breaks_the_server_or_the_specification(workplace: Workplace, vision: Path, tmp_path: Path) -> None:
    repository = workplace.repository(vision)
    with serving(workplace, repository, tmp_path) as (url, token):
        run(
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {token}",
            "--max-examples=8",
            "--phases=examples,coverage,fuzzing",
            "--seed=1",
            "--suppress-health-check=all",
            "--generation-database=none",
            cwd=tmp_path,
        )


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the methods and paths of a specification."""
    methods = {"get", "post", "put", "patch", "delete"}
    return {(method, path) for path, item in document["paths"].items() for method in item if method in methods}


def shape(schema: Any) -> Any:
    """Return a schema without the words in it: what a value must look like, not what it is called."""
    if isinstance(schema, dict):
        return {name: shape(value) for name, value in schema.items() if not (name in WORDS and isinstance(value, str))}
    return [shape(value) for value in schema] if isinstance(schema, list) else schema


@contextmanager
def serving(workplace: Workplace, repository: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Run a generated server on a fresh, seeded database; give its URL and the token of its busiest role."""
    package, python = package_of(repository), workplace.python
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"DATABASE_URL": f"sqlite:///{folder / 'service.db'}", "PYTHONPATH": str(repository / "src")}
    run(python, "-m", "alembic", "upgrade", "head", cwd=repository, **environment)
    run(python, "-m", f"{package}.cli", "seed", cwd=repository, **environment)
    role = busiest_role(repository)
    token = run(python, "-m", f"{package}.cli", "token", "--role", role, cwd=repository, **environment).stdout.strip()
    server = subprocess.Popen(
        [python, "-m", "uvicorn", "--factory", f"{package}.api.app:create_app", f"--port={port}", "--no-access-log"],
        cwd=repository,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        httpx.Client(transport=httpx.HTTPTransport(retries=8)).get(f"{url}/health/ready").raise_for_status()
        yield url, token
    finally:
        server.terminate()
        server.wait(20)


def busiest_role(repository: Path) -> str:
    """Return the role that may do most."""
    model = DomainModel.model_validate_json((repository / ".factory" / "domain-model.json").read_text())
    allowed = [actor.name for operation in model.operations for actor in model.actors if _may(actor, operation)]
    return max(set(allowed), key=lambda name: (allowed.count(name), name))


def _may(actor: Actor, operation: Operation) -> bool:
    return not operation.actors or actor.name in operation.actors
