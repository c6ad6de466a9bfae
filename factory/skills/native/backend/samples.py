"""Values for tests and seeds: of the right form, within the constraints, and such that the rules hold or break."""

import itertools
import math
import re
import re._parser as regex  # type: ignore[import-not-found]
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from factory.domain.product import Condition, FieldType, ProductField
from factory.skills.native.backend.expressions import MINUTES_PER_DAY, quoted, value_source
from factory.skills.native.service_design.conditions import NUMBERS, ValueKind, literal, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import sentence, words
from factory.skills.native.service_design.parts import Member, Resource
from factory.skills.native.service_design.shapes import (
    TEXTUAL,
    integer_bounds,
    percentage_bounds,
    text_length,
    usable_pattern,
)

_MOST_TRIES = 200_000
# Days from now, and between values that are compared: further than numbered records reach.
_FAR, _STEP = 400, 100
_STRICT = {"ge": "gt", "le": "lt"}
_FIRST_NAMES = ("Ada", "Ben", "Chiara", "Deniz", "Emeka", "Freya", "Goran", "Hana", "Ines", "Jonas")
_LAST_NAMES = (
    "Almeida",
    "Brandt",
    "Castillo",
    "Dogan",
    "Eriksen",
    "Fontaine",
    "Grabowski",
    "Haddad",
    "Ivanova",
    "Juma",
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time relative to the present, in minutes; for dates, whole days of them."""

    minutes: int


Value = Moment | str | int | float | bool | Decimal | object | None
Assignment = dict[str, str]


def plain_source(design: ServiceDesign, resource: Resource, member: Member) -> str:
    """Return source for a value of the member that differs from number to number `n`."""
    field = member.field
    assert field is not None  # noqa: S101 - callers pass fields
    if field.enum is not None:
        enum = design.enums[field.enum]
        if member is resource.state and resource.lifecycle:
            return f"{enum}.{resource.lifecycle.initial.upper()}"
        return f"list({enum})[n % len({enum})]"
    if field.type in TEXTUAL:
        return _text_source(design, resource, field)
    return _other_source(field)


def solve(
    design: ServiceDesign,
    resource: Resource,
    holds: Sequence[Condition],
    breaks: Condition | None = None,
    fixed: Mapping[str, Value] | None = None,
) -> Assignment | None:
    """Return source for values of the fields that the conditions read, or None where no values were found.

    Args:
        design: The design the resource belongs to.
        resource: The resource whose fields are to be filled.
        holds: Conditions the values meet.
        breaks: A condition they do not meet.
        fixed: Values that are given, such as the state.
    """
    conditions = [*holds, *([breaks] if breaks else [])]
    names = list(dict.fromkeys(name for condition in conditions for name in _reads(condition)))
    given = dict(fixed or {})
    choices = [
        [given[name]] if name in given else list(_candidates(design, resource.member(name), conditions))
        for name in names
    ]
    for values in itertools.islice(itertools.product(*choices), _MOST_TRIES):
        record = dict(zip(names, values, strict=True))
        if all(_meets(design, resource, condition, record) is True for condition in holds) and (
            breaks is None or _meets(design, resource, breaks, record) is False
        ):
            return {
                name: _value_source(design, resource.member(name), value)
                for name, value in record.items()
                if name not in given
            }
    return None


def solve_rules(design: ServiceDesign, resource: Resource) -> Assignment:
    """Return values under which all rules of the resource hold, with room between fields where there can be any."""
    return solve_conditions(design, resource, [rule.condition for rule in resource.rules]) or {}


def solve_conditions(design: ServiceDesign, resource: Resource, conditions: Sequence[Condition]) -> Assignment | None:
    """Return values under which the conditions hold, with room between fields where there can be any, or None."""
    roomy = [
        condition.model_copy(update={"op": _STRICT.get(condition.op, condition.op)})
        if condition.right_kind == "field"
        else condition
        for condition in conditions
    ]
    found = solve(design, resource, roomy)
    return found if found is not None else solve(design, resource, conditions)


def _reads(condition: Condition) -> tuple[str, ...]:
    if condition.right_kind == "field":
        return (condition.left, str(condition.right))
    return (condition.left,)


def _candidates(design: ServiceDesign, member: Member, conditions: Sequence[Condition]) -> Iterable[Value]:
    field = member.field
    assert field is not None  # noqa: S101 - conditions read fields
    kind = value_kind(field)
    literals = [
        found
        for condition in conditions
        if condition.right_kind == "literal" and condition.left == member.name
        for found in [literal(design.model, field, condition.right)]
        if found is not None
    ]
    offsets = [condition.offset_minutes for condition in conditions if condition.right_kind in ("now", "today")]
    yield from dict.fromkeys(_of_kind(design, field, kind, literals, offsets))
    if not member.required:
        yield None


def _of_kind(
    design: ServiceDesign, field: ProductField, kind: ValueKind, literals: Sequence[object], offsets: Sequence[int]
) -> Iterable[Value]:
    match kind:
        case ValueKind.DATETIME | ValueKind.DATE:
            far = [sign * _FAR + step for step in (0, _STEP, -_STEP) for sign in (1, -1)]
            yield from (Moment(days * MINUTES_PER_DAY) for days in far)
            for offset in offsets:
                yield from (Moment(offset + days * MINUTES_PER_DAY) for days in (2, -2, 0, 1, -1))
                yield from (Moment(offset + minutes) for minutes in (60, -60))
            yield from literals
        case ValueKind.ENUM:
            yield from design.enumeration(str(field.enum)).values
        case ValueKind.BOOLEAN:
            yield from (True, False)
        case ValueKind.TEXT:
            yield from (*literals, f"{sentence(field.name)} one", f"{sentence(field.name)} two")
        case ValueKind.TIME:
            yield from (
                *literals,
                *(literal(design.model, field, text) for text in ("09:00", "10:00", "17:00", "08:00")),
            )
        case _ if kind in NUMBERS:
            yield from _numbers(field, kind, literals)
        case _:
            yield "present"


def _numbers(field: ProductField, kind: ValueKind, literals: Sequence[object]) -> Iterable[Value]:
    low, high = _number_bounds(field)
    around = [Decimal(str(value)) + step for value in literals for step in (0, 1, -1)]
    for number in (*(Decimal(n) for n in (10, 11, 9, 1, 2, 5, 20, 50, 100, 0)), *around, low, high):
        if low <= number <= high:
            if kind is ValueKind.DECIMAL:
                yield number
            elif kind is ValueKind.FLOAT:
                yield float(number)
            elif number == int(number):
                yield int(number)


def _number_bounds(field: ProductField) -> tuple[Decimal, Decimal]:
    if field.type in (FieldType.INTEGER, FieldType.DURATION):
        low, high = integer_bounds(field)
        return Decimal(low), Decimal(high)
    if field.type is FieldType.PERCENTAGE:
        least, most = percentage_bounds(field)
        return Decimal(str(least)), Decimal(str(most))
    stated = field.constraints
    return (
        Decimal(-999999) if stated.minimum is None else Decimal(str(stated.minimum)),
        Decimal(999999) if stated.maximum is None else Decimal(str(stated.maximum)),
    )


def _meets(design: ServiceDesign, resource: Resource, condition: Condition, record: Mapping[str, Value]) -> bool | None:  # noqa: PLR0911 - one return per kind of value
    """Tell whether the values meet the condition; None where that cannot be known before the tests run."""
    left = record[condition.left]
    if condition.op == "is-set":
        return left is not None
    if condition.op == "is-not-set":
        return left is None
    member = resource.member(condition.left)
    assert member.field is not None  # noqa: S101 - conditions read fields
    kind = value_kind(member.field)
    by_day = kind is ValueKind.DATE or condition.right_kind == "today"
    if condition.right_kind == "field":
        right = record[str(condition.right)]
        other = resource.member(str(condition.right)).field
        by_day = by_day or (other is not None and value_kind(other) is ValueKind.DATE)
    elif condition.right_kind == "literal":
        right = literal(design.model, member.field, condition.right)
    else:
        right = Moment(condition.offset_minutes)
    if left is None or right is None:
        return True
    if isinstance(left, Moment) and isinstance(right, Moment):
        unit = MINUTES_PER_DAY if by_day else 1
        return _compare(condition.op, int(left.minutes / unit), int(right.minutes / unit))
    if isinstance(left, Moment) or isinstance(right, Moment):
        return None
    if kind in NUMBERS:
        return _compare(condition.op, Decimal(str(left)), Decimal(str(right)))
    return _compare(condition.op, left, right)


def _compare(operator: str, left: object, right: object) -> bool:
    if operator in ("eq", "ne"):
        return (left == right) is (operator == "eq")
    # Both sides are of one ordered kind: the design leaves out conditions where they are not.
    less, equal = left < right, left == right  # type: ignore[operator]
    return bool({"lt": less, "le": less or equal, "gt": not less and not equal, "ge": not less}[operator])


def _value_source(design: ServiceDesign, member: Member, value: Value) -> str:  # noqa: PLR0911 - one return per kind of value
    field = member.field
    assert field is not None  # noqa: S101 - conditions read fields
    kind = value_kind(field)
    if value is None:
        return "None"
    if isinstance(value, Moment):
        if kind is ValueKind.DATE:
            return f"day({int(value.minutes / MINUTES_PER_DAY)}, n)"
        return f"moment({_days(value.minutes)}, n)"
    if field.enum is not None:
        return f"{design.enums[field.enum]}.{str(value).upper()}"
    if kind in (ValueKind.DOCUMENT, ValueKind.UUID):
        return _other_source(field)
    if field.type is FieldType.MONEY:
        return f'Decimal("{value:.2f}")'
    return value_source(value)


def _days(minutes: int) -> str:
    days = minutes / MINUTES_PER_DAY
    return str(int(days)) if days == int(days) else repr(round(days, 6))


def _text_source(design: ServiceDesign, resource: Resource, field: ProductField) -> str:
    longest = text_length(design.model, resource.entity.name, field)
    shortest = field.constraints.min_length or 0
    pattern = usable_pattern(field.constraints.pattern)
    match field.type:
        case FieldType.EMAIL:
            return 'f"person{n}@example.com"'
        case FieldType.PHONE:
            return 'f"+1-555-{n:04d}"'
        case FieldType.URL:
            return f'f"https://example.com/{resource.path}/{{n}}"'
        case _ if pattern:
            return f"pick(n, {', '.join(quoted(text) for text in matching_texts(pattern, 20))})"
    is_person = any(actor.entity == resource.entity.name for actor in design.roles)
    if field.name in ("name", "full_name") and is_person:
        text = "Person {n}"
    elif field.type is FieldType.RICH_TEXT:
        text = f"Some words about {words(field.name)}, number {{n}}."
    else:
        text = f"{sentence(field.name)} {{n}}"
    # A number takes four characters at most.
    least, most = len(text.format(n=1)), len(text.format(n=1000))
    if most > longest or least < shortest:
        text = f"{{n:0{max(shortest, min(longest, 4))}d}}"
    return f"f{quoted(text)}"


def _other_source(field: ProductField) -> str:  # noqa: PLR0911 - one return per kind of value
    match field.type:
        case FieldType.MONEY | FieldType.DECIMAL | FieldType.INTEGER | FieldType.DURATION | FieldType.PERCENTAGE:
            return _number_source(field)
        case FieldType.BOOLEAN:
            return "n % 2 == 0"
        case FieldType.DATE:
            return "day(30, n)"
        case FieldType.DATETIME:
            return "moment(30, n)"
        case FieldType.TIME:
            return "dt.time(8 + n % 10, 30)"
        case FieldType.UUID:
            return "numbered_id(n)"
        case FieldType.FILE:
            return (
                '{"name": f"file-{n}.pdf", "media_type": "application/pdf", '
                '"url": f"https://files.example.com/{n}.pdf"}'
            )
        case FieldType.GEO_POINT:
            return '{"latitude": 50.0 + n % 9, "longitude": 8.5}'
        case _:
            return '{"number": n, "nested": {"list": [1, "two", None]}}'


def _number_source(field: ProductField) -> str:
    low, high = _number_bounds(field)
    first = max(math.ceil(low), min(10, math.floor(high)))
    if first > high:
        return {
            FieldType.MONEY: f'Decimal("{low:.2f}")',
            FieldType.DECIMAL: f'Decimal("{low}")',
            FieldType.PERCENTAGE: repr(float(low)),
        }.get(field.type, str(int(low)))
    span = min(1000, math.floor(high) - first + 1)
    number = f"{first} + n % {span}" if span > 1 else str(first)
    match field.type:
        case FieldType.MONEY:
            return f'Decimal({number}).quantize(Decimal("0.01"))'
        case FieldType.DECIMAL:
            return f"Decimal({number})"
        case FieldType.PERCENTAGE:
            return f"float({number})"
        case _:
            return number


def matching_texts(pattern: str, count: int) -> tuple[str, ...]:
    """Return texts that match a regular expression, as different from one another as it lets them be."""
    parsed = regex.parse(pattern)
    found = dict.fromkeys(_matching(parsed, number) for number in range(count))
    texts = tuple(text for text in found if re.search(pattern, text))
    return texts or ("",)


def _matching(parsed: Iterable[tuple[object, object]], number: int) -> str:
    """Return a text for a parsed expression; the digits of the number choose among the alternatives."""
    parts: list[str] = []
    left = number
    for operator, argument in list(parsed)[::-1]:
        text, left = _piece(str(operator), argument, left)
        parts.append(text)
    return "".join(parts[::-1])


def _piece(operator: str, argument: object, number: int) -> tuple[str, int]:  # noqa: PLR0911 - one return per operator
    match operator, argument:
        case "LITERAL", int(code):
            return chr(code), number
        case "NOT_LITERAL", int(code):
            return ("a" if code != ord("a") else "b"), number
        case "ANY", _:
            return "a", number
        case "IN", list(items):
            letters = _letters(items)
            return letters[number % len(letters)], number // len(letters)
        case "MAX_REPEAT" | "MIN_REPEAT", (int(least), _, inner):
            text = ""
            for _ in range(max(least, 1)):
                piece, number = _matching(inner, number), number // 10  # type: ignore[arg-type]
                text = piece + text
            return text, number
        case "SUBPATTERN", (*_, inner):
            return _matching(inner, number), number  # type: ignore[arg-type]
        case "BRANCH", (_, [first, *_]):
            return _matching(first, number), number  # type: ignore[arg-type]
        case _:
            return "", number


def _letters(items: Sequence[tuple[object, object]]) -> str:
    letters = ""
    for operator, argument in items:
        match str(operator), argument:
            case "LITERAL", int(code):
                letters += chr(code)
            case "RANGE", (int(first), int(last)):
                letters += "".join(chr(code) for code in range(first, min(last, first + 25) + 1))
            case "CATEGORY", kind if "DIGIT" in str(kind):
                letters += "0123456789"
            case "CATEGORY", kind if "SPACE" in str(kind):
                letters += " "
            case "CATEGORY", _:
                letters += "abcdefghij"
    return letters or "a"


def first_source(source: str) -> str:
    """Return the source of the first of numbered values."""
    return re.sub(r"\bn\b", "0", source)


def person_name(number: int) -> str:
    """Return an invented name."""
    return f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {_LAST_NAMES[number * 3 % len(_LAST_NAMES)]}"
