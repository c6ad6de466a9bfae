"""What the templates of the generated tests are given."""

from dataclasses import dataclass

from factory.skills.native.backend.routes import EndpointView
from factory.skills.native.backend.samples import first_source
from factory.skills.native.backend.views import ResourceView


@dataclass(frozen=True, slots=True)
class OwnerCase:
    """How a record that belongs to the bearer of a role is made."""

    role: str
    function: str
    lines: tuple[str, ...]
    given: str
    entity: str


@dataclass(frozen=True, slots=True)
class FactoryView:
    """How tests make records of a resource."""

    name: str
    row: str
    plain: tuple[tuple[str, str], ...]
    targets: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str, str], ...]
    body: tuple[tuple[str, str], ...]
    owners: tuple[OwnerCase, ...]

    @property
    def exports(self) -> tuple[str, ...]:
        """The functions of the factory."""
        owners = [owner.function for owner in self.owners]
        return (f"make_{self.name}", *([f"json_of_{self.name}"] if self.body else []), *owners)

    @property
    def uses_number(self) -> bool:
        """Tell whether any value differs from record to record."""
        return any(first_source(value) != value for _, value in self.plain)


@dataclass(frozen=True, slots=True)
class FilterCase:
    """A filter with a record that matches and one that does not."""

    name: str
    matching: str
    other: str
    query: str


@dataclass(frozen=True, slots=True)
class UniqueCase:
    """Two records that would share what is unique."""

    name: str
    given: str
    shared: tuple[tuple[str, str], ...]
    held: tuple[str, ...]
    freed: str | None


@dataclass(frozen=True, slots=True)
class LimitCase:
    """As many records as a limit allows."""

    name: str
    target: str
    member: str
    body_member: str
    limit: int
    given: str
    is_owner: bool


@dataclass(frozen=True, slots=True)
class GuardCase:
    """Values under which one guard of a transition or an operation refuses."""

    number: int
    given: str
    arguments: str


@dataclass(frozen=True, slots=True)
class RestrictionCase:
    """An operation that not every record allows: in which states it may be done, and what makes its guards refuse.

    Attributes:
        ready: A state in which it may be done; empty where the state does not matter.
        arguments: Of the function that checks, after the state, such that every guard passes.
    """

    function: str
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...]
    ready: str
    arguments: str
    guards: tuple[GuardCase, ...]


@dataclass(frozen=True, slots=True)
class AfterStepCase:
    """What refuses a transition once the new state counts: something unique, or a limit.

    Attributes:
        others: How many records stand in the way.
        members: What they share with the record.
        states: The state of the others and of the record before.
    """

    name: str
    code: str
    others: int
    members: tuple[str, ...]
    state: str
    before: str


@dataclass(frozen=True, slots=True)
class StepCase:
    """A transition: where it may start, where it may not, and what makes its guards pass or fail."""

    function: str
    sources: tuple[str, ...]
    forbidden: tuple[str, ...]
    target: str
    given: str
    arguments: str
    guards: tuple[GuardCase, ...]
    after: tuple[AfterStepCase, ...]


@dataclass(frozen=True, slots=True)
class RuleCase:
    """Arguments under which a rule holds and under which it is broken."""

    function: str
    passing: str
    failing: str


@dataclass(frozen=True, slots=True)
class DeleteCase:
    """What a delete meets: records that refer to the deleted one."""

    child: str
    child_row: str
    member: str
    given: str
    outcome: str


@dataclass(frozen=True, slots=True)
class EndpointCase:
    """An endpoint with what its tests need."""

    view: EndpointView
    kind: str
    path: str
    fields: tuple[tuple[str, str, bool], ...]
    required: tuple[str, ...]
    nullable: tuple[str, ...]
    invalid: tuple[tuple[str, str], ...]
    references: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    uniques: tuple[UniqueCase, ...]
    limits: tuple[LimitCase, ...]
    step: StepCase | None
    restriction: RestrictionCase | None
    ready: str
    events: tuple[str, ...]
    own_roles: tuple[str, ...]
    can_be_foreign: bool
    free_role: str
    required_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceCase:
    """A resource with what its tests need."""

    view: ResourceView
    factory: FactoryView
    endpoints: tuple[EndpointCase, ...]
    filters: tuple[FilterCase, ...]
    deletes: tuple[DeleteCase, ...]
    state: str
    initial_value: str
    sort_names: tuple[tuple[str, str], ...]
    state_name: str
    state_enum: str
    shown: tuple[tuple[str, str], ...]
    single: tuple[str, ...]
    steps: tuple[StepCase, ...]
    rules: tuple[RuleCase, ...]
