"""What a list can be narrowed and ordered by."""

from factory.domain.product import DomainModel, Entity, FieldType, OperationKind
from factory.skills.native.service_design.naming import ATTRIBUTE_NAMES, Names, python_name, singular
from factory.skills.native.service_design.parts import Filter, FilterKind, Member
from factory.skills.native.service_design.shapes import TEXT_PATTERN, TEXTUAL, Schema

_SEARCH_VERBS = frozenset({"search", "find", "look_up", "lookup", "search_for"})
_PAGING = ("limit", "offset", "sort", "search")
_UNSORTED = frozenset({FieldType.RICH_TEXT, FieldType.FILE, FieldType.GEO_POINT, FieldType.JSON, FieldType.UUID})
_UUID: Schema = {"type": "string", "format": "uuid"}


def filters(model: DomainModel, entity: Entity, members: tuple[Member, ...]) -> tuple[Filter, ...]:
    """Return the filters of the entity's list; none where the model lists nothing."""
    listing = [operation for operation in model.operations_of(entity.name) if operation.kind is OperationKind.LIST]
    if not listing:
        return ()
    names = Names(_PAGING)
    found: list[Filter] = []
    for member in members:
        found += _of_member(member, names)
    textual = tuple(member for member in members if member.field and member.field.type in TEXTUAL)
    if textual and any(operation.verb in _SEARCH_VERBS for operation in listing):
        schema: Schema = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": TEXT_PATTERN}
        found.append(Filter("search", "search", FilterKind.SEARCH, schema, textual))
    return tuple(found)


def sorts(members: tuple[Member, ...]) -> tuple[str, ...]:
    """Return the values of the `sort` parameter; a minus in front turns the order round."""
    keys = ["created_at", *(member.name for member in members if member.field and member.field.type not in _UNSORTED)]
    return tuple(value for key in keys for value in (key, f"-{key}"))


def _of_member(member: Member, names: Names) -> list[Filter]:
    if member.relation is not None:
        kind = FilterKind.EQUAL
        name = member.name
        if member.is_collection:
            kind = FilterKind.CONTAINS
            name = singular(member.name)
        return [_filter(name, kind, _UUID, member, names)]
    kind_of = member.field.type if member.field else FieldType.JSON
    if kind_of in (FieldType.ENUM, FieldType.BOOLEAN):
        return [_filter(member.name, FilterKind.EQUAL, member.schema, member, names)]
    if kind_of in (FieldType.DATE, FieldType.DATETIME):
        return [
            _filter(f"{member.name}_from", FilterKind.FROM, member.schema, member, names),
            _filter(f"{member.name}_until", FilterKind.UNTIL, member.schema, member, names),
        ]
    return []


def _filter(name: str, kind: FilterKind, schema: Schema, member: Member, names: Names) -> Filter:
    free = names.claim(name, "_is")
    return Filter(free, python_name(free, ATTRIBUTE_NAMES), kind, schema, (member,))
