"""Lists that are read page by page."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from factory.serve.caller import Caller

T = TypeVar("T")

_LARGEST = 200

Limit = Annotated[int, Query(ge=1, le=_LARGEST, description="At most so many.")]
CursorText = Annotated[
    str | None, Query(max_length=1_000, description="`next` of the page before; leave it out for the first page.")
]


class Answered(BaseModel):
    """Base of what routes answer with and accept: nothing undeclared passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Answered, Generic[T]):
    """One page of a list.

    Attributes:
        items: In the order of the list.
        next: Cursor of the page that follows; null on the last one.
    """

    items: tuple[T, ...]
    next: str | None = None


def place_of(caller: Caller, cursor: str | None, *bound: object) -> object | None:
    """Return the place a cursor stands for, or None for the first page.

    Args:
        caller: For whom it must have been made.
        cursor: As given.
        bound: The list and its filters.

    Raises:
        HttpError: The cursor is of another list or another caller (400).
    """
    if cursor is None:
        return None
    place: object = caller.gateway.cursors.read(cursor, caller.principal.subject, *bound)
    return place


def moment_and_id(caller: Caller, cursor: str | None, *bound: object) -> tuple[datetime, UUID] | None:
    """Read a cursor whose place is a time and an id.

    Raises:
        HttpError: The cursor is of another list or another caller (400).
    """
    place = place_of(caller, cursor, *bound)
    if not isinstance(place, list):
        return None
    return datetime.fromisoformat(place[0]), UUID(place[1])


def next_of(caller: Caller, found: Sequence[object], limit: int, place: object, *bound: object) -> str | None:
    """Return the cursor of the page that follows, or None where the page is not full.

    Args:
        caller: For whom.
        found: The page.
        limit: How many were asked for.
        place: Of its last item, as a JSON value.
        bound: The list and its filters.
    """
    if len(found) < limit:
        return None
    return caller.gateway.cursors.write(place, caller.principal.subject, *bound)
