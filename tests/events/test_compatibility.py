"""Every rule of the compatibility check, by pairs of schemas."""

import re
from copy import deepcopy
from datetime import date
from typing import Any

import pytest

from factory.events.compatibility import Report, check, compare, compare_major, contains
from factory.events.findings import RULES, Direction, Severity
from factory.events.registry import CONTRACTS_FOLDER, REGISTRY, schema_of

TODAY = date(2026, 6, 1)
TEXT = {"type": "string"}
NULL = {"type": "null"}
NOT_A_SCHEMA = True


def contract(properties: dict[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    return {
        "x-topics": ["system"], "additionalProperties": False, "description": "Something happened.",
        "properties": properties, "required": list(required), "title": "Happened", "type": "object", **more,
    }  # fmt: skip


def field(schema: Any, marks: dict[str, Any] | None = None, *, required: bool = False) -> dict[str, Any]:
    return {**contract({"a": schema}, *(["a"] if required else [])), **(marks or {})}


def nested(inner: dict[str, Any]) -> dict[str, Any]:
    return contract({"items": {"type": "array", "items": {"$ref": "#/$defs/Inner"}}}, **{"$defs": {"Inner": inner}})


def noted(schema: dict[str, Any], *notes: str) -> dict[str, Any]:
    return {**deepcopy(schema), "x-changes": list(notes) or [*schema.get("x-changes", ()), "a is different"]}


def rules(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings}


BOUNDED = {"type": "integer", "minimum": 1, "maximum": 10}
OBJECT = {"type": "object", "properties": {"x": TEXT}, "required": ["x"]}
DEPRECATED = {**TEXT, "deprecated": True, "x-deprecated-since": 1}

# id, old, new, rules broken or noted by a new minor version that says what it changes, and whether it is accepted.
CHANGES = [
    ("optional added", field(TEXT), contract({"a": TEXT, "b": TEXT}), {"optional-field-added"}, True),
    ("required added", field(TEXT), contract({"a": TEXT, "b": TEXT}, "b"), {"required-field-added"}, False),
    ("removed", field(TEXT), contract({}), {"field-removed"}, False),
    ("removed though deprecated", field(DEPRECATED), contract({}), {"deprecated-field-removed"}, False),
    ("deprecated", field(TEXT), field(DEPRECATED), {"field-deprecated"}, True),
    ("deprecation withdrawn", field(DEPRECATED), field(TEXT), {"deprecation-withdrawn"}, True),
    ("type changed", field(TEXT), field({"type": "integer"}), {"type-changed"}, False),
    ("integer to number", field({"type": "integer"}), field({"type": "number"}), {"type-changed"}, False),
    ("type forgotten", field(TEXT), field({}), {"type-changed"}, False),
    ("enum value removed", field({"enum": ["x", "y"]}), field({"enum": ["x"]}), {"enum-value-removed"}, False),
    ("enum value added", field({"enum": ["x"]}), field({"enum": ["x", "y"]}), {"enum-value-added"}, True),
    ("enum reordered", field({"enum": ["x", "y"]}), field({"enum": ["y", "x"]}), set(), True),
    ("const to enum", field({"const": "x"}), field({"enum": ["x", "y"]}), {"enum-value-added"}, True),
    ("text to enum", field(TEXT), field({**TEXT, "enum": ["x"]}), {"constraint-tightened"}, False),
    ("enum to text", field({**TEXT, "enum": ["x"]}), field(TEXT), {"constraint-loosened"}, False),
    ("minimum raised", field(BOUNDED), field({**BOUNDED, "minimum": 2}), {"constraint-tightened"}, False),
    ("minimum lowered", field(BOUNDED), field({**BOUNDED, "minimum": 0}), {"constraint-loosened"}, False),
    ("maximum lowered", field(BOUNDED), field({**BOUNDED, "maximum": 9}), {"constraint-tightened"}, False),
    ("maximum raised", field(BOUNDED), field({**BOUNDED, "maximum": 11}), {"constraint-loosened"}, False),
    ("maximum dropped", field(BOUNDED), field({"type": "integer", "minimum": 1}), {"constraint-loosened"}, False),
    ("length limited", field(TEXT), field({**TEXT, "maxLength": 9}), {"constraint-tightened"}, False),
    ("pattern added", field(TEXT), field({**TEXT, "pattern": "^a"}), {"constraint-tightened"}, False),
    ("pattern dropped", field({**TEXT, "pattern": "^a"}), field(TEXT), {"constraint-loosened"}, False),
    ("pattern changed", field({**TEXT, "pattern": "^a"}), field({**TEXT, "pattern": "^b"}),
     {"constraint-changed"}, False),
    ("required to optional", field(TEXT, required=True), field(TEXT), {"field-became-optional"}, False),
    ("optional to required", field(TEXT), field(TEXT, required=True), {"field-became-required"}, False),
    ("null allowed", field(TEXT), field({"anyOf": [TEXT, NULL]}), {"null-allowed"}, False),
    ("null forbidden", field({"anyOf": [TEXT, NULL]}), field(TEXT), {"null-forbidden"}, False),
    ("null in a list of types", field({"type": ["string", "null"]}), field({"anyOf": [NULL, TEXT]}), set(), True),
    ("only null", field(NULL), field(TEXT), {"type-changed"}, False),
    ("alternative added", field({"anyOf": [TEXT, BOUNDED]}), field({"anyOf": [TEXT, BOUNDED, OBJECT]}),
     {"alternative-added"}, False),
    ("alternative removed", field({"anyOf": [TEXT, BOUNDED, OBJECT]}), field({"anyOf": [BOUNDED, OBJECT]}),
     {"alternative-removed"}, False),
    ("alternative changed", field({"anyOf": [TEXT, BOUNDED]}), field({"anyOf": [TEXT, {**BOUNDED, "maximum": 11}]}),
     {"constraint-loosened"}, False),
    ("default changed", field({**TEXT, "default": "x"}), field({**TEXT, "default": "y"}), {"default-changed"}, True),
    ("default added", field(TEXT), field({**TEXT, "default": "y"}), {"default-changed"}, True),
    ("zero is not false", field({"default": 0}), field({"default": False}), {"default-changed"}, True),
    ("description changed", field({**TEXT, "description": "x"}), field({**TEXT, "description": "y"}),
     {"description-changed"}, True),
    ("contract described anew", field(TEXT), field(TEXT, {"description": "Another."}), {"description-changed"}, True),
    ("format changed", field({**TEXT, "format": "uuid"}), field({**TEXT, "format": "date"}), {"format-changed"}, False),
    ("format added", field(TEXT), field({**TEXT, "format": "uuid"}), {"constraint-tightened"}, False),
    ("format dropped", field({**TEXT, "format": "uuid"}), field(TEXT), {"constraint-loosened"}, False),
    ("unit changed", field({**BOUNDED, "x-unit": "s"}), field({**BOUNDED, "x-unit": "ms"}), {"unit-changed"}, False),
    ("unit added", field(BOUNDED), field({**BOUNDED, "x-unit": "s"}), {"unit-added"}, True),
    ("topic added", field(TEXT), field(TEXT, {"x-topics": ["system", "vision"]}), {"topic-added"}, True),
    ("topic removed", field(TEXT), field(TEXT, {"x-topics": ["vision"]}), {"topic-added", "topic-removed"}, False),
    ("extra fields allowed", field(TEXT), field(TEXT, {"additionalProperties": True}),
     {"additional-properties-allowed"}, False),
    ("extra fields forbidden", field(TEXT, {"additionalProperties": True}), field(TEXT),
     {"additional-properties-forbidden"}, False),
    ("values of a map", field({"type": "object", "additionalProperties": TEXT}),
     field({"type": "object", "additionalProperties": BOUNDED}), {"type-changed"}, False),
    ("field in a map", field({"type": "object", "additionalProperties": TEXT}),
     field({"type": "object", "additionalProperties": TEXT, "properties": {"x": BOUNDED}}),
     {"field-shadows-map"}, False),
    ("field in an object", field(OBJECT), field({**OBJECT, "properties": {"x": TEXT, "y": TEXT}}),
     {"optional-field-added"}, True),
    ("field out of a definition", nested(OBJECT), nested({"type": "object", "properties": {}}),
     {"field-removed"}, False),
    ("field into a definition", nested(OBJECT), nested({**OBJECT, "properties": {"x": TEXT, "y": TEXT}}),
     {"optional-field-added"}, True),
    ("definition written out", nested(OBJECT), contract({"items": {"type": "array", "items": OBJECT}}), set(), True),
    ("items changed", field({"type": "array", "items": TEXT}), field({"type": "array", "items": BOUNDED}),
     {"type-changed"}, False),
    ("items forgotten", field({"type": "array", "items": TEXT}), field({"type": "array"}), {"type-changed"}, False),
    ("fewer items", field({"type": "array", "items": TEXT}), field({"type": "array", "items": TEXT, "maxItems": 3}),
     {"constraint-tightened"}, False),
    ("tuple grown", field({"type": "array", "prefixItems": [TEXT]}),
     field({"type": "array", "prefixItems": [TEXT, TEXT]}),
     {"type-changed"}, False),
    ("in a tuple", field({"type": "array", "prefixItems": [TEXT]}), field({"type": "array", "prefixItems": [BOUNDED]}),
     {"type-changed"}, False),
    ("unknown construct", field(TEXT), field({**TEXT, "not": {"const": "x"}}), {"unknown-construct"}, False),
    ("pattern properties", field({"type": "object"}), field({"type": "object", "patternProperties": {"^a": TEXT}}),
     {"unknown-construct"}, False),
    ("reference to nowhere", field(TEXT), field({"$ref": "#/$defs/Gone"}), {"unknown-construct"}, False),
    ("reference elsewhere", field(TEXT), field({"$ref": "urn:x"}), {"unknown-construct"}, False),
    ("true for a schema", field(TEXT), field(NOT_A_SCHEMA), {"unknown-construct"}, False),
    ("required without a field", field(TEXT), contract({"a": TEXT}, "b"), {"containment-unproven"}, False),
    ("deprecated as a whole", field(TEXT),
     field(TEXT, {"x-deprecation": {"successor": 2, "sunset": "2027-01-01"}}),
     {"version-deprecated"}, True),
    ("sunset later", field(TEXT, {"x-deprecation": {"successor": 2, "sunset": "2027-01-01"}}),
     field(TEXT, {"x-deprecation": {"successor": 2, "sunset": "2028-01-01"}}), {"version-deprecation-changed"}, True),
    ("sunset earlier", field(TEXT, {"x-deprecation": {"successor": 2, "sunset": "2027-01-01"}}),
     field(TEXT, {"x-deprecation": {"successor": 2, "sunset": "2026-01-01"}}), {"sunset-brought-forward"}, False),
    ("titles", field({**TEXT, "title": "A"}), field({**TEXT, "title": "B"}, {"title": "Other"}), set(), True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected", "accepted"), [pytest.param(*case[1:], id=case[0]) for case in CHANGES]
)
def test_a_change_in_a_new_minor_version(
    old: dict[str, Any], new: dict[str, Any], expected: set[str], *, accepted: bool
) -> None:
    report = compare(old, noted(new))
    assert (rules(report), report.accepted) == (expected, accepted)
    for finding in report.refused:
        assert finding.remedy


@pytest.mark.parametrize(("old", "new"), [pytest.param(*case[1:3], id=case[0]) for case in CHANGES if case[3]])
def test_every_change_needs_a_minor_version(old: dict[str, Any], new: dict[str, Any]) -> None:
    if "containment-unproven" not in rules(compare(old, noted(new))):
        assert "minor-bump-missing" in rules(compare(old, new))


def test_every_rule_has_a_case() -> None:
    whole = {
        "contract-added", "version-added", "no-upcaster", "contract-removed", "removed-before-sunset",
        "retirement-not-recorded", "contract-retired", "minor-bump-missing", "history-rewritten",
        "silent-description-change", "silent-default-change", "silent-unit-added", "schema-file-differs",
    }  # fmt: skip
    assert set().union(*(case[3] for case in CHANGES)) | whole == set(RULES)


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ({"description": "Seconds."}, {"description": "Minutes."}, "silent-description-change"),
        ({"default": "x"}, {}, "silent-default-change"),
        ({}, {"x-unit": "seconds"}, "silent-unit-added"),
    ],
)
def test_a_change_of_meaning_is_silent_unless_a_note_names_the_field(
    before: dict[str, Any], after: dict[str, Any], rule: str
) -> None:
    old, new = (field({**TEXT, **marks}) for marks in (before, after))
    silent = compare(old, noted(new, "several things"))
    assert rules(silent) == {rule}
    assert not silent.accepted
    assert compare(old, noted(new, "`a` means something else now.")).accepted
    earlier = compare(noted(old, "a came"), noted(new, "a came", "unrelated"))
    assert rules(earlier) == {rule}


def test_a_finding_says_what_where_and_what_to_do() -> None:
    old = nested({"type": "object", "properties": {"x": TEXT}})
    new = nested({"type": "object", "properties": {"x": BOUNDED}})
    (finding,) = compare(old, noted(new), "Happened v1").findings
    assert (finding.rule, finding.contract, finding.path) == ("type-changed", "Happened v1", "items[].x")
    assert (finding.old, finding.new, finding.severity) == ("string", "integer", Severity.REFUSED)
    assert str(finding) == (
        "refused  type-changed  Happened v1 items[].x: string → integer. "
        "Put the change into a new major version and add an upcaster."
    )


def test_recursive_definitions_end() -> None:
    def tree(leaf: dict[str, Any]) -> dict[str, Any]:
        node = {
            "type": "object",
            "properties": {"leaf": leaf, "nodes": {"type": "array", "items": {"$ref": "#/$defs/T"}}},
        }
        return contract({"root": {"$ref": "#/$defs/T"}}, **{"$defs": {"T": node}})

    assert rules(compare(tree(TEXT), noted(tree(BOUNDED)))) == {"type-changed"}
    loop = contract({"a": {"$ref": "#/$defs/A"}}, **{"$defs": {"A": {"$ref": "#/$defs/A"}}})
    assert not compare(field(TEXT), noted(loop)).accepted


def test_the_description_of_a_nullable_definition_has_meaning_too() -> None:
    def holder(description: str) -> dict[str, Any]:
        inner = {**OBJECT, "description": description}
        return contract({"a": {"anyOf": [{"$ref": "#/$defs/I"}, NULL]}}, **{"$defs": {"I": inner}})

    assert rules(compare(holder("x"), noted(holder("y"), "unrelated"))) == {"silent-description-change"}


def test_notes_of_released_versions_stay() -> None:
    old = noted(field(TEXT), "first")
    assert rules(compare(old, noted(contract({"a": TEXT, "b": TEXT}), "other", "second"))) == {
        "history-rewritten",
        "optional-field-added",
    }
    assert not compare(old, field(TEXT)).accepted


def check_types(old: dict[int, Any], new: dict[int, Any], **more: Any) -> Report:
    def keyed(versions: dict[int, Any]) -> dict[tuple[str, int], Any]:
        return {("Happened", number): schema for number, schema in versions.items()}

    return check(keyed(old), keyed(new), today=TODAY, **more)


def ending(sunset: str) -> dict[str, Any]:
    return field(TEXT, {"x-deprecation": {"successor": 2, "sunset": sunset}})


def test_a_field_leaves_with_a_new_major_version_after_its_deprecation() -> None:
    new = contract({"b": TEXT}, "b")
    ways = {("Happened", 1)}
    kept = check_types({1: field(TEXT)}, {1: field(TEXT), 2: new}, upcast=ways)
    assert rules(kept) == {"version-added", "field-removed"}
    assert not kept.accepted
    marked = noted(field(DEPRECATED))
    assert check_types({1: marked}, {1: marked, 2: new}, upcast=ways).accepted
    assert check_types({1: field(TEXT)}, {1: marked, 2: new}, upcast=ways).accepted


def test_a_new_major_version_may_change_the_rest_and_wants_an_upcaster() -> None:
    old, new = field(TEXT), field(BOUNDED, required=True)
    report = check_types({1: old}, {1: old, 2: new})
    assert report.accepted
    assert rules(report) == {"version-added", "no-upcaster"}
    assert rules(compare_major(old, new)) == set()


def test_a_contract_leaves_after_deprecation_and_sunset_and_is_recorded() -> None:
    assert rules(check_types({1: field(TEXT)}, {})) == {"contract-removed"}
    assert rules(check_types({1: ending("2026-06-02")}, {})) == {"removed-before-sunset"}
    assert rules(check_types({1: ending("2026-06-01")}, {})) == {"retirement-not-recorded"}
    gone = check_types({1: ending("2026-06-01")}, {}, retired={("Happened", 1)})
    assert (rules(gone), gone.accepted) == ({"contract-retired"}, True)


def test_a_new_contract_is_welcome_unless_the_rules_cannot_read_it() -> None:
    assert rules(check_types({}, {1: field(TEXT)})) == {"contract-added"}
    strange = check_types({}, {1: field({**TEXT, "if": {}})})
    assert [(f.path, f.new) for f in strange.refused] == [("a", "if")]


def test_directions_tell_whom_a_change_hurts() -> None:
    loosened = compare(field(BOUNDED), noted(field({**BOUNDED, "maximum": 11})))
    assert loosened.safe(Direction.BACKWARD)
    assert not loosened.safe(Direction.FORWARD)
    grown = compare(field({"enum": ["x"]}), noted(field({"enum": ["x", "y"]})))
    assert (grown.safe(Direction.BACKWARD), grown.safe(Direction.FORWARD)) == (True, False)


def test_containment_is_not_claimed_without_proof() -> None:
    assert contains(field(TEXT), field(TEXT))
    assert not contains(field({"type": "number", "multipleOf": 0.1}), field({"$ref": "urn:nowhere"}))


@pytest.mark.parametrize("name", sorted({c.event_type for c in REGISTRY}))
def test_real_contracts_may_grow(name: str) -> None:
    old = schema_of(REGISTRY.find(name, 1))
    new = deepcopy(old)
    new["properties"]["hint"] = {"anyOf": [TEXT, NULL], "default": None}
    assert compare(old, noted(new)).accepted
    assert not compare(old, new).accepted
    del new["properties"][next(iter(old["properties"]))]
    assert not compare(old, noted(new)).accepted


def test_the_documentation_lists_every_rule_as_it_is() -> None:
    text = (CONTRACTS_FOLDER.parent / "docs/design/02-contracts.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \| (\w+) \|", text, re.MULTILINE)
    assert sorted(rows) == sorted((rule.id, rule.severity.value, rule.breaks.value) for rule in RULES.values())
