"""Replaying a project into a sandbox: the same flow under another id, and not a byte of the original changed."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from factory.domain.errors import ConflictError
from factory.domain.project import ProjectStatus
from factory.settings import Settings
from factory.storage.database import Connection
from tests.actors.conftest import ENVIRONMENT, Workbench

pytestmark = pytest.mark.timeout(240)

TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'project_id'
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""
LINEAGE = """
SELECT i::text FROM artifact_input i JOIN artifact a ON a.id = i.artifact_id WHERE a.project_id = $1 ORDER BY 1
"""
VALIDATIONS = (
    "SELECT v::text FROM validation v JOIN artifact a ON a.id = v.artifact_id WHERE a.project_id = $1 ORDER BY 1"
)
BLOBS = "SELECT uri FROM artifact WHERE project_id = $1 ORDER BY 1"


async def fingerprint(connection: Connection, project_id: UUID, repository: Path) -> dict[str, str]:
    """Return a hash of everything that belongs to a project: its rows by table, its blobs, its repository."""
    names = [row["relname"] for row in await connection.fetch(TABLES)]
    assert {"event", "delivery_log", "task", "artifact", "artifact_commit", "dead_letter", "compensation"} <= set(names)
    queries = {
        name: f"SELECT t::text FROM {name} t WHERE project_id::text = $1::uuid::text ORDER BY 1"  # noqa: S608
        for name in names
    }
    queries |= {"project": "SELECT p::text FROM project p WHERE id = $1", "lineage": LINEAGE, "validation": VALIDATIONS}
    found = {name: _hash(row[0] for row in await connection.fetch(text, project_id)) for name, text in queries.items()}
    uris = [row["uri"] for row in await connection.fetch(BLOBS, project_id)]
    blobs = [Path(uri.removeprefix("file://")) for uri in uris]
    found["blobs"] = _hash(f"{path} {path.stat().st_mtime_ns} {path.read_text()}" for path in blobs)
    files = sorted(path for path in repository.rglob("*") if path.is_file())
    found["repository"] = _hash(f"{path} {path.stat().st_mtime_ns} {path.read_bytes().hex()}" for path in files)
    return found


def _hash(texts: Any) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ENVIRONMENT, "FACTORY_DATA_DIR": str(settings.data_dir)}
    return subprocess.run(
        [sys.executable, "-m", "factory", *arguments], env=environment, capture_output=True, text=True, check=False
    )


async def test_a_replay_runs_the_whole_flow_and_leaves_the_original_untouched(work: Workbench) -> None:
    original = (await work.build(work.request("be nice", "Original"))).project
    repository = work.factory.repositories.path(original.id)
    async with work.factory.database.transaction() as connection:
        before = await fingerprint(connection, original.id, repository)

    done = command(work.factory.settings, "project", "replay", str(original.id), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sandbox_of"] == str(original.id)
    sandbox_id = UUID(told["project_id"])
    assert sandbox_id != original.id
    progress = await work.watch(sandbox_id)
    assert progress.project.status is ProjectStatus.RELEASED
    assert progress.project.sandbox_of == original.id
    assert progress.project.trace_id != original.trace_id
    assert [step.status for step in progress.steps] == ["done"] * 3

    async with work.factory.database.transaction() as connection:
        assert await fingerprint(connection, original.id, repository) == before

    with pytest.raises(ConflictError, match="is a sandbox"):
        await work.factory.deliver(progress.project, work.folder / "leak")
    assert not (work.folder / "leak").exists()
    again, known = await work.factory.begin(work.request("be nice", "Original"))
    assert (again.id, known) == (original.id, True), "a build takes up its own project, not the sandbox"

    compared = command(work.factory.settings, "project", "compare", str(original.id), str(sandbox_id), "--json")
    assert compared.returncode == 0, compared.stderr
    kinds = ["answer", "farewell", "greeting", "vision"]
    assert [(entry["kind"], entry["verdict"]) for entry in json.loads(compared.stdout)] == [
        (kind, "same") for kind in kinds
    ]


async def test_a_comparison_shows_what_differs(work: Workbench) -> None:
    first = (await work.build(work.request("be nice", "First"))).project
    second = (await work.build(work.request("be nice", "Second"))).project
    pair = (str(first.id), str(second.id))
    compared = command(work.factory.settings, "project", "compare", *pair, "--diff", "--json")
    entries = {entry["kind"]: entry for entry in json.loads(compared.stdout)}
    verdicts = {kind: entry["verdict"] for kind, entry in entries.items()}
    assert verdicts == {"vision": "same", "answer": "same", "greeting": "different", "farewell": "different"}
    assert "+Hello, Second." in entries["greeting"]["diff"]["files"][0]["text"]
    assert "diff" not in entries["answer"]

    text = command(work.factory.settings, "project", "compare", *pair, "--diff").stdout
    assert "-Hello, First." in text
    assert text.splitlines()[0].split() == ["KIND", "VERDICT", "A", "B"]
    assert command(work.factory.settings, "project", "compare", str(first.id), "ffffffffffff").returncode == 2
    assert command(work.factory.settings, "project", "replay", "ffffffffffff").returncode == 2
