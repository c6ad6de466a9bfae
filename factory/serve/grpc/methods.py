"""The methods that Ray Serve calls on a replica, one for each of `factory.proto` and of health checks."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from starlette.types import ASGIApp

from factory.serve.grpc import factory_pb2
from factory.serve.grpc.transcoding import CallContext, call, follow

_SERVICE = factory_pb2.DESCRIPTOR.services_by_name["Factory"]
# Ray Serve's proxy imports them by these names.
SERVICER_FUNCTIONS = (
    "factory.serve.grpc.factory_pb2_grpc.add_FactoryServicer_to_server",
    "grpc_health.v1.health_pb2_grpc.add_HealthServicer_to_server",
)
_WATCH_SECONDS = 2

Ready = Callable[[], Awaitable[bool]]


class GrpcMethods:
    """Answers gRPC calls over the gateway's application.

    Beside those below it has a method for each of the service's, by its name; Ray Serve finds them so.

    Attributes:
        rest: The application that answers HTTP, which a subclass sets; Ray Serve has a use of its own for `app`.
        ready: Tells whether calls can be served, which a subclass sets as well.
    """

    rest: ASGIApp
    ready: Ready

    async def Check(self, request: Any, grpc_context: CallContext) -> Message:  # noqa: N802, ANN401 - the protocol's
        """Tell whether a service can be called (gRPC Health Checking Protocol); the empty name stands for all."""
        if not _is_known(request.service):
            grpc_context.set_code(grpc.StatusCode.NOT_FOUND)
            grpc_context.set_details(f"there is no service {request.service!r}; there is {_SERVICE.full_name}.")
            return _health("UNKNOWN")
        return await self._health()

    async def Watch(self, request: Any) -> AsyncGenerator[Message, None]:  # noqa: N802, ANN401 - the protocol's
        """Tell whether a service can be called, now and whenever that changes."""
        if not _is_known(request.service):
            yield _health("SERVICE_UNKNOWN")
            await asyncio.Event().wait()
        told = None
        while True:
            health = await self._health()
            if health != told:
                yield health
                told = health
            await asyncio.sleep(_WATCH_SECONDS)

    async def _health(self) -> Message:
        return _health("SERVING" if await self.ready() else "NOT_SERVING")


def _health(status: str) -> Message:
    message: Message = health_pb2.HealthCheckResponse(status=status)
    return message


def _is_known(service: str) -> bool:
    return service in ("", _SERVICE.full_name)


def _unary(method: MethodDescriptor) -> Callable[..., Awaitable[Message]]:
    async def answer(self: GrpcMethods, request: Message, grpc_context: CallContext) -> Message:
        return await call(self.rest, method, request, grpc_context)

    return answer


def _streaming(method: MethodDescriptor) -> Callable[..., AsyncGenerator[Message, None]]:
    async def answer(self: GrpcMethods, request: Message, grpc_context: CallContext) -> AsyncGenerator[Message, None]:
        async for message in follow(self.rest, method, request, grpc_context):
            yield message

    return answer


def _add_methods() -> None:
    for method in _SERVICE.methods:
        answer: Any = _streaming(method) if method.server_streaming else _unary(method)
        answer.__name__ = method.name
        answer.__qualname__ = f"{GrpcMethods.__name__}.{method.name}"
        setattr(GrpcMethods, method.name, answer)


_add_methods()
