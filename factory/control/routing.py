"""Where an event from outside goes: rules that name a workflow or an agent for it. Pure."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from factory.domain.errors import ErrorCategory, TerminalError
from factory.recovery.escalation import Name, Texts
from factory.storage.rule_files import check_names, load_rules

_PLACE = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_OPERATORS = frozenset({"exists", "any_of", "like", "at_least", "at_most"})
_MISSING = object()


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(_Strict):
    """What a value of the body must be like; everything given must hold."""

    equals: JsonValue = None
    exists: bool | None = None
    any_of: tuple[JsonValue, ...] | None = Field(default=None, min_length=1)
    like: str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def fault(self, value: object) -> str | None:
        """Return why a value does not pass, or None where it does."""
        if self.exists is not None and self.exists is (value is _MISSING):
            return "is missing" if self.exists else "is there"
        if value is _MISSING:
            return None if self.exists is False else "is missing"
        if "equals" in self.model_fields_set and not _same(value, self.equals):
            return f"is {value!r}, not {self.equals!r}"
        if self.any_of is not None and not any(_same(value, item) for item in self.any_of):
            return f"is {value!r}, none of {list(self.any_of)!r}"
        if self.like is not None and not (isinstance(value, str) and fnmatchcase(value, self.like)):
            return f"is {value!r}, not like {self.like!r}"
        return self._range_fault(value)

    def _range_fault(self, value: object) -> str | None:
        if self.at_least is None and self.at_most is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"is {value!r}, no number"
        if self.at_least is not None and value < self.at_least:
            return f"is {value!r}, less than {self.at_least:g}"
        if self.at_most is not None and value > self.at_most:
            return f"is {value!r}, more than {self.at_most:g}"
        return None


def _check(value: object) -> object:
    """Read what is no set of operators as the value that must be there."""
    if isinstance(value, dict) and value and set(value) <= _OPERATORS:
        return value
    return {"equals": value}


class When(_Strict):
    """What an event must be like; whatever is left out matches."""

    kind: Texts = ()
    source: Texts = ()
    topic: Texts = ()
    body: Mapping[str, Annotated[Check, BeforeValidator(_check)]] = {}

    def fault(self, event: "Received") -> str | None:
        """Return why an event does not match, or None where it does."""
        for name in ("kind", "source", "topic"):
            patterns, value = getattr(self, name), getattr(event, name)
            if patterns and not any(fnmatchcase(value, pattern) for pattern in patterns):
                return f"its {name} is {value!r}, not {' or '.join(patterns)}"
        for path, check in self.body.items():
            fault = check.fault(_value_at(event.body, path))
            if fault:
                return f"{path} {fault}"
        return None


class Workflow(_Strict):
    """A project to start. Texts may take values from the body."""

    vision: str
    name: str = ""
    blueprint: str = ""
    risk: str = "normal"
    priority: int = Field(default=0, ge=-100, le=100)


class Target(_Strict):
    """Where an event goes: exactly one of a workflow, an agent, or nobody for a reason."""

    workflow: Workflow | None = None
    agent: str | None = None
    goal: str | None = None
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, JsonValue] = {}
    nobody: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(value is not None for value in (self.workflow, self.agent, self.nobody)) != 1:
            raise ValueError("a rule leads to exactly one of workflow, agent and nobody")
        if (self.agent is None) != (self.goal is None):
            raise ValueError("an agent needs a goal, the kind of artifact to make; nothing else has one")
        if self.agent is None and (self.inputs or self.parameters):
            raise ValueError("`inputs` and `parameters` belong to an agent")
        return self

    def __str__(self) -> str:
        """Say it in a few words."""
        if self.workflow is not None:
            return f"workflow {self.workflow.blueprint or 'of the vision'}"
        return f"agent {self.agent} for {self.goal}" if self.agent else f"nobody: {self.nobody}"


class RoutingRule(_Strict):
    """One entry of the rules."""

    name: Name
    when: When = When()
    to: Target


class Received(_Strict):
    """An event as the rules see it."""

    kind: str
    source: str = ""
    topic: str = ""
    body: Mapping[str, JsonValue] = {}


class Route(_Strict):
    """Where an event goes, and why not elsewhere.

    Attributes:
        rule: The rule that matched; None where none did.
        target: Where that rule leads.
        passed_over: Earlier rules, each with the reason why it did not match.
    """

    rule: str | None
    target: Target
    passed_over: Mapping[str, str] = {}


class RoutingRules(_Strict):
    """The rules in their order."""

    rules: tuple[RoutingRule, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_names(rule.name for rule in self.rules)
        return self

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the shipped rules, and before them those of a file of the same shape.

        Raises:
            BadInputError: The file is missing or does not have that shape; the message names each fault.
        """
        return load_rules(cls, __package__, "routing.yaml", path, _merged, title="routing rules")

    def route(self, event: Received) -> Route:
        """Return where the first matching rule leads; nobody where none matches."""
        passed_over: dict[str, str] = {}
        for rule in self.rules:
            fault = rule.when.fault(event)
            if fault is None:
                return Route(rule=rule.name, target=rule.to, passed_over=passed_over)
            passed_over[rule.name] = fault
        return Route(rule=None, target=Target(nobody="no rule matches it"), passed_over=passed_over)


def filled(template: str, body: Mapping[str, JsonValue]) -> str:
    """Return a text with its places filled from the body.

    Raises:
        TerminalError: The body has no text or number there.
    """

    def value(match: re.Match[str]) -> str:
        found = _value_at(body, match.group(1))
        if isinstance(found, str):
            return found
        if isinstance(found, int | float) and not isinstance(found, bool):
            return str(found)
        raise TerminalError(
            f"the body has no text at {match.group(1)!r}, which the routing rule takes from there.",
            category=ErrorCategory.SCHEMA,
            remedy="Send it, or make the rule ask for it with {exists: true}.",
            field=match.group(1),
        )

    return _PLACE.sub(value, template)


def _value_at(body: Mapping[str, Any], path: str) -> object:
    found: object = body
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return _MISSING
        found = found[part]
    return found


def _same(value: object, wanted: object) -> bool:
    # Python takes 1 for true, JSON does not.
    return value == wanted and isinstance(value, bool) is isinstance(wanted, bool)


def _merged(own: Mapping[str, Any] | None, shipped: Mapping[str, Any]) -> dict[str, Any]:
    own = own or {}
    return {**own, "rules": [*(own.get("rules") or ()), *shipped["rules"]]}
