"""gRPC calls: each is the request its description names, under the same rules."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from factory.domain.ids import new_id
from factory.serve.app import build_app, build_routes
from factory.serve.grpc import factory_pb2
from factory.serve.grpc.transcoding import CallError, call, follow, request_of
from tests.serve.conftest import VISION, Office

SERVICE = factory_pb2.DESCRIPTOR.services_by_name["Factory"]
METHODS = list(SERVICE.methods)
ID = "00000000-0000-0000-0000-000000000001"


@dataclass
class Call:
    """A call's context, which keeps what it was given."""

    metadata: dict[str, str]
    code: Any = None
    details: str = ""
    trailing: dict[str, Any] = field(default_factory=dict)

    def invocation_metadata(self) -> list[tuple[str, Any]]:
        return list(self.metadata.items())

    def peer(self) -> str:
        return "ipv4:192.0.2.7:50123"

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, metadata: list[tuple[str, Any]]) -> None:
        self.trailing = dict(metadata)


async def ask(office: Office, name: str, message: Message, token: str = "", **metadata: str) -> tuple[Any, Call]:
    context = Call({**metadata, **({"authorization": f"Bearer {token}"} if token else {})})
    return await call(build_app(office.gateway), SERVICE.methods_by_name[name], message, context), context


def plausible(kind: Descriptor) -> Message:
    """Return a message whose path fields are set."""
    message: Message = getattr(factory_pb2, kind.name)()
    for name, value in {"project_id": ID, "artifact_id": ID, "agent_id": "backend-developer"}.items():
        if name in kind.fields_by_name:
            setattr(message, name, value)
    return message


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_each_method_is_a_route_with_its_fields(office: Office, method: MethodDescriptor) -> None:
    document = build_routes(office.gateway).openapi()
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    operation = document["paths"][getattr(rule, verb)][verb]
    schemas = document["components"]["schemas"]

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        for one in schema.get("anyOf", [schema]):
            if "$ref" in one:
                found: dict[str, Any] = schemas[one["$ref"].rpartition("/")[2]]
                return found
        return schema

    def compare(kind: Descriptor, schema: dict[str, Any]) -> None:
        for member in kind.fields:
            assert member.name in schema["properties"], f"{kind.name}.{member.name}"
            inner = resolved(schema["properties"][member.name])
            if member.message_type and member.message_type.full_name.startswith("factory.") and "items" in inner:
                inner = resolved(inner["items"])
            if member.message_type and "properties" in inner:
                compare(member.message_type, inner)

    allowed = {parameter["name"] for parameter in operation.get("parameters", [])}
    if "requestBody" in operation:
        body = resolved(operation["requestBody"]["content"]["application/json"]["schema"])
        allowed |= body["properties"].keys()
    assert {member.name for member in method.input_type.fields} <= allowed
    if method.output_type.full_name.startswith("factory.") and not method.server_streaming:
        answer = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        compare(method.output_type, resolved(answer["content"]["application/json"]["schema"]))


@pytest.mark.parametrize("method", [one for one in METHODS if not one.server_streaming], ids=lambda one: one.name)
async def test_nothing_is_answered_without_a_token(office: Office, method: MethodDescriptor) -> None:
    for metadata in ({}, {"authorization": "Bearer nonsense"}):
        context = Call(metadata)
        answer = await call(build_app(office.gateway), method, plausible(method.input_type), context)
        assert context.code is grpc.StatusCode.UNAUTHENTICATED
        assert answer.ByteSize() == 0


async def test_a_vision_begins_one_project_for_one_key(office: Office) -> None:
    request = factory_pb2.CreateVisionRequest(vision=VISION, stakeholders=["Ada"], priority=3)
    key = {"idempotency-key": str(new_id())}
    created, first = await ask(office, "CreateVision", request, office.ada, **key)
    again, second = await ask(office, "CreateVision", request, office.ada, **key)
    assert first.code is None
    assert created.project_id == again.project_id
    assert second.trailing["idempotent-replayed"] == "true"
    assert "x-audit-id" in first.trailing
    project, _ = await ask(
        office, "GetProject", factory_pb2.GetProjectRequest(project_id=created.project_id), office.ada
    )
    assert (project.name, project.tenant, list(project.metadata.stakeholders)) == ("Clinic", "north", ["Ada"])
    assert project.created_at.seconds > 0
    assert not project.HasField("sandbox_of")


async def test_another_tenants_project_does_not_exist(office: Office) -> None:
    project = await office.project("south")
    request = factory_pb2.GetProjectRequest(project_id=str(project.id))
    for name in ("GetProject", "GetProjectStatus"):
        _, context = await ask(office, name, request, office.root)
        assert context.code is grpc.StatusCode.NOT_FOUND
    with pytest.raises(CallError):
        await _followed(office, str(project.id), office.root)


async def test_lists_are_read_page_by_page(office: Office) -> None:
    made = {str((await office.project()).id) for _ in range(3)}
    first, _ = await ask(office, "ListProjects", factory_pb2.ListProjectsRequest(limit=2), office.root)
    rest, _ = await ask(
        office, "ListProjects", factory_pb2.ListProjectsRequest(limit=2, cursor=first.next), office.root
    )
    assert {item.id for item in [*first.items, *rest.items]} == made
    assert not rest.HasField("next")


async def test_an_artifacts_bytes_come_as_they_are(office: Office) -> None:
    project = await office.project()
    artifact = await office.artifact(project, {"a.md": "# Äpfel\n"})
    listed, _ = await ask(
        office, "ListArtifacts", factory_pb2.ListArtifactsRequest(project_id=str(project.id)), office.root
    )
    assert str(artifact.id) in {item.id for item in listed.items}
    request = factory_pb2.RetrieveArtifactRequest(artifact_id=str(artifact.id), file="a.md")
    body, _ = await ask(office, "RetrieveArtifact", request, office.root)
    assert body.data.decode() == "# Äpfel\n"
    assert body.content_type.startswith("text/markdown")


async def test_events_are_followed_from_a_place(office: Office) -> None:
    project = await office.project()
    events = await _followed(office, str(project.id), office.root, 1)
    assert events[0].event.event_type == "ProjectCreated"
    assert events[0].event.project_id == str(project.id)
    listed, _ = await ask(office, "ListEvents", factory_pb2.ListEventsRequest(project_id=str(project.id)), office.root)
    assert listed.items[0].event_id == events[0].event.event_id


async def test_bad_input_names_its_field(office: Office) -> None:
    _, context = await ask(office, "CreateVision", factory_pb2.CreateVisionRequest(blueprint="../etc"), office.ada)
    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    status = status_pb2.Status.FromString(context.trailing["grpc-status-details-bin"])
    broken = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(broken)
    assert {violation.field for violation in broken.field_violations} == {"body.vision", "body.blueprint"}


async def test_a_failure_tells_nothing_of_its_cause(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr("factory.serve.rest.projects.projects.get_project", fail)
    _, context = await ask(office, "GetProject", factory_pb2.GetProjectRequest(project_id=ID), office.root)
    assert context.code is grpc.StatusCode.INTERNAL
    assert "x-audit-id" in context.trailing
    assert "hunter2" not in f"{context.details}{context.trailing}"


@pytest.mark.parametrize("value", ["", "a/b", "../internal"])
async def test_a_path_is_not_left(office: Office, value: str) -> None:
    _, context = await ask(office, "ListAgentTasks", factory_pb2.ListAgentTasksRequest(agent_id=value), office.root)
    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "agent_id" in context.details


def test_odd_characters_stay_in_their_place() -> None:
    method = SERVICE.methods_by_name["ListAgentTasks"]
    request = request_of(method, factory_pb2.ListAgentTasksRequest(agent_id="a?b#c%2f", status="done&limit=9"))
    assert request.path == "/api/v1/agent/a%3Fb%23c%252f/task-status"
    assert request.query == "status=done%26limit%3D9"


async def test_a_call_is_audited_with_its_peer(office: Office) -> None:
    project = await office.project()
    _, context = await ask(office, "GetProject", factory_pb2.GetProjectRequest(project_id=str(project.id)), office.ada)
    await office.gateway.audit.flush()
    answer = await office.get("/api/v1/audit?limit=50", office.root)
    lines = {line["id"]: line for line in answer.json()["items"]}
    assert lines[context.trailing["x-audit-id"]]["address"] == "192.0.2.7"


async def _followed(office: Office, project_id: str, token: str, count: int = 1) -> list[Any]:
    request = factory_pb2.FollowProjectRequest(project_id=project_id)
    context = Call({"authorization": f"Bearer {token}"})
    found = []
    async for event in follow(build_app(office.gateway), SERVICE.methods_by_name["FollowProject"], request, context):
        found.append(event)
        if len(found) == count:
            break
    return found
