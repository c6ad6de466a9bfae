"""The cluster's embedder as OpenAI's `/v1/embeddings` and `/v1/models`, on Ray Serve with micro-batches."""

import asyncio
import base64
import hmac
import time
from http import HTTPStatus
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from ray import serve
from starlette.exceptions import HTTPException

from factory.domain.errors import ErrorCategory, FactoryError, RetryableError, TerminalError
from factory.memory.embedding import EmbedderSpec, Vectors

_MOST_TEXTS = 2_048
_MOST_BYTES = 16 * 1024 * 1024
_REQUESTS_PER_BATCH = 64
# Long enough that requests which arrive together are embedded together, and short beside the embedding itself.
_BATCH_WAIT_SECONDS = 0.004
_ONGOING_REQUESTS = 512
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


async def _body(request: Request) -> bytes:
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > _MOST_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request may have at most {_MOST_BYTES} bytes.")
    return bytes(parts)


def _as_answer(model: str, vectors: Vectors, tokens: int, *, as_base64: bool) -> dict[str, Any]:
    data = []
    for index, vector in enumerate(vectors):
        values = base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": values})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _application() -> FastAPI:
    app = FastAPI(title="Embeddings", openapi_url=None)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse(error.body, status_code=error.status)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_body(error.status_code, str(error.detail)), status_code=error.status_code)

    @app.exception_handler(FactoryError)
    async def failed(_: Request, error: FactoryError) -> JSONResponse:
        if isinstance(error, RetryableError):
            status = HTTPStatus.SERVICE_UNAVAILABLE
        elif isinstance(error, TerminalError) and error.category is ErrorCategory.POISON:
            status = HTTPStatus.BAD_REQUEST
        else:
            status = HTTPStatus.BAD_GATEWAY
        return JSONResponse(error_body(status, str(error)), status_code=status)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return JSONResponse(error_body(status, f"the server failed: {type(error).__name__}."), status_code=status)

    return app


_app = _application()


# Ray Serve copies this class with what its methods name as soon as it is decorated: all of that stands above it.
@serve.deployment(name="embeddings", max_ongoing_requests=_ONGOING_REQUESTS)
@serve.ingress(_app)
class EmbeddingsDeployment:
    """One replica, which holds the model.

    Requests that arrive together are embedded together. A text that is longer than the model reads is truncated, and
    counts as long as what was read of it.

    Args:
        spec: Of the embedder.
        threads: Cores of this replica.
        api_key: That requests must carry; None where something before this door checks them.
    """

    def __init__(self, spec: EmbedderSpec, threads: int, api_key: SecretStr | None) -> None:
        self._embedder = spec.load(threads=threads)
        self._api_key = api_key
        self._loaded_at = int(time.time())

    @_app.post("/v1/embeddings")
    async def create(self, request: Request) -> JSONResponse:
        """Answer with one vector per text."""
        self._authenticate(request)
        body = await _body(request)
        # Parsing many megabytes would hold up the other requests.
        asked = await asyncio.to_thread(read_request, body)
        self._require_model(asked.model)
        model = self._embedder.model
        if asked.dimensions not in (None, model.dimension):
            raise RefusedError(
                HTTPStatus.BAD_REQUEST,
                f"the model {model.name!r} has {model.dimension} dimensions, and cannot give {asked.dimensions}.",
                param="dimensions",
            )
        vectors, tokens = await self._embed(asked.texts)
        if not np.isfinite(vectors).all():
            raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model gave no vector for one of the texts.")
        as_base64 = asked.encoding_format == "base64"
        answer = await asyncio.to_thread(_as_answer, model.name, vectors, tokens, as_base64=as_base64)
        return JSONResponse(answer)

    @_app.get("/v1/models")
    async def models(self, request: Request) -> JSONResponse:
        """List the one model."""
        self._authenticate(request)
        return JSONResponse({"object": "list", "data": [self._described()]})

    @_app.get("/v1/models/{name:path}")
    async def retrieve(self, request: Request, name: str) -> JSONResponse:
        """Describe the model, with the tokens that it reads as `max_model_len`."""
        self._authenticate(request)
        self._require_model(name)
        return JSONResponse(self._described())

    @serve.batch(max_batch_size=_REQUESTS_PER_BATCH, batch_wait_timeout_s=_BATCH_WAIT_SECONDS)
    async def _embed(self, requests: list[list[str]]) -> list[tuple[Vectors, int]]:
        return await asyncio.to_thread(self._embed_all, requests)

    def _embed_all(self, requests: list[list[str]]) -> list[tuple[Vectors, int]]:
        vectors = self._embedder.embed([text for texts in requests for text in texts])
        answers = []
        start = 0
        for texts in requests:
            counts = (min(self._embedder.count_tokens(text), self._embedder.model.max_tokens) for text in texts)
            answers.append((vectors[start : start + len(texts)], sum(counts)))
            start += len(texts)
        return answers

    def _authenticate(self, request: Request) -> None:
        if self._api_key is None:
            return
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._api_key.get_secret_value().encode()):
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "the API key is wrong or missing.", code="invalid_api_key")

    def _require_model(self, name: str) -> None:
        own = self._embedder.model.name
        if name not in (own, f"sentence-transformers/{own}"):
            raise RefusedError(
                HTTPStatus.NOT_FOUND,
                f"there is no model {name!r} here; there is {own!r}.",
                code="model_not_found",
                param="model",
            )

    def _described(self) -> dict[str, Any]:
        model = self._embedder.model
        return {
            "id": model.name,
            "object": "model",
            "created": self._loaded_at,
            "owned_by": _OWNER,
            "max_model_len": model.max_tokens,
        }


def embeddings_application(
    spec: EmbedderSpec,
    *,
    replicas: int = 1,
    threads: int = 1,
    gpus: float = 0,
    api_key: SecretStr | None = None,
) -> serve.Application:
    """Return the application, for `ray.serve.run`.

    Args:
        spec: Of the embedder.
        replicas: How many copies of the model.
        threads: Cores of each.
        gpus: Of each, or a share of one.
        api_key: That requests must carry; None where something before this door checks them.
    """
    deployment: Any = EmbeddingsDeployment
    options = {"num_cpus": threads, "num_gpus": gpus}
    application: serve.Application = deployment.options(num_replicas=replicas, ray_actor_options=options).bind(
        spec, threads, api_key
    )
    return application
