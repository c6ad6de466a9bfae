"""The base of every contract."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from factory.events.topics import Topic


class Payload(BaseModel):
    """Base of the payloads. A subclass is one event type in one major version; its docstring is its description.

    Attributes:
        event_type: Name on the wire; the class name unless given.
        version: Major version; a change that breaks readers is a new class with the next number.
        topics: The topics it may be published on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: ClassVar[str]
    version: ClassVar[int]
    topics: ClassVar[frozenset[Topic]]

    @classmethod
    def __pydantic_init_subclass__(
        cls, *, topics: tuple[Topic, ...] = (), version: int = 1, event_type: str | None = None, **kwargs: Any
    ) -> None:
        """Record the class arguments `topics`, `version` and `event_type`."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.event_type = event_type or cls.__name__
        cls.version = version
        cls.topics = frozenset(topics)
