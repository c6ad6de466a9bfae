"""When something is wrong with the running factory, and when it is over (R05, Observability Coordinator). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from factory.domain.recovery import Severity
from factory.domain.telemetry import Figure, Incident, Observation
from factory.recovery.escalation import Name, Texts
from factory.storage.rule_files import check_names, load_rules


class IncidentRule(BaseModel):
    """One entry of `incidents.yaml`.

    Attributes:
        above: A figure above it is wrong.
        until: It is over at or below this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    figure: Figure
    subjects: Texts = ("*",)
    above: float = Field(ge=0)
    until: float | None = Field(default=None, ge=0)
    severity: Severity
    notify: Texts = ("operators",)
    channel: str = "log"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.until is not None and self.until > self.above:
            raise ValueError("`until` is at most `above`")
        return self

    @property
    def end(self) -> float:
        """At or below it, it is over: below the limit, so that what swings around it is one incident and not many."""
        return self.above / 2 if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class Breach:
    """A figure of a subject that is above the limit of its rule."""

    rule: IncidentRule
    subject: str
    value: float


class IncidentRules(BaseModel):
    """The rules, the first that is about a figure and a subject decides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[IncidentRule, ...]

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
        return load_rules(cls, __package__, "incidents.yaml", path, _merged, title="incident rules")

    def judge(
        self, observations: Sequence[Observation], open_incidents: Iterable[Incident]
    ) -> tuple[list[Breach], list[Incident]]:
        """Return what is wrong and has no incident yet, and which incidents are over.

        What is not observed any more is over, and so is what no rule is about any more.

        Args:
            observations: Of every subject and figure.
            open_incidents: That were raised before.
        """
        seen = {(item.subject, item.figure): item.value for item in observations}
        known = {(incident.rule, incident.subject) for incident in open_incidents}
        breaches = [
            Breach(rule, subject, value)
            for (subject, figure), value in seen.items()
            if (rule := self._about(figure, subject)) and value > rule.above and (rule.name, subject) not in known
        ]
        over = []
        for incident in open_incidents:
            rule = self._about(incident.figure, incident.subject)
            value = seen.get((incident.subject, incident.figure), 0)
            if rule is None or rule.name != incident.rule or value <= rule.end:
                over.append(incident)
        return breaches, over

    def _about(self, figure: Figure, subject: str) -> IncidentRule | None:
        for rule in self.rules:
            if rule.figure is figure and any(fnmatchcase(subject, pattern) for pattern in rule.subjects):
                return rule
        return None


def _merged(own: Any, shipped: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 - whatever a file holds
    names = {rule.get("name") for rule in own["rules"]}
    kept = [rule for rule in shipped["rules"] if rule["name"] not in names]
    return {**own, "rules": [*own["rules"], *kept]}
