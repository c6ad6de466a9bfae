"""What the service says about conditions: the author's sentence, or one of its own."""

from collections.abc import Sequence

from factory.domain.product import Condition
from factory.skills.native.rendering.english import duration, field_words, is_or_are, sentence
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.naming import words
from factory.skills.native.service_design.parts import Resource

MINUTES_PER_DAY = 1440
_ORDERED_KINDS = frozenset({ValueKind.DATE, ValueKind.TIME, ValueKind.DATETIME})
_ORDERED = {"lt": "before", "le": "not after", "gt": "after", "ge": "not before"}
_MEASURED = {"lt": "less than", "le": "at most", "gt": "more than", "ge": "at least"}
# The field is compared with the present; people say where the present lies from the field.
_FROM_FIELD = {
    "moment": {"lt": "after", "le": "from", "gt": "before", "ge": "until", "eq": "exactly at", "ne": "exactly at"},
    "day": {"lt": "after", "le": "on or after", "gt": "before", "ge": "on or before", "eq": "on", "ne": "on"},
}
_BEFORE_FIELD = {"lt": "less than", "le": "at most", "gt": "more than", "ge": "at least", "eq": "exactly"}
_AFTER_FIELD = {"lt": "more than", "le": "at least", "gt": "less than", "ge": "at most", "eq": "exactly"}


def guard_sentence(resource: Resource, guard: Condition) -> str:
    """Return what to tell a person whom the guard refuses: the author's words where there are any."""
    stated = " ".join(guard.statement.split())
    if stated:
        return sentence(stated)
    if guard.right_kind in ("now", "today"):
        possible = "not possible" if guard.op == "ne" else "only possible"
        return f"This is {possible} {_when(resource, guard)}."
    subject = f"the {field_words(guard.left)} {is_or_are(words(guard.left))}"
    if guard.op == "is-set":
        return f"This is only possible once {subject} set."
    if guard.op == "is-not-set":
        return f"This is only possible as long as {subject} not set."
    return f"This is only possible if {subject} {_comparison(resource, guard)}."


def states_phrase(states: Sequence[str]) -> str:
    """Return `booked or confirmed`."""
    names = [words(state) for state in states]
    return " or ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} or {names[-1]}"  # noqa: PLR2004 - three take a comma


def _comparison(resource: Resource, guard: Condition) -> str:
    field = resource.member(guard.left).field
    ordered = field is not None and value_kind(field) in _ORDERED_KINDS
    if guard.right_kind == "field":
        right = f"the {field_words(str(guard.right))}"
        if guard.op in ("eq", "ne"):
            return f"{'the same as' if guard.op == 'eq' else 'different from'} {right}"
    elif isinstance(guard.right, bool):
        return "true" if guard.right == (guard.op == "eq") else "false"
    else:
        enumerated = field is not None and field.enum is not None
        right = words(str(guard.right)) if enumerated else str(guard.right)
        if guard.op in ("eq", "ne"):
            return right if guard.op == "eq" else f"not {right}"
    return f"{(_ORDERED if ordered else _MEASURED)[guard.op]} {right}"


def _when(resource: Resource, guard: Condition) -> str:
    """Return when the present lies right from the field: `at least 24 hours before the start time`."""
    field = resource.member(guard.left).field
    is_date = field is not None and value_kind(field) is ValueKind.DATE
    by_day = is_date or guard.right_kind == "today"
    noun = f"the {field_words(guard.left)}" if is_date or not by_day else f"the day of the {field_words(guard.left)}"
    minutes = guard.offset_minutes
    size = abs(minutes) // MINUTES_PER_DAY * MINUTES_PER_DAY if by_day else abs(minutes)
    if not size:
        return f"{_FROM_FIELD['day' if by_day else 'moment'][guard.op]} {noun}"
    span = "1 day" if by_day and size == MINUTES_PER_DAY else duration(size)
    bound = (_BEFORE_FIELD if minutes > 0 else _AFTER_FIELD).get(guard.op, "exactly")
    return f"{bound} {span} {'before' if minutes > 0 else 'after'} {noun}"
