"""How the product's owner can tell that it works: goals, figures of the vision, and counts of its own events."""

from factory.domain.documents import VisionDocument
from factory.domain.product import DomainModel, Lifecycle
from factory.skills.native.rendering.english import listing, sentence
from factory.skills.native.rendering.markdown import one_line
from factory.skills.native.rendering.phrases import Phrases


def success_measures(vision: VisionDocument) -> tuple[str, ...]:
    """Return the measures that can be taken: stated figures first, then shares that the service's events give."""
    measured = [quality for quality in vision.draft.non_functional if quality.measure]
    stated = [_stated(one_line(quality.statement), one_line(quality.measure or "")) for quality in measured]
    counted = [measure for lifecycle in vision.draft.lifecycles if (measure := _outcome(vision.draft, lifecycle))]
    return (*stated, *counted)


def _stated(statement: str, measure: str) -> str:
    if measure.rstrip(".") in statement:
        return sentence(statement)
    return sentence(f"{statement.rstrip('.')}: {measure}")


def _outcome(model: DomainModel, lifecycle: Lifecycle) -> str | None:
    """Return the share of records per end state, where a lifecycle has several ends and all of them emit events."""
    sources = {source for step in lifecycle.transitions for source in step.sources}
    ends = [step for step in lifecycle.transitions if step.target not in sources]
    emitted = {event.name for event in model.events}
    states = list(dict.fromkeys(step.target for step in ends))
    if len(states) <= 1 or any(step.event not in emitted for step in ends):
        return None
    phrases = Phrases(model)
    events = listing(list(dict.fromkeys(step.event for step in ends)))
    nouns = phrases.nouns(lifecycle.entity)
    return f"Share of {nouns} that end {phrases.states(states)}, counted from the {_events(events)}."


def _events(names: str) -> str:
    return f"events {names}" if " and " in names else f"event {names}"
