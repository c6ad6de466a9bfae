"""Judges artifacts: do they parse, do they agree with one another, may they be published."""

from collections.abc import Mapping

from factory.domain.artifact import Content
from factory.domain.task import Finding
from factory.skills.validation import (
    compliance,
    deployables,
    semantic_code,
    semantic_deployment,
    semantic_design,
    semantic_release,
    specifications,
    structural,
)
from factory.skills.validation.correction import correct
from factory.skills.validation.rules import Rule, Subject

RULES: tuple[Rule, ...] = (
    *structural.RULES,
    *specifications.RULES,
    *deployables.RULES,
    *semantic_design.RULES,
    *semantic_code.RULES,
    *semantic_deployment.RULES,
    *semantic_release.RULES,
    *compliance.RULES,
)

__all__ = ["RULES", "Rule", "correct", "validate"]


def validate(kind: str, content: Content, siblings: Mapping[str, Content]) -> tuple[Finding, ...]:
    """Return what is wrong with an artifact, on its own and beside the other artifacts of its project.

    Args:
        kind: The artifact's kind.
        content: The artifact.
        siblings: The latest valid content of the project's other kinds; rules whose artifacts are missing
            are left out.
    """
    subject = Subject(kind, content, siblings)
    return tuple(
        Finding(rule=rule.id, level=rule.level, severity=problem.severity, message=problem.message, path=problem.path)
        for rule in RULES
        if rule.applies(subject)
        for problem in rule.check(subject)
    )
