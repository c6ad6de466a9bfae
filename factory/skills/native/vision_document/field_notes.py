"""One field as an author writes it: `price (money, positive)`, `note?`, `status (open | closed)`, `rating: 1 to 5`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import JsonValue

from factory.domain.product import FieldType, Trace
from factory.skills.native.language.lexicon import STATE_NOUNS
from factory.skills.native.language.words import singular
from factory.skills.native.vision_document.draft import FieldDraft
from factory.skills.native.vision_document.field_types import (
    IDENTIFIERS,
    default_bounds,
    explicit_type,
    guess_type,
    is_personal,
)

_NUMBER = r"-?\d+(?:[.,]\d+)?"
_WORDED = {
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_LENGTH_UNITS = r"(?:characters?|chars?|letters?|digits?|signs)"
_WORD_RULES: tuple[tuple[str, str], ...] = (
    ((
            rf"(?:at most|no more than|up to|max(?:imum)?(?: of)?|not longer than|<=)\s*(\d+)\s*{_LENGTH_UNITS}(?: "
            rf"long)?"
        ), "max_length"),
    (r"max(?:imum)? length(?: of)?:?\s*(\d+)", "max_length"),
    (rf"(?:at least|no fewer than|min(?:imum)?(?: of)?|>=)\s*(\d+)\s*{_LENGTH_UNITS}(?: long)?", "min_length"),
    (rf"(?:exactly )?(\d+)[- ]{_LENGTH_UNITS}(?: long)?(?: codes?)?", "length"),
)  # fmt: skip
_BOUND_RULES: tuple[tuple[str, str], ...] = (
    (rf"(?:between|from)\s+({_NUMBER})\s*%?\s*(?:and|to)\s+({_NUMBER})(?:\s*%)?", "range"),
    (rf"^({_NUMBER})\s*(?:-|–|—|to|\.\.+)\s*({_NUMBER})(?:\s*%)?(?:\s+stars?)?$", "range"),  # noqa: RUF001 - authors write dashes
    (rf"(?:at least|no less than|not less than|min(?:imum)?(?: of)?:?|>=|≥)\s*({_NUMBER})", "minimum"),
    (rf"(?:at most|no more than|not more than|up to|max(?:imum)?(?: of)?:?|<=|≤)\s*({_NUMBER})", "maximum"),
    (rf"(?:more than|greater than|over|above|>)\s*({_NUMBER})", "above"),
    (rf"(?:less than|fewer than|under|below|<)\s*({_NUMBER})", "below"),
    (r"(?:non-?negative|not negative|never negative|zero or more|must not be negative|cannot be negative)", "zero"),
    (r"(?:positive|greater than zero|more than zero)", "positive"),
)
_FLAGS = {
    "optional": "optional",
    "if known": "optional",
    "if any": "optional",
    "if present": "optional",
    "may be empty": "optional",
    "nullable": "optional",
    "not required": "optional",
    "required": "required",
    "mandatory": "required",
    "must": "required",
    "not null": "required",
    "not empty": "required",
    "unique": "unique",
    "must be unique": "unique",
    "personal": "personal",
    "personal data": "personal",
    "private": "personal",
    "sensitive": "personal",
    "pii": "personal",
    "confidential": "personal",
    "gdpr": "personal",
}
_CHOICE_SPLIT = re.compile(r"\s*(?:\||,|/|→|->|;|\bor\b)\s*")


@dataclass(slots=True)
class _Notes:
    """What the notes of one field say."""

    type: FieldType | None = None
    values: list[str] = field(default_factory=list)
    constraints: dict[str, int | float | str | bool] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    default: JsonValue = None
    description: str = ""


def read_field(
    text: str, trace: Callable[[int, int, str, float], Trace], start: int, *, of_person: bool = False
) -> FieldDraft | None:
    """Read one field's text; None where it names nothing.

    Args:
        text: The field as written.
        trace: Makes a trace from offsets in the same text that `start` counts in.
        start: Offset of `text`.
        of_person: Whether its entity is a person, which makes names and the like personal data.
    """
    name_text, notes_texts = _split_name(text)
    words = re.sub(
        r"^(?:an?|the|its|their|his|her|one|and|optionally|also|with|plus)\s+",
        "",
        name_text.strip(),
        flags=re.IGNORECASE,
    )
    optional_word = bool(re.match(r"(?:optional(?:ly)?|maybe|possibly)\b(?:\s+an?)?\s*", words, re.IGNORECASE)) or bool(
        re.search(r"\boptionally\b", name_text, re.IGNORECASE)
    )
    unique_word = bool(re.match(r"unique\s+", words, re.IGNORECASE))
    words = re.sub(
        r"^(?:optional(?:ly)?|maybe|possibly|unique|required|mandatory)\s+(?:an?\s+)?", "", words, flags=re.IGNORECASE
    )
    mark = re.search(r"[?!*]+$", words)
    words = words.rstrip("?!* .").strip()
    if not re.search(r"[A-Za-z\u00c0-\uffff]", words) or len(words) > 60:  # noqa: PLR2004 - the longest name
        return None
    notes = _read_notes(notes_texts, words)
    guess = guess_type(words)
    kind, confidence = (notes.type, 1.0) if notes.type is not None else (guess.type, guess.confidence)
    if notes.values:
        kind, confidence = FieldType.ENUM, 1.0
    elif notes.type is None and kind in _NO_NUMBER and {"minimum", "maximum"} & set(notes.constraints):
        whole = all(isinstance(notes.constraints.get(key, 0), int) for key in ("minimum", "maximum"))
        kind, confidence = (FieldType.INTEGER if whole else FieldType.DECIMAL), 0.9
    if words.lower() == "number" and ("unique" in notes.flags or unique_word) and notes.type is None:
        kind = FieldType.TEXT
    where = text.find(words)
    begin = start + max(where, 0)
    made = FieldDraft(
        words=words,
        type=kind,
        trace=trace(begin, begin + len(text) - max(where, 0), "entity-line", round(min(1.0, confidence), 2)),
        values=notes.values,
        default=notes.default,
        description=notes.description,
        typed=notes.type is not None or bool(notes.values) or guess.confidence >= _SURE,
    )
    made.required = not (optional_word or "optional" in notes.flags or (mark is not None and "?" in mark.group()))
    made.personal = "personal" in notes.flags or is_personal(words, of_person=of_person)
    made.constraints = _fitting(kind, {**default_bounds(kind, words), **notes.constraints})
    if unique_word or "unique" in notes.flags:
        made.constraints["unique"] = True
    return made


_SURE = 0.8
_NO_NUMBER = frozenset({FieldType.TEXT, FieldType.RICH_TEXT})
_NUMERIC = frozenset({FieldType.INTEGER, FieldType.DECIMAL, FieldType.MONEY, FieldType.PERCENTAGE, FieldType.DURATION})


def _split_name(text: str) -> tuple[str, list[str]]:  # noqa: C901 - one case after the other, in the order that decides
    """Return the field's name and the texts of its notes: brackets, what follows a colon, an equals sign or a dash."""
    notes: list[str] = []

    def keep(match: re.Match[str]) -> str:
        notes.append(match.group(1))
        return "" if match.group().rstrip() != match.group(0) else " "

    name = re.sub(r"[(\[]([^()\[\]]*)[)\]]", keep, text)
    for separator in (r"\s*:\s*", r"\s+[-–—]\s+", r"\s*(?<![<>!])=\s*"):  # noqa: RUF001 - authors write dashes
        parts = re.split(separator, name, maxsplit=1)
        if len(parts) == 2:  # noqa: PLR2004 - name and notes
            name = parts[0]
            notes.insert(0, parts[1])
            break
    bare = re.split(r"\s*(?:\||→|-->|->)\s*", name)
    if len(bare) > 2:  # noqa: PLR2004 - "status open | closed | done" has a name before the first value
        first, _, value = bare[0].rpartition(" ")
        if first:
            name, notes = first, [" | ".join([value, *bare[1:]]), *notes]
    for pattern in (
        r"\s+(?:which|that) (?:is|are|must be|can be|may be)\s+(.*)$",
        r"\s+(?:is|are|must be|can be) (?:either |one of )(.*)$",
    ):
        match = re.search(pattern, name)
        if match is not None:
            name = name[: match.start()]
            notes.append(match.group(1))
    match = re.fullmatch(r"\s*([\w ]*\b(?:result|outcome|status|verdict)) (\w+ or \w+)\s*", name)
    if match is not None:
        name, notes = match.group(1), [match.group(2), *notes]
    match = re.search(r"\s+(-?\d+\s*(?:-|–|\.\.+|to)\s*-?\d+)$", name)  # noqa: RUF001 - authors write dashes
    if match is not None:
        name = name[: match.start()]
        notes.append(match.group(1))
    match = re.search(
        (
            r"\s+((?:between|at most|at least|up to|no more than|from)\s+-?\d.*|[<>≤≥]=?\s*-?\d.*|in "
            r"(?:minutes|hours|kg|km|percent|euros?|metres))$"
        ),
        name,
    )
    if match is not None:
        name = name[: match.start()]
        notes.append(match.group(1))
    match = re.search(r"\s+\bor (?:none|nothing|empty)\b.*$", name)
    if match is not None:
        name, notes = name[: match.start()], [*notes, "optional"]
    return name, [note.strip() for note in notes if note.strip()]


def _read_notes(texts: list[str], words: str) -> _Notes:
    notes = _Notes()
    for text in texts:
        _read_note(text, notes, words)
    return notes


def _read_note(text: str, notes: _Notes, words: str) -> None:  # noqa: C901, PLR0912 - one case after the other, in the order that decides
    remainder = _take_default(text, notes)
    for worded, digit in _WORDED.items():
        remainder = re.sub(
            rf"\b(at most|at least|up to|more than|between|and|to) {worded}\b", rf"\1 {digit}", remainder
        )
    values = _choices(remainder, words)
    if values:
        notes.values = values
        return
    rest: list[str] = []
    for part in re.split(r"\s*[,;]\s*(?![^()]*\))|\s+and\s+(?=unique|required|optional|positive|at |must)", remainder):
        piece = part.strip().rstrip(".")
        if not piece:
            continue
        plain = piece.lower().rstrip("?")
        if piece.endswith("?"):
            notes.flags.add("optional")
        if plain in _FLAGS:
            notes.flags.add(_FLAGS[plain])
            continue
        for flag in ("optional", "unique", "required"):
            if re.match(rf"{flag}\s+", plain):
                notes.flags.add(flag)
                plain = plain[len(flag) :].strip()
        kind = explicit_type(plain) or explicit_type(re.sub(r"\s*[<>=].*|\s+(?:between|from|at|up|of)\b.*", "", plain))
        if kind is not None and notes.type is None:
            notes.type = kind
        bounded = _take_bounds(plain, notes)
        if kind is None and not bounded:
            rest.append(piece)
    if rest and not notes.description:
        joined = ", ".join(rest)
        signs = len(rest) > 2 and all(len(item) <= 3 for item in rest)  # noqa: PLR2004 - "A+, A-, B+"
        if signs or (len(rest) > 1 and all(len(item.split()) <= 2 for item in rest) and _status_like(words)):  # noqa: PLR2004 - short values
            notes.values = rest
        else:
            notes.description = joined


def _take_default(text: str, notes: _Notes) -> str:
    match = re.search(
        r",?\s*(?:by default|defaults? to|default(?:ing to)?(?: is|:|=)?)\s*:?=?\s*['\"]?([\w.-]+)['\"]?",
        text,
        re.IGNORECASE,
    )
    if match is None:
        return text
    raw = match.group(1).rstrip(".")
    value: JsonValue = raw
    if raw.lower() in ("true", "yes", "false", "no"):
        value = raw.lower() in ("true", "yes")
    elif re.fullmatch(r"-?\d+", raw):
        value = int(raw)
    elif re.fullmatch(r"-?\d+\.\d+", raw):
        value = float(raw)
    notes.default = value
    return (text[: match.start()] + text[match.end() :]).strip(" ,;")


def _choices(text: str, words: str) -> list[str]:
    """Return the values of a closed list, or nothing where the text is no such list."""
    body = re.sub(
        r"^(?:enum(?:eration)?|one of|either|is one of|any of|values?|choice(?: of)?|options?)\b\s*:?\s*",
        "",
        text,
        flags=re.IGNORECASE,
    )
    marked = body != text
    body = body.strip(" ()[]{}")
    if (
        "|" in body
        or "→" in body
        or "->" in body
        or (marked and re.search(r",|\bor\b|/", body))
        or (re.search(r"\bor\b", body) and "yes" not in body and not re.search(r"\d", body))
    ):
        parts = _CHOICE_SPLIT.split(body)
    elif _status_like(words) and len(re.split(r"\s*[,/]\s*", body)) > 1:
        parts = re.split(r"\s*[,/]\s*", body)
    elif re.fullmatch(r"[A-Za-z][\w -]*(?:/[A-Za-z][\w -]*)+", body) and explicit_type(body) is None:
        parts = body.split("/")
    else:
        return []
    found = [part.strip(" '\"`.") for part in parts if part.strip(" '\"`.")]
    short = all(len(part.split()) <= 4 for part in found)  # noqa: PLR2004 - a value, not a sentence
    if (
        len(found) < 2  # noqa: PLR2004 - one value is no choice
        or not short
        or (not _status_like(words) and any(explicit_type(part) is not None and "|" not in body for part in found))
    ):
        return []
    if all(re.fullmatch(_NUMBER, part) for part in found) and "|" not in body:
        return []
    return list(dict.fromkeys(found))


def _status_like(words: str) -> bool:
    last = singular(words.lower().split(" ")[-1])
    return last in STATE_NOUNS or last in {
        "type",
        "kind",
        "category",
        "level",
        "priority",
        "role",
        "severity",
        "size",
        "method",
        "gender",
    }


def _take_bounds(text: str, notes: _Notes) -> bool:  # noqa: C901, PLR0912 - one case after the other, in the order that decides
    for pattern, rule in _WORD_RULES:
        match = re.search(pattern, text)
        if match is not None:
            number = int(match.group(1))
            if rule in ("min_length", "length"):
                notes.constraints["min_length"] = number
            if rule in ("max_length", "length"):
                notes.constraints["max_length"] = max(number, 1)
            return True
    for pattern, rule in _BOUND_RULES:
        match = re.search(pattern, text)
        if match is None:
            continue
        if rule == "range":
            low, high = sorted((_number(match.group(1)), _number(match.group(2))))
            notes.constraints.update(minimum=low, maximum=high)
        elif rule in ("zero", "positive"):
            notes.constraints["minimum"] = 0 if rule == "zero" else 1
            if rule == "positive":
                notes.constraints["positive"] = True
        else:
            bound = _number(match.group(1))
            step = 1 if isinstance(bound, int) else 0.01
            key = "minimum" if rule in ("minimum", "above") else "maximum"
            notes.constraints[key] = bound + step if rule == "above" else bound - step if rule == "below" else bound
            if rule == "above":
                notes.constraints["positive"] = True
        if rule in ("minimum", "above"):
            upper = re.search(rf"(?:and )?(?:at most|no more than|up to|less than)\s*({_NUMBER})", text)
            if upper is not None:
                notes.constraints["maximum"] = _number(upper.group(1))
        return True
    return False


def _number(text: str) -> int | float:
    plain = text.replace(",", ".")
    return float(plain) if "." in plain else int(plain)


def _fitting(kind: FieldType, constraints: dict[str, int | float | str | bool]) -> dict[str, int | float | str | bool]:
    """Keep the limits that make sense for the type; a positive amount of money may be a cent."""
    found = dict(constraints)
    positive = found.pop("positive", False)
    if positive and kind in (FieldType.MONEY, FieldType.DECIMAL, FieldType.PERCENTAGE) and found.get("minimum") == 1:
        found["minimum"] = 0.01
    if kind not in _NUMERIC:
        found.pop("minimum", None)
        found.pop("maximum", None)
    if kind in _NUMERIC or kind in (FieldType.ENUM, FieldType.BOOLEAN, FieldType.DATE, FieldType.DATETIME):
        found.pop("min_length", None)
        found.pop("max_length", None)
    return found


def identifies(words: str) -> bool:
    """Tell whether a field by its name is an identifier in the world, such as an ISBN."""
    return words.lower().split(" ")[0] in IDENTIFIERS
