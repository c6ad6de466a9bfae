"""A factory from the outside: built through the client, read by curl, killed while it serves."""

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from factory.client import AsyncFactory, Factory, ForbiddenError, NotAuthenticatedError, NotFoundError
from tests.serve_cluster.conftest import Running

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def _replicas(running: Running) -> list[psutil.Process]:
    """Return the gateway's replicas of this factory and no other's."""
    return [
        process
        for process in psutil.Process(running.pid).children(recursive=True)
        if "ServeReplica:gateway" in " ".join(process.cmdline())
    ]


def test_a_vision_becomes_a_repository_that_passed_its_tests(factory: Factory, small_vision: str) -> None:
    run = factory.create(small_vision, priority=1, key="first")
    assert factory.create(small_vision, priority=1, key="first").id == run.id
    types = [event.event_type for event in run.events()]
    assert types[0] == "ProjectCreated"
    status = run.result()
    assert status.project.status == "released"
    assert status.tests is not None
    assert status.tests[0] > 100
    assert status.tests[1] == 0
    assert status.done == len(status.steps)
    kinds = {artifact.kind for artifact in run.artifacts()}
    assert {"vision", "backlog", "backend", "api-specification"} <= kinds
    assert "openapi" in run.files("api-specification")["specs/openapi.yaml"]
    assert "<svg" in run.graph.svg
    assert "Clinic" in run._repr_html_() or status.project.name in run._repr_html_()
    assert len(run.lineage()["nodes"]) > len(kinds)
    assert factory.counts()["released"] == 1
    assert {row["name"] for row in factory.usage()} >= {"backend-developer"}


def test_what_goes_wrong_has_a_type(running: Running, factory: Factory) -> None:
    with pytest.raises(NotFoundError) as missing:
        factory.run("00000000-0000-0000-0000-000000000001")
    assert missing.value.status == 404
    assert missing.value.audit_id
    with Factory(running.url, "nonsense") as stranger, pytest.raises(NotAuthenticatedError):
        stranger.counts()
    reading = running.command("token", "issue", "--user", "root", "--scope", "factory.read").strip()
    with Factory(running.url, reading) as reader, pytest.raises(ForbiddenError):
        reader.create("# X\n\nAs a clerk I want to record an order.\n")


def test_a_notification_is_sent_by_an_agent(running: Running, factory: Factory) -> None:
    asked = factory.notify("log", "Hello", "from a test")
    deadline = time.monotonic() + 120
    state = "requested"
    while state == "requested" and time.monotonic() < deadline:
        listed = json.loads(running.command("notification", "list", "--json"))
        (state,) = [one["state"] for one in listed if one["id"] == asked["notification_id"]]
    assert state == "sent"


def test_lines_of_the_readme_work_with_curl(running: Running) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    lines = re.findall(r"^curl .+$", readme, re.MULTILINE)
    assert lines
    environment = {**running.environment, "URL": running.url, "TOKEN": running.token}
    for line in lines:
        done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        json.loads(done.stdout)


async def test_a_killed_replica_loses_no_accepted_request(running: Running) -> None:
    vision = "# Shop\n\nAs a clerk I want to record an order of a customer.\n"
    before = _replicas(running)
    assert before
    stop = threading.Event()

    def kill() -> None:
        for process in before:
            process.send_signal(signal.SIGKILL)
        stop.set()

    async with AsyncFactory(running.url, running.token, timeout=60) as client:
        counted = (await client.counts()).values()
        timer = threading.Timer(0.5, kill)
        timer.start()
        runs = await asyncio.gather(*(client.create(vision, key=f"killed-{number}") for number in range(6)))
        timer.join()
        assert stop.is_set()
        again = await asyncio.gather(*(client.create(vision, key=f"killed-{number}") for number in range(6)))
        assert [run.id for run in runs] == [run.id for run in again]
        assert len({run.id for run in runs}) == 6
        assert sum((await client.counts()).values()) == sum(counted) + 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(running: Running, path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    previous = dict(os.environ)
    os.environ.update(running.environment)
    try:
        client = NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute()
    finally:
        os.environ.clear()
        os.environ.update(previous)


def test_an_address_that_is_only_claimed_is_not_believed(running: Running) -> None:
    with httpx.Client(base_url=running.url) as client:
        statuses = [
            client.get("/api/v1/projects", headers={"X-Forwarded-For": f"10.0.0.{number}"}).status_code
            for number in range(80)
        ]
    assert statuses[0] == 401
    assert statuses[-1] == 429


async def test_the_gateway_does_not_listen_elsewhere(running: Running) -> None:
    port = int(running.url.rpartition(":")[2])
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}
    state = json.loads(running.command("status", "--json"))
    dashboard = httpx.get(f"{state['dashboard']}/api/jobs/")
    # So does a job that somebody without Ray's token sends.
    assert dashboard.status_code == 401


async def test_clients_that_never_finish_hold_nobody_up(running: Running) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    half_a_head = b"GET /api/v1/projects HTTP/1.1\r\nHost: gateway\r\nX-Slow: "
    half_a_body = b"POST /api/v1/vision/create HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\n{"
    connections = []
    try:
        for number in range(300):
            reader, writer = await asyncio.open_connection(host, int(port))
            connections.append((reader, writer))
            writer.write(half_a_body if number % 2 else half_a_head)
            await writer.drain()
        async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
            headers = {"Authorization": f"Bearer {running.token}"}
            answers = [await client.get("/api/v1/projects", headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
    finally:
        for _, writer in connections:
            writer.close()
