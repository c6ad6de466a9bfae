"""Requests as spans, by OpenTelemetry's conventions for HTTP servers: the roots of the traces of projects."""

import time
from http import HTTPStatus

from opentelemetry.trace import SpanKind

from factory.observability.traces import Tracing
from factory.serve.facts import RequestFacts

# Probes come every few seconds and would be most of all spans; of a page's pictures nobody asks.
_UNTRACED = ("/healthz", "/readyz", "/static/")


def trace_request(tracing: Tracing, facts: RequestFacts, status: int) -> None:
    """Record a request that was answered, under the span that the client named.

    The name is the method alone where no route is known, as paths hold ids (OpenTelemetry semantic conventions, HTTP).
    """
    if facts.path.startswith(_UNTRACED) or not tracing.keeps(facts.traceparent):
        return
    tracing.record(
        facts.caller_traceparent,
        f"{facts.method} {facts.route}" if facts.route else facts.method,
        started_ns=facts.started_ns,
        ended_ns=time.time_ns(),
        own=facts.traceparent,
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": facts.method,
            "http.route": facts.route or None,
            "http.response.status_code": status,
            "url.path": facts.path,
            "client.address": facts.address,
            "user_agent.original": facts.user_agent,
            "enduser.id": facts.principal.subject if facts.principal else None,
            "factory.request.id": facts.id,
        },
        error=f"answered {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None,
    )
