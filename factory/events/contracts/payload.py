"""The base of every contract."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from factory.events.topics import Topic


class Payload(BaseModel):
    """Base of the payloads. A subclass is one event type in one major version; its docstring is its description.

    Attributes:
        event_type: Name on the wire; the class name unless given.
        event_version: Major version; a change that breaks readers is a new class with the next number.
        event_topics: The topics it may be published on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: ClassVar[str]
    event_version: ClassVar[int]
    event_topics: ClassVar[frozenset[Topic]]

    def __init_subclass__(
        cls, *, topics: tuple[Topic, ...] = (), version: int = 1, event_type: str | None = None
    ) -> None:
        """Record the class arguments `topics`, `version` and `event_type`."""
        super().__init_subclass__()
        cls.event_type = event_type or cls.__name__
        cls.event_version = version
        cls.event_topics = frozenset(topics)
