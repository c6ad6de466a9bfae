"""The typed parts of a service design; `design.py` builds them from a domain model."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from factory.domain.product import (
    Condition,
    DomainEvent,
    Entity,
    Lifecycle,
    Operation,
    OperationKind,
    ProductField,
    Relation,
    Transition,
)
from factory.skills.native.service_design.shapes import Schema


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One value of a resource besides `id`, `created_at` and `updated_at`: a field, a reference, or references.

    Members are compared by identity: a design makes each of them once.

    Attributes:
        name: Key in JSON and column in SQL.
        attribute: Name in Python.
        required: Null is refused. A required relation that closes a circle is relaxed, or no record could be first.
        schema: JSON Schema of one present value; null is added where a value is not required.
        field: The field, or None for a relation.
        relation: The relation, or None for a field.
        has_default: The model states a default of the right type.
        default: That default, in its JSON form.
    """

    name: str
    attribute: str
    required: bool
    schema: Schema
    field: ProductField | None = None
    relation: Relation | None = None
    has_default: bool = False
    default: JsonValue = None

    @property
    def is_reference(self) -> bool:
        """Tell whether it holds the id of one other record."""
        return self.relation is not None and not self.is_collection

    @property
    def is_collection(self) -> bool:
        """Tell whether it holds the ids of many other records."""
        return self.relation is not None and self.relation.kind == "many-to-many"


class FilterKind(StrEnum):
    """How a query parameter narrows a list."""

    EQUAL = "equal"
    FROM = "from"
    UNTIL = "until"
    CONTAINS = "contains"
    SEARCH = "search"


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter of a list."""

    name: str
    attribute: str
    kind: FilterKind
    schema: Schema
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that holds on every record, checked when one of its fields is written."""

    name: str
    condition: Condition
    statement: str


@dataclass(frozen=True, slots=True)
class Unique:
    """Members whose values together are unique, except among records in some states."""

    name: str
    members: tuple[Member, ...]
    except_states: tuple[str, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `limit` records share one target of a reference; `states` narrows which count."""

    name: str
    member: Member
    limit: int
    states: tuple[str, ...]
    statement: str


class HopKind(StrEnum):
    """How one step from a record towards its owner is made."""

    SELF = "self"
    REFERENCE = "reference"
    COLLECTION = "collection"
    CREATOR = "creator"


@dataclass(frozen=True, slots=True)
class Hop:
    """One step: from the resource `entity` over `relation` to the next."""

    kind: HopKind
    entity: str
    member: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Which records belong to the bearer of a role: those from which any of the paths leads to them."""

    role: str
    paths: tuple[tuple[Hop, ...], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A transition of a lifecycle, with the guards that can be checked."""

    transition: Transition
    guards: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a record must be like before an update, a change or a deletion.

    Attributes:
        states: States in which it may be done; empty where the state does not matter.
        guards: Conditions on the record before the change, of those that can be checked.
    """

    states: tuple[str, ...]
    guards: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One HTTP operation; several operations of the model may share it.

    Attributes:
        id: The operation id, which is also the function's name in the model.
        body: Name of the request schema, or None.
        members: What the body sets.
        roles: Who may call it; all roles where the model names none.
        own_only: Those of `roles` that reach their own records alone.
        events: What it publishes.
        restriction: What its record must be like, or None where any will do.
    """

    id: str
    kind: OperationKind
    verb: str
    method: str
    path: str
    summary: str
    roles: tuple[str, ...]
    own_only: tuple[str, ...]
    stories: tuple[str, ...]
    events: tuple[DomainEvent, ...]
    members: tuple[Member, ...] = ()
    body: str | None = None
    step: Step | None = None
    restriction: Restriction | None = None

    @property
    def transition(self) -> str | None:
        """The name of the transition it makes, if any."""
        return self.step.transition.name if self.step else None

    @property
    def guards(self) -> tuple[Condition, ...]:
        """The conditions on its record, whether it changes the state or anything else."""
        if self.step is not None:
            return self.step.guards
        return self.restriction.guards if self.restriction else ()

    @property
    def states(self) -> tuple[str, ...]:
        """The states in which it may be called; empty where the state does not matter."""
        if self.step is not None:
            return self.step.transition.sources
        return self.restriction.states if self.restriction else ()

    @property
    def status(self) -> int:
        """The status of success."""
        return {OperationKind.CREATE: 201, OperationKind.DELETE: 204}.get(self.kind, 200)


@dataclass(frozen=True, slots=True)
class Resource:
    """Everything the service knows about one entity."""

    entity: Entity
    schema: str
    table: str
    path: str
    tag: str
    members: tuple[Member, ...]
    lifecycle: Lifecycle | None
    state: Member | None
    steps: tuple[Step, ...]
    endpoints: tuple[Endpoint, ...]
    filters: tuple[Filter, ...]
    sorts: tuple[str, ...]
    rules: tuple[Rule, ...]
    uniques: tuple[Unique, ...]
    limits: tuple[Limit, ...]
    ownerships: tuple[Ownership, ...]
    keeps_creator: bool

    @property
    def is_shown(self) -> bool:
        """Tell whether an endpoint returns the resource."""
        return any(endpoint.kind is not OperationKind.DELETE for endpoint in self.endpoints)

    def endpoint(self, kind: OperationKind) -> Endpoint | None:
        """Return the first endpoint of the kind, or None."""
        return next((endpoint for endpoint in self.endpoints if endpoint.kind is kind), None)

    def serving(self, operation: Operation) -> Endpoint:
        """Return the endpoint that serves the operation; operations of one kind may share it."""
        named = operation.kind in (OperationKind.TRANSITION, OperationKind.CHANGE)
        return next(
            endpoint
            for endpoint in self.endpoints
            if endpoint.kind is operation.kind
            and (not named or (endpoint.verb, endpoint.transition) == (operation.verb, operation.transition))
        )

    def member(self, name: str) -> Member:
        """Return the member of that name; KeyError where there is none."""
        return {member.name: member for member in self.members}[name]
