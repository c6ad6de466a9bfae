"""Examples of payloads and headers, made from their schemas: the same every time."""

from collections.abc import Mapping, Sequence
from typing import Any

from factory.events.comparison import resolve

# One value of each format that pydantic writes.
_FORMATS = {
    "uuid": "0198c0de-0000-7000-8000-000000000001",
    "date-time": "2026-01-31T12:00:00Z",
    "date": "2026-01-31",
    "time": "12:00:00Z",
    "duration": "PT90S",
    "uri": "https://example.com/",
    "email": "someone@example.com",
}
_PATTERNS = {
    r"^[0-9a-f]{32}$": "0af7651916cd43dd8448eb211c80319c",
    r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
_DEEPEST = 8


def example(schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Return a value of a schema that pydantic wrote; the caller validates it, since patterns are not solved."""
    return _value("value", schema, schema, 0)


def _value(name: str, node: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:  # noqa: ANN401, PLR0911 - JSON; one return per type
    schema = resolve(node, root) or {}
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return _value(name, _chosen(schema["anyOf"], depth), root, depth + 1)
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {}) if depth < _DEEPEST else {}
            return {key: _value(key, field, root, depth + 1) for key, field in fields.items()}
        case "array":
            length = max(schema.get("minItems", 0), min(1, schema.get("maxItems", 1))) if depth < _DEEPEST else 0
            fixed = [_value(name, item, root, depth + 1) for item in schema.get("prefixItems", ())]
            return fixed or [_value(name, schema.get("items", {}), root, depth + 1) for _ in range(length)]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "string":
            return _text(name, schema)
    return None


def _chosen(variants: Sequence[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
    """Prefer a value to null, except where a recursive schema has to end."""
    null = [variant for variant in variants if variant.get("type") == "null"]
    values = [variant for variant in variants if variant.get("type") != "null"]
    return (null + values if depth >= _DEEPEST // 2 else values + null)[0]


def _number(schema: Mapping[str, Any]) -> float:
    low = max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
    high = min(schema.get("maximum", low), schema.get("exclusiveMaximum", low + 1) - 1)
    value: float = min(low, high)
    return value


def _text(name: str, schema: Mapping[str, Any]) -> str:
    known = _FORMATS.get(schema.get("format", "")) or _PATTERNS.get(schema.get("pattern", ""))
    text = known or name.replace("_", " ")
    return text.ljust(schema.get("minLength", 0), ".")[
        : schema.get("maxLength", len(text) + schema.get("minLength", 0))
    ]
