"""The backlog as a document for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.domain.documents import Backlog
from factory.domain.product import DomainModel, Story
from factory.skills.native.backlog.items import OPEN_EPIC, Planned
from factory.skills.native.product_requirements.priority import LEVELS
from factory.skills.native.rendering.english import count
from factory.skills.native.rendering.markdown import one_line
from factory.skills.native.rendering.phrases import Phrases
from factory.skills.native.rendering.templates import markdown_environment, render_markdown

_TEMPLATES = markdown_environment(Path(__file__).parent / "templates")
_HEADING = 72


@dataclass(frozen=True, slots=True)
class _Epic:
    title: str
    description: str
    points: str
    entries: tuple[Planned, ...]


def render(model: DomainModel, backlog: Backlog, planned: Sequence[Planned]) -> str:
    """Return `docs/backlog.md`."""
    phrases = Phrases(model)
    return render_markdown(
        _TEMPLATES,
        "backlog.md.jinja",
        backlog=backlog,
        planned=planned,
        epics=_epics(model, planned),
        levels=[
            (level, len(items), sum(item.points for item in items))
            for level in LEVELS
            if (items := [item for item in backlog.items if item.priority == level])
        ],
        points=count(sum(item.points for item in backlog.items), "point"),
        stories=count(len(backlog.items), "story"),
        derived=sum(item.story.derived for item in backlog.items),
        open_epic=OPEN_EPIC,
        heading=_heading,
        told=lambda story: _told(phrases, story),
        count=count,
    )


def _epics(model: DomainModel, planned: Sequence[Planned]) -> list[_Epic]:
    """Return the epics in the model's order of entities, open questions last."""
    order: list[str | None] = [*(entity.name for entity in model.entities), None]
    descriptions = {entity.name: entity.description for entity in model.entities}
    epics = []
    for entity in order:
        entries = tuple(entry for entry in planned if entry.epic_entity == entity)
        if entries:
            points = count(sum(entry.item.points for entry in entries), "point")
            description = descriptions[entity] if entity else ""
            epics.append(_Epic(entries[0].item.epic, description, points, entries))
    return epics


def _heading(story: Story) -> str:
    goal = one_line(story.goal.removeprefix("to ")).rstrip(".")
    if len(goal) > _HEADING:
        goal = goal[:_HEADING].rsplit(" ", 1)[0] + " …"
    return f"{story.id}: {goal}"


def _told(phrases: Phrases, story: Story) -> str:
    goal = one_line(story.goal.removeprefix("to ")).rstrip(".")
    told = f"As {phrases.an_actor(story.actor)}, I want to {goal}"
    if story.benefit:
        told += f", so that {one_line(story.benefit.removeprefix('so that ')).rstrip('.')}"
    return f"{told}."
