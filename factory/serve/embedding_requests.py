"""Requests for embeddings and their answers, as OpenAI documents them."""

import base64
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from factory.domain.errors import FactoryError, ForbiddenError, RetryableError, UnauthenticatedError
from factory.memory.embedding import EmbeddingModel, Vectors

# Where OpenAI's paths begin.
PREFIX = "/v1/"
MOST_BYTES = 16 * 1024 * 1024
_MOST_TEXTS = 2_048
_OWNER = "factory"

Texts = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=_MOST_TEXTS)]


class EmbeddingRequest(BaseModel):
    """A request as OpenAI documents it, except that texts must be strings and not tokens."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: Annotated[str, Field(min_length=1)] | Texts
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """All texts, in their order."""
        return [self.input] if isinstance(self.input, str) else self.input


class RefusedError(Exception):
    """A request that is answered with an error in OpenAI's shape."""

    def __init__(self, status: HTTPStatus, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(status, message, code=code, param=param)


def error_body(status: int, message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def read_request(body: bytes) -> EmbeddingRequest:
    """Return what a request asks for.

    Raises:
        RefusedError: It is none, with the field at fault.
    """
    try:
        return EmbeddingRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else None
        message = f"{field}: {first['msg']}" if field else str(first["msg"])
        if field == "input":
            message = (
                f"input must be a string that is not empty, or a list of 1 to {_MOST_TEXTS} of them; "
                "arrays of tokens are not accepted, because clients and models count tokens differently."
            )
        raise RefusedError(HTTPStatus.BAD_REQUEST, message, param=field) from error


async def read_body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        RefusedError: It is too long (413).
    """
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MOST_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request may have at most {MOST_BYTES} bytes.")
    return bytes(parts)


def as_answer(model: str, vectors: Vectors, tokens: int, *, as_base64: bool) -> dict[str, Any]:
    """Return vectors as OpenAI's clients read them."""
    data = []
    for index, vector in enumerate(vectors):
        values = base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": values})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def require_model(own: EmbeddingModel, name: str) -> None:
    """Make sure that a request is for the model that is there.

    Raises:
        RefusedError: It is for another (404).
    """
    if name not in (own.name, f"sentence-transformers/{own.name}"):
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            f"there is no model {name!r} here; there is {own.name!r}.",
            code="model_not_found",
            param="model",
        )


def require_dimensions(own: EmbeddingModel, dimensions: int | None) -> None:
    """Make sure that a request asks for as many dimensions as the model has, or for none in particular.

    Raises:
        RefusedError: It asks for another number (400).
    """
    if dimensions not in (None, own.dimension):
        raise RefusedError(
            HTTPStatus.BAD_REQUEST,
            f"the model {own.name!r} has {own.dimension} dimensions, and cannot give {dimensions}.",
            param="dimensions",
        )


def described(own: EmbeddingModel, loaded_at: int) -> dict[str, Any]:
    """Return a model as OpenAI lists it, with the tokens that it reads as `max_model_len`."""
    return {
        "id": own.name,
        "object": "model",
        "created": loaded_at,
        "owned_by": _OWNER,
        "max_model_len": own.max_tokens,
    }


def of_error(error: FactoryError) -> JSONResponse:
    """Return an error of the factory as OpenAI's clients read it."""
    code = None
    if isinstance(error, UnauthenticatedError):
        status, code = HTTPStatus.UNAUTHORIZED, "invalid_api_key"
    elif isinstance(error, ForbiddenError):
        status = HTTPStatus.FORBIDDEN
    elif isinstance(error, RetryableError):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    else:
        status = HTTPStatus.BAD_GATEWAY
    return JSONResponse(error_body(status, str(error), code=code), status_code=status)
