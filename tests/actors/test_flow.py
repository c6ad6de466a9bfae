"""Projects through the whole machinery: events, supervisor, pools, actors, artifacts, Git; with real Ray."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pydantic import TypeAdapter

from factory.artifacts import records
from factory.artifacts.verify import verify
from factory.cli.lifecycle import HostProcess
from factory.domain.artifact import ArtifactStatus
from factory.domain.project import ProjectStatus
from factory.domain.task import Finding
from factory.settings import Settings
from tests.actors.conftest import ENVIRONMENT, Workbench

pytestmark = pytest.mark.timeout(240)


async def test_a_vision_becomes_a_released_repository(work: Workbench) -> None:
    progress = await work.build(work.request("be nice"))
    assert progress.project.status is ProjectStatus.RELEASED
    assert [step.status for step in progress.steps] == ["done"] * 3

    path = await work.factory.deliver(progress.project, work.folder / "world")
    assert (path / "farewell.txt").read_text() == "Hello, World. How do you do? Goodbye.\n"
    log = subprocess.run(
        ["git", "-C", path, "log", "--format=%s|%(trailers:key=Factory-Project,valueonly,separator=%x20)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    subjects = [line.partition("|")[0] for line in log]
    assert {"Record the vision", "Add the greeting", "Add the answer", "Add the farewell"} <= set(subjects)
    assert all(str(progress.project.id) in line for line in log)

    async with work.factory.database.transaction() as connection:
        assert await verify(connection, work.factory.store, progress.project.id, work.factory.repositories) == []


async def test_minor_faults_are_corrected_by_the_agent_and_recorded(work: Workbench) -> None:
    progress = await work.build(work.request("be tidy", "Tidy"))
    async with work.factory.database.transaction() as connection:
        (greeting,) = await records.list_artifacts(connection, project_id=progress.project.id, kind="greeting")
    assert work.factory.store.content(greeting).text("greeting.txt") == "Hello, Tidy.\n"
    assert greeting.metadata["letters"] == len("Hello, Tidy.  \n")
    corrected = TypeAdapter(list[Finding]).validate_python(greeting.metadata["corrected"])
    assert [(finding.path, finding.severity) for finding in corrected] == [("greeting.txt", "corrected")]


async def test_a_retryable_error_leads_to_another_attempt(work: Workbench) -> None:
    progress = await work.build(work.request("busy", "Busy"))
    assert progress.project.status is ProjectStatus.RELEASED
    assert {step.step: step.attempt for step in progress.steps} == {"greeting": 1, "answer": 2, "farewell": 1}


async def test_a_dead_actor_is_replaced_and_its_task_runs_again(work: Workbench) -> None:
    progress = await work.build(work.request("fragile", "Fragile"))
    assert progress.project.status is ProjectStatus.RELEASED
    assert {step.step: step.attempt for step in progress.steps} == {"greeting": 1, "answer": 2, "farewell": 1}


async def test_a_terminal_error_fails_the_project_with_its_reason_and_can_be_resumed(work: Workbench) -> None:
    request = work.request("mute", "Mute")
    progress = await work.build(request)
    assert progress.project.status is ProjectStatus.FAILED
    assert progress.failure == "greeting: a mute vision cannot be greeted."
    assert next(step for step in progress.steps if step.step == "greeting").attempt == 1

    project, known = await work.factory.begin(request)
    assert known
    assert project.id == progress.project.id
    again = await work.build(request)
    assert next(step for step in again.steps if step.step == "greeting").round >= 2


async def test_the_same_request_takes_the_unfinished_project_up_and_new_starts_over(work: Workbench) -> None:
    request = work.request("twice", "Twice")
    first, known = await work.factory.begin(request)
    second, known_then = await work.factory.begin(request)
    third, known_last = await work.factory.begin(request, new=True)
    assert (known, known_then, known_last) == (False, True, False)
    assert first.id == second.id != third.id
    progress = await work.build(request)
    await work.factory.deliver(progress.project, request.out_dir)
    fourth, _ = await work.factory.begin(request, new=False)
    assert fourth.id in {first.id, third.id}


async def test_many_projects_at_once_all_finish_and_every_artifact_exists_once(work: Workbench) -> None:
    requests = [work.request("together", f"Group{number}") for number in range(12)]
    results = await asyncio.gather(*(work.build(request) for request in requests))
    assert {progress.project.status for progress in results} == {ProjectStatus.RELEASED}
    async with work.factory.database.transaction() as connection:
        for progress in results:
            found = await records.list_artifacts(connection, project_id=progress.project.id)
            assert sorted(artifact.kind for artifact in found) == ["answer", "farewell", "greeting", "vision"]
            assert {artifact.version for artifact in found} == {1}
            assert {artifact.status for artifact in found} == {ArtifactStatus.VALID}


async def test_idle_actors_end_and_the_pool_grows_again(work: Workbench) -> None:
    await work.build(work.request("short", "Short"))
    async with asyncio.timeout(60):
        while workers(work.host.pid):
            await asyncio.sleep(0.5)
    progress = await work.build(work.request("long", "Long"))
    assert progress.project.status is ProjectStatus.RELEASED


def test_the_command_line_builds_by_the_blueprint_of_a_plugin(host: HostProcess, plugin_settings: Settings) -> None:
    folder = plugin_settings.data_dir / "command"
    folder.mkdir()
    vision = folder / "vision.md"
    vision.write_text("As a clerk I want to register a visitor so that the host can be called.\n")
    environment = {**os.environ, **ENVIRONMENT, "FACTORY_DATA_DIR": str(plugin_settings.data_dir)}
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "factory",
        "build",
        vision,
        "--blueprint",
        "courtesy",
        "--out",
        folder / "out",
    ]
    host.check()
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "released"
    assert (folder / "out" / "farewell.txt").read_text().endswith("Goodbye.\n")


def workers(pid: int) -> list[psutil.Process]:
    """Return the processes of agents below a host."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if command.startswith("ray::Worker"):
            found.append(process)
    return found
