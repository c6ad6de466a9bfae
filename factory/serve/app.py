"""The gateway's application: every route, behind one middleware, with one shape of errors."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Scope

import factory
from factory.serve import graphql, health, oauth, portal, problems
from factory.serve.auditing import audit_line
from factory.serve.caller import BEARER
from factory.serve.facts import facts_of
from factory.serve.gateway import Gateway
from factory.serve.internal import routes as internal
from factory.serve.middleware import Middleware
from factory.serve.rest import (
    access,
    agents,
    artifacts,
    audit,
    dead_letters,
    embeddings,
    escalations,
    events,
    flags,
    memory,
    notifications,
    projects,
    usage,
    visions,
)
from factory.serve.tracing import trace_request
from factory.serve.versions import CURRENT, Retiring

_PUBLIC = (
    visions,
    projects,
    artifacts,
    events,
    agents,
    escalations,
    dead_letters,
    memory,
    usage,
    notifications,
    graphql,
    access,
    flags,
    audit,
)
_SUMMARY = "An AI software factory: hand in a vision, watch agents build it, receive a tested repository."
_COMMON = problems.describe(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def build_app(gateway: Gateway) -> ASGIApp:
    """Return the application that serves a gateway."""
    app = build_routes(gateway)

    async def record(scope: Scope, status: int) -> None:
        gateway.audit.record(audit_line(facts_of(scope), status))
        trace_request(gateway.tracing, scope, status)

    return Middleware(app, record, https=gateway.https)


def build_routes(gateway: Gateway) -> FastAPI:
    """Return the routes without the middleware, as their description needs them."""
    app = FastAPI(
        title="AI Software Factory",
        summary=_SUMMARY,
        version=factory.__version__,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # The middleware records each request under the trace context that its answer names.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        max_body_size=gateway.settings.gateway_body_limit,
        generate_unique_id_function=_operation_id,
    )
    app.state.gateway = gateway
    problems.install(app)
    embeddings.install(app)
    app.include_router(health.router)
    app.include_router(embeddings.router)
    app.include_router(oauth.router)
    retiring = [Depends(Retiring(CURRENT.retirement))] if CURRENT.retirement else []
    for module in _PUBLIC:
        app.include_router(module.router, prefix=CURRENT.prefix, responses=_COMMON, dependencies=[BEARER, *retiring])
    app.include_router(internal.router, prefix="/internal", responses=_COMMON, dependencies=[BEARER])
    portal.install(app)
    app.openapi = _described(app)  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0] if route.tags else 'factory'}-{route.name}".replace("_", "-")


def _mend_streams(operation: dict[str, Any]) -> None:
    """Describe event streams as OpenAPI 3.1 can: `itemSchema` is of 3.2, which the document does not claim to be."""
    for response in operation.get("responses", {}).values():
        for content in response.get("content", {}).values():
            if content.pop("itemSchema", None) is not None:
                content["schema"] = {"type": "string"}


def _described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=app.openapi_tags
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schemas["Problem"].pop("$defs", {}))
            for path in document["paths"].values():
                for operation in path.values():
                    _mend_streams(operation)
            app.openapi_schema = document
        return app.openapi_schema

    return describe
