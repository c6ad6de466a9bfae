"""The contract that tells of a notification that went out; what asks for one is with the contracts of recovery."""

from factory.events.contracts.payload import Payload
from factory.events.topics import Topic


class NotificationSent(Payload, topics=(Topic.SYSTEM,)):
    """A channel took a message."""

    channel: str
