"""Whether the gateway lives, and whether it can serve."""

import asyncio
from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

import factory
from factory.domain.errors import FactoryError
from factory.serve.gateway import Gateway
from factory.serve.problems import HttpError, describe
from factory.storage.database import CLIENT_ERRORS

router = APIRouter(tags=["health"])

_PATIENCE_SECONDS = 2.0


class Health(BaseModel):
    """That it is well."""

    status: Literal["ok"] = "ok"
    version: str = factory.__version__


@router.get("/healthz")
async def live() -> Health:
    """Tell that the process answers; restart it when it does not."""
    return Health()


@router.get("/readyz", responses=describe(HTTPStatus.SERVICE_UNAVAILABLE))
async def ready(request: Request) -> Health:
    """Tell that the database answers; send no requests while it does not."""
    if not await is_ready(request.app.state.gateway):
        raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer.", headers={"Retry-After": "2"})
    return Health()


async def is_ready(gateway: Gateway) -> bool:
    """Return whether the database answers."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await gateway.database.fetch("SELECT 1")
    except (TimeoutError, FactoryError, *CLIENT_ERRORS):
        return False
    return True
