"""gRPC calls as requests to the REST routes, so that both have one set of rules (R28).

Each method of `factory.proto` names its route (`google.api.http`, https://google.aip.dev/127). A call passes the whole
gateway: identity, limits, policy, idempotency, audit.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlencode

import grpc
from google.api import annotations_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import any_pb2, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from starlette.types import ASGIApp
from starlette.types import Message as AsgiMessage

# Metadata that a request is given as headers; nothing else a client sends reaches a route.
_PASSED = ("authorization", "idempotency-key", "traceparent", "user-agent", "x-correlation-id", "x-request-id")
# Headers of an answer that the caller is given as trailing metadata.
_RETURNED = (
    "idempotent-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "traceparent",
    "x-audit-id",
    "x-correlation-id",
)
_DETAILS = "grpc-status-details-bin"
_DOMAIN = "factory"
_UNREAD_MESSAGES = 64

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto says which belongs to which.
_CODES = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.CONFLICT: grpc.StatusCode.ABORTED,
    HTTPStatus.PRECONDITION_FAILED: grpc.StatusCode.FAILED_PRECONDITION,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


class CallContext(Protocol):
    """What is used of Ray Serve's context of a call (`ray.serve.grpc_util.RayServegRPCContext`)."""

    def invocation_metadata(self) -> list[tuple[str, Any]]:
        """Return what the client sent along."""

    def peer(self) -> str:
        """Return where the client is: `ipv4:127.0.0.1:50000`."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Answer with this status."""

    def set_details(self, details: str) -> None:
        """Answer with this explanation."""

    def set_trailing_metadata(self, metadata: list[tuple[str, Any]]) -> None:
        """Send this after the answer."""


class CallError(Exception):
    """A call that is refused; its context says with which status."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a call is as a request."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""


@dataclass(slots=True)
class HttpAnswer:
    """What a route answered.

    Attributes:
        headers: Names in lower case.
    """

    status: HTTPStatus
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def request_of(method: MethodDescriptor, message: Message) -> HttpRequest:
    """Return the request that a call stands for.

    Raises:
        ValueError: A field that is part of the path is empty or has a slash in it; it is named.
    """
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    path: str = getattr(rule, verb)
    fields = MessageToDict(message, preserving_proto_field_name=True)
    for name in method.input_type.fields_by_name:
        if f"{{{name}}}" in path:
            value = str(fields.pop(name, ""))
            if not value or "/" in value:
                raise ValueError(f"{name} must be set, and have no slash in it.")
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
    if rule.body == "*":
        return HttpRequest(verb.upper(), path, body=json.dumps(fields).encode())
    return HttpRequest(verb.upper(), path, query=urlencode(fields, doseq=True))


async def call(app: ASGIApp, method: MethodDescriptor, message: Message, context: CallContext) -> Message:
    """Answer a call.

    Args:
        app: The gateway.
        method: That is called.
        message: What it is called with.
        context: Gets the status and trailing metadata; with a status that is not OK, the answer is empty.
    """
    answered: Message = message_factory.GetMessageClass(method.output_type)()
    try:
        request = request_of(method, message)
    except ValueError as error:
        _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return answered
    answer = HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR)
    async with aclosing(_exchange(app, request, context, answer)) as parts:
        answer.body = b"".join([part async for part in parts])
    if answer.status >= HTTPStatus.BAD_REQUEST:
        _refuse_as_answered(context, answer)
        return answered
    context.set_trailing_metadata(_returned(answer))
    if isinstance(answered, HttpBody):
        answered.content_type, answered.data = answer.headers.get("content-type", ""), answer.body
    else:
        ParseDict(json.loads(answer.body), answered, ignore_unknown_fields=True)
    return answered


async def follow(
    app: ASGIApp, method: MethodDescriptor, message: Message, context: CallContext
) -> AsyncGenerator[Message, None]:
    """Answer a call whose route sends server-sent events, with one message for each event of the log.

    Raises:
        CallError: The call is refused; the context says with which status.
    """
    try:
        request = request_of(method, message)
    except ValueError as error:
        _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        raise CallError(str(error)) from None
    answer = HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR)
    kind = message_factory.GetMessageClass(method.output_type)
    unread = b""
    async with aclosing(_exchange(app, request, context, answer)) as parts:
        async for part in parts:
            unread += part
            if answer.status >= HTTPStatus.BAD_REQUEST:
                continue
            *blocks, unread = unread.replace(b"\r\n", b"\n").split(b"\n\n")
            for place, data in _events(blocks):
                yield ParseDict({"place": place, "event": json.loads(data)}, kind(), ignore_unknown_fields=True)
    if answer.status >= HTTPStatus.BAD_REQUEST:
        answer.body = unread
        raise CallError(_refuse_as_answered(context, answer))


async def _exchange(
    app: ASGIApp, request: HttpRequest, context: CallContext, answer: HttpAnswer
) -> AsyncGenerator[bytes, None]:
    """Let a route answer; its status and headers are set before the first part of its body comes."""
    parts: asyncio.Queue[bytes | None] = asyncio.Queue(_UNREAD_MESSAGES)
    sent = False

    async def receive() -> AsgiMessage:
        nonlocal sent
        if sent:
            # Nobody disconnects from a call under way: it is cancelled.
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            answer.status = HTTPStatus(message["status"])
            answer.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif body := message.get("body"):
            await parts.put(body)

    async def serve() -> None:
        try:
            await app(_scope(request, context), receive, send)
        except Exception:  # noqa: BLE001 - it was logged and answered where it was raised, and may tell what it should not
            answer.status = HTTPStatus.INTERNAL_SERVER_ERROR
        finally:
            await parts.put(None)

    serving = asyncio.create_task(serve())
    try:
        while (part := await parts.get()) is not None:
            yield part
        await serving
    finally:
        serving.cancel()


def _scope(request: HttpRequest, context: CallContext) -> dict[str, Any]:
    given = {name: value for name, value in context.invocation_metadata() if name in _PASSED and isinstance(value, str)}
    headers = {**given, "host": _DOMAIN}
    if request.body:
        headers |= {"content-type": "application/json", "content-length": str(len(request.body))}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "scheme": "http",
        "method": request.method,
        "path": unquote(request.path),
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": request.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (_address(context.peer()), 0),
        "server": None,
        "state": {},
    }


def _address(peer: str) -> str:
    """Return the address of `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`."""
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer


def _events(blocks: list[bytes]) -> Iterator[tuple[str, str]]:
    """Give the place and the data of each event that is one of the log: only those have an id."""
    for block in blocks:
        lines = (line.partition(":") for line in block.decode().split("\n"))
        fields = {name: value.strip() for name, found, value in lines if found and name}
        if "id" in fields and "data" in fields:
            yield fields["id"], fields["data"]


def _returned(answer: HttpAnswer) -> list[tuple[str, Any]]:
    return [(name, answer.headers[name]) for name in _RETURNED if name in answer.headers]


def _refuse_as_answered(context: CallContext, answer: HttpAnswer) -> str:
    """Refuse a call as its route refused it, with what is wrong and what to do; return that."""
    problem = json.loads(answer.body) if "json" in answer.headers.get("content-type", "") else {}
    text = " ".join(filter(None, (problem.get("detail"), problem.get("remedy")))) or answer.status.phrase
    if answer.status in _CODES:
        code = _CODES[answer.status]
    elif answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        code = grpc.StatusCode.INTERNAL
    else:
        code = grpc.StatusCode.INVALID_ARGUMENT
    reason = answer.status.phrase.upper().replace(" ", "_")
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN)]
    if errors := problem.get("errors"):
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=one["field"], description=one["message"])
            for one in errors
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    _refuse(context, code, text, details, _returned(answer))
    return text


def _refuse(
    context: CallContext,
    code: grpc.StatusCode,
    text: str,
    details: list[Message] | None = None,
    metadata: list[tuple[str, Any]] | None = None,
) -> None:
    status = status_pb2.Status(code=code.value[0], message=text)
    for detail in details or []:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    context.set_code(code)
    context.set_details(text)
    context.set_trailing_metadata([*(metadata or []), (_DETAILS, status.SerializeToString())])
