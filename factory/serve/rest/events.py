"""A project's events: as pages, and as they happen."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from factory.control.projects import get_project
from factory.domain.project import ENDED, Project
from factory.events.contracts.system import ProjectFailed, ProjectStatusChanged
from factory.events.delivery import Cursor, LoggedEvent
from factory.events.envelope import Envelope
from factory.events.journal import tail
from factory.identity.access import Action
from factory.serve.caller import Caller, Follower, Reader
from factory.serve.problems import HttpError
from factory.serve.rest.pages import CursorText, Limit, Page, next_of, place_of
from factory.serve.rest.projects import read_project

router = APIRouter(tags=["event"])

ENDED_EVENT = "project-ended"
_LAST_POSITION = 2**63 - 1
_MAY_AGAIN_SECONDS = 60
# After these a project's state may be another.
_TURNS = frozenset(contract.event_type for contract in (ProjectStatusChanged, ProjectFailed))


class EventPage(Page[Envelope]):
    """One page of events."""


@router.get("/project/{project_id}/events")
async def list_events(caller: Reader, project_id: UUID, limit: Limit = 100, cursor: CursorText = None) -> EventPage:
    """List a project's events in their order."""
    await read_project(caller, project_id, Action.READ_EVENT)
    bound = ("events", project_id)
    place = place_of(caller, cursor, *bound)
    after = Cursor.parse(str(place)) if place is not None else Cursor()
    found = await tail(caller.gateway.database, after, project_id, limit)
    last = str(found[-1].cursor) if found else None
    return EventPage(items=tuple(one.event for one in found), next=next_of(caller, found, limit, last, *bound))


@dataclass(frozen=True, slots=True)
class Following:
    """Somebody who may follow a project's events, and after which place they want to go on."""

    caller: Caller
    project_id: UUID
    place: Cursor


async def following(
    caller: Follower,
    project_id: UUID,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=50, description="Go on after this event.")
    ] = None,
    after: Annotated[
        str | None, Query(max_length=50, description="The same, for clients that cannot set the header.")
    ] = None,
) -> Following:
    """Check everything before the answer begins: after that no other status can be given.

    Raises:
        ForbiddenError: The caller may not read the events.
        HttpError: The place is not one of this log (400).
        NotFoundError: There is no such project, or none that the caller may see.
    """
    place = _place(last_event_id or after)
    await read_project(caller, project_id, Action.READ_EVENT)
    return Following(caller, project_id, place)


@router.get("/project/{project_id}/events/stream", response_class=EventSourceResponse)
async def stream(asked: Annotated[Following, Depends(following)]) -> AsyncIterator[ServerSentEvent]:
    """Send a project's events as they happen (server-sent events), from the first or after a given one.

    Each event's `id` is its place in the log. When the project has ended and everything was sent, an event
    `project-ended` follows, and the stream ends. It ends as well when the caller's token does: connect again with a
    new one.
    """
    async with aclosing(follow(asked.caller, asked.project_id, asked.place)) as events:
        async for event in events:
            yield event


async def follow(caller: Caller, project_id: UUID, place: Cursor) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield a project's events as server-sent events, until it has ended or the caller may no longer read it."""
    checked = datetime.now(UTC)
    project = await _read(caller, project_id)
    if await _is_over(caller, project, place):
        yield _ended(project)
        return
    async with aclosing(caller.gateway.feed.follow(project_id, place)) as events:
        async for news in events:
            now = datetime.now(UTC)
            expires = caller.principal.expires_at
            if expires is not None and now >= expires:
                return
            if (now - checked).total_seconds() > _MAY_AGAIN_SECONDS:
                checked = now
                await caller.require_project(Action.READ_EVENT, await _read(caller, project_id))
            if news is None:
                yield ServerSentEvent(comment="still here")
                continue
            yield _event(news)
            if news.event.event_type in _TURNS:
                project = await _read(caller, project_id)
            if await _is_over(caller, project, news.cursor):
                yield _ended(project)
                return


def _event(news: LoggedEvent) -> ServerSentEvent:
    return ServerSentEvent(
        id=str(news.cursor), event=news.event.event_type, raw_data=news.event.model_dump_json(), retry=1_000
    )


def _ended(project: Project) -> ServerSentEvent:
    return ServerSentEvent(event=ENDED_EVENT, data={"project_id": str(project.id), "status": project.status.value})


async def _is_over(caller: Caller, project: Project, place: Cursor) -> bool:
    """Tell whether a project has ended and has no event after a place."""
    return project.status in ENDED and not await tail(caller.gateway.database, place, project.id, 1)


async def _read(caller: Caller, project_id: UUID) -> Project:
    async with caller.gateway.database.transaction() as connection:
        return await get_project(connection, project_id)


def _place(given: str | None) -> Cursor:
    if given is None:
        return Cursor()
    try:
        place = Cursor.parse(given)
    except ValueError:
        place = None
    if place is None or not (0 <= place.transaction_id <= _LAST_POSITION and 0 <= place.position <= _LAST_POSITION):
        raise HttpError(
            HTTPStatus.BAD_REQUEST,
            "the place to go on after is not one that this stream gave.",
            remedy="Send the `id` of the last event received.",
            field="Last-Event-ID",
        )
    return place
