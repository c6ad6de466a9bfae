"""Python source for the values of the design: types, column types, literals, comparisons."""

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from factory.domain.product import Condition, FieldType, ProductField
from factory.skills.native.service_design.conditions import ValueKind, literal, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import words
from factory.skills.native.service_design.parts import Member, Resource
from factory.skills.native.service_design.shapes import (
    DECIMAL_DIGITS,
    EMAIL_PATTERN,
    MONEY_DIGITS,
    PHONE_PATTERN,
    TEXT_PATTERN,
    TEXTUAL,
    URL_PATTERN,
    is_signed,
    text_length,
)

_PYTHON = {
    ValueKind.TEXT: "str",
    ValueKind.DECIMAL: "Decimal",
    ValueKind.INTEGER: "int",
    ValueKind.FLOAT: "float",
    ValueKind.BOOLEAN: "bool",
    ValueKind.DATE: "dt.date",
    ValueKind.TIME: "dt.time",
    ValueKind.DATETIME: "dt.datetime",
    ValueKind.UUID: "UUID",
    ValueKind.DOCUMENT: "dict[str, Any]",
}
_OPPOSITE = {"lt": ">=", "le": ">", "gt": "<=", "ge": "<", "eq": "!=", "ne": "=="}
_IN_WORDS = {
    "lt": "before",
    "le": "not after",
    "gt": "after",
    "ge": "not before",
    "eq": "equal to",
    "ne": "other than",
}
_IN_NUMBERS = {
    "lt": "less than",
    "le": "at most",
    "gt": "more than",
    "ge": "at least",
    "eq": "equal to",
    "ne": "other than",
}
_PATTERNS = {EMAIL_PATTERN: "EMAIL", PHONE_PATTERN: "PHONE", URL_PATTERN: "URL", TEXT_PATTERN: "TEXT"}
MINUTES_PER_DAY = 1440


def quoted(text: str) -> str:
    """Return a string literal with double quotes."""
    return json.dumps(text, ensure_ascii=False)


def raw(pattern: str) -> str:
    """Return a regular expression as a raw string literal where that is possible."""
    return f'r"{pattern}"' if '"' not in pattern and not pattern.endswith("\\") else quoted(pattern)


def python_type(design: ServiceDesign, member: Member) -> str:
    """Return the type of a present value in Python."""
    if member.is_collection:
        return "list[UUID]"
    if member.field is None:
        return "UUID"
    if member.field.enum is not None:
        return design.enums[member.field.enum]
    return _PYTHON[value_kind(member.field)]


def column_type(design: ServiceDesign, resource: Resource, member: Member) -> str:
    """Return the SQLAlchemy type of a column, with `sa` for SQLAlchemy."""
    field = member.field
    if field is None:
        return "sa.Uuid()"
    if field.enum is not None:
        return enum_column(design, field.enum)
    if field.type is FieldType.RICH_TEXT and not is_indexed(resource, member):
        return "sa.Text()"
    if field.type in TEXTUAL:
        return f"sa.String({text_length(design.model, resource.entity.name, field)})"
    if field.type in (FieldType.MONEY, FieldType.DECIMAL):
        before, after = MONEY_DIGITS if field.type is FieldType.MONEY else DECIMAL_DIGITS
        return f"sa.Numeric({before + after}, {after})"
    return {
        ValueKind.INTEGER: "sa.Integer()",
        ValueKind.FLOAT: "sa.Double()",
        ValueKind.BOOLEAN: "sa.Boolean()",
        ValueKind.DATE: "sa.Date()",
        ValueKind.TIME: "sa.Time()",
        ValueKind.DATETIME: "UtcDateTime",
        ValueKind.UUID: "sa.Uuid()",
        ValueKind.DOCUMENT: "DOCUMENT",
    }[value_kind(field)]


def enum_column(design: ServiceDesign, enum: str) -> str:
    """Return the column type of an enumeration, kept by its values."""
    return f"stored({design.enums[enum]})"


def is_indexed(resource: Resource, member: Member) -> bool:
    """Tell whether the member takes part in something unique."""
    return any(member in unique.members for unique in resource.uniques)


def schema_type(design: ServiceDesign, member: Member) -> str:
    """Return the API type of a present value."""
    field = member.field
    if member.is_collection:
        least = "min_length=1, " if member.schema.get("minItems") else ""
        return f"Annotated[list[UUID], Field({least}max_length={member.schema['maxItems']})]"
    if field is None:
        return "UUID"
    if field.enum is not None:
        return design.enums[field.enum]
    if field.type in (FieldType.MONEY, FieldType.DECIMAL):
        return decimal_alias(field)
    return {
        FieldType.BOOLEAN: "Annotated[bool, Field(strict=True)]",
        FieldType.DATE: "Day",
        FieldType.TIME: "ClockTime",
        FieldType.DATETIME: "Instant",
        FieldType.UUID: "UUID",
        FieldType.FILE: "FileReference",
        FieldType.GEO_POINT: "GeoPoint",
        FieldType.JSON: "Document",
    }[field.type]


def constrained_type(member: Member) -> str | None:
    """Return the annotated type of a text or a number with limits, or None for other members."""
    schema = member.schema
    if member.field is None or member.field.enum is not None:
        return None
    if member.field.type in TEXTUAL:
        pattern = str(schema["pattern"])
        limits = [f"min_length={schema['minLength']}"] if "minLength" in schema else []
        limits += [f"max_length={schema['maxLength']}", f"pattern={_PATTERNS.get(pattern) or raw(pattern)}"]
        return f"Annotated[str, Field({', '.join(limits)})]"
    bounds = f"ge={schema.get('minimum')}, le={schema.get('maximum')}, strict=True"
    if value_kind(member.field) is ValueKind.INTEGER:
        return f"Annotated[int, Field({bounds}), WHOLE]"
    if value_kind(member.field) is ValueKind.FLOAT:
        return f"Annotated[float, Field({bounds}, allow_inf_nan=False)]"
    return None


def decimal_alias(field: ProductField) -> str:
    """Return the name of the API type of a decimal field."""
    base = "Money" if field.type is FieldType.MONEY else "Number"
    return base if is_signed(field) else f"NonNegative{base}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition as source: the test that it is broken, what it reads, and what to say."""

    broken: str
    members: tuple[Member, ...]
    needs_now: bool
    message: str


def comparison(design: ServiceDesign, resource: Resource, condition: Condition) -> Comparison:
    """Return the source for a checkable condition; an absent value breaks nothing but `is-set`."""
    left = resource.member(condition.left)
    label = words(left.name)
    if condition.op == "is-set":
        return Comparison(f"{left.attribute} is None", (left,), needs_now=False, message=f"the {label} is set")
    if condition.op == "is-not-set":
        return Comparison(f"{left.attribute} is not None", (left,), needs_now=False, message=f"the {label} is not set")
    assert left.field is not None  # noqa: S101 - the model checks that conditions name fields
    kind = value_kind(left.field)
    members = [left]
    reads = left.attribute
    if condition.right_kind == "field":
        right = resource.member(str(condition.right))
        members.append(right)
        reads, expression = _aligned(left, right)
        said = f"the {words(right.name)}"
    elif condition.right_kind == "literal":
        expression = literal_source(design, left.field, condition.right)
        said = str(condition.right)
    else:
        reads, expression, said = _moving(left, kind, condition)
    guards = [f"{member.attribute} is not None and " for member in members if not member.required]
    ordered = kind in (ValueKind.DATE, ValueKind.TIME, ValueKind.DATETIME)
    relation = (_IN_WORDS if ordered else _IN_NUMBERS)[condition.op]
    return Comparison(
        broken=f"{''.join(guards)}{reads} {_OPPOSITE[condition.op]} {expression}",
        members=tuple(members),
        needs_now=condition.right_kind in ("now", "today"),
        message=f"the {label} is {relation} {said}",
    )


def literal_source(design: ServiceDesign, field: ProductField, value: JsonValue) -> str:
    """Return the literal of the field's kind as source."""
    parsed = literal(design.model, field, value)
    if field.enum is not None:
        return f"{design.enums[field.enum]}.{str(parsed).upper()}"
    return value_source(parsed)


def value_source(value: object) -> str:
    """Return a plain value as Python source."""
    match value:
        case str():
            return quoted(value)
        case Decimal():
            return f'Decimal("{value}")'
        case dt.datetime():
            parts = ", ".join(str(part) for part in value.timetuple()[:6])
            return f"dt.datetime({parts}, tzinfo=dt.UTC)"
        case dt.date():
            return f"dt.date({value.year}, {value.month}, {value.day})"
        case dt.time():
            return f"dt.time({value.hour}, {value.minute}, {value.second})"
        case _:
            return repr(value)


def _aligned(left: Member, right: Member) -> tuple[str, str]:
    """Return both sides of a comparison between fields, a moment cut to its day beside a date."""
    assert left.field is not None and right.field is not None  # noqa: S101, PT018 - conditions name fields
    kinds = value_kind(left.field), value_kind(right.field)
    if kinds[0] is kinds[1] or not set(kinds) & {ValueKind.DATETIME}:
        if set(kinds) == {ValueKind.DECIMAL, ValueKind.FLOAT}:
            return f"float({left.attribute})", f"float({right.attribute})"
        return left.attribute, right.attribute
    cut = [
        f"{member.attribute}.date()" if kind is ValueKind.DATETIME else member.attribute
        for member, kind in zip((left, right), kinds, strict=True)
    ]
    return cut[0], cut[1]


def _moving(left: Member, kind: ValueKind, condition: Condition) -> tuple[str, str, str]:
    """Return both sides of a comparison with the present, and the right side in words."""
    minutes = condition.offset_minutes
    by_day = kind is ValueKind.DATE or condition.right_kind == "today"
    reads = f"{left.attribute}.date()" if by_day and kind is ValueKind.DATETIME else left.attribute
    present = "now.date()" if by_day else "now"
    said = "today" if by_day else "now"
    if not minutes or (by_day and not int(minutes / MINUTES_PER_DAY)):
        return reads, present, said
    direction = "after" if minutes > 0 else "before"
    amount = _duration_words(abs(minutes))
    sign = "+" if minutes > 0 else "-"
    return (
        reads,
        f"{present} {sign} dt.timedelta({_timedelta(abs(minutes), by_day=by_day)})",
        f"{amount} {direction} {said}",
    )


def _timedelta(minutes: int, *, by_day: bool) -> str:
    if by_day or minutes % MINUTES_PER_DAY == 0:
        return f"days={minutes // MINUTES_PER_DAY}"
    return f"hours={minutes // 60}" if minutes % 60 == 0 else f"minutes={minutes}"


def _duration_words(minutes: int) -> str:
    for size, unit in ((MINUTES_PER_DAY, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0:
            count = minutes // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{minutes} minutes"
