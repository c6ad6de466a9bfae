"""Errors as problem details (RFC 9457): one shape for every answer that is not a success."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.requests import Request

from factory.domain.errors import (
    BadInputError,
    ConflictError,
    FactoryError,
    ForbiddenError,
    NotFoundError,
    RetryableError,
    TerminalError,
    UnauthenticatedError,
)
from factory.serve import embedding_requests
from factory.serve.facts import facts_of

MEDIA_TYPE = "application/problem+json"
_TYPES = "https://factory.invalid/problems/"
_RETRY_SECONDS = "1"
_NAMED_FIELDS = 20
_log = structlog.stdlib.get_logger(__name__)

# The first class that fits decides.
_STATUSES: tuple[tuple[type[FactoryError], HTTPStatus], ...] = (
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (BadInputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RetryableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (TerminalError, HTTPStatus.UNPROCESSABLE_ENTITY),
)


class FieldProblem(BaseModel):
    """What is wrong with one field.

    Attributes:
        field: A path: `body.vision`, `query.limit`.
    """

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """A problem, as RFC 9457 describes it.

    Attributes:
        type: What kind of problem it is; stable, so that programs can tell one from another.
        title: The kind in words.
        status: The HTTP status again.
        detail: What is wrong here.
        instance: The request's id, as the audit trail has it.
        remedy: What to do about it.
        errors: The fields at fault, where fields are.
        trace_id: Of the request.
    """

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    instance: str
    remedy: str = ""
    errors: tuple[FieldProblem, ...] = ()
    trace_id: str


class HttpError(FactoryError):
    """An error that only HTTP knows, with the status and the headers it is answered with."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        remedy: str = "",
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, field=field)
        self.status = status
        self.headers = dict(headers or {})


def describe(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route that are problems, for its description."""
    return {
        status.value: {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}
        for status in statuses
    }


_REFERENCE = {"$ref": "#/components/schemas/Problem"}


def install(app: FastAPI) -> None:
    """Let an application answer every error as a problem."""

    @app.exception_handler(FactoryError)
    async def expected(request: Request, error: FactoryError) -> JSONResponse:
        if request.url.path.startswith(embedding_requests.PREFIX):
            return embedding_requests.of_error(error)
        return of_error(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(request, error.errors())

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        detail = error.detail if error.detail != status.phrase else status.description or status.phrase
        return answer(request, status, str(detail), headers=error.headers or {})

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        facts = facts_of(request.scope)
        _log.error("request_failed", request=str(facts.id), path=facts.path, exc_info=error)
        return answer(
            request,
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "the factory failed; this is not your fault.",
            remedy=f"Tell the operator the request's id: {facts.id}.",
        )


def of_error(request: Request, error: FactoryError) -> JSONResponse:
    """Return an error of the factory as an answer."""
    headers: dict[str, str] = {}
    if isinstance(error, HttpError):
        status, headers = error.status, dict(error.headers)
    else:
        status = next((known for kind, known in _STATUSES if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status is HTTPStatus.UNAUTHORIZED:
        code = getattr(error, "code", "")
        headers.setdefault("WWW-Authenticate", f'Bearer error="{code}"' if code else "Bearer")
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", _RETRY_SECONDS)
    fields = [FieldProblem(field=error.field, message=error.message)] if error.field else []
    return answer(request, status, error.message, remedy=error.remedy, fields=fields, headers=headers)


def of_validation(request: Request, found: Sequence[Any]) -> JSONResponse:
    """Return what a schema finds wrong with a request; values are not repeated, because they may be secrets."""
    fields = [
        FieldProblem(field=".".join(str(part) for part in one["loc"]), message=str(one["msg"]))
        for one in found[:_NAMED_FIELDS]
    ]
    named = "; ".join(f"{one.field}: {one.message}" for one in fields[:3])
    return answer(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"the request does not have the form that is described: {named}.",
        remedy="Compare it with /openapi.json.",
        fields=fields,
    )


def answer(
    request: Request,
    status: HTTPStatus,
    detail: str,
    *,
    remedy: str = "",
    fields: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem as an answer."""
    facts = facts_of(request.scope)
    problem = Problem(
        type=_TYPES + status.phrase.lower().replace(" ", "-"),
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=f"urn:uuid:{facts.id}",
        remedy=remedy,
        errors=tuple(fields),
        trace_id=facts.trace_id,
    )
    body = problem.model_dump(mode="json", exclude_defaults=True)
    return JSONResponse(body, status_code=status.value, headers=dict(headers or {}), media_type=MEDIA_TYPE)
