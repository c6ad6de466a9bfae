"""Notifications: asked for, sent by the Notification Dispatcher, and listed for people."""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from factory.control.submission import first_event
from factory.domain.errors import ConflictError
from factory.domain.project import Project
from factory.domain.recovery import Severity
from factory.events.bus import EventBus
from factory.events.contracts.recovery import NotificationRequested
from factory.events.envelope import Envelope
from factory.events.topics import Topic
from factory.observability.traceparents import root_traceparent
from factory.storage.database import Connection

NAME = "notifications"

_INSERT = """
INSERT INTO notification (id, tenant, project_id, channel, subject, severity, requested_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
# Index notification_by_tenant; the dead letter by dead_letter_by_event.
_PAGE = """
SELECT n.*, EXISTS (SELECT FROM dead_letter d WHERE d.event_id = n.id AND d.state = 'open') AS dead
FROM notification n
WHERE ($1::text IS NULL OR n.tenant = $1) AND ($2::uuid[] IS NULL OR n.project_id = ANY ($2))
    AND ($3::uuid IS NULL OR n.id < $3)
ORDER BY n.id DESC LIMIT $4
"""
# Primary key.
_SENT = "UPDATE notification SET sent_at = coalesce(sent_at, now()) WHERE id = ANY ($1::uuid[])"


class NotificationState(StrEnum):
    """What became of a notification."""

    REQUESTED = "requested"
    SENT = "sent"
    FAILED = "failed"


class Notification(BaseModel):
    """A notification as people see it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    tenant: str
    project_id: UUID | None
    channel: str
    subject: str
    severity: Severity
    state: NotificationState
    requested_by: str
    created_at: datetime
    sent_at: datetime | None


class NewNotification(BaseModel):
    """What is to be told.

    Attributes:
        id: Of the notification, and of the event that asks for it.
        project: That it is about, if it is about one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    tenant: str
    channel: str
    subject: str
    text: str
    severity: Severity
    project: Project | None = None


async def request(connection: Connection, bus: EventBus, new: NewNotification, *, by: str) -> None:
    """Ask for a notification, in the caller's transaction.

    Raises:
        ConflictError: The project is a sandbox: nobody outside is told of it.
    """
    project = new.project
    if project is not None and project.sandbox_of is not None:
        raise ConflictError(
            f"project {project.id} is a sandbox; nobody is notified of it.",
            remedy="Name its original.",
            field="project",
        )
    payload = NotificationRequested(
        channel=new.channel, recipients=[], subject=new.subject, body=new.text, severity=new.severity
    )
    if project is not None:
        cause = await first_event(connection, project)
        event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent=NAME, event_id=new.id)
    else:
        event = Envelope.of(
            payload,
            topic=Topic.SYSTEM,
            project_id=None,
            originating_agent=NAME,
            traceparent=root_traceparent(new.id.hex),
            event_id=new.id,
        )
    await connection.execute(
        _INSERT,
        new.id,
        new.tenant,
        project.id if project is not None else None,
        new.channel,
        new.subject,
        new.severity.value,
        by,
    )
    await bus.publish(connection, [event])


async def page(
    connection: Connection,
    *,
    tenant: str | None,
    project_ids: Collection[UUID] | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Notification]:
    """Return one page of notifications, the newest first.

    Args:
        connection: Where to read.
        tenant: Only of this tenant; None for all.
        project_ids: Only about these projects; None for all.
        before: The last one of the page before.
        limit: At most so many.
    """
    chosen = None if project_ids is None else list(project_ids)
    return [_notification(row) for row in await connection.fetch(_PAGE, tenant, chosen, before, limit)]


async def mark_sent(connection: Connection, ids: Collection[UUID]) -> None:
    """Record that notifications went out, in the transaction that acknowledges it; unknown ones are passed over."""
    if ids:
        await connection.execute(_SENT, list(ids))


def _notification(row: asyncpg.Record) -> Notification:
    state = NotificationState.FAILED if row["dead"] else NotificationState.REQUESTED
    values = {name: row[name] for name in Notification.model_fields if name != "state"}
    return Notification(**values, state=NotificationState.SENT if row["sent_at"] else state)
