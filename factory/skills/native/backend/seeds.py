"""What the seed stores: three records of each kind, linked to those before them."""

from dataclasses import dataclass

from factory.skills.native.backend.expressions import quoted
from factory.skills.native.backend.samples import person_name, plain_source, solve_rules
from factory.skills.native.backend.tables import links, row_class
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import python_name, words
from factory.skills.native.service_design.parts import Member, Resource

_PEOPLE = 6


@dataclass(frozen=True, slots=True)
class SeedView:
    """The records of one table."""

    function: str
    words: str
    row: str
    table: str
    numbers: str
    values: tuple[tuple[str, str], ...]


def seed_views(design: ServiceDesign) -> tuple[SeedView, ...]:
    """Return the seeds in an order in which they can be stored."""
    done: set[str] = set()
    found = []
    for name in design.table_order:
        found.append(_seed(design, design.resource(name), done))
        done.add(name)
    return tuple(found)


def _seed(design: ServiceDesign, resource: Resource, done: set[str]) -> SeedView:
    solved = solve_rules(design, resource)
    linked = {link.ids: link for link in links(design, resource)}
    values: list[tuple[str, str]] = []
    for member in resource.members:
        if member.field is not None:
            source = solved.get(member.name) or _value(design, resource, member)
            values.append((member.attribute, source))
        elif member.relation and member.relation.target in done:
            target = design.resource(member.relation.target)
            identity = f'numbered_id({{n}}, "{target.table}")'
            if member.is_collection:
                link = linked[member.name]
                values.append((link.attribute, f"[session.get_one({link.target_row}, {identity.format(n=1)})]"))
            else:
                number = "1" if _few(target) else "n"
                values.append((member.attribute, identity.format(n=number)))
    if resource.keeps_creator:
        values.append(("created_by", '"developer"'))
    return SeedView(
        function=python_name(f"_{resource.entity.collection}"),
        words=words(resource.entity.collection),
        row=row_class(resource),
        table=resource.table,
        numbers="NUMBERS[:1]" if _few(resource) else "NUMBERS",
        values=tuple(values),
    )


def _few(resource: Resource) -> bool:
    """Tell whether unique closed lists leave room for one record only."""
    closed = (ValueKind.ENUM, ValueKind.BOOLEAN)
    return any(
        all(member.field is not None and value_kind(member.field) in closed for member in unique.members)
        for unique in resource.uniques
    )


def _value(design: ServiceDesign, resource: Resource, member: Member) -> str:
    is_person = any(role.entity == resource.entity.name for role in design.roles)
    if is_person and member.name in ("name", "full_name"):
        names = ", ".join(quoted(person_name(number)) for number in range(_PEOPLE))
        return f"pick(n, {names})"
    return plain_source(design, resource, member)
