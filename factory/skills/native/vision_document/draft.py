"""The product while it is being read: mutable drafts that the rules add to, in the author's words."""

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as kept

from pydantic import JsonValue

from factory.domain.product import Condition, FieldType, OperationKind, Policy, RelationKind, Trace
from factory.skills.native.language.names import field_name, pascal_name, snake_name
from factory.skills.native.language.words import collection, singular
from factory.skills.native.vision_document.source import Source


@dataclass(slots=True)
class FieldDraft:
    """A field as read; `values` are the states or choices of an enum, in the author's words."""

    words: str
    type: FieldType
    trace: Trace
    required: bool = True
    values: list[str] = kept(default_factory=list)
    default: JsonValue = None
    constraints: dict[str, int | float | str | bool] = kept(default_factory=dict)
    personal: bool = False
    description: str = ""
    typed: bool = True

    @property
    def name(self) -> str:
        """The field's name in the model."""
        return field_name(self.words)


@dataclass(slots=True)
class EntityDraft:
    """A thing as read. `words` is its singular name in lower case."""

    words: str
    trace: Trace
    declared: bool = False
    listed: bool = False
    description: str = ""
    fields: dict[str, FieldDraft] = kept(default_factory=dict)
    plural: str | None = None
    reason: str = ""
    spelled: str = ""

    @property
    def name(self) -> str:
        """The entity's name in the model."""
        return pascal_name(self.spelled or self.words)

    def add(self, made: FieldDraft) -> bool:
        """Add a field unless one of that name is there; tell whether it was added."""
        if not made.name or made.name in self.fields:
            return False
        self.fields[made.name] = made
        return True

    def status(self) -> FieldDraft | None:
        """Return the field that keeps the state, where there is one."""
        for words in ("status", "state", "stage", "phase"):
            for name, found in self.fields.items():
                if found.values and (name == words or name.endswith(f"_{words}")):
                    return found
        return None


@dataclass(slots=True)
class RelationDraft:
    """A link as read; entities by their words. `role` is the name on the source where the author gave one."""

    source: str
    target: str
    kind: RelationKind
    trace: Trace
    required: bool = True
    role: str = ""
    inverse: str = ""
    on_delete: str = ""
    join: str | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """The attribute on the source."""
        if self.role:
            return field_name(self.role)
        words = collection(self.target) if self.kind is RelationKind.MANY_TO_MANY else self.target
        name = field_name(words)
        return name if name == snake_name(words) else f"related_{snake_name(words)}"


@dataclass(slots=True)
class ActorDraft:
    """A role as read. `entity` names the thing that is this person's record."""

    words: str
    trace: Trace
    label: str
    description: str = ""
    entity: str | None = None

    @property
    def name(self) -> str:
        """The role's name in the model."""
        return snake_name(self.words, "role")


@dataclass(slots=True)
class StoryDraft:
    """A user story; `actor` is the role's words."""

    id: str
    actor: str
    goal: str
    benefit: str | None
    trace: Trace
    derived: bool = False


@dataclass(slots=True)
class Deed:
    """Something an actor does to a thing, as the text says it.

    Attributes:
        verb: Base form with its particle.
        entity: Words of the thing.
        actors: Words of the roles; `own` those of them that said "my".
        aspects: Fields of the thing that the text names ("change the price of a product").
        related: Other things named in the same clause with the preposition before them.
    """

    verb: str
    entity: str
    trace: Trace
    actors: tuple[str, ...] = ()
    own: bool = False
    plural: bool = False
    aspects: tuple[str, ...] = ()
    related: tuple[tuple[str, str], ...] = ()
    state: str | None = None
    sources: tuple[str, ...] = ()
    story: str | None = None
    source_noun: str | None = None
    preposition: str = ""


@dataclass(slots=True)
class TransitionDraft:
    """A change of state, by state names of the model."""

    name: str
    verb: str
    sources: list[str]
    target: str
    trace: Trace
    actors: list[str] = kept(default_factory=list)
    guards: list[Condition] = kept(default_factory=list)
    own: set[str] = kept(default_factory=set)
    stories: list[str] = kept(default_factory=list)
    assumed: bool = False


@dataclass(slots=True)
class LifecycleDraft:
    """The states of a thing; `entity` by its words, `field` and states by their model names."""

    entity: str
    field: str
    states: list[str]
    initial: str
    trace: Trace
    transitions: dict[str, TransitionDraft] = kept(default_factory=dict)


@dataclass(slots=True)
class OperationDraft:
    """An operation before names are settled; actors by words."""

    kind: OperationKind
    verb: str
    entity: str
    trace: Trace
    actors: list[str] = kept(default_factory=list)
    own: set[str] = kept(default_factory=set)
    foreign: set[str] = kept(default_factory=set)
    fields: list[str] = kept(default_factory=list)
    relations: list[str] = kept(default_factory=list)
    transition: str | None = None
    stories: list[str] = kept(default_factory=list)
    noun: str | None = None
    preposition: str = ""
    assumed: bool = False
    states: list[str] = kept(default_factory=list)
    guards: list[Condition] = kept(default_factory=list)


@dataclass(slots=True)
class Note:
    """A decision the vision did not make."""

    subject: str
    statement: str
    reason: str
    change: str


@dataclass(slots=True)
class Draft:
    """Everything read so far."""

    source: Source
    entities: dict[str, EntityDraft] = kept(default_factory=dict)
    actors: dict[str, ActorDraft] = kept(default_factory=dict)
    relations: list[RelationDraft] = kept(default_factory=list)
    stories: list[StoryDraft] = kept(default_factory=list)
    deeds: list[Deed] = kept(default_factory=list)
    lifecycles: dict[str, LifecycleDraft] = kept(default_factory=dict)
    operations: list[OperationDraft] = kept(default_factory=list)
    policies: list[Policy] = kept(default_factory=list)
    notes: list[Note] = kept(default_factory=list)
    limits: list[tuple[str, int, str, Trace]] = kept(default_factory=list)
    excluded: set[str] = kept(default_factory=set)

    def trace(self, start: int, end: int, rule: str, confidence: float) -> Trace:
        """Return a trace to the author's characters between two offsets."""
        return Trace(start=start, end=end, text=self.source.text[start:end], rule=rule, confidence=confidence)

    def find(self, noun: str) -> EntityDraft | None:
        """Return the entity a noun means: by its name, without regard to hyphens, or by its only head noun."""
        wanted = normal(noun)
        if not wanted:
            return None
        for entity in self.entities.values():
            if normal(entity.words) == wanted or (
                len(wanted) > _SOLID and normal(entity.words).replace(" ", "") == wanted.replace(" ", "")
            ):
                return entity
        headed = [entity for entity in self.entities.values() if normal(entity.words).endswith(f" {wanted}")]
        if len(headed) == 1 and " " not in wanted:
            return headed[0]
        return None

    def find_within(self, noun: str) -> EntityDraft | None:
        """Return the entity a noun means, or the one its last words mean ("overdue library book" → book)."""
        found = self.find(noun)
        words = normal(noun).split(" ")
        while found is None and len(words) > 1:
            words = words[1:]
            found = self.find(" ".join(words))
        return found

    def actor(self, noun: str) -> ActorDraft | None:
        """Return the actor a noun means."""
        wanted = normal(noun)
        for actor in self.actors.values():
            if normal(actor.words) == wanted:
                return actor
        headed = [actor for actor in self.actors.values() if normal(actor.words).endswith(f" {wanted}")]
        return headed[0] if len(headed) == 1 and " " not in wanted else None

    def relations_of(self, words: str) -> list[RelationDraft]:
        """Return the relations whose source is the entity."""
        return [relation for relation in self.relations if relation.source == words]

    def link(self, source: str, target: str) -> RelationDraft | None:
        """Return the first to-one relation from one entity to another."""
        for relation in self.relations:
            if (relation.source, relation.target) == (
                source,
                target,
            ) and relation.kind is not RelationKind.MANY_TO_MANY:
                return relation
        return None

    def relate(self, made: RelationDraft) -> bool:
        """Add a relation unless it is there already; tell whether it was added."""
        taken = {relation.name for relation in self.relations_of(made.source)}
        if made.name in taken:
            return False
        if not made.role and any(
            {relation.source, relation.target} == {made.source, made.target} and made.source != made.target
            for relation in self.relations
            if not relation.role
        ):
            return False
        self.relations.append(made)
        return True

    def note(self, subject: str, statement: str, reason: str, change: str) -> None:
        """Record an assumption once."""
        if not any(note.subject == subject and note.statement == statement for note in self.notes):
            self.notes.append(Note(subject, statement, reason, change))


_SOLID = 6


def normal(noun: str) -> str:
    """Return a noun for comparison: singular, lower case, hyphens as spaces."""
    return singular(" ".join(noun.lower().replace("-", " ").replace("_", " ").split()))


def names(drafts: Iterable[FieldDraft]) -> list[str]:
    """Return the model names of fields."""
    return [item.name for item in drafts]
