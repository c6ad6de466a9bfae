"""The cluster's embedder as OpenAI's `/v1/embeddings` and `/v1/models`, on Ray Serve with micro-batches."""

import asyncio
import hmac
import time
from http import HTTPStatus
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from ray import serve
from starlette.exceptions import HTTPException

from factory.domain.errors import ErrorCategory, FactoryError, RetryableError, TerminalError
from factory.memory.embedding import EmbedderSpec, Vectors
from factory.serve.embedding_requests import (
    RefusedError,
    as_answer,
    described,
    error_body,
    read_body,
    read_request,
    require_dimensions,
    require_model,
)

_REQUESTS_PER_BATCH = 64
# Long enough that requests which arrive together are embedded together, and short beside the embedding itself.
_BATCH_WAIT_SECONDS = 0.004
_ONGOING_REQUESTS = 512


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
        body = await read_body(request)
        # Parsing many megabytes would hold up the other requests.
        asked = await asyncio.to_thread(read_request, body)
        model = self._embedder.model
        require_model(model, asked.model)
        require_dimensions(model, asked.dimensions)
        vectors, tokens = await self._embed(asked.texts)
        if not np.isfinite(vectors).all():
            raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model gave no vector for one of the texts.")
        as_base64 = asked.encoding_format == "base64"
        answer = await asyncio.to_thread(as_answer, model.name, vectors, tokens, as_base64=as_base64)
        return JSONResponse(answer)

    @_app.get("/v1/models")
    async def models(self, request: Request) -> JSONResponse:
        """List the one model."""
        self._authenticate(request)
        return JSONResponse({"object": "list", "data": [described(self._embedder.model, self._loaded_at)]})

    @_app.get("/v1/models/{name:path}")
    async def retrieve(self, request: Request, name: str) -> JSONResponse:
        """Describe the model, with the tokens that it reads as `max_model_len`."""
        self._authenticate(request)
        require_model(self._embedder.model, name)
        return JSONResponse(described(self._embedder.model, self._loaded_at))

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
