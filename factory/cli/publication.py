"""What `factory event publish` and `factory event replay` do."""

import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from factory.cli.payload import read_payload
from factory.cli.session import open_database
from factory.control.projects import get_project
from factory.domain.errors import BadInputError, ErrorCategory, TerminalError
from factory.domain.ids import new_id, new_trace_id
from factory.events.bus import EventBus
from factory.events.envelope import Envelope
from factory.events.registry import REGISTRY
from factory.events.topics import Topic
from factory.storage.database import Connection

_AGENT = "operator"


async def publish(  # noqa: PLR0917 - as the command names them
    event_type: str,
    version: int | None,
    topic: str,
    project: str | None,
    payload: str,
    at: str | None,
    priority: int,
    seconds: float | None,
) -> Envelope:
    """Publish one event from outside: it counts against the limits of backlogs.

    Raises:
        BadInputError: A value cannot be used; `field` names the option, or the field of the payload.
        BacklogFullError: A subscription has reached its limit.
        NotFoundError: There is no such project.
    """
    given = read_payload(payload)
    trace_id = new_trace_id()
    identity = new_id()
    event = Envelope(
        event_id=identity,
        event_type=event_type,
        version=_version(event_type, version),
        topic=_topic(topic),
        project_id=None,
        originating_agent=_AGENT,
        trace_id=trace_id,
        traceparent=f"00-{trace_id}-{trace_id[:16]}-01",
        correlation_id=identity,
        timestamp=datetime.now(UTC),
        payload=given,
    )
    available_at = None if at is None else moment(at, "at")
    time_to_live = _time_to_live(seconds)
    async with open_database() as database:
        bus = EventBus(database)
        async with database.transaction() as connection:
            event = event.model_copy(update={"project_id": await _project_id(connection, project)})
            try:
                await bus.publish(
                    connection,
                    [event],
                    available_at=available_at,
                    priority=priority,
                    time_to_live=time_to_live,
                    refuse_when_full=True,
                )
            except TerminalError as error:
                if error.category is not ErrorCategory.SCHEMA:
                    raise
                raise BadInputError(
                    error.message, remedy=f"See the contract of {event_type}.", field=error.field
                ) from error
    return event


async def replay_event(event_id: str, to: str | None, reason: str) -> dict[str, Any]:
    """Deliver one event once more; return the replay as a command prints it.

    Raises:
        BadInputError: The id cannot be read, or the filters of the subscription do not let the event pass.
        NotFoundError: There is no such event or subscription.
    """
    async with open_database() as database:
        bus = EventBus(database)
        async with database.transaction() as connection:
            done = await bus.replay(
                connection, _identifier(event_id, "event"), to=to, by=getpass.getuser(), reason=reason
            )
    return {"replay": str(done.id), "count": done.count}


async def replay_stretch(
    to: str, since: str, until: str | None, event_types: Sequence[str], reason: str, *, dry_run: bool
) -> dict[str, Any]:
    """Deliver a stretch of time once more, or count what that would be.

    Raises:
        BadInputError: A time or a type cannot be used.
        NotFoundError: There is no such subscription.
    """
    stretch = (moment(since, "from"), datetime.now(UTC) if until is None else moment(until, "until"))
    for event_type in event_types:
        _version(event_type, None)
    async with open_database() as database:
        bus = EventBus(database)
        if dry_run:
            return {"replay": None, "count": await bus.count_replay(to, *stretch, event_types=event_types)}
        replay = await bus.begin_replay(to, *stretch, event_types=event_types, by=getpass.getuser(), reason=reason)
        sys.stderr.write(f"Replay {replay}. If it is interrupted: factory event replay --continue {replay}\n")
        return {"replay": str(replay), "count": (await bus.continue_replay(replay)).count}


async def carry_on(replay: str) -> dict[str, Any]:
    """Continue an interrupted replay of a stretch of time.

    Raises:
        BadInputError: The id cannot be read.
        NotFoundError: There is no such replay.
    """
    async with open_database() as database:
        done = await EventBus(database).continue_replay(_identifier(replay, "continue"))
    return {"replay": str(done.id), "count": done.count}


def moment(text: str, field: str) -> datetime:
    """Read a time in ISO 8601; without an offset it is in the zone of the machine.

    Raises:
        BadInputError: It is no time.
    """
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise BadInputError(
            f"--{field} is {text!r}, which is not a time.",
            remedy="Write 2026-01-31T12:00:00, with an offset such as +00:00 if it is not local time.",
            field=field,
        ) from None


def _version(event_type: str, wanted: int | None) -> int:
    versions = sorted(contract.event_version for contract in REGISTRY if contract.event_type == event_type)
    if not versions:
        known = ", ".join(sorted({contract.event_type for contract in REGISTRY}))
        raise BadInputError(f"there is no event type {event_type!r}.", remedy=f"Known: {known}.", field="type")
    if wanted is not None and wanted not in versions:
        known = ", ".join(map(str, versions))
        raise BadInputError(f"{event_type} has no version {wanted}.", remedy=f"Versions: {known}.", field="version")
    return versions[-1] if wanted is None else wanted


def _time_to_live(seconds: float | None) -> timedelta | None:
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        raise BadInputError(f"--ttl is {seconds}.", remedy="Give a number of seconds.", field="ttl") from None


def _topic(topic: str) -> Topic:
    try:
        return Topic(topic)
    except ValueError:
        known = ", ".join(Topic)
        raise BadInputError(f"there is no topic {topic!r}.", remedy=f"Topics: {known}.", field="topic") from None


def _identifier(text: str, field: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadInputError(f"{text!r} is not an id.", remedy="Give it whole.", field=field) from None


async def _project_id(connection: Connection, project: str | None) -> UUID | None:
    return None if project is None else (await get_project(connection, project)).id
