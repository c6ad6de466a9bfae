"""Names in the generated service: the domain's own, moved aside only where Python or a framework owns the word."""

import keyword
import re
import sys
from collections.abc import Iterable

from pydantic import BaseModel

from factory.domain.product import DomainModel, Entity, Relation, RelationKind, snake
from factory.skills.inflection import engine


def singular(plural: str) -> str:
    """Return the singular of a snake-case plural; the word itself where it is no plural."""
    head, _, last = plural.rpartition("_")
    found = engine().singular_noun(last)
    word = str(found) if found else last
    return f"{head}_{word}" if head else word


def relation_key(model: DomainModel, relation: Relation) -> str:
    """Return the key that holds a relation's id (`patient_id`) or ids (`tag_ids`) in JSON, Python and SQL."""
    if relation.kind is RelationKind.MANY_TO_MANY:
        target = model.entity(relation.target)
        word = snake(target.name) if relation.name == target.collection else singular(relation.name)
        key = f"{word}_ids"
    else:
        key = f"{relation.name}_id"
    taken = {field.name for field in model.entity(relation.source).fields}
    if key not in taken:
        return key
    return key.replace("_id", "_ref_id") if key.endswith("_id") else key.replace("_ids", "_ref_ids")


def python_name(name: str, reserved: frozenset[str] = frozenset()) -> str:
    """Return the name, with an underscore after it where it is a keyword or reserved."""
    return f"{name}_" if keyword.iskeyword(name) or name in reserved else name


def words(snake_name: str) -> str:
    """Return a snake-case name as words."""
    return snake_name.replace("_", " ")


def sentence(snake_name: str) -> str:
    """Return a snake-case name as words, the first with a capital."""
    text = words(snake_name)
    return text[:1].upper() + text[1:]


def label_words(entity: Entity) -> str:
    """Return the author's name for an entity inside a sentence; its name in the model where that is no plain word."""
    label = " ".join(entity.label.lower().split())
    return label if re.fullmatch(r"\w[\w' -]*", label) else words(snake(entity.name))


def kebab(snake_name: str) -> str:
    """Return a snake-case name as a path segment."""
    return snake_name.replace("_", "-")


class Names:
    """Hands out names that are free, moving a taken one aside with a suffix."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def claim(self, name: str, suffix: str) -> str:
        """Return the name, or the name with the suffix as often as it takes to be free."""
        while name in self._taken:
            name += suffix
        self._taken.add(name)
        return name


# Class names that the modules of the generated service import or define themselves.
CLASS_NAMES = frozenset(
    "APIRouter Annotated Any Base BaseModel Caller ClassVar ConfigDict Database Decimal Depends Document "
    "False Field FileReference GeoPoint Health Input Instant Day ClockTime JSON JSONB Lifecycle Literal Mapped Maybe "
    "Message Money None Number Outbox Output Permission Problem Query Request Response Role Row Select Session "
    "NonNegativeMoney NonNegativeNumber "
    "SkipJsonSchema StrEnum String Table Text Timestamps True UUID Unique Uuid Violation".split()
)

# Attribute names that would hide what the class bodies of tables and schemas use.
ATTRIBUTE_NAMES = frozenset(
    "bool changes dict dt filters float int list mapped_column metadata now property registry relationship str "
    "values".split()
) | frozenset(name for name in dir(BaseModel) if not name.startswith("_"))

# Names that the functions of the API modules use.
FUNCTION_NAMES = frozenset(
    "allowed belongs_to body caller dt events fetch id limits models page permissions query record require "
    "require_own require_target "
    "messages now ordering outbox response responses router rules row select session statement unique uuid4".split()
)

RESERVED_PATHS = frozenset({"docs", "health", "openapi.json", "redoc"})
TABLE_NAMES = frozenset({"alembic_version", "outbox"})

_PACKAGES = frozenset(
    "alembic api app fastapi httpx2 jsonschema jwt migrations mypy pip pydantic pydantic_settings pytest ruff scripts "
    "service setuptools sqlalchemy src starlette structlog test tests uvicorn yaml".split()
)


def package_name(slug: str) -> str:
    """Return the name of the service's Python package."""
    name = slug.replace("-", "_")
    taken = name in _PACKAGES or name in sys.stdlib_module_names or keyword.iskeyword(name)
    return f"{name}_service" if taken else name
