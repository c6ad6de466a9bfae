"""What is done about a dead letter, and when an agent has too many of them (R17, R18). Pure."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from factory.domain.errors import ErrorCategory
from factory.domain.recovery import Criticality, Fallback, Letter, RecoveryAction, Severity
from factory.recovery.policy import DelayRange
from factory.storage.rule_files import check_names, load_rules

STAKEHOLDERS = "stakeholders"
_CONDITIONAL = frozenset({RecoveryAction.REDRIVE, RecoveryAction.REASSIGN})
_OF_LETTERS = frozenset({Fallback.FAIL, Fallback.REDRIVE, Fallback.REASSIGN, Fallback.COMPENSATE})


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Strict):
    """What a letter must be like; whatever is left out matches. Texts may contain `*` and `?`."""

    criticality: Annotated[tuple[Criticality, ...], BeforeValidator(_listed)] = ()
    severity: Annotated[tuple[Severity, ...], BeforeValidator(_listed)] = ()
    category: Annotated[tuple[ErrorCategory, ...], BeforeValidator(_listed)] = ()
    agent: Texts = ()
    step: Texts = ()
    goal: Texts = ()
    event_type: Texts = ()
    error_type: Texts = ()

    def matches(self, letter: Letter) -> bool:
        """Tell whether a letter is like this."""
        facts = letter.model_dump(mode="json")
        return all(
            any(fnmatchcase(facts[name], str(pattern)) for pattern in getattr(self, name))
            for name in type(self).model_fields
            if getattr(self, name)
        )


class Question(_Strict):
    """Whom to ask, for how long, and what happens if nobody answers.

    Attributes:
        owners: Names or addresses; `stakeholders` stands for those of the project.
        fallback: What approval means; also done when the deadline passes.
        to: The agent that takes over, for a reassignment.
    """

    owners: Texts = ("operators",)
    channel: str = "log"
    deadline_minutes: float = Field(default=1440, gt=0, le=60 * 24 * 365)
    fallback: Fallback = Fallback.FAIL
    to: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.fallback is Fallback.REASSIGN) != (self.to is not None):
            raise ValueError("the fallback `reassign` needs `to`, and no other one has it")
        return self


class Rule(_Strict):
    """One entry of the policies. See `escalations.yaml` for what belongs to which action."""

    name: Name
    when: Condition = Condition()
    action: RecoveryAction
    notify: Texts = ()
    times: int | None = Field(default=None, ge=1, le=1000)
    delays: tuple[DelayRange, ...] | None = Field(default=None, min_length=1)
    to: str | None = None
    ask: Question | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.action is RecoveryAction.REASSIGN) != (self.to is not None):
            raise ValueError("the action `reassign` needs `to`, and no other one has it")
        if self.action is not RecoveryAction.REDRIVE and (self.times or self.delays):
            raise ValueError("`times` and `delays` belong to the action `redrive`")
        if self.action is not RecoveryAction.ASK and self.ask:
            raise ValueError("`ask` belongs to the action `ask`")
        if self.ask and self.ask.fallback not in _OF_LETTERS:
            raise ValueError(f"the fallback `{self.ask.fallback}` belongs to thresholds")
        return self

    @property
    def question(self) -> Question:
        """Whom to ask and for how long."""
        return self.ask or Question()

    @property
    def is_last_resort(self) -> bool:
        """Whether it applies to every letter at any time."""
        return self.when == Condition() and self.action not in _CONDITIONAL

    def applies(self, letter: Letter, history: "History") -> bool:
        """Tell whether the letter matches and the action is still open to it."""
        if not self.when.matches(letter):
            return False
        if self.action is RecoveryAction.REDRIVE:
            return history.redrives < (self.times or 1)
        if self.action is RecoveryAction.REASSIGN:
            return letter.task_id is not None and self.to not in {letter.agent, *history.tried}
        return True


class Threshold(_Strict):
    """Too many dead letters of one agent within a time.

    Attributes:
        more_than: So many are still fine.
        per_error_type: Count the letters of each error type by themselves.
        pause: Stop the agent's deliveries until somebody decides.
    """

    name: Name
    when: Condition = Condition()
    more_than: int = Field(ge=1)
    minutes: float = Field(gt=0, le=60 * 24)
    per_error_type: bool = True
    pause: bool = False
    ask: Question = Question(fallback=Fallback.KEEP)
    notify: Texts = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ask.fallback in _OF_LETTERS:
            raise ValueError("the fallback of a threshold is `resume` or `keep`")
        return self

    def breach(self, letter: Letter) -> str:
        """Return what is exceeded, so that one escalation is about it."""
        kind = letter.error_type if self.per_error_type else "*"
        return f"{self.name}:{letter.subscription}:{kind}"


class Death(_Strict):
    """One of the dead letters of a subscription, as a threshold counts it."""

    error_type: str
    age_seconds: float


class Breach(_Strict):
    """The latest escalation about one breach; `age_seconds` since it was decided, None while it is open."""

    breach: str
    age_seconds: float | None = None


class History(_Strict):
    """What happened before.

    Attributes:
        redrives: How often this letter was delivered again.
        tried: Agents that had its step.
        recent: The latest dead letters of the same subscription, itself included.
        breaches: Escalations about the same subscription.
    """

    redrives: int = Field(default=0, ge=0)
    tried: tuple[str, ...] = ()
    recent: tuple[Death, ...] = ()
    breaches: tuple[Breach, ...] = ()


class Exceeded(_Strict):
    """A threshold with the count that exceeds it."""

    threshold: Threshold
    count: int


class EscalationPolicies(_Strict):
    """The rules in their order, and the thresholds."""

    rules: tuple[Rule, ...] = Field(min_length=1)
    thresholds: tuple[Threshold, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for entries in (self.rules, self.thresholds):
            check_names(entry.name for entry in entries)
        if not self.rules[-1].is_last_resort:
            raise ValueError(f"the last rule, {self.rules[-1].name!r}, does not apply to every letter")
        for rule in self.rules[:-1]:
            if rule.is_last_resort:
                raise ValueError(f"no rule after {rule.name!r} is ever reached; give it a `when`")
        return self

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the shipped policies, and before them those of a file of the same shape.

        Raises:
            BadInputError: The file is missing or does not have that shape; the message names each fault.
        """
        return load_rules(cls, __package__, "escalations.yaml", path, _merged, title="escalation policies")

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents that take tasks over."""
        named = [rule.to or rule.question.to for rule in self.rules]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def choose(self, letter: Letter, history: History) -> Rule:
        """Return the first rule that applies."""
        return next(rule for rule in self.rules if rule.applies(letter, history))

    def rule(self, name: str) -> Rule:
        """Return the rule of that name; the last one where it is gone."""
        return next((rule for rule in self.rules if rule.name == name), self.rules[-1])

    def threshold(self, name: str) -> Threshold | None:
        """Return the threshold of that name."""
        return next((threshold for threshold in self.thresholds if threshold.name == name), None)

    def exceeded(self, letter: Letter, history: History) -> tuple[Exceeded, ...]:
        """Return the thresholds that this letter exceeds.

        While an escalation about the same breach is open, and for what happened before it was decided, none is.
        """
        latest = {breach.breach: breach.age_seconds for breach in history.breaches}
        found = []
        for threshold in self.thresholds:
            breach = threshold.breach(letter)
            if not threshold.when.matches(letter) or (breach in latest and latest[breach] is None):
                continue
            count = _count(threshold, letter, history.recent, latest.get(breach))
            if count > threshold.more_than:
                found.append(Exceeded(threshold=threshold, count=count))
        return tuple(found)


def _count(threshold: Threshold, letter: Letter, recent: Sequence[Death], decided_ago: float | None) -> int:
    span = threshold.minutes * 60
    if decided_ago is not None:
        span = min(span, decided_ago)
    return sum(
        death.age_seconds <= span and (not threshold.per_error_type or death.error_type == letter.error_type)
        for death in recent
    )


def _merged(own: Mapping[str, Any] | None, shipped: Mapping[str, Any]) -> dict[str, Any]:
    own = {} if own is None else own
    rules = [*(own.get("rules") or ())]
    # An own rule for every letter leaves none to the shipped ones.
    if not (rules and "when" not in rules[-1] and rules[-1].get("action") not in _CONDITIONAL):
        rules += shipped["rules"]
    thresholds = [*(own.get("thresholds") or ())]
    replaced = {entry.get("name") for entry in thresholds}
    thresholds += [entry for entry in shipped["thresholds"] if entry["name"] not in replaced]
    return {**own, "rules": rules, "thresholds": thresholds}
