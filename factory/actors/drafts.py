"""Turns contracts into the events an agent asks to be published with its outcome."""

from factory.domain.task import EventDraft
from factory.events.contracts.payload import Payload
from factory.events.topics import Topic


def draft(payload: Payload, *, topic: Topic = Topic.SYSTEM, key: str = "", delay_seconds: float = 0) -> EventDraft:
    """Return the draft of an event.

    Args:
        payload: Its contract, filled in.
        topic: Where it goes.
        key: Tells it from others of its type that the same task drafts.
        delay_seconds: How long its delivery waits.
    """
    return EventDraft(
        event_type=payload.event_type,
        version=payload.event_version,
        topic=topic,
        payload=payload.model_dump(mode="json"),
        key=key,
        delay_seconds=delay_seconds,
    )
