"""Requests as spans, by OpenTelemetry's conventions for HTTP servers: the roots of the traces of projects."""

import time
from http import HTTPStatus

from opentelemetry.trace import SpanKind
from starlette.types import Scope

from factory.observability.traces import Tracing
from factory.serve.facts import facts_of

# Probes come every few seconds and would be most of all spans; of a page's pictures nobody asks.
_UNTRACED = ("/healthz", "/readyz", "/static/")


def trace_request(tracing: Tracing, scope: Scope, status: int) -> None:
    """Record a request that was answered, under the span that the client named.

    The name is the method alone where no route is known, as paths hold ids (OpenTelemetry semantic conventions, HTTP).
    """
    facts = facts_of(scope)
    if facts.path.startswith(_UNTRACED) or not tracing.keeps(facts.traceparent):
        return
    route = _template(scope)
    tracing.record(
        facts.caller_traceparent,
        f"{facts.method} {route}" if route else facts.method,
        started_ns=facts.started_ns,
        ended_ns=time.time_ns(),
        own=facts.traceparent,
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": facts.method,
            "http.route": route or None,
            "http.response.status_code": status,
            "url.path": facts.path,
            "client.address": facts.address,
            "user_agent.original": facts.user_agent,
            "enduser.id": facts.principal.subject if facts.principal else None,
            "factory.request.id": facts.id,
        },
        error=f"answered {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
    )


def _template(scope: Scope) -> str:
    """Return the path with its parameters' names for their values; empty where no route answered.

    What the router leaves in the scope is the route's path without the prefixes it was included under.
    """
    if "route" not in scope:
        return ""
    names = {str(value): f"{{{name}}}" for name, value in scope.get("path_params", {}).items()}
    return "/".join(names.get(part, part) for part in scope["path"].split("/"))
