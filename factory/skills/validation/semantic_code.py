"""Does the code agree with the domain model, the API specification and the event catalogue?"""

import re
from collections.abc import Iterator

from factory.domain.product import IMPLICIT_FIELDS, RelationKind, snake
from factory.skills.native.service_design.naming import relation_key
from factory.skills.validation.backend_source import (
    enum_values,
    mapped_tables,
    migrated_tables,
    routes,
    texts,
)
from factory.skills.validation.rules import SEMANTIC, Problem, Rule, Subject
from factory.skills.validation.specifications import OPENAPI_PATH, api_operations, messages

_SOURCE, _MIGRATIONS, _TESTS = ("src/",), ("migrations/", "alembic/"), ("tests/",)


def entities_have_tables(subject: Subject) -> Iterator[Problem]:
    """Every entity has a table in the migration, with a column for each field and reference."""
    model = subject.model
    if model is None:
        return
    tables = migrated_tables(subject.python(*_MIGRATIONS))
    collections = {entity.collection for entity in model.entities}
    for entity in model.entities:
        aside = f"{entity.collection}_records"
        name = aside if aside in tables and aside not in collections else entity.collection
        if name not in tables:
            yield Problem(f"no migration makes a table of {entity.name} ({entity.collection}).")
            continue
        relations = [
            relation for relation in model.relations_of(entity.name) if relation.kind is not RelationKind.MANY_TO_MANY
        ]
        wanted = {field.name for field in entity.fields} | {relation_key(model, relation) for relation in relations}
        for column in sorted((wanted | IMPLICIT_FIELDS) - _stored(tables[name].columns)):
            yield Problem(f"the table {name} lacks the column {column}.", tables[name].file)


def links_have_tables(subject: Subject) -> Iterator[Problem]:
    """Every many-to-many relation without an entity of its own has a table that holds both ids."""
    model = subject.model
    if model is None:
        return
    tables = migrated_tables(subject.python(*_MIGRATIONS)).values()
    for relation in model.relations:
        if relation.kind is not RelationKind.MANY_TO_MANY or relation.join_entity:
            continue
        source, target = f"{snake(relation.source)}_id", relation_key(model, relation).removesuffix("s")
        if not any(
            {source, target} <= table.columns or {source, f"other_{target}"} <= table.columns for table in tables
        ):
            yield Problem(f"no migration makes a table that links {relation.source} to its {relation.name}.")


def tables_equal_the_migration(subject: Subject) -> Iterator[Problem]:
    """The persistence layer and the migration name the same tables."""
    mapped, migrated = mapped_tables(subject.python(*_SOURCE)), migrated_tables(subject.python(*_MIGRATIONS))
    for name in sorted(mapped.keys() - migrated.keys()):
        yield Problem(f"no migration makes the table {name}.", mapped[name])
    for name in sorted(migrated.keys() - mapped.keys()):
        yield Problem(f"the code does not know the table {name}.", migrated[name].file)


def entities_have_tests(subject: Subject) -> Iterator[Problem]:
    """Every entity is named in the tests."""
    said = "\n".join(subject.python(*_TESTS).values())
    for entity in subject.model.entities if subject.model else ():
        names = (entity.name, entity.collection, entity.collection.replace("_", "-"))
        if not any(re.search(rf"(?<![A-Za-z]){re.escape(name)}(?![a-z])", said) for name in names):
            yield Problem(f"no test names {entity.name}.")


def code_equals_the_specification(subject: Subject) -> Iterator[Problem]:
    """Every endpoint of the API specification is in the code, and the reverse."""
    coded = {(route.method, _shape(route.path)): route for route in routes(subject.python(*_SOURCE))}
    specified = {(method, _shape(path)): path for path, method, _ in api_operations(subject.openapi or {})}
    for method, shape in sorted(specified.keys() - coded.keys()):
        yield Problem(f"{method.upper()} {specified[method, shape]} is specified and not in the code.", OPENAPI_PATH)
    for key in sorted(coded.keys() - specified.keys()):
        route = coded[key]
        yield Problem(f"{route.method.upper()} {route.path} is in the code and not specified.", route.file)


def code_publishes_the_catalogue(subject: Subject) -> Iterator[Problem]:
    """Every event of the catalogue is named in the code."""
    said = texts(subject.python(*_SOURCE))
    for name in sorted(messages(subject.asyncapi or {}).keys() - said):
        yield Problem(f"the code never publishes {name}.")


def roles_equal_the_actors(subject: Subject) -> Iterator[Problem]:
    """The roles in the code are the actors of the model."""
    if subject.model is None:
        return
    roles = enum_values(subject.python(*_SOURCE), "Role")
    actors = {actor.name for actor in subject.model.actors}
    if roles is None:
        yield Problem("the code has no enumeration Role.")
    elif set(roles.values()) != actors:
        yield Problem(f"the roles in the code are {sorted(roles.values())}, the actors are {sorted(actors)}.")


def _stored(columns: frozenset[str]) -> set[str]:
    # A name that the database library owns stands with an underscore behind it.
    return set(columns) | {column.rstrip("_") for column in columns}


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/") or "/"


_JUDGED = frozenset({"backend", "test-report"})
RULES = tuple(
    Rule(name, SEMANTIC, check, kinds=_JUDGED, needs=frozenset({"backend", *needs}))
    for name, check, needs in (
        ("entities-have-tables", entities_have_tables, ("model",)),
        ("links-have-tables", links_have_tables, ("model",)),
        ("tables-equal-the-migration", tables_equal_the_migration, ()),
        ("entities-have-tests", entities_have_tests, ("model",)),
        ("code-equals-the-specification", code_equals_the_specification, ("openapi",)),
        ("code-publishes-the-catalogue", code_publishes_the_catalogue, ("asyncapi",)),
        ("roles-equal-the-actors", roles_equal_the_actors, ("model",)),
    )
)
