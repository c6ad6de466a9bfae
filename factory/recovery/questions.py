"""The questions that an escalation puts to people. Pure."""

from collections.abc import Iterable

from factory.domain.project import Project
from factory.domain.recovery import Criticality, Fallback, Letter
from factory.events.contracts.recovery import EscalationRaised, ThresholdExceeded
from factory.recovery.escalation import STAKEHOLDERS, Question, Rule, Threshold

_FALLBACKS = {
    Fallback.FAIL: "the project fails and can be taken up again later",
    Fallback.REDRIVE: "the event is delivered once more",
    Fallback.REASSIGN: "the task goes to {to}",
    Fallback.COMPENSATE: "what the project did so far is undone",
    Fallback.RESUME: "the agent goes on",
    Fallback.KEEP: "everything stays as it is",
}
_SHOWN_REASON = 1_000


def ask_about_letter(letter: Letter, rule: Rule, project: Project | None) -> EscalationRaised:
    """Return the question what is to become of a dead letter."""
    ask = rule.question
    attempts = "1 attempt" if letter.attempts == 1 else f"{letter.attempts} attempts"
    what = f"step {letter.step!r}" if letter.step else letter.event_type
    whose = f" of {project.name}" if project else ""
    meaning = _meaning(ask)
    rejection = "fail the project" if project else "leave the event among the dead letters"
    question = (
        f"{letter.agent} could not do {what}{whose} after {attempts} ({letter.category}): "
        f"{_shortened(letter.reason)}\n"
        f"Approve: {meaning}. Retry: deliver it again, after the cause is mended. Reject: {rejection}. "
        f"Without an answer: {meaning}."
    )
    return EscalationRaised(
        letter=letter,
        breach=None,
        last_letter=None,
        agent=letter.agent,
        subscription=letter.subscription,
        pause=False,
        severity=letter.severity,
        criticality=letter.criticality,
        rule=rule.name,
        question=question,
        owners=owners(ask, project),
        channel=ask.channel,
        deadline_seconds=ask.deadline_minutes * 60,
        fallback=ask.fallback,
        to=ask.to,
    )


def ask_about_agent(exceeded: ThresholdExceeded, threshold: Threshold) -> EscalationRaised:
    """Return the question whether an agent with many dead letters may go on."""
    ask = threshold.ask
    meaning = _meaning(ask)
    kind = f" of type {exceeded.error_type}" if threshold.per_error_type else ""
    state = "It gets no further work until this is decided. " if threshold.pause else ""
    retry = "let it go on" if threshold.pause else "go on as before"
    question = (
        f"{exceeded.agent} had {exceeded.count} dead letters{kind} within {exceeded.minutes:g} minutes. {state}\n"
        f"Approve: {meaning}. Retry: {retry}. Reject: leave it as it is now. Without an answer: {meaning}."
    )
    return EscalationRaised(
        letter=None,
        breach=exceeded.breach,
        last_letter=exceeded.last_letter,
        agent=exceeded.agent,
        subscription=exceeded.subscription,
        pause=threshold.pause,
        severity=exceeded.severity,
        criticality=Criticality.NORMAL,
        rule=threshold.name,
        question=question,
        owners=owners(ask, None),
        channel=ask.channel,
        deadline_seconds=ask.deadline_minutes * 60,
        fallback=ask.fallback,
        to=None,
    )


def owners(ask: Question, project: Project | None) -> list[str]:
    """Return whom to ask, each once: the policy's names, with the project's stakeholders in the place they have."""
    named: Iterable[str] = (
        person
        for name in ask.owners
        for person in ((project.metadata.stakeholders if project else ()) if name == STAKEHOLDERS else (name,))
    )
    return list(dict.fromkeys(named))


def _meaning(ask: Question) -> str:
    return _FALLBACKS[ask.fallback].format(to=ask.to)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_REASON else f"{text[: _SHOWN_REASON - 1]}…"
