r"""Drives a factory from Python over HTTP: `Factory` in scripts and notebooks, `AsyncFactory` in asynchronous code.

from factory.client import Factory

with Factory("https://factory.example", token="...") as factory:
run = factory.create("# Clinic\n\nAs a receptionist I want to book an appointment.")
print(run.result().released_commit)
"""

from factory.client.aio import AsyncFactory, AsyncRun
from factory.client.errors import (
    ConflictError,
    ConnectionLostError,
    FactoryApiError,
    ForbiddenError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    RunFailedError,
    TooManyRequestsError,
    UnavailableError,
)
from factory.client.models import Artifact, Event, Hit, Project, Status, Step
from factory.client.sync import Factory, Run

__all__ = [
    "Artifact",
    "AsyncFactory",
    "AsyncRun",
    "ConflictError",
    "ConnectionLostError",
    "Event",
    "Factory",
    "FactoryApiError",
    "ForbiddenError",
    "Hit",
    "InvalidRequestError",
    "NotAuthenticatedError",
    "NotFoundError",
    "Project",
    "Run",
    "RunFailedError",
    "Status",
    "Step",
    "TooManyRequestsError",
    "UnavailableError",
]
