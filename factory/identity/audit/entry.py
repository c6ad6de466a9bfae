"""One line of the audit trail."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

GENESIS = bytes(32)
_LONGEST = 1_000


class AuditEntry(BaseModel):
    """What somebody asked for, and whether they got it. No secrets and no bodies.

    Attributes:
        id: The request's, or derived from what is told: the same id is kept once.
        at: When, UTC.
        subject: Who; `anonymous` where nothing was proven.
        action: What, as policies name it.
        resource_type: What it was done to; empty where the request did not come so far.
        allowed: Whether it was.
        policies: Ids of those that decided.
        status: HTTP status of the answer.
        route: The path, without its query.
        address: Where it came from.
        details: Whatever else tells it from others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    subject: str
    tenant: str = ""
    action: str
    resource_type: str = ""
    resource_id: str = ""
    project_id: UUID | None = None
    allowed: bool
    policies: tuple[str, ...] = ()
    status: int | None = None
    method: str = ""
    route: str = ""
    address: str = ""
    user_agent: str = ""
    trace_id: str = ""
    details: Mapping[str, JsonValue] = {}

    def line(self) -> bytes:
        """Return the entry as one line of JSON; control characters are escaped, and texts of any length cut."""
        values = {name: _cut(value) for name, value in self.model_dump(mode="json").items()}
        return canonical(values)


class AuditRecord(AuditEntry):
    """An entry at its place in the chain.

    Attributes:
        sequence: Its place; there are no gaps.
        hash: SHA-256 over the hash before and the entry, 64 hexadecimal digits.
    """

    sequence: int
    hash: str


def canonical(values: Mapping[str, Any]) -> bytes:
    """Return JSON values in the one form that is hashed: sorted, without spaces, ASCII."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def chained(previous: bytes, sequence: int, values: Mapping[str, Any]) -> bytes:
    """Return the hash of an entry at a place in the chain."""
    return hashlib.sha256(previous + sequence.to_bytes(8, "big") + canonical(values)).digest()


def _cut(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    # PostgreSQL keeps no NUL in a text.
    return value[:_LONGEST].replace("\x00", "\ufffd") if isinstance(value, str) else value
