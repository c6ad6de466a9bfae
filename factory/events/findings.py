"""What the compatibility check finds, and the rules it goes by."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for the change."""

    REFUSED = "refused"
    NOTED = "noted"
    ALLOWED = "allowed"


class Direction(StrEnum):
    """Who is hurt: new readers of old events (backward), old readers of new events (forward), or both."""

    BACKWARD = "backward"
    FORWARD = "forward"
    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it is called, whom breaking it hurts, and what to do instead."""

    id: str
    severity: Severity
    breaks: Direction
    remedy: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One change that matters.

    Attributes:
        rule: Id of the rule; `docs/design/02-contracts.md` lists them.
        severity: Refused findings fail the check.
        breaks: Whom the change hurts.
        contract: Type and version, as `ProjectFailed v1`.
        path: The place in the payload, as `errors[].message`; empty for the contract itself.
        old: What stood there, shortened.
        new: What stands there now, shortened.
        remedy: What to do.
    """

    rule: str
    severity: Severity
    breaks: Direction
    contract: str
    path: str
    old: str
    new: str
    remedy: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        place = f"{self.contract} {self.path}".strip()
        change = f": {self.old or 'nothing'} → {self.new or 'nothing'}" if self.old or self.new else ""
        return f"{self.severity}  {self.rule}  {place}{change}. {self.remedy}".strip()


_NEXT_MAJOR = "Put the change into a new major version and add an upcaster."


def _refused(name: str, breaks: Direction, remedy: str = _NEXT_MAJOR) -> Rule:
    return Rule(name, Severity.REFUSED, breaks, remedy)


def _allowed(name: str, remedy: str = "", severity: Severity = Severity.ALLOWED) -> Rule:
    return Rule(name, severity, Direction.NONE, remedy)


_B, _F = Direction.BACKWARD, Direction.FORWARD
_BOTH, _NONE = Direction.BOTH, Direction.NONE

RULES = {
    rule.id: rule
    for rule in (
        # Fields
        _allowed("optional-field-added"),
        _refused("required-field-added", _B, "Give it a default, or put it into a new major version."),
        _refused("field-removed", _F, "Deprecate it in a minor version, then leave it out of a new major version."),
        _refused("deprecated-field-removed", _F, "It is deprecated; leave it out of a new major version only."),
        _refused("field-became-optional", _F),
        _refused("field-became-required", _B),
        _refused("field-shadows-map", _BOTH, "Old events may hold another value under this key. " + _NEXT_MAJOR),
        _allowed("field-deprecated"),
        _allowed("deprecation-withdrawn", severity=Severity.NOTED),
        # Values
        _refused("type-changed", _BOTH),
        _refused("null-allowed", _F),
        _refused("null-forbidden", _B),
        _refused("alternative-added", _F),
        _refused("alternative-removed", _B),
        Rule("enum-value-added", Severity.NOTED, _F, "Release the readers first: old ones dead-letter the new value."),
        _refused("enum-value-removed", _B),
        _refused("constraint-tightened", _B),
        _refused("constraint-loosened", _F),
        _refused("constraint-changed", _BOTH),
        _refused("additional-properties-forbidden", _B),
        _refused("additional-properties-allowed", _F),
        # Meaning
        _refused("silent-description-change", _NONE, "Say in `changes` what is different, by the field's name."),
        _allowed("description-changed", severity=Severity.NOTED),
        _refused("silent-default-change", _NONE, "Say in `changes` what is different, by the field's name."),
        _allowed("default-changed", severity=Severity.NOTED),
        _refused("format-changed", _BOTH),
        _refused("unit-changed", _NONE, "Add a field with the new unit and deprecate this one."),
        _refused("silent-unit-added", _NONE, "Say in `changes` that the field has its unit now, by its name."),
        _allowed("unit-added", severity=Severity.NOTED),
        # Whole contracts
        _allowed("contract-added"),
        _allowed("version-added"),
        _allowed("no-upcaster", "Register an upcaster, or new readers cannot read old events.", Severity.NOTED),
        _refused("contract-removed", _BOTH, "Deprecate the version first, with a sunset."),
        _refused("removed-before-sunset", _BOTH, "Keep the version until its sunset."),
        _refused("retirement-not-recorded", _NONE, "Add it to RETIRED in factory/events/contracts/retired.py."),
        _allowed("contract-retired"),
        _allowed("version-deprecated"),
        _allowed("version-deprecation-changed", severity=Severity.NOTED),
        _refused("sunset-brought-forward", _NONE, "A sunset that was announced may only move back."),
        _allowed("topic-added"),
        _refused("topic-removed", _BOTH, "Subscribers of the topic would miss the event. " + _NEXT_MAJOR),
        _refused("minor-bump-missing", _NONE, "Add a note to the contract's `changes`: they count the minor versions."),
        _refused("history-rewritten", _NONE, "Notes of released versions stay as they are; add a new one."),
        _refused("schema-file-differs", _NONE, "Run `python -m factory.events.registry --write` and commit the files."),
        # Limits of the check
        _refused("unknown-construct", _BOTH, "The check cannot reason about it; describe the field without it."),
        _refused("containment-unproven", _BOTH, "One does not contain the other, for no rule's reason. " + _NEXT_MAJOR),
    )
}  # fmt: skip
