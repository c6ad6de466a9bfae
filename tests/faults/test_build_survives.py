"""kill -9 of anything, at random moments: the same command again finishes the project, nothing lost or doubled.

The moments are drawn from a seed; a failure prints it. `FAULT_SEED` and `FAULT_KILLS` repeat or lengthen a run.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.artifacts.verify import verify
from factory.settings import Settings
from factory.storage.database import Connection, Database
from factory.storage.embedded import EmbeddedServer

KILLS = int(os.environ.get("FAULT_KILLS", "20"))
SEED = int(os.environ.get("FAULT_SEED", "7"))
# Shares of the kills: what takes longest to come back is killed least often.
VICTIMS = {"agent": 7, "supervisor": 5, "postgres": 5, "build": 3}
ROOT = Path(__file__).resolve().parents[2]
VISION = ROOT / "examples/visions/clinic.md"
PATIENCE_SECONDS = 420

# A slow machine may be at one step for most of the kills: a task that loses so many workers would wait for minutes, and
# then be given up.
POLICIES = f"""
default:
  max_crashes: {KILLS + 1}
overrides:
  - category: worker-lost
    delays: [[0, 0.5]]
"""

# Every delivery that was ever made ends exactly once: live nowhere, done once, dead never.
UNFINISHED = "SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM delivery_delayed)"
NOT_DONE_ONCE = """
SELECT uid, subscription, array_agg(outcome) AS outcomes FROM delivery_log
GROUP BY uid, subscription HAVING count(*) FILTER (WHERE outcome = 'done') <> 1
"""
# What each subscription should have received, from the log of events, against what it did receive.
LOST = """
SELECT e.event_id, s.name FROM event e JOIN subscription s
  ON e.topic = ANY(s.topics) AND e.event_type = ANY(s.event_types) AND e.payload @> s.payload
WHERE NOT EXISTS (
  SELECT 1 FROM delivery_log l WHERE l.event_id = e.event_id AND l.subscription = s.name AND l.outcome = 'done')
"""
DOUBLED = "SELECT project_id, kind, count(*) FROM artifact GROUP BY 1, 2 HAVING count(*) <> 1"
DEAD = "SELECT subscription, category, reason FROM dead_letter"


class Build:
    """`factory build` as a process of its own, and the processes it starts."""

    def __init__(self, folder: Path, number: int) -> None:
        self.out = folder / f"product-{number}"
        self.data_dir = folder / "data"
        self._policies = folder / "policies.yaml"
        self._policies.write_text(POLICIES)
        self._log = (folder / "build.log").open("ab")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        own = {"FACTORY_DATA_DIR": str(self.data_dir), "FACTORY_RETRY_POLICIES": str(self._policies)}
        environment = {**os.environ, **own}
        command = [sys.executable, "-m", "factory", "build", str(VISION), "--out", str(self.out), "--json"]
        self._process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def victims(self, kind: str) -> list[psutil.Process]:
        if kind == "build":
            return [psutil.Process(self.process.pid)] if self.process.poll() is None else []
        if kind == "postgres":
            return list(self._postmaster())
        title = "ray::Worker" if kind == "agent" else "ray::SupervisorActor"
        return [process for process in self._descendants() if title in " ".join(_command(process))]

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _postmaster(self) -> Iterator[psutil.Process]:
        pid = EmbeddedServer(self.data_dir / "postgres").postmaster_pid()
        if pid is not None and psutil.pid_exists(pid):
            yield psutil.Process(pid)

    def said(self) -> str:
        """Return the last lines that the builds wrote to standard error."""
        lines = Path(self._log.name).read_text(errors="replace").splitlines()
        return "\n".join(line[:300] for line in lines[-25:])

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
        self._log.close()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.timeout(1800)
def test_a_build_survives_kills_at_twenty_random_moments(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - a run that can be repeated, not a secret
    shares = [kind for kind, share in VICTIMS.items() for _ in range(share)]
    plan = [kind for _ in range(-(-KILLS // len(shares))) for kind in chance.sample(shares, len(shares))][:KILLS]
    kills: list[str] = []
    released: list[dict[str, Any]] = []
    number = 0
    while len(kills) < KILLS:
        build = Build(tmp_path, number)
        try:
            released.append(finish(build, chance, plan, kills))
        finally:
            build.stop()
            print(f"seed {SEED}, kills so far: {kills}")  # noqa: T201 - pytest shows it when the test fails
        number += 1
    assert all(answer["status"] == "released" for answer in released)
    assert kills == plan
    asyncio.run(check(tmp_path / "data", len(released)))


def finish(build: Build, chance: random.Random, plan: list[str], kills: list[str]) -> dict[str, Any]:
    """Run one build to its end, killing something after random pauses while kills are left."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    build.start()
    while time.monotonic() < deadline:
        pause = chance.uniform(0.5, 8.0)
        try:
            output, _ = build.process.communicate(timeout=pause if len(kills) < KILLS else deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            victims = build.victims(plan[len(kills)]) if len(kills) < KILLS else []
            if not victims:
                continue
            try:
                chance.choice(victims).kill()
            except psutil.NoSuchProcess:
                continue
            kills.append(plan[len(kills)])
            deadline = time.monotonic() + PATIENCE_SECONDS
            if kills[-1] == "build":
                build.process.communicate()
                build.start()
            continue
        assert build.process.returncode == 0, f"exit code {build.process.returncode}: {output}\n{build.said()}"
        answer: dict[str, Any] = json.loads(output)
        return answer
    raise AssertionError(f"the build did not end within {PATIENCE_SECONDS} s of the last kill\n{build.said()}")


async def check(data_dir: Path, projects: int) -> None:
    """Judge what is left behind."""
    settings = Settings(data_dir=data_dir)
    async with await Database.open(settings) as database, database.transaction() as connection:
        assert await connection.fetchval(UNFINISHED) == 0
        assert await connection.fetch(NOT_DONE_ONCE) == []
        assert await connection.fetch(LOST) == []
        assert await connection.fetch(DOUBLED) == []
        assert await connection.fetch(DEAD) == []
        assert await connection.fetchval("SELECT count(*) FROM project") == projects
        await check_lineage(connection, settings)


async def check_lineage(connection: Connection, settings: Settings) -> None:
    store = BlobStore(settings.blob_url)
    repositories = RepositoryStore(settings.repositories_dir)
    for row in await connection.fetch("SELECT id FROM project"):
        assert await verify(connection, store, row["id"], repositories) == []
