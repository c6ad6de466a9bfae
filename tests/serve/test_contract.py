"""The description of the API, and a fuzzer that holds every answer against it."""

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from openapi_spec_validator import validate

from factory.serve.app import build_app
from factory.serve.publish import descriptions
from tests.serve.conftest import Office

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


async def test_the_description_is_valid_and_names_what_is_promised(office: Office) -> None:
    document = (await office.get("/openapi.json")).json()
    validate(document)
    promised = {
        "/api/v1/vision/create": "post",
        "/api/v1/project/{project_id}/status": "get",
        "/api/v1/agent/{agent_id}/task-status": "get",
        "/api/v1/notification/send": "post",
        "/api/v1/artifact/{artifact_id}/retrieve": "get",
        "/internal/agent/execute": "post",
        "/internal/project/validate": "post",
        "/internal/semantic/memory-query": "post",
        "/internal/event/broadcast": "post",
        "/internal/observability/metrics": "get",
    }
    for path, method in promised.items():
        assert method in document["paths"][path], path
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path.startswith(("/api/", "/internal/")):
                assert operation["security"], (method, path)
                assert "422" in operation["responses"], (method, path)
            if method == "post" and path.startswith(("/api/", "/internal/")) and "search" not in path:
                names = {parameter["name"] for parameter in operation.get("parameters", ())}
                exempt = path.endswith(("/graphql", "/memory-query", "/validate", "/resume"))
                assert exempt or "Idempotency-Key" in names, path


def test_what_is_published_is_what_answers() -> None:
    for name, text in descriptions().items():
        assert (REFERENCE / name).read_text() == text, "run `python -m factory.serve.publish`"


def test_the_description_is_fit_to_be_read() -> None:
    document = json.loads(descriptions()["openapi.json"])
    operations = [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    names = [operation["operationId"] for _, operation in operations]
    assert len(set(names)) == len(names)
    for place, operation in operations:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", operation["operationId"]), place
        assert operation["summary"], place
        assert operation["description"], place
        assert len(operation["tags"]) == 1, place
        path = set(re.findall(r"\{(\w+)\}", place))
        assert path == {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}, place
        for status, response in operation["responses"].items():
            assert response["description"], (place, status)
            if status.startswith(("4", "5")) and place.split(" ")[1].startswith(("/api/", "/internal/")):
                assert response["content"].keys() == {"application/problem+json"}, (place, status)
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert used == document["components"]["schemas"].keys()


@asynccontextmanager
async def _served(office: Office) -> AsyncIterator[str]:
    """Serve the office's application over a real connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(build_app(office.gateway), log_level="error", timeout_graceful_shutdown=2)
        )
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@pytest.mark.parametrize("who", ["root", "agent"])
async def test_every_answer_is_as_described(office: Office, tmp_path: Path, who: str) -> None:
    project = await office.project()
    artifact = await office.vision_of(project)
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        f"""
[parameters]
project_id = "{project.id}"
artifact_id = "{artifact}"
"""
    )
    token = getattr(office, who, "nonsense")
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
        f"unsupported_method{',ignored_auth' if who == 'root' else ''}"
    )
    # What the internal API answers to everybody else has a test of its own.
    async with _served(office) as url:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            "--config-file",
            config,
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {token}",
            "--phases=examples,coverage,fuzzing",
            "--mode=all",
            f"--checks={checks}",
            f"--exclude-path-regex=/events/stream$|^/oauth|^/readyz{'|^/internal' if who == 'root' else '|^/api'}",
            "--max-examples=4",
            "--seed=1",
            "--request-timeout=20",
            "--suppress-health-check=all",
            "--no-color",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-8_000:]
