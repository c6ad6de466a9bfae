"""What is known of a request beside its content: who sent it from where, and how it is traced."""

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from starlette.datastructures import Headers
from starlette.types import Scope

from factory.domain.errors import BadInputError
from factory.domain.ids import new_id, new_trace_id, trace_id_of
from factory.identity.access import Action, Decision, Resource
from factory.identity.principal import Principal
from factory.observability.traceparents import parse_traceparent

_KEY = "factory.facts"
_CORRELATION = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_AGENT_LENGTH = 200
_ANONYMOUS_ADDRESS = "unknown"


@dataclass(slots=True)
class RequestFacts:
    """One request.

    Attributes:
        id: Of this request; every answer carries it.
        correlation: What the client calls the conversation; the request's id where it says nothing.
        traceparent: W3C trace context that work for this request belongs to.
        caller_traceparent: What the client calls the work that this request is part of.
        started_ns: When it arrived, nanoseconds since the epoch.
        address: Of the peer that the connection comes from; headers that claim another are not believed.
        principal: Once it is proven.
        action: The last thing that was asked for, with the resource and the decision.
        headers: To be set on the answer.
    """

    id: UUID
    correlation: str
    traceparent: str
    address: str
    user_agent: str
    method: str
    path: str
    caller_traceparent: str | None = None
    started_ns: int = field(default_factory=time.time_ns)
    principal: Principal | None = None
    action: Action | None = None
    resource: Resource | None = None
    decision: Decision | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: Scope) -> "RequestFacts":
        """Read them from a request's head."""
        headers = Headers(scope=scope)
        identity = new_id()
        given = headers.get("x-correlation-id", "") or headers.get("x-request-id", "")
        client = scope.get("client")
        caller = _valid(headers.get("traceparent"))
        return cls(
            id=identity,
            correlation=given if _CORRELATION.fullmatch(given) else str(identity),
            traceparent=_traceparent(caller, identity),
            caller_traceparent=caller,
            address=client[0] if client else _ANONYMOUS_ADDRESS,
            user_agent=headers.get("user-agent", "")[:_AGENT_LENGTH],
            method=scope["method"],
            path=scope["path"],
        )

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return trace_id_of(self.traceparent)


def keep(scope: Scope, facts: RequestFacts) -> None:
    """Attach a request's facts to it."""
    scope[_KEY] = facts


def facts_of(scope: Scope) -> RequestFacts:
    """Return what was attached to a request."""
    found: Any = scope[_KEY]
    if not isinstance(found, RequestFacts):
        raise TypeError("this request did not pass the gateway's middleware")
    return found


def _valid(given: str | None) -> str | None:
    """Return a traceparent that can be read; another is replaced (W3C Trace Context, section 4.3)."""
    if given is not None:
        with suppress(BadInputError):
            parse_traceparent(given.strip())
            return given.strip()
    return None


def _traceparent(caller: str | None, request_id: UUID) -> str:
    span = request_id.hex[16:]
    if caller is None:
        return f"00-{new_trace_id()}-{span}-01"
    return f"00-{trace_id_of(caller)}-{span}-{caller[-2:]}"
