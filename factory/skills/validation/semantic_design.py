"""Do the documents and the specifications agree with the vision and with the domain model?"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from factory.domain.product import (
    IMPLICIT_FIELDS,
    DomainEvent,
    DomainModel,
    Entity,
    Operation,
    OperationKind,
    Trace,
)
from factory.skills.native.service_design.naming import relation_key
from factory.skills.validation.rules import SEMANTIC, Problem, Rule, Subject
from factory.skills.validation.specifications import (
    ASYNCAPI_PATH,
    OPENAPI_PATH,
    api_operations,
    messages,
    resolve,
)

_METHODS = {
    OperationKind.CREATE: {"post", "put"},
    OperationKind.READ: {"get"},
    OperationKind.LIST: {"get"},
    OperationKind.UPDATE: {"patch", "put"},
    OperationKind.DELETE: {"delete"},
    OperationKind.TRANSITION: {"post", "put", "patch"},
    OperationKind.CHANGE: {"post", "put", "patch"},
}
_ON_COLLECTION = frozenset({OperationKind.CREATE, OperationKind.LIST})
_BY_VERB = frozenset({OperationKind.TRANSITION, OperationKind.CHANGE})
_OF_THE_SERVICE = re.compile(r"^/(health(/[a-z]+)?|metrics)$")
_RECORDED = frozenset({"created_by"})


def traces_quote_the_vision(subject: Subject) -> Iterator[Problem]:
    """Every trace of the artifact holds the words that stand at its place in the vision."""
    vision = subject.vision or ""
    for document in (subject.vision_document, subject.requirements, subject.backlog, subject.model):
        if document is None or not _is_of(subject, document):
            continue
        for trace in _traces(document):
            if vision[trace.start : trace.end] != trace.text:
                yield Problem(
                    f"the trace of rule {trace.rule} quotes {trace.text!r:.80}, but characters {trace.start} to "
                    f"{trace.end} of the vision are {vision[trace.start : trace.end]!r:.80}."
                )


def requirements_have_a_source(subject: Subject) -> Iterator[Problem]:
    """Every requirement comes from a story that exists, or from words of the vision."""
    if subject.requirements is None:
        return
    stories = _stories(subject)
    for requirement in subject.requirements.requirements:
        unknown = sorted(set(requirement.stories) - stories) if stories is not None else []
        if unknown:
            yield Problem(f"the requirement {requirement.id} names unknown stories: {', '.join(unknown)}.")
        if not requirement.stories and not requirement.trace.text and not requirement.trace.rule:
            yield Problem(f"the requirement {requirement.id} comes from no story and from nothing in the vision.")


def stories_are_covered(subject: Subject) -> Iterator[Problem]:
    """Every story is in the backlog once, with acceptance criteria, and its operations exist."""
    if subject.backlog is None:
        return
    planned = [item.story.id for item in subject.backlog.items]
    for story in sorted(_stories(subject) or ()):
        if story not in planned:
            yield Problem(f"the story {story} is not in the backlog.")
    for story in sorted({story for story in planned if planned.count(story) > 1}):
        yield Problem(f"the story {story} is in the backlog more than once.")
    for item in subject.backlog.items:
        if not item.criteria:
            yield Problem(f"the story {item.story.id} has no acceptance criterion.")
        if subject.model is not None:
            known = {operation.name for operation in subject.model.operations}
            for name in sorted(set(item.operations) - known):
                yield Problem(f"the story {item.story.id} names the unknown operation {name}.")


def model_serves_the_stories(subject: Subject) -> Iterator[Problem]:
    """Every story the vision document found is still in the domain model, and operations serve most of them."""
    model, document = subject.model, subject.vision_document
    if model is None:
        return
    served = {story for operation in model.operations for story in operation.stories}
    if document is not None:
        found, kept = ({story.id for story in source.stories} for source in (document.draft, model))
        yield from (Problem(f"the domain model has lost the story {story}.") for story in sorted(found - kept))
    for story in model.stories:
        if story.id not in served:
            yield Problem(f"no operation serves the story {story.id}: {story.goal}", severity="warning")


def architecture_names_every_entity(subject: Subject) -> Iterator[Problem]:
    """The architecture mentions each entity by its name or label."""
    text = "\n".join(subject.files_of("architecture").values()).lower()
    for entity in _model(subject).entities:
        names = {entity.name, entity.label, entity.collection.replace("_", " "), entity.collection}
        if not any(_says(text, name.lower()) for name in names):
            yield Problem(f"the architecture does not name {entity.name}.", "docs/architecture.md")


def events_are_catalogued(subject: Subject) -> Iterator[Problem]:
    """Every domain event of the model is a message of the catalogue with the event's fields, and the reverse."""
    model, document = _model(subject), subject.asyncapi or {}
    found = messages(document)
    events = {event.name: event for event in model.events}
    reads = {op.name for op in model.operations if op.kind in (OperationKind.READ, OperationKind.LIST)}
    for name, event in events.items():
        if name in found:
            yield from _payload(model, event, document, found[name])
        elif event.operation not in reads:
            yield Problem(f"the event {name} is not in the catalogue.", ASYNCAPI_PATH)
    for name in sorted(found.keys() - events.keys()):
        yield Problem(f"the catalogue has the event {name}, which the domain model has not.", ASYNCAPI_PATH)


def operations_have_endpoints(subject: Subject) -> Iterator[Problem]:
    """Every operation of the model has an endpoint in the API specification."""
    model, document = _model(subject), subject.openapi or {}
    endpoints = {(path.rstrip("/"), method) for path, method, _ in api_operations(document)}
    for operation in model.operations:
        if not any(_serves(model, operation, path, method) for path, method in endpoints):
            yield Problem(
                f"the operation {operation.name} ({operation.kind} of {operation.entity}) has no endpoint.",
                OPENAPI_PATH,
            )


def endpoints_have_operations(subject: Subject) -> Iterator[Problem]:
    """Every endpoint below a resource serves an operation of the model: nothing is offered that nobody asked for."""
    model, document = _model(subject), subject.openapi or {}
    for path, method, _ in api_operations(document):
        if _OF_THE_SERVICE.match(path):
            continue
        entity = next((entity for entity in model.entities if _rest(entity, path.rstrip("/")) is not None), None)
        if entity is None:
            yield Problem(f"{method.upper()} {path} belongs to no entity.", OPENAPI_PATH)
        elif not any(_serves(model, operation, path.rstrip("/"), method) for operation in model.operations):
            yield Problem(f"{method.upper()} {path} serves no operation of {entity.name}.", OPENAPI_PATH)


def schemas_equal_the_model(subject: Subject) -> Iterator[Problem]:
    """The schema of each entity has its fields and references as properties, and no others."""
    model, document = _model(subject), subject.openapi or {}
    schemas = ((document.get("components") or {}).get("schemas")) or {}
    for entity in model.entities:
        schema = resolve(document, schemas.get(_schema_name(model, entity, schemas)))
        if not isinstance(schema, dict):
            shown = {operation.kind for operation in model.operations_of(entity.name)} - {OperationKind.DELETE}
            if shown:
                yield Problem(f"there is no schema of {entity.name}.", OPENAPI_PATH)
            continue
        properties = set(schema.get("properties") or {})
        wanted = attributes(model, entity) | IMPLICIT_FIELDS
        for name in sorted(wanted - properties):
            yield Problem(f"the schema of {entity.name} lacks {name}.", OPENAPI_PATH)
        for name in sorted(properties - wanted - _RECORDED):
            yield Problem(f"the schema of {entity.name} has {name}, which the model has not.", OPENAPI_PATH)


def attributes(model: DomainModel, entity: Entity) -> set[str]:
    """Return the keys of an entity's fields and references in JSON and SQL."""
    relations = (relation for relation in model.relations_of(entity.name) if relation.join_entity is None)
    return {field.name for field in entity.fields} | {relation_key(model, relation) for relation in relations}


def _schema_name(model: DomainModel, entity: Entity, schemas: dict[str, Any]) -> str:
    """Return the name of an entity's schema: with `Record` behind it where the service needs the name itself."""
    aside = f"{entity.name}Record"
    taken = {other.name for other in model.entities}
    return aside if aside in schemas and aside not in taken else entity.name


def _payload(
    model: DomainModel, event: DomainEvent, document: dict[str, Any], message: dict[str, Any]
) -> Iterator[Problem]:
    payload = resolve(document, message.get("payload")) or {}
    properties = payload.get("properties") or {}
    data = resolve(document, properties.get("data")) if "data" in properties else payload
    relations = {relation.name: relation for relation in model.relations_of(event.entity)}
    wanted = {*event.fields}
    wanted |= {relation_key(model, relations[name]) for name in event.relations if not relations[name].join_entity}
    for name in sorted(wanted - set((data or {}).get("properties") or {})):
        yield Problem(f"the event {event.name} lacks {name} in its payload.", ASYNCAPI_PATH)


def _serves(model: DomainModel, operation: Operation, path: str, method: str) -> bool:
    rest = _rest(model.entity(operation.entity), path)
    if rest is None or method not in _METHODS[operation.kind]:
        return False
    if operation.kind in _ON_COLLECTION:
        return rest == ""
    if operation.kind not in _BY_VERB:
        return re.fullmatch(r"/\{[^}]+\}", rest) is not None
    verb = operation.verb.replace("_", "-")
    # Two changes by one verb are told apart by the entity's name behind it.
    return re.fullmatch(rf"/\{{[^}}]+\}}/{re.escape(verb)}(-[a-z0-9-]+)?", rest.replace("_", "-")) is not None


def _rest(entity: Entity, path: str) -> str | None:
    """Return what follows the entity's collection in a path; None where the path is not below it."""
    kebab = entity.collection.replace("_", "-")
    found = re.fullmatch(rf"(?:/api)?(?:/v\d+)?/(?:{kebab}|{entity.collection})(?:[-_]records)?((?:/.*)?)", path)
    return found[1] if found else None


def _stories(subject: Subject) -> set[str] | None:
    source = subject.model or (subject.vision_document.draft if subject.vision_document else None)
    return None if source is None else {story.id for story in source.stories}


def _is_of(subject: Subject, document: BaseModel) -> bool:
    return document is {
        "vision-document": subject.vision_document,
        "product-requirements": subject.requirements,
        "backlog": subject.backlog,
        "domain-model": subject.model,
    }.get(subject.kind)


def _traces(value: object) -> Iterator[Trace]:
    if isinstance(value, Trace):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _traces(getattr(value, name))
    elif isinstance(value, tuple):
        for entry in value:
            yield from _traces(entry)


def _says(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _model(subject: Subject) -> DomainModel:
    if subject.model is None:
        raise ValueError("this rule needs a domain model.")
    return subject.model


_LAST = "test-report"
RULES = (
    Rule(
        "traces-quote-the-vision",
        SEMANTIC,
        traces_quote_the_vision,
        kinds=frozenset({"vision-document", "product-requirements", "backlog", "domain-model"}),
        needs=frozenset({"vision"}),
    ),
    Rule(
        "requirements-have-a-source",
        SEMANTIC,
        requirements_have_a_source,
        kinds=frozenset({"product-requirements", _LAST}),
        needs=frozenset({"requirements"}),
    ),
    Rule(
        "stories-are-covered",
        SEMANTIC,
        stories_are_covered,
        kinds=frozenset({"backlog", _LAST}),
        needs=frozenset({"backlog"}),
    ),
    Rule(
        "model-serves-the-stories",
        SEMANTIC,
        model_serves_the_stories,
        kinds=frozenset({"domain-model"}),
        needs=frozenset({"model"}),
    ),
    Rule(
        "architecture-names-every-entity",
        SEMANTIC,
        architecture_names_every_entity,
        kinds=frozenset({"architecture", _LAST}),
        needs=frozenset({"architecture", "model"}),
    ),
    *(
        Rule(name, SEMANTIC, check, kinds=frozenset({kind, _LAST}), needs=frozenset({need, "model"}))
        for name, check, kind, need in (
            ("events-are-catalogued", events_are_catalogued, "event-catalogue", "asyncapi"),
            ("operations-have-endpoints", operations_have_endpoints, "api-specification", "openapi"),
            ("endpoints-have-operations", endpoints_have_operations, "api-specification", "openapi"),
            ("schemas-equal-the-model", schemas_equal_the_model, "api-specification", "openapi"),
        )
    ),
)
