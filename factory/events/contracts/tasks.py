"""Contracts shared by the topics of the sub-clusters: the tasks assigned to their agents."""

from uuid import UUID

from pydantic import Field, JsonValue

from factory.events.contracts.payload import Payload
from factory.events.topics import Topic


class TaskAssigned(Payload, topics=tuple(Topic)):
    """An agent is asked to produce an artifact or to validate one."""

    task_id: UUID
    step: str
    agent: str
    goal: str
    revision: int = Field(ge=1)
    round: int = Field(ge=0)
    input_ids: list[UUID]
    parameters: dict[str, JsonValue]
