"""The public API, asked as clients ask it."""

import asyncio
import json

from factory.domain.project import ProjectStatus
from factory.identity.audit.reading import verify, walk
from tests.serve.conftest import VISION, Office


async def test_a_vision_becomes_a_project_that_its_author_owns(office: Office) -> None:
    created = await office.post("/api/v1/vision/create", {"vision": VISION, "priority": 5}, office.ada)
    assert created.status_code == 201, created.text
    body = created.json()
    assert body["blueprint"] == "api-service"
    assert created.headers["location"] == f"/api/v1/project/{body['project_id']}"
    status = await office.get(f"/api/v1/project/{body['project_id']}/status", office.ada)
    assert status.status_code == 200, status.text
    assert status.json()["project"]["metadata"]["priority"] == 5
    assert {step["status"] for step in status.json()["steps"]} == {"waiting"}
    listed = await office.get("/api/v1/projects", office.ada)
    assert [project["id"] for project in listed.json()["items"]] == [body["project_id"]]
    change = await office.post(f"/api/v1/project/{body['project_id']}/compensate", {"reason": "wrong"}, office.bob)
    assert change.status_code == 403


async def test_a_text_that_is_no_vision_is_refused_with_what_to_do(office: Office) -> None:
    answer = await office.post("/api/v1/vision/create", {"vision": "x"}, office.ada)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["remedy"]
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-audit-id']}"
    assert (await office.get("/api/v1/projects/counts", office.ada)).json()["total"] == 0


async def test_requests_with_one_idempotency_key_have_one_effect(office: Office) -> None:
    send = {"vision": VISION}
    first, *others = await asyncio.gather(
        *(office.post("/api/v1/vision/create", send, office.ada, idempotency_key="k1") for _ in range(5))
    )
    again = await office.post("/api/v1/vision/create", send, office.ada, idempotency_key="k1")
    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert {answer.status_code for answer in (first, *others)} <= {201, 409}
    ids = {answer.json()["project_id"] for answer in (first, *others, again) if answer.status_code == 201}
    assert len(ids) == 1
    assert (await office.get("/api/v1/projects/counts", office.ada)).json()["total"] == 1
    other = await office.post("/api/v1/vision/create", {"vision": VISION + "More.\n"}, office.ada, idempotency_key="k1")
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    # Another subject's key is another key.
    assert (await office.post("/api/v1/vision/create", send, office.bob, idempotency_key="k1")).status_code == 201


async def test_lists_go_on_where_a_page_ended(office: Office) -> None:
    made = [str((await office.project(name=f"P{number}")).id) for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await office.get(f"/api/v1/projects?limit=2{f'&cursor={cursor}' if cursor else ''}", office.ada)).json()
        seen += [project["id"] for project in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    first = (await office.get("/api/v1/projects?limit=2", office.ada)).json()["next"]
    assert (await office.get(f"/api/v1/projects?limit=2&cursor={first}", office.bob)).status_code == 400
    assert (await office.get(f"/api/v1/projects?status=failed&cursor={first}", office.ada)).status_code == 400
    assert (await office.get(f"/api/v1/projects?cursor={first[:-2]}AA", office.ada)).status_code == 400


async def test_a_change_says_what_it_is_based_on(office: Office) -> None:
    created = await office.post("/api/v1/vision/create", {"vision": VISION}, office.ada)
    path = created.headers["location"]
    read = await office.get(path, office.ada)
    headers = {"Authorization": f"Bearer {office.ada}"}
    without = await office.client.patch(path, json={"priority": 3}, headers=headers)
    assert without.status_code == 428
    headers["If-Match"] = read.headers["etag"]
    changed = await office.client.patch(path, json={"priority": 3, "goals": ["fewer calls"]}, headers=headers)
    assert changed.status_code == 200, changed.text
    assert changed.json()["metadata"]["goals"] == ["fewer calls"]
    stale = await office.client.patch(path, json={"priority": 4}, headers=headers)
    assert stale.status_code == 412
    assert (await office.get(path, office.ada)).json()["metadata"]["priority"] == 3


async def test_bytes_of_artifacts_come_whole_in_parts_and_not_at_all(office: Office) -> None:
    project = await office.project()
    artifact = await office.artifact(project, {"docs/backlog.md": "# Backlog\n\n- book\n"})
    path = f"/api/v1/artifact/{artifact.id}/retrieve"
    whole = await office.get(path, office.ada)
    assert json.loads(whole.content)["files"]["docs/backlog.md"].startswith("# Backlog")
    assert whole.headers["etag"] == f'"{artifact.hash}"'
    file = await office.get(f"{path}?file=docs/backlog.md", office.ada)
    assert file.headers["content-type"] == "text/markdown; charset=utf-8"
    assert file.headers["content-disposition"] == "attachment"
    part = await office.get(f"{path}?file=docs/backlog.md", office.ada, range="bytes=2-8")
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "Backlog", "bytes 2-8/18")
    tail = await office.get(f"{path}?file=docs/backlog.md", office.ada, range="bytes=-5")
    assert tail.text == "book\n"
    assert (await office.get(path, office.ada, range="bytes=99999-")).status_code == 416
    assert (await office.get(path, office.ada, if_none_match=whole.headers["etag"])).status_code == 304
    assert (await office.get(f"{path}?file=../../etc/passwd", office.ada)).status_code == 422
    assert (await office.get(f"{path}?file=docs/other.md", office.ada)).status_code == 404


async def test_versions_differ_as_their_difference_says(office: Office) -> None:
    project = await office.project()
    await office.artifact(project, {"docs/backlog.md": "one\n"})
    second = await office.artifact(project, {"docs/backlog.md": "two\n"})
    versions = await office.get(f"/api/v1/artifact/{second.id}/versions", office.ada)
    assert [item["version"] for item in versions.json()["items"]] == [2, 1]
    difference = (await office.get(f"/api/v1/artifact/{second.id}/diff", office.ada)).json()
    assert "-one\n+two\n" in difference["files"][0]["text"]
    described = (await office.get(f"/api/v1/artifact/{second.id}", office.ada)).json()
    assert described["files"] == [{"path": "docs/backlog.md", "size": 4}]
    chain = await office.get(f"/api/v1/artifact/{second.id}/lineage", office.ada)
    assert [one["kind"] for one in chain.json()] == ["backlog", "vision"]


async def test_every_answer_can_be_told_again(office: Office) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await office.get("/api/v1/projects", office.ada, traceparent=trace, x_correlation_id="order-77")
    assert answer.headers["x-correlation-id"] == "order-77"
    assert answer.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    assert answer.headers["ratelimit"].startswith('"read";r=')
    assert answer.headers["cache-control"] == "no-store"
    forged = await office.get("/api/v1/projects", office.ada, x_correlation_id="a b;c")
    assert forged.headers["x-correlation-id"] == forged.headers["x-audit-id"]


async def test_who_asked_for_what_stands_in_the_audit_trail(office: Office) -> None:
    project = await office.project()
    await office.get(f"/api/v1/project/{project.id}", office.ada)
    await office.get(f"/api/v1/project/{project.id}", office.eve)
    await office.get(f"/api/v1/project/{project.id}")
    await office.gateway.audit.flush()
    entries = [entry async for entry in walk(office.gateway.database)]
    told = [(entry.subject, entry.status, entry.allowed, entry.policies) for entry in entries]
    assert told == [
        ("user:ada", 200, True, ("platform-user-reads",)),
        ("user:eve", 404, False, ()),
        ("anonymous", 401, False, ()),
    ]
    assert entries[0].resource_id == str(project.id)
    count, broken = await verify(office.gateway.database)
    assert (count, broken) == (3, None)
    # Seen, and not to be changed: the last decision is what counts.
    await office.post(f"/api/v1/project/{project.id}/compensate", {"reason": "x"}, office.bob)
    await office.gateway.audit.flush()
    last = [entry async for entry in walk(office.gateway.database)][-1]
    assert (last.action, last.status, last.allowed) == ("project:change", 403, False)


async def test_agents_tell_what_they_work_on(office: Office) -> None:
    agents = (await office.get("/api/v1/agents", office.ada)).json()["items"]
    assert {"vision-analyst", "semantic-embedder"} & {agent["name"] for agent in agents}
    page = await office.get(f"/api/v1/agent/{agents[0]['name']}/task-status", office.ada)
    assert page.json()["items"] == []
    unknown = await office.get("/api/v1/agent/nobody/task-status", office.ada)
    assert unknown.status_code == 404


async def test_the_database_away_is_told_as_not_ready(office: Office) -> None:
    assert (await office.get("/healthz")).json()["status"] == "ok"
    assert (await office.get("/readyz")).json()["status"] == "ok"
    await office.gateway.database.close()
    assert (await office.get("/readyz")).status_code == 503
    assert (await office.get("/healthz")).status_code == 200


async def test_states_are_counted(office: Office) -> None:
    await office.project()
    await office.project(tenant="south")
    counts = (await office.get("/api/v1/projects/counts", office.ada)).json()
    assert counts == {"total": 1, "by_status": {ProjectStatus.VISIONING.value: 1}}
