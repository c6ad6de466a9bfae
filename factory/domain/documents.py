"""Typed content of the documents before the domain model: vision document, requirements, backlog."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from factory.domain.product import Assumption, DomainModel, Story, Trace


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VisionDocument(_Strict):
    """The vision, understood: `.factory/vision-document.json`.

    Attributes:
        draft: The product as the vision states it plus the assumptions made; the domain model step refines it.
    """

    title: str
    summary: str
    problem: str
    goals: tuple[str, ...] = ()
    out_of_scope: tuple[str, ...] = ()
    draft: DomainModel


class Requirement(_Strict):
    """One functional or non-functional requirement, in EARS form where it is functional."""

    id: str
    statement: str
    kind: Literal["functional", "rule", "non-functional"]
    priority: Literal["must", "should", "could"]
    stories: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    trace: Trace


class ProductRequirements(_Strict):
    """What the product must do: `.factory/product-requirements.json`."""

    title: str
    requirements: tuple[Requirement, ...]
    success_measures: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()


class Criterion(_Strict):
    """An acceptance criterion."""

    id: str
    given: str
    when: str
    then: str


class BacklogItem(_Strict):
    """A story with what makes it done."""

    story: Story
    epic: str
    priority: Literal["must", "should", "could"]
    points: int
    operations: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()


class Backlog(_Strict):
    """Stories in the order to build them: `.factory/backlog.json`."""

    title: str
    items: tuple[BacklogItem, ...]
