"""One project is one tree of spans, from the HTTP request that began it to the last Git commit."""

import json
import time
from collections.abc import Callable

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.serve_cluster.conftest import Running

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PATIENCE_SECONDS = 240


def _until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not seen():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.5)


def test_a_project_is_one_tree_from_the_request_to_the_commits(running: Running, small_vision: str) -> None:
    begun = httpx.post(
        f"{running.url}/api/v1/vision/create",
        json={"vision": small_vision},
        headers={"Authorization": f"Bearer {running.token}", "Traceparent": f"00-{TRACE}-{CALLER}-01"},
    )
    assert begun.status_code == 201, begun.text
    project = begun.json()["project_id"]

    def spans() -> dict[bytes, Span]:
        return {span.span_id: span for span in list(running.receiver.spans) if span.trace_id.hex() == TRACE}

    def names() -> list[str]:
        return [span.name for span in spans().values()]

    _until(lambda: any(name.startswith("project ") for name in names()))
    committed = json.loads(running.command("project", "show", project, "--json"))
    kinds = {artifact["kind"] for artifact in committed["artifacts"]}
    assert committed["status"] == "released"
    # Commits and answers are exported by other processes, up to a second later.
    _until(lambda: "git commit backend" in names())

    found = spans()
    (request,) = [span for span in found.values() if span.name == "POST /api/v1/vision/create"]
    assert request.parent_span_id.hex() == CALLER
    assert request.kind == Span.SPAN_KIND_SERVER
    assert {item.key: item.value.int_value for item in request.attributes}["http.response.status_code"] == 201
    orphans = [span.name for span in found.values() if span is not request and span.parent_span_id not in found]
    assert orphans == []
    (root,) = [span for span in found.values() if span.name.startswith("project ")]
    assert root.parent_span_id == request.span_id
    assert {"vision", "backend"} <= kinds

    def path(span: Span) -> list[str]:
        return [span.name, *(path(found[span.parent_span_id]) if span.parent_span_id in found else [])]

    (commit,) = [span for span in found.values() if span.name == "git commit backend"]
    ancestors = path(commit)
    assert ancestors[-2:] == [root.name, request.name]
    assert "backend-developer backend" in ancestors
    stages = {path(span)[1] for span in found.values() if span.name in ("blob get", "blob put")}
    assert stages == {"load", "publish"}
    assert any(span.name.startswith("skill ") for span in found.values())
    assert any(span.name == "settle" for span in found.values())


def test_the_command_draws_what_the_receiver_saw(running: Running) -> None:
    (project,) = [
        item["id"] for item in json.loads(running.command("project", "list", "--json")) if item["trace_id"] == TRACE
    ]
    listed = json.loads(running.command("trace", project, "--json"))
    assert listed[0]["name"] == "POST /api/v1/vision/create"
    assert [item["depth"] for item in listed if item["name"].startswith("project ")] == [1]
    assert {item["span_id"] for item in listed} >= {
        span.span_id.hex()
        for span in running.receiver.spans
        if span.name.startswith("git commit") and span.trace_id.hex() == TRACE
    }
    drawn = running.command("trace", project, "--depth", "3")
    assert "POST /api/v1/vision/create" in drawn
    assert "blob put" not in drawn
