"""How the JSON of a resource looks as pydantic classes."""

import textwrap
from dataclasses import dataclass

from factory.domain.product import FieldType, OperationKind, pascal
from factory.skills.native.backend.expressions import constrained_type, literal_source, quoted, schema_type
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import CLASS_NAMES, Names
from factory.skills.native.service_design.parts import Endpoint, Filter, FilterKind, Member, Resource

_ALIAS_ENDS = {ValueKind.TEXT: "Text", ValueKind.INTEGER: "Integer", ValueKind.FLOAT: "Percentage"}


@dataclass(frozen=True, slots=True)
class Alias:
    """A named type of a schema module."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Body:
    """A request schema."""

    name: str
    doc: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """A filter as a query schema declares it and as the statement applies it."""

    name: str
    python: str
    declaration: str
    lines: tuple[str, ...]


class SchemaView:
    """The schema module of one resource."""

    def __init__(self, design: ServiceDesign, resource: Resource) -> None:
        self._design = design
        self._resource = resource
        names = Names(CLASS_NAMES)
        for name in (resource.schema, page_schema(resource), query_schema(resource), *design.enums.values()):
            names.claim(name, "_")
        for endpoint in resource.endpoints:
            names.claim(endpoint.body or "", "_")
        self._types: dict[str, str] = {}
        aliases: list[Alias] = []
        for member in self._used():
            expression = constrained_type(member)
            if expression is None or member.field is None:
                self._types[member.name] = schema_type(design, member)
                continue
            alias = names.claim(pascal(member.name) + _ALIAS_ENDS[value_kind(member.field)], "Value")
            aliases.append(Alias(alias, expression))
            self._types[member.name] = alias
        self.aliases = tuple(aliases)

    @property
    def shown_members(self) -> tuple[str, ...]:
        """Return the declarations of the resource's own schema."""
        members = self._resource.members if self._resource.is_shown else ()
        return tuple(self._shown(member) for member in members)

    @property
    def bodies(self) -> tuple[Body, ...]:
        """Return the request schemas."""
        return tuple(self._body(endpoint) for endpoint in self._resource.endpoints if endpoint.body)

    @property
    def filters(self) -> tuple[QueryFilter, ...]:
        """Return the filters of the list."""
        return tuple(self._filter(filter_) for filter_ in self._resource.filters)

    def _used(self) -> tuple[Member, ...]:
        """Return the members that some schema of the module mentions."""
        if self._resource.is_shown:
            return self._resource.members
        return tuple(dict.fromkeys(member for endpoint in self._resource.endpoints for member in endpoint.members))

    def _shown(self, member: Member) -> str:
        kind = self._types[member.name]
        declaration = f"{member.attribute}: {kind if member.required else f'{kind} | None'}"
        if member.attribute != member.name:
            own, other = quoted(member.attribute), quoted(member.name)
            return f"{declaration} = Field(validation_alias={own}, serialization_alias={other})"
        return declaration

    def _body(self, endpoint: Endpoint) -> Body:
        doc = {
            OperationKind.CREATE: f"What it takes to: {endpoint.summary.lower()}.",
            OperationKind.UPDATE: "What to change; what is left out stays as it is.",
        }.get(endpoint.kind, f"What it takes to: {endpoint.summary.lower()}.")
        return Body(str(endpoint.body), doc, tuple(self._input(endpoint.kind, member) for member in endpoint.members))

    def _input(self, kind: OperationKind, member: Member) -> str:
        name = self._types[member.name]
        default: str | None = None
        if kind is OperationKind.UPDATE:
            annotation = f"Maybe[{name}]" if member.required else f"{name} | None"
            default = "None"
        else:
            annotation = name if member.required else f"{name} | None"
            default = None if member.required else "None"
            if kind is OperationKind.CREATE and member.has_default:
                default = self.default_source(member)
        if member.attribute != member.name:
            given = "" if default is None else f"default={default}, "
            return f"{member.attribute}: {annotation} = Field({given}alias={quoted(member.name)})"
        if default == "[]":
            return f"{member.attribute}: {annotation} = Field(default_factory=list)"
        return f"{member.attribute}: {annotation}" + ("" if default is None else f" = {default}")

    def default_source(self, member: Member) -> str:
        """Return a member's default as source."""
        return default_source(self._design, member)

    def _filter(self, filter_: Filter) -> QueryFilter:
        member = filter_.members[0]
        python, declared = self._filter_types(filter_, member)
        alias = (
            f" = Field(default=None, alias={quoted(filter_.name)})" if filter_.attribute != filter_.name else " = None"
        )
        declaration = f"{filter_.attribute}: {declared} | SkipJsonSchema[None]{alias}"
        return QueryFilter(filter_.attribute, python, declaration, self._filter_lines(filter_, member))

    def _filter_types(self, filter_: Filter, member: Member) -> tuple[str, str]:
        if filter_.kind is FilterKind.SEARCH:
            return "str", "Annotated[str, Field(min_length=1, max_length=100, pattern=TEXT)]"
        if member.field is None:
            return "UUID", "UUID"
        if member.field.enum is not None:
            name = self._design.enums[member.field.enum]
            return name, name
        return {
            FieldType.BOOLEAN: ("bool", "bool"),
            FieldType.DATE: ("dt.date", "Day"),
            FieldType.DATETIME: ("dt.datetime", "Instant"),
        }[member.field.type]

    def _filter_lines(self, filter_: Filter, member: Member) -> tuple[str, ...]:
        row = f"{self._resource.schema}Row"
        column, value = f"{row}.{member.attribute}", filter_.attribute
        match filter_.kind:
            case FilterKind.FROM:
                condition = f"{column} >= {value}"
            case FilterKind.UNTIL:
                condition = f"{column} <= {value}"
            case FilterKind.CONTAINS:
                target = self._design.resource(str(member.relation and member.relation.target))
                relation = member.relation.name if member.relation else ""
                condition = f"{row}.{relation}.any({target.schema}Row.id == {value})"
            case FilterKind.SEARCH:
                parts = ", ".join(
                    f"{row}.{one.attribute}.icontains({value}, autoescape=True)" for one in filter_.members
                )
                condition = f"sa.or_({parts})"
            case _ if member.field and member.field.type is FieldType.BOOLEAN:
                condition = f"{column}.is_({value})"
            case _:
                condition = f"{column} == {value}"
        return (f"statement = statement.where({condition})",)


def default_source(design: ServiceDesign, member: Member) -> str:
    """Return a member's default as Python source."""
    if member.is_collection or member.field is None:
        return "[]"
    return literal_source(design, member.field, member.default)


def page_schema(resource: Resource) -> str:
    """Return the name of the schema of one page of the list."""
    return f"{resource.schema}Page"


def query_schema(resource: Resource) -> str:
    """Return the name of the class of the list's query."""
    return f"{resource.schema}Query"


def wrapped(text: str, indent: int = 4) -> str:
    """Return prose for a docstring, broken into lines where it is long."""
    return textwrap.fill(text, width=110, subsequent_indent=" " * indent)
