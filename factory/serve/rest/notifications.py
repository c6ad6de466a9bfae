"""`POST /api/v1/notification/send`: tell people something over a channel of the operator's (R29)."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from factory.control import notifications
from factory.control.notifications import NewNotification, Notification, NotificationState
from factory.control.projects import get_project
from factory.domain.errors import BadInputError
from factory.domain.ids import new_id
from factory.domain.recovery import Severity
from factory.identity.access import Action, project_resource
from factory.identity.principal import EVERY_TENANT
from factory.serve.caller import IdempotencyKey, Reader, Writer
from factory.serve.idempotency import Answer
from factory.serve.rest.pages import Answered, CursorText, Limit, Page, next_of, place_of
from factory.storage.database import Connection

router = APIRouter(tags=["notification"])


class OutgoingNotification(Answered):
    """What to tell, and over which channel.

    Attributes:
        channel: By the name that the operator gave it; `log` is always there.
        subject: One line.
        project_id: The project that it is about.
    """

    channel: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9-]*$")]
    subject: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    severity: Severity = Severity.INFO
    project_id: UUID | None = None


class AcceptedNotification(Answered):
    """A notification that will be sent."""

    notification_id: UUID
    state: NotificationState


class NotificationPage(Page[Notification]):
    """One page of notifications."""


@router.post("/notification/send", status_code=HTTPStatus.ACCEPTED, response_model=AcceptedNotification)
async def send(caller: Writer, body: OutgoingNotification, key: IdempotencyKey = None) -> Response:
    """Ask for a notification; an agent sends it, again until the channel takes it."""
    project = None
    if body.project_id is not None:
        async with caller.gateway.database.transaction() as connection:
            project = await get_project(connection, body.project_id)
        await caller.require(Action.SEND_NOTIFICATION, project_resource(project))
    else:
        await caller.require_tenant(Action.SEND_NOTIFICATION)
        if caller.principal.tenant == EVERY_TENANT:
            raise BadInputError(
                "it is not clear for which tenant.",
                remedy="Name a project, or use a token of a tenant.",
                field="tenant",
            )
    caller.gateway.channels.require(body.channel)
    new = NewNotification(
        id=new_id(),
        tenant=project.tenant if project is not None else caller.principal.tenant,
        channel=body.channel,
        subject=body.subject,
        text=body.text,
        severity=body.severity,
        project=project,
    )

    async def work(connection: Connection) -> Answer:
        await notifications.request(connection, caller.gateway.service.bus, new, by=caller.principal.subject)
        accepted = AcceptedNotification(notification_id=new.id, state=NotificationState.REQUESTED)
        return Answer.of(accepted, HTTPStatus.ACCEPTED)

    return await caller.once(key, body, work)


@router.get("/notifications")
async def list_notifications(caller: Reader, limit: Limit = 50, cursor: CursorText = None) -> NotificationPage:
    """List notifications about the projects that the caller may see, and of their tenant, the newest first."""
    visible = await caller.sees(Action.READ_PROJECT)
    bound = ("notifications",)
    place = place_of(caller, cursor, *bound)
    async with caller.gateway.database.transaction() as connection:
        found = await notifications.page(
            connection,
            tenant=visible.tenant,
            project_ids=visible.project_ids,
            before=UUID(str(place)) if place is not None else None,
            limit=limit,
        )
    last = str(found[-1].id) if found else None
    return NotificationPage(items=tuple(found), next=next_of(caller, found, limit, last, *bound))
