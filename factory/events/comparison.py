"""Two JSON Schemas, side by side: what changed from one to the other, place by place.

The schemas are those that pydantic writes for contracts. A keyword that is not in `_KNOWN` is refused where it
changed, because the rules cannot tell what it means.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from factory.events.findings import RULES, Finding
from factory.events.lifecycle import CHANGES, DEPRECATION, REPLACED_BY, SINCE, TOPICS, UNIT

Schema = Mapping[str, Any]

_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_OPAQUE = ("pattern", "multipleOf", "uniqueItems", "contentEncoding", "contentMediaType")
_SHAPE = ("type", "enum", "const", "format", "properties", "required", "additionalProperties", "items", "prefixItems")
_ANNOTATIONS = ("title", "description", "default", "examples", "deprecated", "$comment", SINCE, REPLACED_BY, UNIT)
_HEAD = ("$schema", "$id", "$defs", TOPICS, CHANGES, DEPRECATION)
_KNOWN = frozenset(
    (*_LOWER_BOUNDS, *_UPPER_BOUNDS, *_OPAQUE, *_SHAPE, *_ANNOTATIONS, *_HEAD, "anyOf", "$ref", "discriminator")
)
# What a reader of JSON never sees.
_WITHOUT_MEANING = frozenset({"title", "examples", "$comment", "$defs", "$schema", "$id", "discriminator"})
_SHOWN = 80
_MISSING = object()


class Comparison:
    """Collects the findings of one pair of schemas.

    Args:
        contract: What findings call the contract.
        old: The released schema.
        new: The schema that shall follow it.
        notes: The notes of the new minor versions; a change of meaning is silent unless one names its field.
    """

    def __init__(self, contract: str, old: Schema, new: Schema, notes: Sequence[str]) -> None:
        self.findings: list[Finding] = []
        self._contract = contract
        self._old_root = old
        self._new_root = new
        self._notes = " ".join(notes)
        self._words = set("".join(c if c.isalnum() or c == "_" else " " for c in self._notes).split())
        self._seen: set[tuple[str, str]] = set()

    def run(self) -> list[Finding]:
        """Compare the schemas from their roots; findings stand in the order of the fields."""
        self._node(self._old_root, self._new_root, "")
        return self.findings

    def add(self, rule: str, path: str, old: object = _MISSING, new: object = _MISSING) -> None:
        """Record a finding."""
        found = RULES[rule]
        self.findings.append(
            Finding(found.id, found.severity, found.breaks, self._contract, path, _show(old), _show(new), found.remedy)
        )

    def _node(self, old_node: Any, new_node: Any, path: str) -> None:  # noqa: ANN401 - JSON
        if not isinstance(old_node, dict) or not isinstance(new_node, dict):
            if old_node != new_node:
                self.add("unknown-construct", path, old_node, new_node)
            return
        pair = (json.dumps(old_node, sort_keys=True), json.dumps(new_node, sort_keys=True))
        if "$ref" in old_node or "$ref" in new_node:
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = resolve(old_node, self._old_root), resolve(new_node, self._new_root)
        if old is None or new is None:
            self.add("unknown-construct", path, old_node.get("$ref"), new_node.get("$ref"))
            return
        self._meaning(old, new, path)
        self._variants(old, new, path)

    def _meaning(self, old: Schema, new: Schema, path: str) -> None:
        told = bool(self._notes) if not path else path.rsplit(".", 1)[-1].removesuffix("[]") in self._words
        if old.get("description") != new.get("description"):
            rule = "description-changed" if told else "silent-description-change"
            self.add(rule, path, old.get("description"), new.get("description"))
        if _differs(old, new, "default"):
            rule = "default-changed" if told else "silent-default-change"
            self.add(rule, path, old.get("default", _MISSING), new.get("default", _MISSING))
        if old.get(UNIT) != new.get(UNIT):
            rule = "unit-changed" if UNIT in old else "unit-added" if told else "silent-unit-added"
            self.add(rule, path, old.get(UNIT, _MISSING), new.get(UNIT, _MISSING))
        if path and bool(old.get("deprecated")) != bool(new.get("deprecated")):
            self.add("field-deprecated" if new.get("deprecated") else "deprecation-withdrawn", path)

    def _variants(self, old: Schema, new: Schema, path: str) -> None:
        """Compare what a value may be: one type, or several in `anyOf`, with null on its own."""
        old_all, new_all = _alternatives(old, self._old_root), _alternatives(new, self._new_root)
        if old_all is None or new_all is None:
            self.add("unknown-construct", path, old, new)
            return
        old_rest = [variant for variant in old_all if variant.get("type") != "null"]
        new_rest = [variant for variant in new_all if variant.get("type") != "null"]
        old_null, new_null = len(old_rest) < len(old_all), len(new_rest) < len(new_all)
        if bool(old_rest) != bool(new_rest):
            self.add("type-changed", path, _kind(old), _kind(new))
            return
        if old_null != new_null:
            self.add("null-allowed" if new_null else "null-forbidden", path)
        if len(old_rest) == len(new_rest) == 1:
            if "anyOf" in old and "anyOf" in new:
                self._meaning(old_rest[0], new_rest[0], path)
            self._variant(old_rest[0], new_rest[0], path)
            return
        # A variant of the same form is the same; of those left over, one on each side is one that changed.
        olds = {_form(variant, self._old_root): variant for variant in old_rest}
        news = {_form(variant, self._new_root): variant for variant in new_rest}
        gone = [variant for form, variant in olds.items() if form not in news]
        come = [variant for form, variant in news.items() if form not in olds]
        if len(gone) == len(come) == 1:
            self._variant(gone[0], come[0], path)
            return
        for variant in gone:
            self.add("alternative-removed", path, _kind(variant))
        for variant in come:
            self.add("alternative-added", path, _MISSING, _kind(variant))

    def _variant(self, old: Schema, new: Schema, path: str) -> None:
        strange = sorted(
            key for key in {*old, *new} if key not in _KNOWN and not _root_mark(key) and _differs(old, new, key)
        )
        for key in strange:
            self.add("unknown-construct", path, f"{key} {_show(old.get(key))}", f"{key} {_show(new.get(key))}")
        if strange:
            return
        if old.get("type") != new.get("type"):
            self.add("type-changed", path, _kind(old), _kind(new))
            return
        self._values(old, new, path)
        self._bounds(old, new, path)
        self._object(old, new, path)
        self._array(old, new, path)

    def _values(self, old: Schema, new: Schema, path: str) -> None:
        before, after = _enumeration(old), _enumeration(new)
        if before is not None and after is not None:
            removed = [value for value in before if value not in after]
            added = [value for value in after if value not in before]
            if removed:
                self.add("enum-value-removed", path, ", ".join(removed))
            if added:
                self.add("enum-value-added", path, _MISSING, ", ".join(added))
        elif after is not None:
            self.add("constraint-tightened", path, _MISSING, f"one of {', '.join(after)}")
        elif before is not None:
            self.add("constraint-loosened", path, f"one of {', '.join(before)}")

    def _bounds(self, old: Schema, new: Schema, path: str) -> None:
        for key in (*_LOWER_BOUNDS, *_UPPER_BOUNDS):
            before, after = old.get(key), new.get(key)
            if before == after:
                continue
            rises = after is not None and (before is None or after > before)
            falls = before is not None and (after is None or after < before)
            tightened = rises if key in _LOWER_BOUNDS else (after is not None and (before is None or falls))
            rule = "constraint-tightened" if tightened else "constraint-loosened"
            self.add(rule, path, _bound(key, before), _bound(key, after))
        for key in (*_OPAQUE, "format"):
            before, after = old.get(key), new.get(key)
            if before == after:
                continue
            changed = "format-changed" if key == "format" else "constraint-changed"
            rule = "constraint-tightened" if before is None else "constraint-loosened" if after is None else changed
            self.add(rule, path, _bound(key, before), _bound(key, after))

    def _object(self, old: Schema, new: Schema, path: str) -> None:
        if old.get("type") != "object":
            return
        before, after = old.get("properties", {}), new.get("properties", {})
        must, must_now = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in before.items():
            place = f"{path}.{name}" if path else name
            if name not in after:
                gone = resolve(schema, self._old_root) or {}
                rule = "deprecated-field-removed" if gone.get("deprecated") else "field-removed"
                self.add(rule, place, _kind(gone))
                continue
            if (name in must) != (name in must_now):
                self.add("field-became-required" if name in must_now else "field-became-optional", place)
            self._node(schema, after[name], place)
        map_like = old.get("additionalProperties") not in (None, False)
        for name, schema in after.items():
            if name in before:
                continue
            place = f"{path}.{name}" if path else name
            rule = "required-field-added" if name in must_now else "optional-field-added"
            kind = _kind(resolve(schema, self._new_root) or {})
            self.add("field-shadows-map" if map_like else rule, place, _MISSING, kind)
        self._additional(old, new, path)

    def _additional(self, old: Schema, new: Schema, path: str) -> None:
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if before == after and not isinstance(before, dict):
            return
        if before is False or after is False:
            rule = "additional-properties-allowed" if before is False else "additional-properties-forbidden"
            self.add(rule, path)
            return
        # `true` and `{}` mean the same.
        self._node({} if before is True else before, {} if after is True else after, f"{path}.*" if path else "*")

    def _array(self, old: Schema, new: Schema, path: str) -> None:
        if old.get("type") != "array":
            return
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        if len(before) != len(after):
            self.add("type-changed", path, f"{len(before)} fixed items", f"{len(after)} fixed items")
            return
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            self._node(left, right, f"{path}[{index}]")
        items, items_now = old.get("items", {}), new.get("items", {})
        if items != items_now or isinstance(items, dict):
            self._node(items, items_now, f"{path}[]")


def resolve(node: Schema, root: Schema, limit: int = 50) -> dict[str, Any] | None:
    """Follow references within the document; what stands beside one wins. None where one leads nowhere."""
    found = dict(node)
    for _ in range(limit):
        reference = found.pop("$ref", None)
        if reference is None:
            return found
        target: Any = root
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        for part in reference.removeprefix("#/").split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            return None
        found = {**target, **found}
    return None


def unknown_keywords(schema: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Name the places and keywords that the rules do not know."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from unknown_keywords(item, f"{path}[{index}]")
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key not in _KNOWN:
            yield path, key
        elif key in {"properties", "$defs"}:
            for name, field in value.items():
                yield from unknown_keywords(field, f"{path}.{name}".lstrip("."))
        elif key in {"items", "prefixItems", "anyOf", "additionalProperties"}:
            yield from unknown_keywords(value, path)


def _alternatives(node: Schema, root: Schema) -> list[dict[str, Any]] | None:
    """Return the forms a value may have; None where that cannot be told."""
    own = {key: value for key, value in node.items() if not _root_mark(key)}
    if "anyOf" in own:
        if set(own) - {"anyOf", "discriminator", *_ANNOTATIONS}:
            return None
        found: list[dict[str, Any]] = []
        for variant in own["anyOf"]:
            resolved = resolve(variant, root)
            inner = None if resolved is None else _alternatives(resolved, root)
            if inner is None:
                return None
            found += inner
        return found
    kinds = own.get("type")
    if isinstance(kinds, list):
        return [{**own, "type": kind} for kind in kinds]
    return [own]


def _root_mark(key: str) -> bool:
    return key in _HEAD


def _form(node: Any, root: Schema, depth: int = 0) -> str:  # noqa: ANN401 - JSON
    """Return a text that is equal for equal schemas, whatever their definitions are called."""
    return json.dumps(_expanded(node, root, depth), sort_keys=True)


def _expanded(node: Any, root: Schema, depth: int) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        return [_expanded(item, root, depth + 1) for item in node]
    if not isinstance(node, dict) or depth > 12:  # noqa: PLR2004 - deeper than payloads are; ends recursive schemas
        return node
    resolved = resolve(node, root) or node
    return {key: _expanded(value, root, depth + 1) for key, value in resolved.items() if key not in _WITHOUT_MEANING}


def _enumeration(schema: Schema) -> list[str] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else [json.dumps(value, ensure_ascii=False) for value in values]


def _differs(old: Schema, new: Schema, key: str) -> bool:
    before, after = old.get(key, _MISSING), new.get(key, _MISSING)
    if before is _MISSING or after is _MISSING:
        return before is not after
    return json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)


def _bound(key: str, value: object) -> object:
    return _MISSING if value is None else f"{key} {_show(value)}"


def _kind(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(variant) for variant in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    kind = schema.get("type") or ("one of a list" if "enum" in schema or "const" in schema else "anything")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _show(value: object) -> str:
    if value is _MISSING or value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
