"""The release plan and the changelog as documents for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.domain.documents import Backlog, BacklogItem
from factory.domain.product import DomainModel, NonFunctional, OperationKind
from factory.skills.native.architecture.facts import Facts
from factory.skills.native.deployment import VERSION, object_name
from factory.skills.native.release_plan.evidence import Evidence
from factory.skills.native.rendering.english import capitalised, count, listing, plural
from factory.skills.native.rendering.templates import markdown_environment, render_markdown

_TEMPLATES = markdown_environment(Path(__file__).parent / "templates")


@dataclass(frozen=True, slots=True)
class _Epic:
    title: str
    stories: str
    points: int
    priorities: str


@dataclass(frozen=True, slots=True)
class _Release:
    title: str
    lines: tuple[str, ...]


def render_plan(model: DomainModel, backlog: Backlog, evidence: Evidence, operations: int, date: str) -> str:
    """Return `docs/release-plan.md`."""
    facts = Facts(model)
    return render_markdown(
        _TEMPLATES,
        "docs/release-plan.md.jinja",
        facts=facts,
        model=model,
        evidence=evidence,
        operations=count(operations, "operation"),
        date=date,
        version=VERSION,
        name=object_name(model.slug),
        epics=_epics(backlog),
        stories=count(sum(bool(item.operations) for item in backlog.items), "story"),
        unserved=[item for item in backlog.items if not item.operations],
        unmeasured=[quality for quality in model.non_functional if not quality.measure],
        measured=[quality for quality in model.non_functional if quality.measure],
        unenforced=facts.design.unenforced,
        tables=_tables(facts),
        links=[f"{relation.source}.{relation.name}" for relation in facts.plain_links],
        speed=listing([quality.id for quality in model.non_functional if _is_speed(quality)]),
        listing=listing,
        count=count,
    )


def render_changelog(model: DomainModel, date: str) -> str:
    """Return `CHANGELOG.md` in the form of Keep a Changelog."""
    facts = Facts(model)
    return render_markdown(
        _TEMPLATES,
        "CHANGELOG.md.jinja",
        model=model,
        version=VERSION,
        date=date,
        added=_added(facts),
        events=[event.name for event in facts.design.events],
        roles=facts.phrases.actors([actor.name for actor in model.actors]),
        own=_own(facts),
        listing=listing,
    )


def _is_speed(quality: NonFunctional) -> bool:
    return quality.category == "performance" and quality.measure is not None


def _epics(backlog: Backlog) -> list[_Epic]:
    names = list(dict.fromkeys(item.epic for item in backlog.items if item.operations))
    return [_epic(name, [item for item in backlog.items if item.epic == name and item.operations]) for name in names]


def _epic(name: str, items: Sequence[BacklogItem]) -> _Epic:
    levels = [item.priority for item in items]
    tally = [f"{levels.count(level)} {level}" for level in ("must", "should", "could") if level in levels]
    return _Epic(name, ", ".join(item.story.id for item in items), sum(item.points for item in items), ", ".join(tally))


def _tables(facts: Facts) -> list[str]:
    """Return the tables the first migration makes, apart from the link tables."""
    return [*(facts.design.resource(name).table for name in facts.design.table_order), "outbox"]


def _added(facts: Facts) -> list[_Release]:
    """Return what people can do now, by entity: who, and what."""
    return [
        _Release(facts.phrases.title(resource.entity.name), tuple(_abilities(facts, resource.entity.name)))
        for resource in facts.routed
    ]


def _abilities(facts: Facts, entity: str) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for operation in facts.model.operations_of(entity):
        groups.setdefault(facts.obstacles.who(operation), []).append(operation.name)
    operations = {operation.name: operation for operation in facts.model.operations}
    lines = []
    for actors, names in groups.items():
        who = (
            listing([plural(facts.phrases.actor(actor)) for actor in actors]) if actors else "everyone who is signed in"
        )
        acts = facts.phrases.acts_together([operations[name] for name in names], conjunction="and")
        lines.append(capitalised(f"{who} can {acts}."))
    return lines


def _own(facts: Facts) -> list[str]:
    """Return who is held to their own records, by entity."""
    lines = []
    for resource in facts.routed:
        for actor in dict.fromkeys(role for point in resource.endpoints for role in point.own_only):
            verbs = [
                point.verb.replace("_", " ") for point in resource.endpoints
                if actor in point.own_only and point.kind is not OperationKind.CREATE
            ]  # fmt: skip
            who, what = plural(facts.phrases.actor(actor)), facts.phrases.nouns(resource.entity.name)
            if verbs:
                lines.append(capitalised(f"{who} can {listing(list(dict.fromkeys(verbs)))} their own {what} only."))
    return lines
