"""Acceptance criteria: what a tester does and sees, for success and for every refusal."""

from collections.abc import Iterator
from dataclasses import dataclass

from factory.domain.product import DomainModel, Operation, OperationKind, Story
from factory.skills.native.rendering.english import field_words, listing
from factory.skills.native.rendering.obstacles import Obstacle, Obstacles, Reason
from factory.skills.native.rendering.phrases import Phrases

_NOTHING_STORED = "the request is refused and nothing is stored"
_NOTHING_CHANGES = "the request is refused and nothing changes"


@dataclass(frozen=True, slots=True)
class Check:
    """A criterion before it has an id."""

    given: str
    when: str
    then: str


class Checks:
    """Writes the criteria of one model's operations."""

    def __init__(self, model: DomainModel) -> None:
        self.model = model
        self.phrases = Phrases(model)
        self.obstacles = Obstacles(model, self.phrases)

    def success(self, story: Story, operation: Operation) -> Check:
        """Return the criterion of the operation done by the story's actor."""
        who = self._who(story, operation)
        given = [f"{self.phrases.an_actor(who)} is signed in", *self._circumstances(who, operation)]
        return Check(listing(given), f"they {self._doing(operation)}", self._result(who, operation))

    def refusals(self, story: Story, operation: Operation) -> Iterator[Check]:
        """Yield a criterion for everything that stands in the way of the operation."""
        who = self._who(story, operation)
        for obstacle in self.obstacles.of(operation):
            yield self._refusal(who, operation, obstacle)
        endpoint = self.obstacles.endpoint(operation)
        if operation.kind is not OperationKind.LIST:
            yield from (self._not_own(actor, operation) for actor in endpoint.own_only)
        others = [actor.name for actor in self.model.actors if actor.name not in endpoint.roles]
        if others:
            given = f"{self.phrases.actors(others)} is signed in"
            yield Check(given, f"they try to {self.phrases.act(operation)}", _NOTHING_CHANGES)

    def unserved(self, story: Story) -> Check:
        """Return the criterion of a story that no operation serves."""
        goal = story.goal.removeprefix("to ").rstrip(".")
        return Check(
            "the vision says what is stored or done for this story",
            "the product is built again",
            f"an operation lets {self.phrases.an_actor(story.actor)} {goal}",
        )

    def _who(self, story: Story, operation: Operation) -> str:
        actors = self.obstacles.who(operation)
        return story.actor if not actors or story.actor in actors else actors[0]

    def _owns(self, who: str, operation: Operation) -> bool:
        return who in self.obstacles.endpoint(operation).own_only

    def _circumstances(self, who: str, operation: Operation) -> Iterator[str]:
        thing = self.phrases.a(operation.entity)
        own = " of their own" if self._owns(who, operation) else ""
        if operation.kind is OperationKind.CREATE:
            linked = {relation.name for relation in self.obstacles.written_relations(operation)}
            needed = [name for name in self.obstacles.required(operation) if name in linked]
            if needed:
                yield f"{self.phrases.fields(needed)} {'exists' if len(needed) == 1 else 'exist'}"
        elif operation.kind is not OperationKind.LIST:
            endpoint = self.obstacles.endpoint(operation)
            yield f"{thing}{own} {f'is {self.phrases.states(endpoint.states)}' if endpoint.states else 'exists'}"
            yield from (self.phrases.holds(operation.entity, guard) for guard in endpoint.guards)

    def _doing(self, operation: Operation) -> str:
        if operation.kind is OperationKind.CREATE:
            names = self.obstacles.required(operation)
            return self.phrases.act(operation) + (f" with {self.phrases.fields(names)}" if names else "")
        return self.phrases.act_on(operation)

    def _result(self, who: str, operation: Operation) -> str:
        published = "".join(f", and the event {name} is published" for name in self.obstacles.events(operation))
        step = self.obstacles.step(operation)
        them = self.phrases.pronoun(operation.entity)
        noun, nouns = self.phrases.noun(operation.entity), self.phrases.nouns(operation.entity)
        if operation.kind is OperationKind.LIST:
            if self._owns(who, operation):
                return f"they get their own {nouns} and nobody else's, page by page"
            return f"they get {nouns} page by page, and can filter and sort them"
        if operation.kind is OperationKind.CHANGE:
            return f"{self._stored(operation)}{published}"
        if step is not None:
            return f"the {noun} is {self.phrases.state(step.transition.target)}{published}"
        return {
            OperationKind.CREATE: f"the {noun} is stored{self._initial(operation)}",
            OperationKind.READ: f"they get that {noun}",
            OperationKind.UPDATE: f"the new values of the {noun} are stored",
            OperationKind.DELETE: f"the {noun} is gone, and asking for {them} again finds nothing",
        }[operation.kind] + published

    def _stored(self, operation: Operation) -> str:
        changed = [field_words(name) for name in (*operation.fields, *operation.relations)]
        if not changed:
            return f"it is recorded on the {self.phrases.noun(operation.entity)}"
        return f"the new {listing(changed)} {'are' if len(changed) > 1 else 'is'} stored"

    def _initial(self, operation: Operation) -> str:
        lifecycle = self.model.lifecycle_of(operation.entity)
        return f" in the state {self.phrases.state(lifecycle.initial)}" if lifecycle else ""

    def _refusal(self, who: str, operation: Operation, obstacle: Obstacle) -> Check:
        signed_in = f"{self.phrases.an_actor(who)} is signed in"
        act, act_on = self.phrases.act(operation), self.phrases.act_on(operation)
        if obstacle.reason is Reason.MISSING:
            names = self.phrases.fields(obstacle.names, "or")
            then = "the request is refused, the answer names what is missing, and nothing is stored"
            return Check(signed_in, f"they {act} without {names}", then)
        if obstacle.reason in (Reason.LIMIT, Reason.FORMAT, Reason.INVARIANT):
            named = self.phrases.fields(obstacle.names)
            then = f"the request is refused, the answer names {named}, and nothing is stored"
            if obstacle.reason is Reason.INVARIANT:
                then = _NOTHING_STORED
            told = f" whose {obstacle.clause.removeprefix('the ')}"
            if self.phrases.names_another(operation):
                told = f", and {obstacle.clause}"
            return Check(signed_in, f"they try to {act}{told}", then)
        thing = self.phrases.a(operation.entity) + (" of their own" if self._owns(who, operation) else "")
        if obstacle.reason is Reason.STATE:
            blocking = self.phrases.states(self.obstacles.blocking_states(operation))
            return Check(f"{signed_in} and {thing} is {blocking}", f"they try to {act_on}", _NOTHING_CHANGES)
        if obstacle.reason is Reason.GUARD:
            states = self.obstacles.endpoint(operation).states
            given = f"{signed_in}, and {thing} is {self.phrases.states(states)} but {obstacle.clause}"
            if not states:
                given = f"{signed_in}, and {thing} exists but {obstacle.clause}"
            return Check(given, f"they try to {act_on}", _NOTHING_CHANGES)
        then = _NOTHING_CHANGES if obstacle.reason is Reason.REFERENCE else _NOTHING_STORED
        return Check(f"{signed_in} and {obstacle.clause}", f"they try to {act_on}", then)

    def _not_own(self, actor: str, operation: Operation) -> Check:
        who = self.phrases.an_actor(actor)
        thing = self.phrases.a(operation.entity)
        if operation.kind is OperationKind.CREATE:
            when = f"they try to {self.phrases.act(operation)} for someone else"
            return Check(f"{who} is signed in", when, _NOTHING_STORED)
        return Check(
            f"{who} is signed in and {thing} belongs to someone else",
            f"they try to {self.phrases.act_on(operation)}",
            _NOTHING_CHANGES,
        )
