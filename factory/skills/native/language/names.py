"""Names out of words: identifiers in ASCII, unique, and valid as enum values."""

import keyword
import re
import unicodedata
from collections.abc import Container

from factory.domain.product import IMPLICIT_FIELDS, snake

_LETTERS = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "Oe", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",  # noqa: E501 - a list of words
        "ð": "d", "þ": "th", "ı": "i", "&": " and ", "%": " percent ", "€": " euro ", "£": " pound ", "@": " at ",  # noqa: RUF001 - authors write dashes
        "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "'": "", "\u2019": "",
    }
)  # fmt: skip
_MAX = 60


def ascii_words(text: str) -> str:
    """Return the text in ASCII letters, digits and punctuation, transliterated where there is a usual way."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", text).translate(_LETTERS))
    return plain.encode("ascii", "ignore").decode()


def snake_name(words: str, prefix: str = "n") -> str:
    """Return words as a snake name of at most 60 characters; empty where no letter or digit is left."""
    made = snake(re.sub(r"(?<=\d)[A-Z](?![a-z])", lambda found: found.group().lower(), ascii_words(words)))
    if not made:
        return ""
    if made[0].isdigit():
        made = f"{prefix}_{made}"
    return re.sub(r"_+$", "", made[:_MAX])


def pascal_name(words: str) -> str:
    """Return words as a PascalCase name; empty where no letter or digit is left."""
    made = "".join(part.capitalize() for part in snake_name(words, "n").split("_") if part)
    return made[:_MAX]


def field_name(words: str) -> str:
    """Return words as a field's name: a snake name that is no Python keyword and not reserved by the model."""
    made = snake_name(words, "n")
    if made in IMPLICIT_FIELDS or keyword.iskeyword(made):
        made = f"{made}_value"
    return made


def state_name(words: str) -> str:
    """Return words as an enum value; signs at the end are spelled ("O+" → "o_plus")."""
    signed = re.sub(r"(?<=\w)\s*[-\u2212]$", " minus", re.sub(r"(?<=\w)\s*\+$", " plus", words.strip()))
    made = snake_name(signed, "n")
    return f"{made}_value" if keyword.iskeyword(made) else made


def label(name: str) -> str:
    """Return a lower-case name as a label ("blood pressure reading" → "Blood pressure reading")."""
    return name[:1].upper() + name[1:]


def unique(name: str, taken: Container[str], separator: str = "_") -> str:
    """Return the name, with the first number that makes it unique where it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}{separator}{number}" in taken:
        number += 1
    return f"{name}{separator}{number}"


def slug(name: str) -> str:
    """Return a name in kebab case; "product" where no letter is left."""
    made = snake_name(name, "p").replace("_", "-")
    return made or "product"
