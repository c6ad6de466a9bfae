"""The requirements as a document for people."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory.domain.documents import ProductRequirements, Requirement, VisionDocument
from factory.domain.product import DomainModel
from factory.skills.native.product_requirements.priority import LEVELS
from factory.skills.native.product_requirements.requirements import STATED_RULE, ArguedRequirement
from factory.skills.native.rendering.english import listing, plural, words
from factory.skills.native.rendering.phrases import Phrases
from factory.skills.native.rendering.templates import markdown_environment, render_markdown

_TEMPLATES = markdown_environment(Path(__file__).parent / "templates")
ANY_ENTITY = "Every operation"


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    intro: str
    functions: tuple[ArguedRequirement, ...]
    rules: tuple[ArguedRequirement, ...]


def render(vision: VisionDocument, requirements: ProductRequirements, argued: Sequence[ArguedRequirement]) -> str:
    """Return `docs/requirements.md`."""
    model = vision.draft
    phrases = Phrases(model)
    automated = [entry for entry in argued if entry.pattern != STATED_RULE]
    return render_markdown(
        _TEMPLATES,
        "requirements.md.jinja",
        vision=vision,
        model=model,
        requirements=requirements,
        sections=list(_sections(model, phrases, automated)),
        qualities=[entry for entry in argued if entry.requirement.kind == "non-functional"],
        measures={quality.id: quality.measure for quality in model.non_functional},
        stated=[entry for entry in argued if entry.pattern == STATED_RULE],
        scope=[_scope(model, phrases, entity.name) for entity in model.entities],
        unserved=_unserved(model),
        argued=argued,
        tally=_tally(requirements),
        users=listing([plural(phrases.actor(actor.name)) for actor in model.actors]),
        origin=_origin,
        phrases=phrases,
        words=words,
    )


def _tally(requirements: ProductRequirements) -> str:
    levels = [requirement.priority for requirement in requirements.requirements]
    parts = [f"{levels.count(level)} {'is' if levels.count(level) == 1 else 'are'} a {level}" for level in LEVELS]
    return listing([part for level, part in zip(LEVELS, parts, strict=True) if level in levels])


def _sections(model: DomainModel, phrases: Phrases, argued: Sequence[ArguedRequirement]) -> Iterable[_Section]:
    yield from _section("", ANY_ENTITY, "", argued)
    for entity in model.entities:
        yield from _section(entity.name, phrases.title(entity.name), entity.description, argued)


def _section(heading: str, title: str, intro: str, argued: Sequence[ArguedRequirement]) -> Iterable[_Section]:
    mine = [entry for entry in argued if entry.heading == heading]
    if mine:
        functions = tuple(entry for entry in mine if entry.requirement.kind == "functional")
        yield _Section(title, intro, functions, tuple(entry for entry in mine if entry.requirement.kind == "rule"))


def _scope(model: DomainModel, phrases: Phrases, entity: str) -> tuple[str, str]:
    operations = [words(operation.verb) for operation in model.operations_of(entity)]
    return phrases.title(entity), listing(list(dict.fromkeys(operations))) or "kept through other things only"


def _unserved(model: DomainModel) -> list[str]:
    """Return the stories that no operation serves: the vision wants something the model cannot say."""
    served = {story for operation in model.operations for story in operation.stories}
    return [story.id for story in model.stories if story.id not in served]


def _origin(requirement: Requirement) -> str | None:
    """Return the author's words behind a requirement, or None where a rule alone made it."""
    return requirement.trace.text.strip() or None
