"""The cluster's embedder as OpenAI's `/v1/embeddings`: a token of the factory is the API key."""

import asyncio
import time
from http import HTTPStatus

import numpy as np
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse

from factory.identity.access import Action
from factory.serve.caller import Seeker
from factory.serve.embedding_requests import (
    RefusedError,
    as_answer,
    described,
    read_body,
    read_request,
    require_dimensions,
    require_model,
)

router = APIRouter(tags=["embedding"], include_in_schema=False)

_STARTED = int(time.time())


@router.post("/v1/embeddings")
async def create(caller: Seeker, request: Request) -> JSONResponse:
    """Answer with one vector per text."""
    await caller.require_tenant(Action.CREATE_EMBEDDING)
    body = await read_body(request)
    # Parsing many megabytes would hold up the other requests.
    asked = await asyncio.to_thread(read_request, body)
    embedder = caller.gateway.memory.embedder()
    model = await embedder.model()
    require_model(model, asked.model)
    require_dimensions(model, asked.dimensions)
    (_, vectors), tokens = await asyncio.gather(embedder.embed(asked.texts), embedder.count_tokens(asked.texts))
    if not np.isfinite(vectors).all():
        raise RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model gave no vector for one of the texts.")
    as_base64 = asked.encoding_format == "base64"
    return JSONResponse(await asyncio.to_thread(as_answer, model.name, vectors, tokens, as_base64=as_base64))


@router.get("/v1/models")
async def models(caller: Seeker) -> JSONResponse:
    """List the one model."""
    await caller.require_tenant(Action.CREATE_EMBEDDING)
    model = await caller.gateway.memory.embedder().model()
    return JSONResponse({"object": "list", "data": [described(model, _STARTED)]})


@router.get("/v1/models/{name:path}")
async def retrieve(caller: Seeker, name: str) -> JSONResponse:
    """Describe the model, with the tokens that it reads as `max_model_len`."""
    await caller.require_tenant(Action.CREATE_EMBEDDING)
    model = await caller.gateway.memory.embedder().model()
    require_model(model, name)
    return JSONResponse(described(model, _STARTED))


def install(app: FastAPI) -> None:
    """Answer refused requests in the shape that OpenAI's clients read."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse(error.body, status_code=error.status)
