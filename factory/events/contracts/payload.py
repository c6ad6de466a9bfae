"""The base of every contract."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from factory.events.lifecycle import Deprecation
from factory.events.topics import Topic


class Payload(BaseModel):
    """Base of the payloads. A subclass is one event type in one major version; its docstring is its description.

    Attributes:
        event_type: Name on the wire; the class name unless given.
        event_version: Major version; a change that breaks readers is a new class with the next number.
        event_topics: The topics it may be published on.
        event_changes: One note per minor version, oldest first; it names the fields that changed.
        event_minor: Minor version: how many compatible changes this major version has seen.
        event_deprecation: Set when the whole version is on its way out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: ClassVar[str]
    event_version: ClassVar[int]
    event_topics: ClassVar[frozenset[Topic]]
    event_changes: ClassVar[tuple[str, ...]]
    event_minor: ClassVar[int]
    event_deprecation: ClassVar[Deprecation | None]

    def __init_subclass__(
        cls,
        *,
        topics: tuple[Topic, ...] = (),
        version: int = 1,
        event_type: str | None = None,
        changes: tuple[str, ...] = (),
        deprecation: Deprecation | None = None,
    ) -> None:
        """Record the class arguments: `topics`, and where they are not the usual, the others."""
        super().__init_subclass__()
        cls.event_type = event_type or cls.__name__
        cls.event_version = version
        cls.event_topics = frozenset(topics)
        cls.event_changes = changes
        cls.event_minor = len(changes)
        cls.event_deprecation = deprecation
