"""The architecture and its decisions as documents for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from markupsafe import Markup

from factory.domain.documents import Backlog, ProductRequirements
from factory.domain.product import RelationKind
from factory.skills.native.architecture.decisions import Decision
from factory.skills.native.architecture.facts import Facts
from factory.skills.native.architecture.qualities import answers
from factory.skills.native.rendering.english import capitalised, count, listing, words
from factory.skills.native.rendering.templates import markdown_environment, render_markdown
from factory.skills.native.service_design.parts import Member, Resource, Step

_TEMPLATES = markdown_environment(Path(__file__).parent / "templates")
_TEMPLATES.filters["words"] = words
_MANY_ACTS = 6
_CARDINALITY = {RelationKind.MANY_TO_ONE: "}o--", RelationKind.ONE_TO_ONE: "|o--", RelationKind.MANY_TO_MANY: "}o--"}


@dataclass(frozen=True, slots=True)
class _Link:
    left: str
    edge: Markup
    right: str
    name: str


def render(facts: Facts, decisions: Sequence[Decision], backlog: Backlog, requirements: ProductRequirements) -> str:
    """Return `docs/architecture.md`."""
    return render_markdown(
        _TEMPLATES,
        "architecture.md.jinja",
        facts=facts,
        model=facts.model,
        phrases=facts.phrases,
        decisions=decisions,
        users=[(actor, _acts(facts, actor.name)) for actor in facts.model.actors],
        links=_links(facts),
        qualities=answers(facts),
        open_stories=[item for item in backlog.items if not item.operations],
        assumptions=requirements.assumptions,
        personal=dict(facts.personal),
        states=lambda resource: ", ".join(words(value) for value in _values(facts, resource)),
        values=lambda resource: _values(facts, resource),
        unique=_unique,
        guards=lambda resource, step: _guards(facts, resource, step),
        locks=any(endpoint.step for _, endpoint in facts.endpoints),
        limits=any(resource.limits for resource in facts.design.resources),
        modules=listing([words(entity.name) for entity in facts.model.entities]),
        count=count,
        listing=listing,
        capitalised=capitalised,
    )


def render_decision(decision: Decision, moment: datetime) -> str:
    """Return one decision record, dated with the project's beginning."""
    return render_markdown(_TEMPLATES, "decisions/decision.md.jinja", decision=decision, date=f"{moment:%Y-%m-%d}")


def _acts(facts: Facts, role: str) -> str:
    """Return what a role does, by entity and verb; long lists are cut at whole entities."""
    parts = []
    for resource in facts.routed:
        operations = facts.model.operations_of(resource.entity.name)
        allowed = [operation for operation in operations if role in facts.obstacles.endpoint(operation).roles]
        if allowed:
            parts.append(facts.phrases.acts_together(allowed, conjunction="and"))
    if len(parts) > _MANY_ACTS:
        parts = [*parts[:_MANY_ACTS], "and more"]
    return "; ".join(parts) or "nothing yet"


def _links(facts: Facts) -> list[_Link]:
    """Return the relations as edges of the entity diagram: the many side left, crow's feet as Mermaid writes them."""
    return [
        _Link(
            relation.source,
            Markup(_CARDINALITY[relation.kind] + _target(relation.kind, required=relation.required)),  # noqa: S704 - ours
            relation.target,
            words(relation.name),
        )
        for relation in facts.model.relations
        if relation.join_entity is None
    ]


def _target(kind: RelationKind, *, required: bool) -> str:
    if kind is RelationKind.MANY_TO_MANY:
        return "|{" if required else "o{"
    return "||" if required else "o|"


def _values(facts: Facts, resource: Resource) -> list[str]:
    """Return the states of a resource in the author's order; none where it has no lifecycle."""
    if resource.state is None or resource.state.field is None or resource.state.field.enum is None:
        return []
    return list(facts.model.enum(resource.state.field.enum).values)


def _unique(resource: Resource) -> str:
    groups = (" + ".join(_member_words(member) for member in unique.members) for unique in resource.uniques)
    return "; ".join(groups)


def _member_words(member: Member) -> str:
    return words(member.relation.name if member.relation else member.name)


def _guards(facts: Facts, resource: Resource, step: Step) -> str:
    return listing([facts.phrases.holds(resource.entity.name, guard) for guard in step.guards])
