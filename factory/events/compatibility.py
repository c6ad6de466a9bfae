"""The compatibility check: may these contracts follow those that were released (R08)?

Within a major version every change must be safe for new readers of old events and for old readers of new events:
writers are strict (they send no field that the contract does not name), readers tolerant (they ignore such fields).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import jsoncompat

from factory.events.comparison import Comparison, Schema, unknown_keywords
from factory.events.findings import RULES, Direction, Finding, Severity
from factory.events.lifecycle import CHANGES, DEPRECATION, TOPICS

Key = tuple[str, int]
Contracts = Mapping[Key, Schema]

# What a new major version may not do without notice either; everything else is what it is for.
_ALSO_ACROSS_MAJORS = frozenset({"field-removed", "unknown-construct"})
_OBJECT_KEYWORDS = ("properties", "$defs")
# jsoncompat takes `$id` for a reference and knows only local ones.
_NAMES_OF_DOCUMENTS = ("$schema", "$id")


@dataclass(frozen=True, slots=True)
class Report:
    """What one comparison found."""

    findings: tuple[Finding, ...]

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The findings that fail the check."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.REFUSED)

    @property
    def accepted(self) -> bool:
        """Whether the change may be released."""
        return not self.refused

    def safe(self, direction: Direction) -> bool:
        """Tell whether no finding, refused or noted, breaks readers in a direction."""
        return not any(finding.breaks in {direction, Direction.BOTH} for finding in self.findings)


def compare(old: Schema, new: Schema, contract: str = "") -> Report:
    """Compare two minor versions of one major version, old against new."""
    name = contract or str(new.get("title", "contract"))
    old_notes, new_notes = list(old.get(CHANGES, ())), list(new.get(CHANGES, ()))
    if _plain(old) == _plain(new):
        return Report(())
    comparison = Comparison(name, old, new, new_notes[len(old_notes) :])
    _compare_heads(comparison, old, new)
    comparison.run()
    if new_notes[: len(old_notes)] != old_notes:
        comparison.add("history-rewritten", "", f"{len(old_notes)} notes", f"{len(new_notes)} notes")
    elif len(new_notes) == len(old_notes) and comparison.findings:
        comparison.add("minor-bump-missing", "", f"minor {len(old_notes)}", f"minor {len(new_notes)}")
    found = Report(tuple(comparison.findings))
    for direction, (left, right) in {Direction.BACKWARD: (old, new), Direction.FORWARD: (new, old)}.items():
        if found.safe(direction) and not contains(left, right):
            comparison.add("containment-unproven", "", f"{direction}", "")
    return Report(tuple(comparison.findings))


def compare_major(old: Schema, new: Schema, contract: str = "") -> Report:
    """Compare a major version with the next one: fields may go only if the old version deprecated them."""
    comparison = Comparison(contract or str(new.get("title", "contract")), old, new, ())
    return Report(tuple(f for f in comparison.run() if f.rule in _ALSO_ACROSS_MAJORS))


def check(
    old: Contracts,
    new: Contracts,
    *,
    today: date,
    retired: Iterable[Key] = (),
    upcast: Iterable[Key] = (),
) -> Report:
    """Check all contracts of a release against those of an earlier one.

    Args:
        old: The released schemas, by type and major version.
        new: The schemas that shall be released.
        today: Decides whether a sunset has passed.
        retired: Versions recorded as gone.
        upcast: Versions that an upcaster leads away from.
    """
    findings: list[Finding] = []
    gone = frozenset(retired)
    ways = frozenset(upcast)
    for key in sorted({*old, *new}):
        name = f"{key[0]} v{key[1]}"
        if key in new:
            findings += _lint(name, new[key], old.get(key))
        if key not in old:
            findings += _introduced(name, key, old, new, ways)
        elif key not in new:
            findings += _removed(name, key, old[key], recorded=key in gone, today=today)
        else:
            findings += compare(old[key], new[key], name).findings
    return Report(tuple(findings))


def stale_files(names: Iterable[str]) -> Report:
    """Report schema files that do not say what the code says."""
    return Report(tuple(_finding("schema-file-differs", name) for name in names))


def merge(reports: Sequence[Report]) -> Report:
    """Return the findings of several comparisons, each once."""
    return Report(tuple(dict.fromkeys(finding for report in reports for finding in report.findings)))


def contains(left: Schema, right: Schema) -> bool:
    """Tell whether everything a strict writer of one schema sends passes a tolerant reader of the other.

    False also where it cannot be proved.
    """
    try:
        return jsoncompat.check_compat(json.dumps(closed(left)), json.dumps(opened(right)), "deserializer")
    except ValueError:
        return False


def closed(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the schema of a strict writer: objects with named fields have no others."""
    return _rewrite(schema, lambda node: {**node, "additionalProperties": node.get("additionalProperties", False)})


def opened(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the schema of a tolerant reader: objects with named fields may have others."""
    return _rewrite(
        schema,
        lambda node: {k: v for k, v in node.items() if k != "additionalProperties" or v is not False},
    )


def _rewrite(node: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        return [_rewrite(item, change) for item in node]
    if not isinstance(node, dict):
        return node
    inner: dict[str, Any] = {}
    for key, value in node.items():
        if key in _OBJECT_KEYWORDS:
            inner[key] = {name: _rewrite(field, change) for name, field in value.items()}
        elif key in {"default", "const", "enum", "examples"}:
            inner[key] = value
        elif not key.startswith("x-") and key not in _NAMES_OF_DOCUMENTS:
            inner[key] = _rewrite(value, change)
    return change(inner) if "properties" in node else inner


def _compare_heads(comparison: Comparison, old: Schema, new: Schema) -> None:
    before, after = set(old.get(TOPICS, ())), set(new.get(TOPICS, ()))
    if before - after:
        comparison.add("topic-removed", "", ", ".join(sorted(before - after)))
    if after - before:
        comparison.add("topic-added", "", "", ", ".join(sorted(after - before)))
    mark, mark_now = old.get(DEPRECATION), new.get(DEPRECATION)
    if mark is None and mark_now is not None:
        comparison.add("version-deprecated", "", "", f"sunset {mark_now['sunset']}")
    elif mark is not None and mark_now != mark:
        early = mark_now is not None and mark_now["sunset"] < mark["sunset"]
        rule = "sunset-brought-forward" if early else "version-deprecation-changed"
        comparison.add(rule, "", f"sunset {mark['sunset']}", f"sunset {mark_now['sunset']}" if mark_now else "")


def _lint(name: str, schema: Schema, released: Schema | None) -> list[Finding]:
    known = set(unknown_keywords(released)) if released is not None else set()
    return [
        _finding("unknown-construct", name, path, "", keyword)
        for path, keyword in unknown_keywords(schema)
        if (path, keyword) not in known
    ]


def _introduced(name: str, key: Key, old: Contracts, new: Contracts, ways: frozenset[Key]) -> list[Finding]:
    event_type, version = key
    earlier = [number for kind, number in {**old, **new} if kind == event_type and number < version]
    if not earlier:
        return [_finding("contract-added", name)]
    previous = (event_type, max(earlier))
    findings = [_finding("version-added", name)]
    # A field deprecated in this very release has its transition: the old version lives on beside the new one.
    findings += compare_major(new.get(previous) or old[previous], new[key], name).findings
    if previous not in ways:
        findings.append(_finding("no-upcaster", name, "", f"v{previous[1]}", f"v{version}"))
    return findings


def _removed(name: str, key: Key, old: Schema, *, recorded: bool, today: date) -> list[Finding]:
    mark = old.get(DEPRECATION)
    if mark is None:
        return [_finding("contract-removed", name, "", f"v{key[1]}")]
    if today < date.fromisoformat(mark["sunset"]):
        return [_finding("removed-before-sunset", name, "", f"sunset {mark['sunset']}", f"today {today}")]
    return [_finding("contract-retired" if recorded else "retirement-not-recorded", name)]


def _finding(rule: str, name: str, path: str = "", old: str = "", new: str = "") -> Finding:
    found = RULES[rule]
    return Finding(found.id, found.severity, found.breaks, name, path, old, new, found.remedy)


def _plain(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True)
