"""The OpenAPI 3.1 document of a service design."""

from pydantic import JsonValue

from factory.domain.product import FieldType, OperationKind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import sentence, words
from factory.skills.native.service_design.parts import Endpoint, Filter, Member, Resource
from factory.skills.native.service_design.problems import PROBLEM_TITLES, problem_statuses
from factory.skills.native.service_design.shapes import (
    FILE_REFERENCE,
    GEO_POINT,
    INT32_MAX,
    Schema,
    enum_values,
    nullable,
)
from factory.skills.native.service_design.wording import guard_sentence, states_phrase

VERSION = "0.1.0"
_UUID: Schema = {"type": "string", "format": "uuid"}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_UNITS = {
    FieldType.DURATION: "In seconds.",
    FieldType.MONEY: "A decimal number as a string, so that no digit is lost.",
    FieldType.DECIMAL: "A decimal number as a string, so that no digit is lost.",
    FieldType.PERCENTAGE: "In percent.",
    FieldType.TIME: "Time of day.",
}
PROBLEM: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Violation"}},
    },
}
VIOLATION: Schema = {
    "type": "object",
    "description": "One thing wrong with a request: where, and what.",
    "required": ["location", "message"],
    "properties": {"location": {"type": "string"}, "message": {"type": "string"}},
}
HEALTH: Schema = {
    "type": "object",
    "description": "The service is well.",
    "properties": {"status": {"type": "string", "const": "ok", "default": "ok"}},
}


def openapi_document(design: ServiceDesign) -> Schema:
    """Return the document; paths, parameters and schemas are those the generated service declares."""
    paths: dict[str, JsonValue] = dict(_health_paths())
    for resource in design.resources:
        for endpoint in resource.endpoints:
            item = paths.setdefault(endpoint.path, {})
            assert isinstance(item, dict)  # noqa: S101 - made one line above
            item[endpoint.method] = _operation(resource, endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": design.title, "version": VERSION, "description": design.summary},
        "tags": [{"name": "Health"}, *_tags(design)],
        "paths": paths,
        "components": {
            "schemas": _schemas(design),
            "securitySchemes": {
                "HTTPBearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token whose `role` claim is one of: "
                    + ", ".join(role.name for role in design.roles)
                    + ". Its `entity_id` claim names the record that represents the caller.",
                }
            },
        },
    }


def member_schema(member: Member) -> Schema:
    """Return the schema of a member where it is shown: null is allowed where it is optional."""
    schema = dict(member.schema) if member.required else nullable(member.schema)
    notes = [member.field.description.strip()] if member.field and member.field.description.strip() else []
    if member.field and member.field.type in _UNITS:
        notes.append(_UNITS[member.field.type])
    if notes and "$ref" not in schema:
        schema["description"] = " ".join(notes)
    return schema


def _tags(design: ServiceDesign) -> list[JsonValue]:
    return [
        {"name": resource.tag, **({"description": resource.entity.description} if resource.entity.description else {})}
        for resource in design.resources
        if resource.endpoints
    ]


def _health_paths() -> Schema:
    def probe(operation: str, summary: str, *problems: int) -> Schema:
        return {
            "get": {
                "tags": ["Health"],
                "summary": summary,
                "operationId": operation,
                "responses": {"200": _answer("It is.", "Health"), **_problems(problems)},
            }
        }

    return {
        "/health/live": probe("is_alive", "Is alive"),
        "/health/ready": probe("is_ready", "Is ready", 503),
    }


def _operation(resource: Resource, endpoint: Endpoint) -> Schema:
    operation: Schema = {
        "tags": [resource.tag],
        "summary": endpoint.summary,
        "description": " ".join([_who(endpoint), *_demands(resource, endpoint)]),
        "operationId": endpoint.id,
        "security": [{"HTTPBearer": []}],
    }
    parameters: list[JsonValue] = []
    if "{id}" in endpoint.path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": _UUID})
    if endpoint.kind is OperationKind.LIST:
        parameters += _query(resource)
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body:
        schema: Schema = {"$ref": f"#/components/schemas/{endpoint.body}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    operation["responses"] = {
        str(endpoint.status): _success(resource, endpoint),
        **_problems(problem_statuses(endpoint)),
    }
    return operation


def _who(endpoint: Endpoint) -> str:
    """Return who may call the endpoint, in a sentence."""
    free = [words(role) for role in endpoint.roles if role not in endpoint.own_only]
    own = [words(role) for role in endpoint.own_only]
    parts = []
    if free:
        parts.append(f"For: {', '.join(free)}.")
    if own:
        parts.append(f"For their own records only: {', '.join(own)}.")
    return " ".join(parts)


def _demands(resource: Resource, endpoint: Endpoint) -> list[str]:
    """Return what the record must be like; answered with 409 where it is not."""
    states = [f"Only possible while {states_phrase(endpoint.states)}."] if endpoint.states else []
    return [*states, *dict.fromkeys(guard_sentence(resource, guard) for guard in endpoint.guards)]


def _query(resource: Resource) -> list[JsonValue]:
    found: list[JsonValue] = [_parameter(filter_) for filter_ in resource.filters]
    sort: Schema = {"type": "string", "enum": list(resource.sorts), "default": "created_at"}
    limit: Schema = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    offset: Schema = {"type": "integer", "minimum": 0, "maximum": INT32_MAX, "default": 0}
    for name, schema in (("sort", sort), ("limit", limit), ("offset", offset)):
        found.append({"name": name, "in": "query", "required": False, "schema": schema})
    return found


def _parameter(filter_: Filter) -> Schema:
    return {"name": filter_.name, "in": "query", "required": False, "schema": filter_.schema}


def _success(resource: Resource, endpoint: Endpoint) -> Schema:
    if endpoint.kind is OperationKind.DELETE:
        return {"description": "It is deleted."}
    name = f"{resource.schema}Page" if endpoint.kind is OperationKind.LIST else resource.schema
    answer = _answer(f"The {words(resource.entity.collection)}." if name.endswith("Page") else "The record.", name)
    if endpoint.kind is OperationKind.CREATE:
        answer["headers"] = {"Location": {"schema": {"type": "string"}}}
    return answer


def _answer(description: str, schema: str) -> Schema:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _problems(statuses: tuple[int, ...]) -> Schema:
    found: Schema = {}
    for status in statuses:
        response: Schema = {
            "description": PROBLEM_TITLES[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status == 401:  # noqa: PLR2004 - the status is its own name
            response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
        found[str(status)] = response
    return found


def _schemas(design: ServiceDesign) -> Schema:
    schemas: Schema = {"Health": HEALTH, "Problem": PROBLEM, "Violation": VIOLATION}
    members: list[Member] = []
    for resource in design.resources:
        if resource.is_shown:
            schemas[resource.schema] = _shown(resource)
            members += resource.members
        for endpoint in resource.endpoints:
            members += endpoint.members
            if endpoint.body:
                schemas[endpoint.body] = _body(endpoint)
            if endpoint.kind is OperationKind.LIST:
                schemas[f"{resource.schema}Page"] = _page(resource)
    fields = [member.field for member in members if member.field]
    for name, schema_name in design.enums.items():
        if any(field.enum == name for field in fields):
            schemas[schema_name] = enum_values(design.model, name)
    types = {field.type for field in fields}
    if FieldType.GEO_POINT in types:
        schemas["GeoPoint"] = GEO_POINT
    if FieldType.FILE in types:
        schemas["FileReference"] = FILE_REFERENCE
    return {name: schemas[name] for name in sorted(schemas)}


def _shown(resource: Resource) -> Schema:
    properties: dict[str, JsonValue] = {"id": _UUID}
    properties |= {member.name: member_schema(member) for member in resource.members}
    properties |= {"created_at": _INSTANT, "updated_at": _INSTANT}
    return {
        "type": "object",
        "description": resource.entity.description or f"{sentence(resource.entity.label)}.",
        "additionalProperties": False,
        "required": [*properties],
        "properties": properties,
    }


def _body(endpoint: Endpoint) -> Schema:
    properties: dict[str, JsonValue] = {}
    required: list[JsonValue] = []
    for member in endpoint.members:
        schema = member_schema(member)
        if endpoint.kind is OperationKind.CREATE and member.has_default and not member.is_collection:
            schema["default"] = member.default
        needed = member.required and endpoint.kind is not OperationKind.UPDATE
        if needed and not (endpoint.kind is OperationKind.CREATE and member.has_default):
            required.append(member.name)
        properties[member.name] = schema
    body: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        body["required"] = required
    return body


def _page(resource: Resource) -> Schema:
    return {
        "type": "object",
        "description": f"One page of {words(resource.entity.collection)}; `total` counts all that match.",
        "additionalProperties": False,
        "required": ["items", "total", "limit", "offset"],
        "properties": {
            "items": {"type": "array", "items": {"$ref": f"#/components/schemas/{resource.schema}"}},
            "total": {"type": "integer"},
            "limit": {"type": "integer"},
            "offset": {"type": "integer"},
        },
    }
