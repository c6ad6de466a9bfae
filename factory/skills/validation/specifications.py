"""The API specification and the event catalogue on their own: OpenAPI 3.1 and AsyncAPI 3."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

from factory.skills.validation.rules import STRUCTURAL, Problem, Rule, Subject

OPENAPI_PATH = "specs/openapi.yaml"
ASYNCAPI_PATH = "specs/asyncapi.yaml"
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_PARAMETER = re.compile(r"\{([^}]+)\}")
_MOST = 20


@cache
def _openapi_schema() -> jsonschema_rs.Draft202012Validator:
    """Return the validator of the OpenAPI Initiative's own schema of version 3.1."""
    text = (files("openapi_spec_validator") / "resources/schemas/v3.1/schema.json").read_text(encoding="utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(text))


def openapi_is_valid(subject: Subject) -> Iterator[Problem]:
    """The API specification follows OpenAPI 3.1, its references lead somewhere, and its schemas are schemas."""
    document = subject.openapi
    if document is None:
        return
    for error in list(_openapi_schema().iter_errors(_plain(document)))[:_MOST]:
        yield Problem(f"{_where(error.instance_path)}: {error.message[:300]}", OPENAPI_PATH)
    for message in _broken_references(document):
        yield Problem(message, OPENAPI_PATH)
    for name, schema in _mapping(_mapping(document, "components"), "schemas").items():
        if not jsonschema_rs.meta.is_valid(_plain(schema)):
            yield Problem(f"the schema {name} is no JSON Schema.", OPENAPI_PATH)
    seen: set[str] = set()
    for path, method, operation in api_operations(document):
        identity = operation.get("operationId")
        if not identity or identity in seen:
            yield Problem(f"{method.upper()} {path} has no operation id of its own ({identity!r}).", OPENAPI_PATH)
        seen.add(str(identity))
        yield from _path_parameters(document, path, method, operation)


def asyncapi_is_valid(subject: Subject) -> Iterator[Problem]:
    """The event catalogue has the parts of AsyncAPI 3, its references lead somewhere, its payloads are schemas."""
    document = subject.asyncapi
    if document is None:
        return
    if not str(document.get("asyncapi", "")).startswith("3."):
        yield Problem(f"asyncapi is {document.get('asyncapi')!r}, not version 3.", ASYNCAPI_PATH)
    for key in ("title", "version"):
        if not _mapping(document, "info").get(key):
            yield Problem(f"info.{key} is missing.", ASYNCAPI_PATH)
    for message in (*_broken_references(document), *_broken_parts(document)):
        yield Problem(message, ASYNCAPI_PATH)


def _broken_parts(document: dict[str, Any]) -> Iterator[str]:
    for name, channel in _mapping(document, "channels").items():
        if not isinstance(channel, dict) or ("address" not in channel and "$ref" not in channel):
            yield f"the channel {name} has no address."
    for name, operation in _mapping(document, "operations").items():
        if not isinstance(operation, dict) or operation.get("action") not in ("send", "receive"):
            yield f"the operation {name} neither sends nor receives."
        elif "$ref" not in _mapping(operation, "channel"):
            yield f"the operation {name} names no channel."
    for name, message in messages(document).items():
        payload = resolve(document, message.get("payload"))
        if payload is None or not jsonschema_rs.meta.is_valid(_plain(payload)):
            yield f"the payload of the message {name} is no JSON Schema."


def api_operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation object of each operation of an OpenAPI document."""
    for path, item in _mapping(document, "paths").items():
        if isinstance(item, dict):
            for method, operation in item.items():
                if method in METHODS and isinstance(operation, dict):
                    yield path, method, operation


def messages(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the messages of an AsyncAPI document by name, from its components and its channels."""
    found = dict(_mapping(_mapping(document, "components"), "messages"))
    for channel in _mapping(document, "channels").values():
        for key, message in _mapping(channel, "messages").items():
            if isinstance(message, dict) and "$ref" not in message:
                found.setdefault(key, message)
    return {str(message.get("name") or key): message for key, message in found.items() if isinstance(message, dict)}


def resolve(document: dict[str, Any], value: Any) -> Any:  # noqa: ANN401 - any part of a document
    """Return a value, or what it refers to inside the document; None where a reference leads nowhere."""
    for _ in range(_MOST):
        if not isinstance(value, dict) or "$ref" not in value:
            return value
        value = _lookup(document, str(value["$ref"]))
    return None


def _lookup(document: Any, reference: str) -> Any:  # noqa: ANN401 - any part of a document
    if not reference.startswith("#"):
        return None
    for part in reference.removeprefix("#").strip("/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(document, dict) or key not in document:
            return None
        document = document[key]
    return document


def _broken_references(document: dict[str, Any]) -> Iterator[str]:
    waiting: list[Any] = [document]
    broken = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            reference = part.get("$ref")
            if isinstance(reference, str) and _lookup(document, reference) is None:
                broken.add(reference)
    yield from (f"the reference {reference} leads nowhere." for reference in sorted(broken))


def _path_parameters(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> Iterator[Problem]:
    listed = [*document["paths"][path].get("parameters", []), *operation.get("parameters", [])]
    parameters = [resolve(document, parameter) for parameter in listed]
    declared = {entry.get("name") for entry in parameters if isinstance(entry, dict) and entry.get("in") == "path"}
    for name in sorted(set(_PARAMETER.findall(path)) ^ declared, key=str):
        yield Problem(f"{method.upper()} {path}: the path and its parameters disagree on {name!r}.", OPENAPI_PATH)


def _mapping(value: Any, key: str) -> dict[str, Any]:  # noqa: ANN401 - any part of a document
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a document
    """Return the value as JSON has it: YAML reads status codes as numbers and dates as dates."""
    return json.loads(json.dumps(value, default=str))


def _where(path: list[str | int]) -> str:
    return "/".join(map(str, path)) or "the document"


RULES = (
    Rule(
        "openapi-is-valid",
        STRUCTURAL,
        openapi_is_valid,
        kinds=frozenset({"api-specification"}),
        needs=frozenset({"openapi"}),
    ),
    Rule(
        "asyncapi-is-valid",
        STRUCTURAL,
        asyncapi_is_valid,
        kinds=frozenset({"event-catalogue"}),
        needs=frozenset({"asyncapi"}),
    ),
)
