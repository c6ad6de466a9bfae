"""Small English grammar for sentences made from names."""

import re
from collections.abc import Iterable

from factory.skills.inflection import engine

_ACRONYMS = frozenset(
    {"api", "bic", "cpu", "csv", "cv", "gdpr", "gps", "html", "iban", "id", "imei", "ip", "isbn", "iso", "json", "mrn"}
    | {"nhs", "pdf", "pin", "qr", "sim", "sku", "sms", "ssn", "tv", "url", "uuid", "vat", "vin", "vip", "xml"}
)
_MOMENTS = {"at": "time", "on": "date", "for": "date", "by": "name"}
_PARTICLES = frozenset({"away", "back", "down", "in", "off", "on", "out", "over", "through", "up"})
_THIRD_PERSON = {"be": "is", "have": "has", "do": "does", "go": "goes", "undo": "undoes", "redo": "redoes"}


def words(name: str) -> str:
    """Return a snake case or PascalCase name as words, with well-known acronyms in capitals."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").lower()
    return " ".join(part.upper() if part in _ACRONYMS else part for part in spaced.split())


def field_words(name: str) -> str:
    """Return the name of a field or relation as a noun phrase: `start time`, `issued-on date`."""
    phrase = words(name)
    head, _, last = phrase.rpartition(" ")
    if head and last in _MOMENTS:
        return f"{head.replace(' ', '-')}-{last} {_MOMENTS[last]}"
    return phrase


def is_or_are(noun: str) -> str:
    """Return the form of `be` that agrees with the noun."""
    last = re.split(r" (?:at|by|for|in|of|on|per|to) ", noun)[0].rpartition(" ")[2]
    return "are" if last.endswith("s") and not last.endswith("ss") and engine().singular_noun(last) else "is"


def split_verb(verb: str) -> tuple[str, str, str]:
    """Return a verb's head, its particle, and the object it carries: `check`, `out`, `` or `record`, ``, `mileage`."""
    head, _, rest = verb.partition(" ")
    if rest in _PARTICLES:
        return head, rest, ""
    return head, "", rest


def as_noun(label: str) -> str:
    """Return a label as it stands inside a sentence: lower case, but acronyms kept."""
    return " ".join(_uncapitalised(word) for word in label.split())


def _uncapitalised(word: str) -> str:
    if len(word) > 1 and sum(letter.isupper() for letter in word) > 1:
        return word
    return word.upper() if word.lower() in _ACRONYMS else word.lower()


def with_article(noun: str) -> str:
    """Return the noun after `a` or `an`, by its sound."""
    if not noun or not noun[0].isalpha():
        return f"a {noun}"
    return f"{engine().a(noun).split(' ', 1)[0]} {noun}"


def plural(noun: str) -> str:
    """Return the plural of a noun or noun phrase."""
    return str(engine().plural(noun)) if noun and noun[-1].isalpha() else noun


def third_person(verb: str) -> str:
    """Return `books` for `book` and `checks in` for `check in`."""
    head, _, rest = verb.partition(" ")
    if head in _THIRD_PERSON:
        form = _THIRD_PERSON[head]
    elif re.search(r"(s|x|z|ch|sh|[^aeiou]o)$", head):
        form = f"{head}es"
    elif re.search(r"[^aeiou]y$", head):
        form = f"{head[:-1]}ies"
    else:
        form = f"{head}s"
    return f"{form} {rest}" if rest else form


def capitalised(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Return the text with a capital at the start and a full stop at the end."""
    stripped = text.strip()
    return capitalised(stripped if stripped.endswith((".", "!", "?", "…")) else f"{stripped}.")


def listing(items: Iterable[str], conjunction: str = "and") -> str:
    """Return `a, b and c`."""
    parts = list(items)
    if len(parts) < 2:  # noqa: PLR2004 - one item needs no conjunction
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {conjunction} {parts[-1]}"


def count(number: int, noun: str) -> str:
    """Return `1 story` or `3 stories`; numbers up to ten in words would read worse in a table."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def duration(minutes: int) -> str:
    """Return a length of time in its largest whole unit, days only from two on."""
    size = abs(minutes)
    if size >= 2880 and size % 1440 == 0:  # noqa: PLR2004 - below two days people say hours
        return count(size // 1440, "day")
    if size and size % 60 == 0:
        return count(size // 60, "hour")
    return count(size, "minute")
