"""The Notification Dispatcher: tells people what they are to be told (R05)."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.artifacts.blobs import BlobStore
from factory.events.contracts.notifications import NotificationSent
from factory.events.contracts.recovery import NotificationRequested
from factory.integrations.notifications import Channels, Message
from factory.settings import Settings
from factory.skills.catalogue import Catalogue


class NotificationDispatcher(Agent):
    """Sends what was asked for: by people, and by the recovery rules, which tell the owners of an escalation.

    A receiver may get a message twice, where this agent dies between the sending and the acknowledgement: both carry
    the same id. What a channel refuses becomes a dead letter, and what does not go through now is tried again.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="notification-dispatcher",
        title="Notification Dispatcher",
        subcluster="utility",
        consumes=(NotificationRequested.event_type,),
        batch=16,
        max_size=2,
    )

    def __init__(self, store: BlobStore, catalogue: Catalogue, settings: Settings) -> None:
        super().__init__(store, catalogue, settings)
        self._channels = Channels.load(settings.notification_channels)

    async def execute(self, work: Work) -> None:
        """Send one message; nobody outside is told of a sandbox."""
        task = work.task
        if task.project is not None and task.project.sandbox_of is not None:
            return
        asked = NotificationRequested.model_validate(task.payload, extra="ignore")
        message = Message(
            id=task.id,
            subject=asked.subject,
            text=asked.body,
            severity=asked.severity,
            recipients=tuple(asked.recipients),
            project_id=task.project.id if task.project is not None else None,
        )
        await self._channels.send(asked.channel, message)
        work.events = (draft(NotificationSent(channel=asked.channel)),)
        work.notified = True
