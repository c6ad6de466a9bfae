"""How tables look in the models and in the first migration."""

import hashlib
from dataclasses import dataclass

from factory.domain.product import snake
from factory.skills.native.backend.expressions import column_type, python_type, quoted
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import python_name, words
from factory.skills.native.service_design.parts import Member, Resource, Unique

_LONGEST_NAME = 63
_ON_DELETE = {"restrict": "RESTRICT", "cascade": "CASCADE", "set-null": "SET NULL"}


@dataclass(frozen=True, slots=True)
class Column:
    """A mapped column of a table class."""

    attribute: str
    python: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Link:
    """A many-to-many relation: its table and the attribute that holds the other rows."""

    table: str
    table_constant: str
    source_column: str
    target_column: str
    target_table: str
    target_row: str
    target_module: str
    on_delete: str
    attribute: str
    ids: str
    joins: str
    words: str


@dataclass(frozen=True, slots=True)
class LateReference:
    """A foreign key that can only be made once both tables exist."""

    table: str
    name: str
    column: str
    target: str
    on_delete: str


@dataclass(frozen=True, slots=True)
class MigratedTable:
    """A table in the migration."""

    name: str
    lines: tuple[str, ...]
    indexes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    """The first migration."""

    tables: tuple[MigratedTable, ...]
    late_references: tuple[LateReference, ...]


def row_class(resource: Resource) -> str:
    """Return the name of the class of the table's rows."""
    return f"{resource.schema}Row"


def constraint_name(prefix: str, table: str, *columns: str) -> str:
    """Return the conventional name, cut and made distinct with a hash where a database would refuse its length."""
    name = "_".join((prefix, table, *columns))
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}_{digest}"


def columns(design: ServiceDesign, resource: Resource) -> tuple[Column, ...]:
    """Return the columns of a resource's table class, without those every record has."""
    found = []
    for member in resource.members:
        if member.is_collection:
            continue
        arguments = [quoted(member.name)] if member.attribute != member.name else []
        arguments.append(column_type(design, resource, member))
        if member.relation is not None:
            arguments = [_foreign_key(design, resource, member)]
        if _has_index(resource, member):
            arguments.append("index=True")
        python = python_type(design, member)
        found.append(Column(member.attribute, python if member.required else f"{python} | None", ", ".join(arguments)))
    return tuple(found)


def table_arguments(resource: Resource) -> tuple[str, ...]:
    """Return the constraints that span a table class."""
    return tuple(_unique_argument(resource, unique) for unique in resource.uniques)


def links(design: ServiceDesign, resource: Resource) -> tuple[Link, ...]:
    """Return the many-to-many relations of a resource that have no join entity."""
    found = []
    for member in resource.members:
        relation = member.relation
        if relation is None or not member.is_collection:
            continue
        target = design.resource(relation.target)
        source_column = f"{snake(resource.entity.name)}_id"
        target_column = member.name.removesuffix("s")
        if target_column == source_column:
            target_column = f"other_{target_column}"
        table = f"{resource.table}_{relation.name}"[:_LONGEST_NAME]
        constant = table.upper()
        joins = ""
        if relation.source == relation.target:
            row = row_class(resource)
            joins = (
                f", primaryjoin=lambda: {row}.id == {constant}.c.{source_column}"
                f", secondaryjoin=lambda: {row}.id == {constant}.c.{target_column}"
            )
        found.append(
            Link(
                table=table,
                table_constant=constant,
                source_column=source_column,
                target_column=target_column,
                target_table=target.table,
                target_row=row_class(target),
                target_module=table_module(target),
                on_delete="RESTRICT" if relation.on_delete == "restrict" else "CASCADE",
                attribute=python_name(relation.name),
                ids=member.attribute,
                joins=joins,
                words=words(relation.name),
            )
        )
    return tuple(found)


def table_module(resource: Resource) -> str:
    """Return the module of a resource's table class."""
    name = python_name(snake(resource.entity.name))
    return f"{name}_record" if name == "outbox" else name


def migration(design: ServiceDesign) -> Migration:
    """Return the first migration of the whole service."""
    made: set[str] = set()
    tables: list[MigratedTable] = []
    late: list[LateReference] = []
    for name in design.table_order:
        resource = design.resource(name)
        made.add(name)
        late += [
            _late_reference(design, resource, member)
            for member in resource.members
            if member.relation and not member.is_collection and member.relation.target not in made
        ]
        tables.append(_migrated(design, resource, made))
    for name in design.table_order:
        resource = design.resource(name)
        tables += [_migrated_link(resource, link) for link in links(design, resource)]
    return Migration((*tables, _OUTBOX), tuple(late))


_POSITION = 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
_OUTBOX = MigratedTable(
    "outbox",
    (
        f'sa.Column("position", {_POSITION}, autoincrement=True, nullable=False)',
        'sa.Column("event_id", sa.Uuid(), nullable=False)',
        'sa.Column("type", sa.String(100), nullable=False)',
        'sa.Column("subject", sa.String(200), nullable=False)',
        'sa.Column("data", sa.JSON(), nullable=False)',
        'sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False)',
        'sa.Column("published_at", sa.DateTime(timezone=True), nullable=True)',
        'sa.PrimaryKeyConstraint("position", name="pk_outbox")',
        'sa.UniqueConstraint("event_id", name="uq_outbox_event_id")',
    ),
    ('op.create_index("ix_outbox_published_at", "outbox", ["published_at"])',),
)


def _migrated(design: ServiceDesign, resource: Resource, made: set[str]) -> MigratedTable:
    moment = "sa.DateTime(timezone=True), nullable=False)"
    lines = ['sa.Column("id", sa.Uuid(), nullable=False)']
    indexes = []
    for member in resource.members:
        if member.is_collection:
            continue
        kind = _migrated_type(design, resource, member)
        lines.append(f"sa.Column({quoted(member.name)}, {kind}, nullable={not member.required})")
        if _has_index(resource, member):
            indexes.append(_index(resource.table, member.name))
    if resource.keeps_creator:
        lines.append('sa.Column("created_by", sa.String(255), nullable=True)')
        indexes.append(_index(resource.table, "created_by"))
    lines += [f'sa.Column("created_at", {moment}', f'sa.Column("updated_at", {moment}']
    lines.append(f'sa.PrimaryKeyConstraint("id", name="{constraint_name("pk", resource.table)}")')
    for member in resource.members:
        relation = member.relation
        if relation and not member.is_collection and relation.target in made:
            name = constraint_name("fk", resource.table, member.name)
            target = design.resource(relation.target).table
            lines.append(
                f'sa.ForeignKeyConstraint(["{member.name}"], ["{target}.id"], name="{name}", '
                f'ondelete="{_ON_DELETE[relation.on_delete]}")'
            )
    for unique in resource.uniques:
        names = ", ".join(quoted(member.name) for member in unique.members)
        if unique.except_states and resource.state:
            options = f"unique=True, {_where(resource, unique)}"
            indexes.append(f'op.create_index("{unique.name}", "{resource.table}", [{names}], {options})')
        else:
            lines.append(f'sa.UniqueConstraint({names}, name="{unique.name}")')
    return MigratedTable(resource.table, tuple(lines), tuple(indexes))


def _migrated_link(resource: Resource, link: Link) -> MigratedTable:
    def reference(column: str, target: str, on_delete: str) -> str:
        name = constraint_name("fk", link.table, column)
        return f'sa.ForeignKeyConstraint(["{column}"], ["{target}.id"], name="{name}", ondelete="{on_delete}")'

    names = f'"{link.source_column}", "{link.target_column}"'
    return MigratedTable(
        link.table,
        (
            f'sa.Column("{link.source_column}", sa.Uuid(), nullable=False)',
            f'sa.Column("{link.target_column}", sa.Uuid(), nullable=False)',
            f'sa.PrimaryKeyConstraint({names}, name="{constraint_name("pk", link.table)}")',
            reference(link.source_column, resource.table, "CASCADE"),
            reference(link.target_column, link.target_table, link.on_delete),
        ),
        (_index(link.table, link.target_column),),
    )


def _migrated_type(design: ServiceDesign, resource: Resource, member: Member) -> str:
    if member.field is not None and member.field.enum is not None:
        values = ", ".join(quoted(value) for value in design.enumeration(member.field.enum).values)
        name = snake(design.enums[member.field.enum])
        return f'sa.Enum({values}, name="{name}", native_enum=False, create_constraint=True, length=60)'
    if member.field is not None and value_kind(member.field) is ValueKind.DATETIME:
        return "sa.DateTime(timezone=True)"
    source = column_type(design, resource, member)
    return "sa.JSON()" if source == "DOCUMENT" else source


def _late_reference(design: ServiceDesign, resource: Resource, member: Member) -> LateReference:
    assert member.relation is not None  # noqa: S101 - only references are late
    return LateReference(
        table=resource.table,
        name=constraint_name("fk", resource.table, member.name),
        column=member.name,
        target=design.resource(member.relation.target).table,
        on_delete=_ON_DELETE[member.relation.on_delete],
    )


def _foreign_key(design: ServiceDesign, resource: Resource, member: Member) -> str:
    assert member.relation is not None  # noqa: S101 - callers pass references
    target = design.resource(member.relation.target)
    options = [f'"{target.table}.id"', f'ondelete="{_ON_DELETE[member.relation.on_delete]}"']
    conventional = f"fk_{resource.table}_{member.name}"
    order = design.table_order
    if order.index(target.entity.name) > order.index(resource.entity.name):
        options.append("use_alter=True")
    name = constraint_name("fk", resource.table, member.name)
    if name != conventional:
        options.append(f'name="{name}"')
    return f"sa.ForeignKey({', '.join(options)})"


def _has_index(resource: Resource, member: Member) -> bool:
    """Tell whether lists and deletes look the column up and no unique constraint starts with it."""
    leads = any(unique.members[0] is member and not unique.except_states for unique in resource.uniques)
    return (member.is_reference or member is resource.state) and not leads


def _index(table: str, column: str) -> str:
    return f'op.create_index("{constraint_name("ix", table, column)}", "{table}", ["{column}"])'


def _unique_argument(resource: Resource, unique: Unique) -> str:
    names = ", ".join(quoted(member.name) for member in unique.members)
    if unique.except_states and resource.state:
        return f'sa.Index("{unique.name}", {names}, unique=True, {_where(resource, unique)})'
    return f'sa.UniqueConstraint({names}, name="{unique.name}")'


def _where(resource: Resource, unique: Unique) -> str:
    assert resource.state is not None  # noqa: S101 - callers check it
    states = ", ".join(f"'{state}'" for state in unique.except_states)
    condition = f'sa.text("{resource.state.name} NOT IN ({states})")'
    return f"sqlite_where={condition}, postgresql_where={condition}"
