"""Requirements in EARS form: event-driven, state-driven, unwanted behaviour, ubiquitous."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from factory.domain.documents import Requirement
from factory.domain.product import DomainModel, Operation, OperationKind, StatedRule, Trace
from factory.skills.native.product_requirements.priority import (
    Argued,
    Level,
    cue_or,
    highest,
    operation_priorities,
)
from factory.skills.native.product_requirements.responses import Responses
from factory.skills.native.rendering.english import listing, sentence, words
from factory.skills.native.rendering.markdown import one_line
from factory.skills.native.rendering.obstacles import Obstacle, Obstacles, Reason
from factory.skills.native.rendering.phrases import Phrases

_PRESSING = frozenset({"security", "privacy", "compliance"})
TOKEN_RULE = "every-operation-needs-a-token"  # noqa: S105 - the name of a rule
STATED_RULE = "not-automated"


@dataclass(frozen=True, slots=True)
class ArguedRequirement:
    """A requirement with what the JSON has no place for.

    Attributes:
        heading: The section it stands in: an entity's name, or one of the sections over all entities.
        pattern: Its EARS pattern.
        reason: Why it has its priority.
    """

    requirement: Requirement
    heading: str
    pattern: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Draft:
    statement: str
    pattern: str
    operations: tuple[Operation, ...]
    trace: Trace
    heading: str
    kind: Literal["functional", "rule"] = "rule"
    argued: Argued | None = None


def argue(model: DomainModel) -> tuple[ArguedRequirement, ...]:
    """Return every requirement of the model with its priority: functions, rules, then qualities."""
    priorities = operation_priorities(model)
    drafts = list(_Drafts(model).all())
    argued: list[ArguedRequirement] = []
    numbers = {"functional": 0, "rule": 0}
    for draft in sorted(drafts, key=lambda draft: draft.kind != "functional"):
        numbers[draft.kind] += 1
        prefix = "FR" if draft.kind == "functional" else "BR"
        argued.append(_number(draft, f"{prefix}-{numbers[draft.kind]:02d}", priorities))
    return (*argued, *_qualities(model))


def _number(draft: _Draft, name: str, priorities: dict[str, Argued]) -> ArguedRequirement:
    levels = {operation.name: priorities[operation.name] for operation in draft.operations}
    level: Level = highest(argued.level for argued in levels.values())
    if draft.argued:
        level, reason = draft.argued.level, draft.argued.reason
    elif draft.kind == "functional":
        reason = next(argued.reason for argued in levels.values() if argued.level == level)
    else:
        guarded = listing([words(key) for key, argued in levels.items() if argued.level == level][:2])
        reason = f"guards {guarded}"
    requirement = Requirement(
        id=name,
        statement=one_line(draft.statement),
        kind=draft.kind,
        priority=level,
        stories=tuple(dict.fromkeys(story for operation in draft.operations for story in operation.stories)),
        operations=tuple(operation.name for operation in draft.operations),
        trace=draft.trace,
    )
    return ArguedRequirement(requirement, draft.heading, draft.pattern, reason)


def _qualities(model: DomainModel) -> Iterator[ArguedRequirement]:
    for quality in model.non_functional:
        if quality.measure or quality.category in _PRESSING:
            why = "the vision gives a figure" if quality.measure else f"{quality.category} is not negotiable"
            argued = Argued("must", why)
        else:
            argued = Argued("should", "the vision gives no figure to hold it to")
        argued = cue_or(quality.trace, argued)
        yield ArguedRequirement(
            Requirement(
                id=quality.id,
                statement=sentence(one_line(quality.statement)),
                kind="non-functional",
                priority=argued.level,
                trace=quality.trace,
            ),
            quality.category,
            "ubiquitous",
            argued.reason,
        )


class _Drafts:
    """Writes the statements of one model, entity by entity."""

    def __init__(self, model: DomainModel) -> None:
        self.model = model
        self.phrases = Phrases(model)
        self.obstacles = Obstacles(model, self.phrases)
        self.responses = Responses(model, self.phrases, self.obstacles)

    def all(self) -> Iterator[_Draft]:
        """Yield every draft in the order of the model's entities."""
        if self.model.operations:
            yield self._token()
        for entity in self.model.entities:
            operations = self.model.operations_of(entity.name)
            for operation in operations:
                yield self._function(operation)
            yield from self._states(entity.name)
            yield from self._refusals(operations)
            yield from self._access(entity.name, operations)
        for policy in self.model.policies:
            if isinstance(policy, StatedRule):
                argued = cue_or(policy.trace, Argued("should", "the vision states it; the service does not enforce it"))
                heading = policy.entity or ""
                yield _Draft(sentence(policy.statement), STATED_RULE, (), policy.trace, heading, argued=argued)

    def _token(self) -> _Draft:
        trace = Trace(start=0, end=0, text="", rule=TOKEN_RULE, confidence=1)
        return _Draft(
            "If a request for any operation carries no valid token, then the system shall refuse it.",
            "unwanted behaviour",
            (),
            trace,
            "",
            argued=Argued("must", "permissions mean nothing without knowing who asks"),
        )

    def _function(self, operation: Operation) -> _Draft:
        who = self.phrases.actors(self.obstacles.who(operation))
        statement = f"When {who} {self.phrases.acts(operation)}, the system shall {self.responses.of(operation)}."
        return _Draft(
            statement, "event-driven", (operation,), self._origin(operation), operation.entity, kind="functional"
        )

    def _origin(self, operation: Operation) -> Trace:
        """Return the operation's trace, or that of its story where a rule named the operation."""
        stories = [story.trace for story in self.model.stories if story.id in operation.stories]
        return next((trace for trace in (operation.trace, *stories) if trace.text.strip()), operation.trace)

    def _states(self, entity: str) -> Iterator[_Draft]:
        lifecycle = self.model.lifecycle_of(entity)
        if lifecycle is None:
            return
        grouped: dict[str, list[tuple[Operation, Obstacle]]] = {}
        for operation in self.model.operations_of(entity):
            for obstacle in self.obstacles.of(operation):
                if obstacle.reason is Reason.STATE:
                    grouped.setdefault(obstacle.clause, []).append((operation, obstacle))
        for pairs in grouped.values():
            operations = tuple(operation for operation, _ in pairs)
            states = self.phrases.states(self.obstacles.blocking_states(operations[0]))
            noun = self.phrases.a(entity)
            acts = self.phrases.acts_together(operations, thing=self.phrases.pronoun(entity))
            statement = f"While {noun} is {states}, the system shall refuse to {acts}."
            yield _Draft(statement, "state-driven", operations, pairs[0][1].trace, entity)

    def _refusals(self, operations: Iterable[Operation]) -> Iterator[_Draft]:
        """Yield one requirement per fact, however many operations it stands in the way of."""
        grouped: dict[tuple[Reason, str], list[tuple[Operation, Obstacle]]] = {}
        for operation in operations:
            for obstacle in self.obstacles.of(operation):
                if obstacle.reason is not Reason.STATE:
                    key = obstacle.clause if obstacle.reason is not Reason.MISSING else operation.name
                    grouped.setdefault((obstacle.reason, key), []).append((operation, obstacle))
        for (reason, _), pairs in grouped.items():
            found = tuple(operation for operation, _ in pairs)
            statement = self._refusal(reason, found, pairs[0][1])
            yield _Draft(statement, "unwanted behaviour", found, pairs[0][1].trace, found[0].entity)

    def _refusal(self, reason: Reason, operations: tuple[Operation, ...], obstacle: Obstacle) -> str:
        first = operations[0]
        if reason is Reason.MISSING:
            names = self.phrases.fields(obstacle.names, "or")
            request = f"a request to {self.phrases.act(first)} comes without {names}"
            return f"If {request}, then the system shall refuse it and name what is missing."
        if reason in (Reason.GUARD, Reason.REFERENCE):
            acts = listing([self.phrases.act_on(operation) for operation in operations], "or")
            return f"If {obstacle.clause}, then the system shall refuse to {acts}."
        thing = self.phrases.a(first.entity)
        plain = reason in (Reason.LIMIT, Reason.FORMAT)
        named = "it and name the field" if plain else "it and say which rule it breaks"
        if reason in (Reason.LIMIT, Reason.FORMAT, Reason.INVARIANT):
            submitted = f"{thing} is submitted whose {obstacle.clause.removeprefix('the ')}"
        else:
            submitted = f"{thing} is submitted and {obstacle.clause}"
        return f"If {submitted}, then the system shall refuse {named}."

    def _access(self, entity: str, operations: tuple[Operation, ...]) -> Iterator[_Draft]:
        everyone = {actor.name for actor in self.model.actors}
        groups: dict[tuple[str, ...], list[Operation]] = {}
        owners: dict[str, list[Operation]] = {}
        for operation in operations:
            endpoint = self.obstacles.endpoint(operation)
            if set(endpoint.roles) != everyone:
                groups.setdefault(endpoint.roles, []).append(operation)
            for actor in endpoint.own_only:
                owners.setdefault(actor, []).append(operation)
        for actors, found in groups.items():
            acts = self.phrases.acts_together(found)
            statement = (
                f"If anyone other than {self.phrases.actors(actors)} attempts to {acts}, "
                "then the system shall refuse and change nothing."
            )
            yield _Draft(statement, "unwanted behaviour", tuple(found), self._origin(found[0]), entity)
        for actor, found in owners.items():
            yield self._ownership(entity, actor, found)

    def _ownership(self, entity: str, actor: str, operations: list[Operation]) -> _Draft:
        who = self.phrases.an_actor(actor)
        created = [operation for operation in operations if operation.kind is OperationKind.CREATE]
        listed = [operation for operation in operations if operation.kind is OperationKind.LIST]
        single = [operation for operation in operations if operation not in created and operation not in listed]
        parts = []
        for found, whose in ((created, "for someone else"), (single, "that is not their own")):
            if found:
                acts = self.phrases.acts_together(found)
                parts.append(f"If {who} attempts to {acts} {whose}, then the system shall refuse and change nothing.")
        if listed:
            parts.append(f"When {who} lists {self.phrases.nouns(entity)}, the system shall return only their own.")
        pattern = "unwanted behaviour" if len(listed) < len(operations) else "event-driven"
        return _Draft(" ".join(parts), pattern, tuple(operations), self._origin(operations[0]), entity)
