"""`POST /api/v1/graphql`."""

from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from graphql import GraphQLError
from pydantic import Field, JsonValue

from factory.domain.errors import FactoryError, ForbiddenError, NotFoundError
from factory.identity.access import Action
from factory.serve.caller import Caller, Seeker
from factory.serve.graphql.limits import MOST_BYTES, check_cost
from factory.serve.graphql.schema import make_context, schema
from factory.serve.problems import HttpError
from factory.serve.rest.pages import Answered

router = APIRouter(tags=["graphql"])
_log = structlog.stdlib.get_logger(__name__)


class GraphQLRequest(Answered):
    """A query, as "GraphQL over HTTP" describes it; subscriptions are the event stream's affair."""

    query: Annotated[str, Field(min_length=1, max_length=MOST_BYTES)]
    variables: dict[str, JsonValue] | None = None
    operation_name: Annotated[str, Field(max_length=100)] | None = Field(default=None, alias="operationName")
    extensions: dict[str, JsonValue] | None = None


class GraphQLAnswer(Answered):
    """Data, and what went wrong with parts of it."""

    data: dict[str, JsonValue] | None
    errors: tuple[dict[str, JsonValue], ...] = ()


@router.post("/graphql", response_model=GraphQLAnswer, response_model_exclude_defaults=True)
async def graphql(caller: Seeker, body: GraphQLRequest) -> JSONResponse:
    """Answer a query over projects, artifacts, lineage, events, tasks and escalations."""
    await caller.sees(Action.READ_PROJECT)
    variables = dict(body.variables or {})
    check_cost(body.query, variables)
    result = await schema.execute(
        body.query,
        variable_values=variables,
        context_value=make_context(caller),
        operation_name=body.operation_name,
    )
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_told(caller, error) for error in result.errors]
    # A query that did not run has no data (GraphQL over HTTP, "Status codes").
    began = result.data is not None or any(error.path for error in result.errors or ())
    return JSONResponse(answer, HTTPStatus.OK if began else HTTPStatus.BAD_REQUEST)


def _told(caller: Caller, error: GraphQLError) -> dict[str, Any]:
    """Return an error without anything of the inside of the factory."""
    formatted: dict[str, Any] = {**error.formatted}
    cause = error.original_error
    if cause is None:
        return formatted
    if isinstance(cause, FactoryError):
        formatted["message"] = str(cause)
        formatted["extensions"] = {"code": _code(cause)}
        return formatted
    _log.error("query_failed", request=str(caller.facts.id), exc_info=cause)
    formatted["message"] = f"the factory failed; the request's id is {caller.facts.id}."
    formatted["extensions"] = {"code": "INTERNAL"}
    return formatted


def _code(error: FactoryError) -> str:
    if isinstance(error, NotFoundError):
        return "NOT_FOUND"
    if isinstance(error, ForbiddenError):
        return "FORBIDDEN"
    return "BAD_REQUEST" if isinstance(error, HttpError) else "BAD_USER_INPUT"
