"""Requests that may be sent again: one effect and one answer for each `Idempotency-Key`.

The header is the one of draft-ietf-httpapi-idempotency-key-header. The answer commits in the transaction of the
effect: a request that was cut off anywhere either happened, and its answer is repeated, or it did not, and it runs.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from factory.serve.problems import HttpError
from factory.storage.database import Connection, Database

KEEP = timedelta(days=1)
LONGEST_KEY = 255

# Held until the transaction ends; a second request with the key does not wait.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
# Primary key.
_FIND = "SELECT fingerprint, status, body, headers FROM idempotent_answer WHERE subject = $1 AND key = $2"
_KEEP = """
INSERT INTO idempotent_answer (subject, key, fingerprint, status, body, headers) VALUES ($1, $2, $3, $4, $5, $6)
"""
# Index idempotent_answer_by_age.
_FORGET = "DELETE FROM idempotent_answer WHERE created_at < now() - $1::interval"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    Attributes:
        body: As JSON values.
        repeated: Whether it was given before.
    """

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    repeated: bool = False

    @classmethod
    def of(cls, model: BaseModel, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> "Answer":
        """Return a model as an answer; names of headers are written with underscores."""
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return cls(status.value, model.model_dump(mode="json"), named)


Work = Callable[[Connection], Awaitable[Answer]]


async def once(database: Database, *, subject: str, key: str | None, request: bytes, work: Work) -> Answer:
    """Run work in one transaction, or repeat the answer it had.

    Args:
        database: Where the effect and the answer commit together.
        subject: Whose key it is.
        key: As the client sent it; None for a request that is not to be recognised.
        request: Everything that makes two requests the same: method, path and body.
        work: What the request does; it must leave nothing outside the transaction that a second run would double.

    Raises:
        HttpError: The same key is at work at the moment (409), or came with another request (422).
    """
    fingerprint = hashlib.sha256(request).digest()

    async def attempt(connection: Connection) -> Answer:
        if key is None:
            return await work(connection)
        if not await connection.fetchval(_LOCK, f"{subject}\x1f{key}"):
            raise HttpError(
                HTTPStatus.CONFLICT,
                "a request with this Idempotency-Key is at work.",
                remedy="Ask again in a moment for its answer.",
                field="Idempotency-Key",
                headers={"Retry-After": "1"},
            )
        known = await connection.fetchrow(_FIND, subject, key)
        if known is None:
            answer = await work(connection)
            await connection.execute(_KEEP, subject, key, fingerprint, answer.status, answer.body, dict(answer.headers))
            return answer
        if known["fingerprint"] != fingerprint:
            raise HttpError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used for another request.",
                remedy="Use a new key for each new request.",
                field="Idempotency-Key",
            )
        return Answer(known["status"], known["body"], known["headers"], repeated=True)

    return await database.run(attempt)


def fingerprint_of(method: str, path: str, body: BaseModel | None) -> bytes:
    """Return what makes two requests the same."""
    content = body.model_dump(mode="json") if body is not None else None
    return json.dumps([method, path, content], sort_keys=True, separators=(",", ":")).encode()


async def forget_old(connection: Connection) -> None:
    """Drop answers that are older than a day."""
    await connection.execute(_FORGET, KEEP)
