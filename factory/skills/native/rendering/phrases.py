"""A domain model in English: nouns for entities and actors, verb phrases for operations, clauses for conditions.

Everything here is plain text; escaping happens where a template prints it.
"""

from collections.abc import Iterable

from factory.domain.product import Condition, DomainModel, Entity, FieldType, Operation, OperationKind, snake
from factory.skills.native.rendering import english
from factory.skills.native.rendering.english import (
    field_words,
    is_or_are,
    listing,
    plural,
    split_verb,
    third_person,
    with_article,
    words,
)

_TIME_TYPES = frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.TIME})
_OPPOSITE = {
    "lt": "ge",
    "ge": "lt",
    "gt": "le",
    "le": "gt",
    "eq": "ne",
    "ne": "eq",
    "is-set": "is-not-set",
    "is-not-set": "is-set",
}
_MEASURED = {"lt": "less than", "le": "at most", "gt": "more than", "ge": "at least", "eq": "", "ne": "not"}
_ORDERED = {"lt": "before", "le": "not after", "gt": "after", "ge": "not before", "eq": "", "ne": "not"}
_NOW = {
    "lt": "in the past",
    "le": "not in the future",
    "gt": "in the future",
    "ge": "not in the past",
    "eq": "now",
    "ne": "not now",
}
_DAY = 1440
_GIVING = frozenset({"add", "allocate", "assign", "attach", "connect", "link"})
_PREPOSITIONS = frozenset({"at", "for", "in", "on", "to", "with"})
_SETTING = frozenset({"adjust", "change", "correct", "edit", "enter", "record", "set", "update"})


class Phrases:
    """Turns the names of one model into the words of its author."""

    def __init__(self, model: DomainModel) -> None:
        self.model = model
        self._entities = {entity.name: entity for entity in model.entities}
        self._actors = {actor.name: actor for actor in model.actors}

    def noun(self, entity: str) -> str:
        """Return the entity inside a sentence: `appointment`."""
        return english.as_noun(self._entities[entity].label) or words(entity)

    def a(self, entity: str) -> str:
        """Return `an appointment`."""
        return with_article(self.noun(entity))

    def nouns(self, entity: str) -> str:
        """Return the entity's plural: `appointments`, from its collection where that is the label's plural."""
        label = self._entities[entity].label
        if words(entity) == self.noun(entity):
            return words(self._entities[entity].collection)
        return plural(english.as_noun(label)) or words(self._entities[entity].collection)

    def title(self, entity: str) -> str:
        """Return the entity's plural as a heading: `Appointments`."""
        return english.capitalised(self.nouns(entity))

    def actor(self, name: str) -> str:
        """Return the actor inside a sentence: `receptionist`."""
        return english.as_noun(self._actors[name].label) or words(name)

    def an_actor(self, name: str) -> str:
        """Return `a receptionist`."""
        return with_article(self.actor(name))

    def actors(self, names: Iterable[str], conjunction: str = "or") -> str:
        """Return `a receptionist or an administrator`; for no names, everyone who is signed in."""
        phrases = [self.an_actor(name) for name in names]
        return listing(phrases, conjunction) if phrases else "a signed-in user"

    def field(self, name: str) -> str:
        """Return `the start time`."""
        return f"the {field_words(name)}"

    def fields(self, names: Iterable[str], conjunction: str = "and") -> str:
        """Return `the start time, the duration and the note`."""
        return listing([self.field(name) for name in names], conjunction)

    def state(self, value: str) -> str:
        """Return a state in quotes."""
        return f"“{words(value)}”"

    def states(self, values: Iterable[str], conjunction: str = "or") -> str:
        """Return `“booked” or “confirmed”`."""
        return listing([self.state(value) for value in values], conjunction)

    def holds(self, entity: str, condition: Condition) -> str:
        """Return the clause that says the condition holds, such as `the start time is in the future`."""
        return self._clause(self._entities[entity], condition, condition.op)

    def fails(self, entity: str, condition: Condition) -> str:
        """Return the clause that says the condition does not hold."""
        return self._clause(self._entities[entity], condition, _OPPOSITE[condition.op])

    def _clause(self, entity: Entity, condition: Condition, op: str) -> str:
        subject = f"{self.field(condition.left)} {is_or_are(words(condition.left))}"
        kinds = {field.name: field.type for field in entity.fields}
        kind = kinds.get(condition.left)
        if op in ("is-set", "is-not-set"):
            return f"{subject} {'set' if op == 'is-set' else 'not set'}"
        if condition.right_kind in ("now", "today"):
            return f"{subject} {_moment(condition, op)}"
        if condition.right_kind == "field":
            right = self.field(str(condition.right))
            comparison = (_ORDERED if kind in _TIME_TYPES else _MEASURED)[op]
            if not comparison:
                return f"{subject} the same as {right}"
            return f"{subject} {comparison} {right}" if op != "ne" else f"{subject} not the same as {right}"
        if isinstance(condition.right, bool):
            truth = condition.right == (op == "eq")
            return f"{subject} {'true' if truth else 'false'}"
        value = self.state(str(condition.right)) if kind is FieldType.ENUM else str(condition.right)
        comparison = (_ORDERED if kind in _TIME_TYPES else _MEASURED)[op]
        return f"{subject} {comparison} {value}".replace("  ", " ")

    def act(self, operation: Operation) -> str:
        """Return what the operation is, in the base form: `book an appointment`."""
        head, tail = self._verb_and_object(operation)
        return f"{head} {tail}"

    def acts(self, operation: Operation) -> str:
        """Return the operation in the third person: `books an appointment`."""
        head, tail = self._verb_and_object(operation)
        return f"{third_person(head)} {tail}"

    def act_on(self, operation: Operation) -> str:
        """Return the operation on a record already named: `cancel the appointment`."""
        noun = self.noun(operation.entity)
        if operation.kind in (OperationKind.LIST, OperationKind.CREATE):
            return self.act(operation)
        return self.act(operation).replace(self.a(operation.entity), f"the {noun}", 1)

    def pronoun(self, entity: str) -> str:
        """Return `them` for an entity that stands for people, else `it`."""
        return "them" if any(actor.entity == entity for actor in self.model.actors) else "it"

    def names_another(self, operation: Operation) -> bool:
        """Tell whether the operation is named after another thing than it makes, as `borrow_copy` makes a loan."""
        return self._named(operation) != operation.entity

    def _named(self, operation: Operation) -> str:
        return self._named_with_preposition(operation)[1]

    def _named_with_preposition(self, operation: Operation) -> tuple[str, str]:
        """Return the preposition and the entity in the operation's name, as in `register_for_conference`."""
        if operation.kind is not OperationKind.CREATE:
            return "", operation.entity
        tail = operation.name.removeprefix(f"{operation.verb}_")
        preposition, _, rest = tail.partition("_")
        for entity in self.model.entities:
            if snake(entity.name) == tail:
                return "", entity.name
            if preposition in _PREPOSITIONS and snake(entity.name) == rest:
                return preposition, entity.name
        return "", operation.entity

    def acts_together(self, operations: Iterable[Operation], thing: str | None = None, conjunction: str = "or") -> str:
        """Return several operations of one entity as one phrase: `book, complete or reschedule an appointment`.

        `thing` is what to call the record where it was named before, such as `it`.
        """
        simple: list[str] = []
        phrases: list[str] = []
        entity = ""
        for operation in operations:
            entity = operation.entity
            verb, named = self._verb_and_object(operation)
            head, particle, _ = split_verb(verb)
            if particle and thing and named == self.a(entity):
                phrases.append(f"{head} {thing} {particle}")
            elif named == self.a(entity):
                simple.append(verb)
            else:
                phrases.append(f"{verb} {named}".replace(self.a(entity), thing or self.a(entity), 1))
        joined = [f"{listing(simple, conjunction)} {thing or self.a(entity)}"] if simple else []
        return listing([*joined, *phrases], conjunction)

    def _verb_and_object(self, operation: Operation) -> tuple[str, str]:
        preposition, named = self._named_with_preposition(operation)
        verb = f"{words(operation.verb)} {preposition}".strip()
        thing = self.a(named)
        if operation.kind is OperationKind.LIST:
            return verb, self.nouns(operation.entity)
        if verb.startswith("mark "):
            return "mark", f"{thing} as {verb.removeprefix('mark ').removeprefix('as ')}"
        head, _, carried = split_verb(verb)
        if carried and operation.kind is OperationKind.CHANGE:
            return head, f"the {carried} of {thing}"
        if verb in _GIVING and operation.relations:
            return verb, f"{listing([with_article(field_words(name)) for name in operation.relations])} to {thing}"
        changed = [*operation.fields, *operation.relations]
        if verb in _SETTING and operation.kind is OperationKind.CHANGE and changed:
            return verb, f"{self.fields(changed)} of {thing}"
        return verb, thing

    def event(self, name: str) -> str:
        """Return what an event says happened: `an appointment was cancelled`."""
        event = next(event for event in self.model.events if event.name == name)
        if name.startswith(event.entity) and len(name) > len(event.entity):
            return f"{self.a(event.entity)} was {words(name.removeprefix(event.entity))}"
        return f"{words(name)} ({self.noun(event.entity)})"


def _moment(condition: Condition, op: str) -> str:
    offset = condition.offset_minutes
    if offset == 0:
        if condition.right_kind == "now":
            return _NOW[op]
        return f"{_ORDERED[op]} today".strip()
    anchor = condition.right_kind
    one_day = anchor == "today" and abs(offset) == _DAY
    span = "1 day" if one_day else english.duration(offset)
    if op in ("eq", "ne"):
        return f"{_ORDERED[op]} {span} {'after' if offset > 0 else 'before'} {anchor}".strip()
    if offset > 0:
        return f"{_MEASURED[op]} {span} from {anchor}"
    past = {"lt": "more than", "le": "at least", "gt": "less than", "ge": "at most"}[op]
    return f"{past} {span} ago"
