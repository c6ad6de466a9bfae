"""The internal API: real for services, not there for anybody else."""

import re
from pathlib import Path

import pytest

from factory.domain.ids import new_id
from factory.events.delivery import Cursor
from factory.events.journal import tail
from factory.identity.principal import Role, Scope
from tests.serve.conftest import Office

RULES = Path(__file__).parents[2] / "cluster" / "observability" / "rules"
ROUTES = [
    ("POST", "/internal/agent/execute"),
    ("POST", "/internal/project/validate"),
    ("POST", "/internal/semantic/memory-query"),
    ("POST", "/internal/event/broadcast"),
    ("GET", "/internal/observability/metrics"),
    ("GET", "/internal/event/log"),
    ("GET", "/internal/control/subscriptions"),
    ("GET", "/internal/projects/00000000-0000-0000-0000-000000000001"),
    ("GET", "/internal/artifacts/00000000-0000-0000-0000-000000000001"),
    ("POST", "/internal/control/subscription/backend-developer/resume"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("who", ["nobody", "ada", "root"])
async def test_for_everybody_else_it_does_not_exist(office: Office, method: str, path: str, who: str) -> None:
    headers = {} if who == "nobody" else {"Authorization": f"Bearer {getattr(office, who)}"}
    answer = await office.client.request(method, path, json={}, headers=headers)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("there is nothing at")


async def test_a_service_without_the_scope_finds_nothing(office: Office) -> None:
    client, secret = await office.gateway.identity.clients.add_service(
        "reporter", name="Reporter", tenant="north", roles=[Role.PLATFORM_USER], scopes=[Scope.READ]
    )
    tokens = await office.gateway.identity.issuer.client_credentials(client.id, secret, ())
    assert (await office.get("/internal/observability/metrics", tokens.access_token)).status_code == 404
    assert (await office.get("/api/v1/projects", tokens.access_token)).status_code == 200


async def test_an_agent_is_given_a_task_once(office: Office) -> None:
    project = await office.project()
    body = {"agent": "vision-architect", "project_id": str(project.id), "goal": "vision-document", "inputs": ["vision"]}
    answers = [await office.post("/internal/agent/execute", body, office.agent, idempotency_key="e1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202], answers[0].text
    assert answers[0].json() == answers[1].json()
    events = await tail(office.gateway.database, Cursor(), project.id, 10)
    assigned = [one.event for one in events if one.event.event_type == "TaskAssigned"]
    assert [str(event.event_id) for event in assigned] == [answers[0].json()["event_id"]]
    assert assigned[0].payload["goal"] == "vision-document"
    wrong = await office.post("/internal/agent/execute", {**body, "goal": "backend"}, office.agent)
    assert wrong.status_code == 422
    early = await office.post("/internal/agent/execute", {**body, "inputs": ["backlog"]}, office.agent)
    assert early.status_code == 409


async def test_a_project_is_verified_by_its_bytes(office: Office) -> None:
    project = await office.project()
    verdict = await office.post("/internal/project/validate", {"project_id": str(project.id)}, office.agent)
    assert verdict.json()["valid"] is True, verdict.text
    artifact = await office.artifact(project, {"docs/backlog.md": "one\n"})
    path = artifact.uri.removeprefix("file://")
    Path(path).write_bytes(b"{}")
    verdict = await office.post("/internal/project/validate", {"project_id": str(project.id)}, office.agent)
    assert verdict.json()["valid"] is False
    assert verdict.json()["problems"][0]["check"] == "bytes"


async def test_an_event_is_broadcast_once_and_only_as_its_contract_says(office: Office) -> None:
    body = {
        "event_type": "EventReceived",
        "topic": "system",
        "payload": {"source": "test", "kind": "ping", "body": {}},
        "event_id": str(new_id()),
    }
    first = await office.post("/internal/event/broadcast", body, office.agent)
    assert first.status_code == 202, first.text
    log = (await office.get("/internal/event/log", office.agent)).json()
    assert [event["event_id"] for event in log["items"]] == [body["event_id"]]
    wrong = await office.post("/internal/event/broadcast", {**body, "payload": {"source": 1}}, office.agent)
    assert wrong.status_code == 422
    unknown = await office.post("/internal/event/broadcast", {**body, "event_type": "Nothing"}, office.agent)
    assert unknown.status_code == 422


async def test_figures_are_told_as_prometheus_reads_them(office: Office) -> None:
    await office.project()
    text = (await office.get("/internal/observability/metrics", office.agent)).text
    assert 'factory_projects{status="visioning"} 1\n' in text
    assert "# TYPE factory_backlog_ready gauge\n" in text


async def test_a_subscription_is_held_and_goes_on(office: Office) -> None:
    path = "/internal/control/subscription/vision-architect"
    assert (await office.post(f"{path}/pause", {"reason": "upgrade"}, office.agent)).status_code == 200
    held = (await office.get("/internal/control/subscriptions", office.agent)).json()
    assert [one["name"] for one in held if one["paused"]] == ["vision-architect"]
    assert (await office.post(f"{path}/resume", {}, office.agent)).status_code == 204
    held = (await office.get("/internal/control/subscriptions", office.agent)).json()
    assert not any(one["paused"] for one in held)


async def test_a_client_for_prometheus_finds_every_figure_that_rules_ask_for(office: Office) -> None:
    client, secret = await office.gateway.identity.clients.add_service(
        "prometheus", name="Prometheus", tenant="*", roles=[Role.AGENT], scopes=[Scope.INTERNAL]
    )
    tokens = await office.gateway.identity.issuer.client_credentials(client.id, secret, ())
    answer = await office.get("/internal/observability/metrics", tokens.access_token)
    assert answer.status_code == 200, answer.text
    given = set(re.findall(r"^(factory_\w+)[{ ]", answer.text, re.MULTILINE))
    asked = {name for path in RULES.glob("*.yaml") for name in re.findall(r"\bfactory_\w+", path.read_text())}
    assert asked
    assert asked <= given
