"""The service, its resources and their parts as the templates see them."""

from dataclasses import dataclass

from factory.skills.native.backend.routes import EndpointView
from factory.skills.native.backend.rules import CheckView, LifecycleView, RuleView, StepView
from factory.skills.native.backend.schemas import Alias, Body, QueryFilter
from factory.skills.native.backend.tables import Column, Link


@dataclass(frozen=True, slots=True)
class OwnerView:
    """Whose records a role reaches, as source."""

    role: str
    condition: str
    needs_entity: bool


@dataclass(frozen=True, slots=True)
class UniqueView:
    """What is unique, as source."""

    applies: str
    conditions: tuple[str, ...]
    statement: str


@dataclass(frozen=True, slots=True)
class LimitView:
    """A limit, as source."""

    applies: str
    target: str
    attribute: str
    condition: str
    limit: int
    statement: str


@dataclass(frozen=True, slots=True)
class EnumView:
    """An enumeration of the domain layer."""

    name: str
    doc: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecimalView:
    """A decimal type of the API layer."""

    name: str
    pattern_name: str
    pattern: str
    format: str


@dataclass(frozen=True, slots=True)
class EventView:
    """An event's message, as source."""

    name: str
    function: str
    row: str
    collection: str
    doc: str
    data: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource as the templates see it."""

    name: str
    schema: str
    row: str
    row_doc: str
    module: str
    domain_module: str
    router: str
    table: str
    path: str
    tag: str
    label_words: str
    a_label: str
    plural_words: str
    has_domain: bool
    lifecycle: LifecycleView | None
    steps: tuple[StepView, ...]
    checks: tuple[CheckView, ...]
    rules: tuple[RuleView, ...]
    columns: tuple[Column, ...]
    table_args: tuple[str, ...]
    links: tuple[Link, ...]
    link_targets: tuple[tuple[str, str], ...]
    keeps_creator: bool
    list: bool
    creates: bool
    shown: bool
    select_function: str
    page_schema: str
    filters: tuple[QueryFilter, ...]
    sorts: tuple[str, ...]
    owners: tuple[OwnerView, ...]
    uniques: tuple[UniqueView, ...]
    limits: tuple[LimitView, ...]
    aliases: tuple[Alias, ...]
    shown_members: tuple[str, ...]
    bodies: tuple[Body, ...]
    schema_names: tuple[str, ...]
    query_names: tuple[str, ...]
    endpoints: tuple[EndpointView, ...]


@dataclass(frozen=True, slots=True)
class ServiceView:
    """The service as the templates see it."""

    package: str
    slug: str
    title: str
    title_line: str
    title_literal: str
    summary: str
    summary_line: str
    summary_literal: str
    version: str
    roles: tuple[dict[str, str], ...]
    enums: tuple[EnumView, ...]
    enum_names: str
    resources: tuple[ResourceView, ...]
    routed: tuple[ResourceView, ...]
    endpoints: tuple[EndpointView, ...]
    events: tuple[EventView, ...]
    types: frozenset[str]
    type_names: tuple[str, ...]
    decimals: tuple[DecimalView, ...]
    row_names: str
    all_rows: tuple[str, ...]
    unenforced: tuple[str, ...]
    has_states: bool
    has_guards: bool
    has_rules: bool
    has_uniques: bool
    has_limits: bool
    has_references: bool
    has_collections: bool
    has_deletes: bool
    has_ownerships: bool
    has_lists: bool
    has_everyone: bool
    has_denials: bool
    has_creators: bool
    body_endpoint: dict[str, str] | None
