"""gRPC through Ray Serve's proxy, with a client that knows nothing but the address (as grpcurl does)."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.serve_cluster.conftest import Running

SERVICE = "factory.v1.Factory"


@pytest.fixture
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.grpc) as opened:
        yield opened


@pytest.fixture
def service(channel: grpc.Channel) -> ServiceDescriptor:
    """Give the service as the server describes it."""
    reflected = ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in reflected.get_services()
    return DescriptorPool(reflected).FindServiceByName(SERVICE)


def _call(channel: grpc.Channel, service: ServiceDescriptor, name: str, token: str | None, **fields: Any) -> Any:
    method = service.methods_by_name[name]
    start = channel.unary_stream if method.server_streaming else channel.unary_unary
    remote = start(
        f"/{SERVICE}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    request = message_factory.GetMessageClass(method.input_type)(**fields)
    return remote(request, metadata=[("authorization", f"Bearer {token}")] if token else [], timeout=60)


def test_a_project_begins_and_is_followed(running: Running, channel: grpc.Channel, service: ServiceDescriptor) -> None:
    vision = "# Library\n\nAs a reader I want to borrow a book with a title.\n"
    created = _call(channel, service, "CreateVision", running.token, vision=vision)
    first = next(_call(channel, service, "FollowProject", running.token, project_id=created.project_id))
    assert first.event.event_type == "ProjectCreated"
    progress = _call(channel, service, "GetProjectStatus", running.token, project_id=created.project_id)
    assert progress.project.name == "Library"
    assert len(progress.steps) > 5


def test_refusals_have_the_status_of_grpc(running: Running, channel: grpc.Channel, service: ServiceDescriptor) -> None:
    missing = "00000000-0000-0000-0000-000000000001"
    # Other tests come from the same address, and may have used up what it may ask without a token.
    nobody = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    for token, codes in ((None, nobody), (running.token, {grpc.StatusCode.NOT_FOUND})):
        with pytest.raises(grpc.RpcError) as refused:
            _call(channel, service, "GetProject", token, project_id=missing)
        assert refused.value.code() in codes
        with pytest.raises(grpc.RpcError) as refused:
            next(_call(channel, service, "FollowProject", token, project_id=missing))
        assert refused.value.code() in codes
    with pytest.raises(grpc.RpcError) as invalid:
        _call(channel, service, "CreateVision", running.token, vision="")
    assert invalid.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "vision" in invalid.value.details()
    assert "grpc-status-details-bin" in dict(invalid.value.trailing_metadata())


def test_health_is_told(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watched = health.Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()
    with pytest.raises(grpc.RpcError) as unknown:
        health.Check(health_pb2.HealthCheckRequest(service="other"), timeout=30)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
