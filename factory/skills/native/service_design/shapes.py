"""One JSON Schema per semantic type, shared by the API, the events and the generated code.

What JSON Schema can say about a field stands here and is answered with 422; what it cannot say (a bound on a
decimal string, say) becomes a rule of the domain and is answered with 409.
"""

from collections.abc import Callable
from typing import Annotated

from pydantic import JsonValue, StringConstraints, TypeAdapter
from pydantic_core import SchemaError

from factory.domain.product import DomainModel, FieldType, ProductField, UniqueTogether

Schema = dict[str, JsonValue]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

# Every string excludes NUL: PostgreSQL cannot store it.
TEXT_PATTERN = r"^[^\x00]*$"
EMAIL_PATTERN = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
PHONE_PATTERN = r"^\+?[0-9(][0-9 ()./-]{3,28}[0-9]$"
URL_PATTERN = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,4})?([/?#][!-~]*)?$"
TIME_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"

TEXT_LENGTH = 500
UNIQUE_TEXT_LENGTH = 200
RICH_TEXT_LENGTH = 10_000
EMAIL_LENGTH = 254
PHONE_LENGTH = 32
URL_LENGTH = 2_000
UNIQUE_URL_LENGTH = 500

# (digits before the point, digits after it): at most 15 in all, so that SQLite keeps them exactly.
MONEY_DIGITS = (10, 2)
DECIMAL_DIGITS = (11, 4)

TEXTUAL = frozenset({FieldType.TEXT, FieldType.RICH_TEXT, FieldType.EMAIL, FieldType.PHONE, FieldType.URL})

GEO_POINT: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["latitude", "longitude"],
    "properties": {
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
    },
}
FILE_REFERENCE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "media_type", "url"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": TEXT_PATTERN},
        "media_type": {"type": "string", "maxLength": 100, "pattern": "^[a-z]+/[a-z0-9.+-]+$"},
        "url": {"type": "string", "maxLength": URL_LENGTH, "pattern": URL_PATTERN},
    },
}


def decimal_pattern(digits: tuple[int, int], *, signed: bool) -> str:
    """Return the pattern of a decimal number written as a string."""
    before, after = digits
    return rf"^{'-?' if signed else ''}(0|[1-9][0-9]{{0,{before - 1}}})(\.[0-9]{{1,{after}}})?$"


def usable_pattern(pattern: str | None) -> str | None:
    """Return the pattern, or None where there is none or pydantic's regular expressions cannot run it."""
    if pattern is None:
        return None
    try:
        TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError:
        return None
    return pattern


def text_length(model: DomainModel, entity: str, field: ProductField) -> int:
    """Return the most characters a textual field may have; indexed ones are shorter."""
    indexed = field.constraints.unique or any(
        isinstance(policy, UniqueTogether) and policy.entity == entity and field.name in policy.fields
        for policy in model.policies
    )
    limit = {
        FieldType.TEXT: UNIQUE_TEXT_LENGTH if indexed else TEXT_LENGTH,
        FieldType.RICH_TEXT: UNIQUE_TEXT_LENGTH if indexed else RICH_TEXT_LENGTH,
        FieldType.EMAIL: EMAIL_LENGTH,
        FieldType.PHONE: PHONE_LENGTH,
        FieldType.URL: UNIQUE_URL_LENGTH if indexed else URL_LENGTH,
    }[field.type]
    stated = field.constraints.max_length
    if stated is None:
        return limit
    fixed = field.type in (FieldType.EMAIL, FieldType.PHONE)
    return min(stated, limit) if fixed or indexed else stated


def integer_bounds(field: ProductField) -> tuple[int, int]:
    """Return the bounds of an integer or a duration, within what a 32-bit column holds."""
    lowest = 0 if field.type is FieldType.DURATION else INT32_MIN
    low, high = field.constraints.minimum, field.constraints.maximum
    return (
        lowest if low is None else max(lowest, _ceil(low)),
        INT32_MAX if high is None else min(INT32_MAX, int(high // 1)),
    )


def percentage_bounds(field: ProductField) -> tuple[float, float]:
    """Return the bounds of a percentage, within 0 and 100."""
    low, high = field.constraints.minimum, field.constraints.maximum
    return (0.0 if low is None else max(0.0, float(low)), 100.0 if high is None else min(100.0, float(high)))


def is_signed(field: ProductField) -> bool:
    """Tell whether a decimal or an amount of money may be negative."""
    return field.constraints.minimum is None or field.constraints.minimum < 0


def field_schema(model: DomainModel, entity: str, field: ProductField, enum: Callable[[str], Schema]) -> Schema:
    """Return the JSON Schema of one present value of the field.

    Args:
        model: The model that holds the field.
        entity: Name of the entity that has the field.
        field: The field.
        enum: Makes the schema of an enumeration from its name: a reference or the values themselves.
    """
    if field.enum is not None:
        return enum(field.enum)
    if field.type in TEXTUAL:
        return _textual(model, entity, field)
    return _plain(field)


def enum_values(model: DomainModel, name: str) -> Schema:
    """Return the schema of an enumeration with its values written out."""
    return {"type": "string", "enum": list(model.enum(name).values)}


def nullable(schema: Schema) -> Schema:
    """Return the schema that also accepts null."""
    return {"anyOf": [schema, {"type": "null"}]}


def _textual(model: DomainModel, entity: str, field: ProductField) -> Schema:
    longest = text_length(model, entity, field)
    pattern = {
        FieldType.EMAIL: EMAIL_PATTERN,
        FieldType.PHONE: PHONE_PATTERN,
        FieldType.URL: URL_PATTERN,
    }.get(field.type) or usable_pattern(field.constraints.pattern)
    schema: Schema = {"type": "string", "maxLength": longest, "pattern": pattern or TEXT_PATTERN}
    shortest = field.constraints.min_length
    if shortest is None and field.required and field.type in (FieldType.TEXT, FieldType.RICH_TEXT):
        shortest = 1
    if shortest:
        schema["minLength"] = min(shortest, longest)
    return schema


_SIMPLE: dict[FieldType, Schema] = {
    FieldType.BOOLEAN: {"type": "boolean"},
    FieldType.TIME: {"type": "string", "pattern": TIME_PATTERN},
    FieldType.DATE: {"type": "string", "format": "date"},
    FieldType.DATETIME: {"type": "string", "format": "date-time"},
    FieldType.UUID: {"type": "string", "format": "uuid"},
    FieldType.FILE: FILE_REFERENCE,
    FieldType.GEO_POINT: GEO_POINT,
    FieldType.JSON: {"type": "object", "additionalProperties": True},
}


def _plain(field: ProductField) -> Schema:
    match field.type:
        case FieldType.MONEY:
            return {"type": "string", "pattern": decimal_pattern(MONEY_DIGITS, signed=is_signed(field))}
        case FieldType.DECIMAL:
            return {"type": "string", "pattern": decimal_pattern(DECIMAL_DIGITS, signed=is_signed(field))}
        case FieldType.PERCENTAGE:
            lowest, highest = percentage_bounds(field)
            return {"type": "number", "minimum": lowest, "maximum": highest}
        case FieldType.INTEGER | FieldType.DURATION:
            low, high = integer_bounds(field)
            return {"type": "integer", "minimum": low, "maximum": high}
        case _:
            return dict(_SIMPLE[field.type])


def _ceil(value: float) -> int:
    return int(-(-value // 1))
