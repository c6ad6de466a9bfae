"""The domain model of a product: what every later artifact is derived from.

Strict on purpose: frozen, no unknown fields, references checked. Every element carries a trace to
the vision; what was guessed also stands under `assumptions`.
"""

import keyword
import re
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

SnakeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=60)]
PascalName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=60)]

IMPLICIT_FIELDS = frozenset({"id", "created_at", "updated_at"})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trace(_Strict):
    """Where an element comes from.

    Attributes:
        start: Offset of the first character in the vision's text; equal to `end` where nothing was
            written and a rule alone made the element.
        end: Offset after the last character.
        text: The characters between them.
        rule: Name of the rule that made the element, such as `story-template` or `belongs-to`.
        confidence: 0 (guessed) to 1 (stated).
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str
    rule: str
    confidence: float = Field(ge=0, le=1)


class FieldType(StrEnum):
    """Semantic types; each has one mapping to JSON Schema, Python and SQL."""

    TEXT = "text"
    RICH_TEXT = "rich-text"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    MONEY = "money"
    PERCENTAGE = "percentage"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    DURATION = "duration"
    UUID = "uuid"
    ENUM = "enum"
    FILE = "file"
    GEO_POINT = "geo-point"
    JSON = "json"


class Constraints(_Strict):
    """Limits on a field's value; lengths in characters, bounds inclusive."""

    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=1)
    minimum: int | float | None = None
    maximum: int | float | None = None
    pattern: str | None = None
    unique: bool = False


class ProductField(_Strict):
    """A field of an entity. `id`, `created_at` and `updated_at` are implicit and never listed."""

    name: SnakeName
    type: FieldType
    required: bool = True
    enum: PascalName | None = None
    default: JsonValue = None
    constraints: Constraints = Constraints()
    personal_data: bool = False
    description: str = ""
    trace: Trace

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.type is FieldType.ENUM) != (self.enum is not None):
            message = f"field {self.name!r}: `enum` names the enumeration of a field of type enum, and of no other."
            raise ValueError(message)
        if self.name in IMPLICIT_FIELDS or keyword.iskeyword(self.name):
            message = f"field name {self.name!r} is reserved."
            raise ValueError(message)
        return self


class Enumeration(_Strict):
    """A closed list of values, in snake case and in the author's order."""

    name: PascalName
    values: tuple[SnakeName, ...] = Field(min_length=1)
    trace: Trace


class Actor(_Strict):
    """A person or system with a role. `name` is the role in tokens, such as `front_desk_clerk`.

    `entity` names the entity that represents this actor's person, where the model has one.
    """

    name: SnakeName
    label: str
    description: str = ""
    entity: PascalName | None = None
    trace: Trace


class Entity(_Strict):
    """A thing the product keeps. `collection` is its right plural in snake case."""

    name: PascalName
    collection: SnakeName
    label: str
    description: str = ""
    fields: tuple[ProductField, ...] = ()
    trace: Trace


class RelationKind(StrEnum):
    """Cardinality, read from source to target."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_ONE = "one-to-one"
    MANY_TO_MANY = "many-to-many"


class Relation(_Strict):
    """A link between two entities; the source side holds the foreign key.

    Attributes:
        name: Attribute on the source (`patient`; for many-to-many a plural, `tags`).
        inverse: Attribute on the target (`appointments`).
        on_delete: What happens to the source when the target goes.
        join_entity: For many-to-many, the entity with a life of its own that realises the link
            (`Enrollment`, which then has a many-to-one relation to either side); None for a plain link.
    """

    name: SnakeName
    kind: RelationKind
    source: PascalName
    target: PascalName
    inverse: SnakeName
    required: bool = True
    on_delete: Literal["restrict", "cascade", "set-null"] = "restrict"
    join_entity: PascalName | None = None
    description: str = ""
    trace: Trace

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.on_delete == "set-null" and self.required:
            message = f"relation {self.source}.{self.name}: a required relation cannot be set to null on delete."
            raise ValueError(message)
        if self.join_entity and self.kind is not RelationKind.MANY_TO_MANY:
            message = f"relation {self.source}.{self.name}: only many-to-many has a join entity."
            raise ValueError(message)
        return self


class Condition(_Strict):
    """A comparison on one record: `left` is a field of the entity.

    `right` is another field (`right_kind="field"`), a literal (`"literal"`), or the present moment or day
    (`"now"`, `"today"`) moved by `offset_minutes`. `is-set` and `is-not-set` have no right side. `statement` is
    the condition in the author's words, for people who run into it.
    """

    left: SnakeName
    op: Literal["lt", "le", "gt", "ge", "eq", "ne", "is-set", "is-not-set"]
    right_kind: Literal["field", "literal", "now", "today", "none"] = "none"
    right: JsonValue = None
    offset_minutes: int = 0
    statement: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        unary = self.op in ("is-set", "is-not-set")
        if unary != (self.right_kind == "none"):
            message = f"condition on {self.left!r}: {self.op} with a right side of kind {self.right_kind!r}."
            raise ValueError(message)
        return self


class Transition(_Strict):
    """A named change of state, such as `cancel` from booked to cancelled."""

    name: SnakeName
    sources: tuple[SnakeName, ...] = Field(min_length=1)
    target: SnakeName
    actors: tuple[SnakeName, ...] = ()
    guards: tuple[Condition, ...] = ()
    event: PascalName
    trace: Trace


class Lifecycle(_Strict):
    """The states of an entity, kept in one enum field. Only transitions change that field."""

    entity: PascalName
    field: SnakeName
    initial: SnakeName
    transitions: tuple[Transition, ...] = ()
    trace: Trace


class OperationKind(StrEnum):
    """What an operation does to its entity."""

    CREATE = "create"
    READ = "read"
    LIST = "list"
    UPDATE = "update"
    DELETE = "delete"
    TRANSITION = "transition"
    CHANGE = "change"


class Operation(_Strict):
    """Something an actor may do: the unit of endpoints, permissions and stories.

    Attributes:
        name: Unique over the model: verb and entity, such as `book_appointment`.
        verb: The domain's verb in snake case (`book`, `reschedule`); names the path of a transition or change.
        actors: Roles that may do it; empty means every signed-in actor.
        own_only: Those of `actors` that may act only on records that belong to them (their actor entity is
            reached from the record by a many-to-one relation, or is the record).
        fields: For CREATE, UPDATE and CHANGE, the fields it sets; empty on CREATE and UPDATE means all that
            are not kept by a lifecycle.
        relations: For CHANGE, the many-to-one relations it sets (`assign` a `driver`).
        transition: For TRANSITION, the transition's name.
        states: For UPDATE, CHANGE and DELETE, the states of the lifecycle in which it may be done; empty means all.
        guards: For UPDATE, CHANGE and DELETE, conditions on the record before the change.
        event: The domain event it emits, if any.
        stories: Ids of the user stories it serves.
    """

    name: SnakeName
    kind: OperationKind
    verb: SnakeName
    entity: PascalName
    actors: tuple[SnakeName, ...] = ()
    own_only: tuple[SnakeName, ...] = ()
    fields: tuple[SnakeName, ...] = ()
    relations: tuple[SnakeName, ...] = ()
    transition: SnakeName | None = None
    states: tuple[SnakeName, ...] = ()
    guards: tuple[Condition, ...] = ()
    event: PascalName | None = None
    stories: tuple[str, ...] = ()
    trace: Trace


class DomainEvent(_Strict):
    """A fact in the past tense that the product tells others, such as `AppointmentCancelled`.

    Its payload is the entity's id, the named fields, and the ids of the named relations.
    """

    name: PascalName
    entity: PascalName
    operation: SnakeName
    fields: tuple[SnakeName, ...] = ()
    relations: tuple[SnakeName, ...] = ()
    description: str = ""
    trace: Trace


class Invariant(_Strict):
    """A condition that holds on every stored record."""

    kind: Literal["invariant"] = "invariant"
    name: SnakeName
    entity: PascalName
    condition: Condition
    statement: str
    trace: Trace


class UniqueTogether(_Strict):
    """No two records share these values; `except_states` are ignored (a cancelled booking frees its slot)."""

    kind: Literal["unique-together"] = "unique-together"
    name: SnakeName
    entity: PascalName
    fields: tuple[SnakeName, ...] = ()
    relations: tuple[SnakeName, ...] = ()
    except_states: tuple[SnakeName, ...] = ()
    statement: str
    trace: Trace


class RelatedLimit(_Strict):
    """At most `limit` records of `entity` share one target of `relation`; `states` narrows which count."""

    kind: Literal["related-limit"] = "related-limit"
    name: SnakeName
    entity: PascalName
    relation: SnakeName
    limit: int = Field(ge=1)
    states: tuple[SnakeName, ...] = ()
    statement: str
    trace: Trace


class StatedRule(_Strict):
    """A rule the vision states that the factory did not turn into code; it is documented, not enforced."""

    kind: Literal["stated"] = "stated"
    name: SnakeName
    entity: PascalName | None = None
    statement: str
    trace: Trace


Policy = Annotated[Invariant | UniqueTogether | RelatedLimit | StatedRule, Field(discriminator="kind")]


class NonFunctional(_Strict):
    """A quality the product must have; `measure` is a checkable figure where the vision gives one."""

    id: str
    category: Literal[
        "performance", "availability", "security", "privacy", "usability", "scalability", "compliance", "operations"
    ]
    statement: str
    measure: str | None = None
    trace: Trace


class Term(_Strict):
    """A word of the domain and what it means here."""

    term: str
    definition: str
    trace: Trace


class Story(_Strict):
    """A user story, written by the author or derived from prose (then `derived` is true)."""

    id: str
    actor: SnakeName
    goal: str
    benefit: str | None = None
    derived: bool = False
    trace: Trace


class Assumption(_Strict):
    """Something the factory decided because the vision did not say it.

    `change` tells the author what to write in the vision to decide otherwise.
    """

    id: str
    subject: str
    statement: str
    reason: str
    change: str


class DomainModel(_Strict):
    """The product, precise enough to derive code from."""

    name: str
    slug: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=60)]
    summary: str
    actors: tuple[Actor, ...] = Field(min_length=1)
    entities: tuple[Entity, ...] = Field(min_length=1)
    enums: tuple[Enumeration, ...] = ()
    relations: tuple[Relation, ...] = ()
    lifecycles: tuple[Lifecycle, ...] = ()
    operations: tuple[Operation, ...] = ()
    events: tuple[DomainEvent, ...] = ()
    policies: tuple[Policy, ...] = ()
    non_functional: tuple[NonFunctional, ...] = ()
    glossary: tuple[Term, ...] = ()
    stories: tuple[Story, ...] = ()
    assumptions: tuple[Assumption, ...] = ()

    def entity(self, name: str) -> Entity:
        """Return the entity of that name; KeyError where there is none."""
        return {entity.name: entity for entity in self.entities}[name]

    def enum(self, name: str) -> Enumeration:
        """Return the enumeration of that name; KeyError where there is none."""
        return {enum.name: enum for enum in self.enums}[name]

    def relations_of(self, entity: str) -> tuple[Relation, ...]:
        """Return the relations whose source is the entity, in the model's order."""
        return tuple(relation for relation in self.relations if relation.source == entity)

    def lifecycle_of(self, entity: str) -> Lifecycle | None:
        """Return the entity's lifecycle, or None."""
        return next((lifecycle for lifecycle in self.lifecycles if lifecycle.entity == entity), None)

    def operations_of(self, entity: str) -> tuple[Operation, ...]:
        """Return the operations on the entity, in the model's order."""
        return tuple(operation for operation in self.operations if operation.entity == entity)

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        from factory.domain.references import reference_problems  # noqa: PLC0415 - it needs the classes of this module

        problems = list(reference_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def snake(words: str) -> str:
    """Return words, camel case or kebab case as snake case in ASCII; empty where no letter or digit is left."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", words)
    return "_".join(re.findall(r"[a-z0-9]+", spaced.lower()))


def pascal(words: str) -> str:
    """Return words, snake case or kebab case as PascalCase in ASCII."""
    return "".join(part.capitalize() for part in snake(words).split("_") if part)
