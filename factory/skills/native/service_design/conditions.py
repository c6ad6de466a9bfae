"""Which conditions of the model can be checked, and on what kind of value."""

import datetime as dt
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from pydantic import JsonValue

from factory.domain.product import Condition, DomainModel, Entity, FieldType, ProductField


class ValueKind(StrEnum):
    """What Python compares a field's value as."""

    TEXT = "text"
    DECIMAL = "decimal"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    UUID = "uuid"
    ENUM = "enum"
    DOCUMENT = "document"


_KINDS: dict[FieldType, ValueKind] = {
    FieldType.MONEY: ValueKind.DECIMAL,
    FieldType.DECIMAL: ValueKind.DECIMAL,
    FieldType.PERCENTAGE: ValueKind.FLOAT,
    FieldType.INTEGER: ValueKind.INTEGER,
    FieldType.DURATION: ValueKind.INTEGER,
    FieldType.BOOLEAN: ValueKind.BOOLEAN,
    FieldType.DATE: ValueKind.DATE,
    FieldType.TIME: ValueKind.TIME,
    FieldType.DATETIME: ValueKind.DATETIME,
    FieldType.UUID: ValueKind.UUID,
    FieldType.ENUM: ValueKind.ENUM,
    FieldType.FILE: ValueKind.DOCUMENT,
    FieldType.GEO_POINT: ValueKind.DOCUMENT,
    FieldType.JSON: ValueKind.DOCUMENT,
}
NUMBERS = frozenset({ValueKind.DECIMAL, ValueKind.INTEGER, ValueKind.FLOAT})
DAYS = frozenset({ValueKind.DATE, ValueKind.DATETIME})
_ORDERED = NUMBERS | DAYS | {ValueKind.TIME, ValueKind.TEXT}


def value_kind(field: ProductField) -> ValueKind:
    """Return what the field's value is compared as."""
    return _KINDS.get(field.type, ValueKind.TEXT)


def is_checkable(model: DomainModel, entity: Entity, condition: Condition) -> bool:
    """Tell whether both sides of the condition can be compared."""
    fields = {field.name: field for field in entity.fields}
    left = fields.get(condition.left)
    if left is None:
        return False
    kind = value_kind(left)
    if condition.right_kind == "none":
        return True
    if condition.op not in ("eq", "ne") and kind not in _ORDERED:
        return False
    if condition.right_kind in ("now", "today"):
        return kind in DAYS
    if condition.right_kind == "field":
        right = fields.get(str(condition.right))
        return right is not None and right.name != left.name and _comparable(left, right)
    return literal(model, left, condition.right) is not None


def literal(
    model: DomainModel, field: ProductField, value: JsonValue
) -> str | int | float | bool | Decimal | dt.date | dt.time | dt.datetime | None:
    """Return the literal as the field's kind of value, or None where it is not one."""
    kind = value_kind(field)
    try:
        match kind:
            case ValueKind.BOOLEAN:
                return value if isinstance(value, bool) else None
            case ValueKind.ENUM:
                return value if isinstance(value, str) and value in model.enum(str(field.enum)).values else None
            case ValueKind.TEXT:
                return value if isinstance(value, str) else None
            case ValueKind.UUID | ValueKind.DOCUMENT:
                return None
            case _:
                return _number_or_moment(kind, value)
    except (ValueError, InvalidOperation):
        return None


def _number_or_moment(  # noqa: PLR0911 - one return per kind of value
    kind: ValueKind, value: JsonValue
) -> int | float | Decimal | dt.date | dt.time | dt.datetime | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if kind in NUMBERS:
        number = Decimal(str(value))
        if not number.is_finite():
            return None
        if kind is ValueKind.DECIMAL:
            return number
        return int(number) if kind is ValueKind.INTEGER else float(number)
    text = str(value)
    if kind is ValueKind.DATE:
        return dt.date.fromisoformat(text)
    if kind is ValueKind.TIME:
        return dt.time.fromisoformat(text).replace(tzinfo=None)
    moment = dt.datetime.fromisoformat(text)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _comparable(left: ProductField, right: ProductField) -> bool:
    one, other = value_kind(left), value_kind(right)
    if one is ValueKind.ENUM:
        return left.enum == right.enum
    return one is other or {one, other} <= NUMBERS or {one, other} <= DAYS
