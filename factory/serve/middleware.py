"""What happens to every request, whatever route it takes: an identity, headers, a line in the audit trail."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from factory.serve.facts import RequestFacts, keep

# For answers of the API; pages of the portal set a policy of their own.
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_HTTPS = "max-age=31536000; includeSubDomains"
# The client closed the connection before it was answered (the number that nginx uses).
_GONE = 499

Record = Callable[[Scope, int], Awaitable[None]]


class Middleware:
    """Attaches facts to a request, sets headers on its answer, and tells who records what became of it.

    Args:
        app: What answers.
        record: Is given each request, with its facts, and its status once it is answered, or has failed.
        https: Whether clients come over HTTPS, and are to stay with it.
    """

    def __init__(self, app: ASGIApp, record: Record, *, https: bool) -> None:
        self._app = app
        self._record = record
        self._security = {**_SECURITY, "Strict-Transport-Security": _HTTPS} if https else _SECURITY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = RequestFacts.of(scope)
        keep(scope, facts)
        status = _GONE

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(facts, message)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            await self._record(scope, status)

    def _complete(self, facts: RequestFacts, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        # Ray Serve sets X-Request-Id, and clients may choose it: the audit trail has an id of its own.
        headers["X-Audit-Id"] = str(facts.id)
        headers["X-Correlation-Id"] = facts.correlation
        headers["Traceparent"] = facts.traceparent
        for name, value in facts.headers.items():
            headers[name] = value
        for name, value in self._security.items():
            headers.setdefault(name, value)
