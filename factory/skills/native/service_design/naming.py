"""Names in the generated service: the domain's own, moved aside only where Python or a framework owns the word."""

import keyword

import inflect

from factory.domain.product import DomainModel, Relation, RelationKind, snake

_INFLECT = inflect.engine()


def singular(plural: str) -> str:
    """Return the singular of a snake-case plural; the word itself where it is no plural."""
    head, _, last = plural.rpartition("_")
    found = _INFLECT.singular_noun(last)
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
