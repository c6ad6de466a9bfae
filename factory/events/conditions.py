"""Conditions on the payload, compiled to a PostgreSQL jsonpath.

Every name and literal is written as a JSON string or number, so nothing in a condition can change the shape of the
expression. Conditions are checked when they are made, and again as a whole when a subscription is declared.
"""

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from factory.domain.errors import BadInputError

MOST_NAMES = 1_000
MOST_CONDITIONS = 32
MOST_VALUES = 100
DEEPEST_PATH = 16
LONGEST_TEXT = 1_000
LONGEST_PATH = 65_536
# jsonb compares numbers exactly; beyond this they are not numbers that people filter by.
_LARGEST_NUMBER = 10**30
# An escape is one only behind an even number of backslashes.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Operator(StrEnum):
    """How a field is compared."""

    EQUALS = "equals"
    NOT_EQUALS = "not-equals"
    IN = "in"
    AT_LEAST = "at-least"
    AT_MOST = "at-most"
    STARTS_WITH = "starts-with"
    EXISTS = "exists"
    ABSENT = "absent"


_WITHOUT_VALUE = frozenset({Operator.EXISTS, Operator.ABSENT})
_ORDERED = frozenset({Operator.AT_LEAST, Operator.AT_MOST})
_COMPARISONS = {
    Operator.EQUALS: "==",
    Operator.NOT_EQUALS: "==",
    Operator.IN: "==",
    Operator.AT_LEAST: ">=",
    Operator.AT_MOST: "<=",
    Operator.STARTS_WITH: "starts with",
}


class Condition(BaseModel):
    """One condition on one field of the payload.

    Values are compared within their type only: the text "5" is neither equal to the number 5 nor at least 4. Texts are
    ordered by code point. Where the field is a list, or lies inside the members of one, a single matching member is
    enough. A field that is absent equals nothing, and so is not equal to everything.

    Attributes:
        field: Names from the payload inwards: `("order", "total")`, or `"order.total"` where no name has a dot.
        operator: See `Operator`.
        value: A text, number, truth value or null; a list of them for `in`; none for `exists` and `absent`.

    Raises:
        BadInputError: The condition cannot be evaluated, or is over a limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: tuple[str, ...]
    operator: Operator = Operator.EQUALS
    value: Any = None

    @field_validator("field", mode="before")
    @classmethod
    def _split(cls, field: object) -> tuple[str, ...]:
        names = tuple(field.split(".")) if isinstance(field, str) else field
        if not isinstance(names, (tuple, list)) or not names or not all(isinstance(name, str) for name in names):
            raise _bad(f"{_shown(field)} does not name a field.", 'Write names with dots between them: "order.total".')
        if len(names) > DEEPEST_PATH:
            raise _bad(f"the field {_shown(field)} is {len(names)} names deep.", f"At most {DEEPEST_PATH}.")
        for name in names:
            if not name:
                raise _bad(f"the field {_shown(field)} has an empty name in it.", "Leave out stray dots.")
            _check_text(name)
        return tuple(names)

    @field_validator("operator", mode="before")
    @classmethod
    def _known(cls, operator: object) -> Operator:
        try:
            return Operator(str(operator))
        except ValueError:
            known = ", ".join(Operator)
            raise _bad(f"{_shown(operator)} is not an operator.", f"Operators: {known}.") from None

    @model_validator(mode="after")
    def _check_value(self) -> "Condition":
        if self.operator in _WITHOUT_VALUE:
            if self.value is not None:
                raise _bad(f"{self.operator!s} takes no value, but got {_shown(self.value)}.", "Leave it out.")
        elif self.operator is Operator.IN:
            if not isinstance(self.value, (list, tuple)) or not self.value:
                raise _bad(f"in takes a list of values, but got {_shown(self.value)}.", "Give at least one value.")
            if len(self.value) > MOST_VALUES:
                raise _bad(f"in got {len(self.value)} values.", f"At most {MOST_VALUES}: several subscriptions can do.")
            for value in self.value:
                _check_scalar(value)
        else:
            _check_scalar(self.value)
        if self.operator is Operator.STARTS_WITH and not isinstance(self.value, str):
            raise _bad(f"starts-with takes a text, but got {_shown(self.value)}.", "Quote it.")
        if self.operator in _ORDERED and (self.value is None or isinstance(self.value, bool)):
            raise _bad(f"{self.operator!s} takes a number or a text, but got {_shown(self.value)}.", "Use equals.")
        return self

    def path(self) -> str:
        """Return the condition as a jsonpath predicate."""
        place = "$" + "".join(f".{_literal(name)}" for name in self.field)
        if self.operator is Operator.EXISTS:
            return f"exists({place})"
        if self.operator is Operator.ABSENT:
            return f"!exists({place})"
        values = self.value if self.operator is Operator.IN else (self.value,)
        comparison = " || ".join(f"@ {_COMPARISONS[self.operator]} {_literal(value)}" for value in values)
        found = f"exists({place} ? ({comparison}))"
        return f"!{found}" if self.operator is Operator.NOT_EQUALS else found


def compiled(conditions: Sequence[Condition]) -> str | None:
    """Return a jsonpath that is true where all conditions hold; None where there are none.

    Raises:
        BadInputError: They are more or longer than one subscription may have.
    """
    if len(conditions) > MOST_CONDITIONS:
        raise _bad(f"{len(conditions)} conditions on one subscription.", f"At most {MOST_CONDITIONS}.")
    path = " && ".join(f"({condition.path()})" for condition in conditions)
    if len(path) > LONGEST_PATH:
        raise _bad(f"conditions of {len(path)} characters in all.", f"At most {LONGEST_PATH}.")
    return path or None


def check_json(value: object, field: str) -> int:
    """Refuse what PostgreSQL cannot store as jsonb: NUL, lone surrogates, numbers that are not finite.

    Returns:
        The length of the value as JSON, in bytes.

    Raises:
        BadInputError: The value holds one of them.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        length = len(text.encode())
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInputError(
            f"{field} is not JSON: {error}.", remedy="Use finite numbers and whole texts.", field=field
        ) from None
    if holds_nul(text):
        raise BadInputError(f"{field} holds the character NUL.", remedy="Leave it out.", field=field)
    return length


def holds_nul(text: str) -> bool:
    """Tell whether a JSON text holds the character NUL, which is valid JSON but cannot be stored as jsonb."""
    return "\\u0000" in text and _NUL.search(text) is not None


def _check_scalar(value: object) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # Written this way round, NaN fails too.
        if not abs(value) <= _LARGEST_NUMBER:
            raise _bad(f"{_shown(value)} cannot be compared.", "Use a finite number of at most 30 digits.")
    elif value is not None and not isinstance(value, bool):
        raise _bad(f"{_shown(value)} cannot be compared.", "Use a text, number, truth value or null.")


def _check_text(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise _bad(f"the text {_shown(text)} has {len(text)} characters.", f"At most {LONGEST_TEXT}.")
    if "\x00" in text or not _is_unicode(text):
        raise _bad(f"the text {_shown(text)} holds what no payload can hold.", "Leave out NUL and lone surrogates.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # a number of too many digits has no text
        text = type(value).__name__
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - enough to recognise it


def _bad(message: str, remedy: str) -> BadInputError:
    return BadInputError(message, remedy=remedy, field="conditions")
