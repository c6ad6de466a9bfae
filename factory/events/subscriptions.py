"""Subscriptions: who receives which events, and under which rules of delivery."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from factory.domain.errors import BadInputError
from factory.events.conditions import LONGEST_PATH, MOST_NAMES, Condition, check_json, compiled
from factory.events.topics import Topic

LONGEST_TIME_TO_LIVE = timedelta(days=36_500)


class Subscription(BaseModel):
    """A declared subscription. An empty filter lets everything pass; all filters must pass.

    Attributes:
        name: Unique; by convention the agent or component that consumes.
        payload: Fields the payload must contain with equal values (`{"agent": "backend-engineer"}`).
        conditions: What else must hold of the payload.
        max_attempts: Attempts before a delivery is dead-lettered, whatever the retry policy says; it may allow fewer.
        max_losses: How often a whole supervisor may vanish with the delivery in flight before it is dead-lettered.
        lease: Longest time one attempt may take; after it the delivery is taken away as timed out.
        ordered: At most one delivery per project in flight, in the order in which the events were committed.
        priority: Larger is served first where a claim spans several subscriptions.
        time_to_live: How long after it became available a delivery may still be started, unless its event says
            otherwise; after that it is dead-lettered as expired. None is for ever.
        after_dead_letter: Of an ordered subscription: `skip` goes on with the next event of the project, `block` holds
            that project's lane until the dead letter is redriven, to its old place, or discarded.
        max_backlog: How much may wait before publishers that ask for it are refused; None is any number.

    Raises:
        BadInputError: A filter cannot be evaluated, or is over a limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    topics: tuple[Topic, ...] = ()
    event_types: tuple[str, ...] = ()
    projects: tuple[UUID, ...] = ()
    agents: tuple[str, ...] = ()
    payload: Mapping[str, JsonValue] = {}
    conditions: tuple[Condition, ...] = ()
    max_attempts: int = Field(default=10, ge=1, le=1000)
    max_losses: int = Field(default=50, ge=1, le=1000)
    lease: timedelta = timedelta(minutes=10)
    ordered: bool = False
    priority: int = Field(default=0, ge=-100, le=100)
    time_to_live: timedelta | None = Field(default=None, gt=timedelta(), le=LONGEST_TIME_TO_LIVE)
    after_dead_letter: Literal["skip", "block"] = "skip"
    max_backlog: int | None = Field(default=None, ge=1, le=10_000_000)

    @property
    def condition_path(self) -> str | None:
        """The conditions as PostgreSQL evaluates them; None where there are none."""
        return compiled(self.conditions)

    @model_validator(mode="after")
    def _check_filters(self) -> "Subscription":
        for field in ("topics", "event_types", "projects", "agents"):
            names = getattr(self, field)
            if len(names) > MOST_NAMES:
                raise BadInputError(
                    f"the subscription {self.name!r} lists {len(names)} {field}.",
                    remedy=f"At most {MOST_NAMES}; an empty list lets all pass.",
                    field=field,
                )
            check_json(names if field != "projects" else [], field)
        length = check_json(dict(self.payload), "payload")
        if length > LONGEST_PATH:
            raise BadInputError(
                f"the payload filter of {self.name!r} has {length} characters.",
                remedy=f"At most {LONGEST_PATH}.",
                field="payload",
            )
        compiled(self.conditions)
        return self
