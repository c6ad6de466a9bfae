"""The tables of the escalation policies: which rule decides, when a threshold is exceeded, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.project import ProjectMetadata
from factory.domain.recovery import Criticality, Letter, RecoveryAction, Severity, criticality_of, severity_of
from factory.recovery.escalation import Breach, Death, EscalationPolicies, History
from tests.recovery.builders import letter

SHIPPED = EscalationPolicies.load()
EVERYTHING = {"name": "rest", "action": "fail"}


def policies(*rules: dict[str, Any], thresholds: tuple[dict[str, Any], ...] = ()) -> EscalationPolicies:
    return EscalationPolicies.model_validate({"rules": [*rules, EVERYTHING], "thresholds": thresholds})


@pytest.mark.parametrize(
    ("risk", "priority", "expected"),
    [
        ("normal", 0, Criticality.NORMAL),
        ("low", 0, Criticality.LOW),
        (" Critical ", 0, Criticality.CRITICAL),
        ("we may lose the harvest", 0, Criticality.NORMAL),
        ("low", 50, Criticality.HIGH),
        ("normal", 49, Criticality.NORMAL),
        ("high", 90, Criticality.CRITICAL),
        ("critical", -100, Criticality.CRITICAL),
    ],
)
def test_criticality_is_the_larger_of_risk_and_priority(risk: str, priority: int, expected: Criticality) -> None:
    assert criticality_of(ProjectMetadata(risk=risk, priority=priority)) is expected


def test_what_belongs_to_no_project_is_of_normal_criticality() -> None:
    assert criticality_of(None) is Criticality.NORMAL


@pytest.mark.parametrize(
    ("category", "criticality", "expected"),
    [
        (ErrorCategory.DEFECT, Criticality.NORMAL, Severity.ERROR),
        (ErrorCategory.DEFECT, Criticality.LOW, Severity.WARNING),
        (ErrorCategory.DEFECT, Criticality.HIGH, Severity.CRITICAL),
        (ErrorCategory.POISON, Criticality.CRITICAL, Severity.CRITICAL),
        (ErrorCategory.TIMEOUT, Criticality.NORMAL, Severity.WARNING),
        (ErrorCategory.TIMEOUT, Criticality.LOW, Severity.INFO),
        (ErrorCategory.DEPENDENCY, Criticality.HIGH, Severity.ERROR),
        (ErrorCategory.BUDGET, Criticality.CRITICAL, Severity.CRITICAL),
    ],
)
def test_severity_follows_from_category_and_criticality(
    category: ErrorCategory, criticality: Criticality, expected: Severity
) -> None:
    assert severity_of(category, criticality) is expected


@pytest.mark.parametrize("category", ErrorCategory)
def test_every_category_is_more_severe_the_more_depends_on_the_project(category: ErrorCategory) -> None:
    levels = list(Severity)
    found = [levels.index(severity_of(category, criticality)) for criticality in Criticality]
    assert found == sorted(found)


@pytest.mark.parametrize("category", ErrorCategory)
@pytest.mark.parametrize("event_type", ["TaskAssigned", "ArtifactCreated"])
def test_by_default_normal_projects_fail_at_once_and_critical_ones_ask(
    category: ErrorCategory, event_type: str
) -> None:
    for criticality, action in (
        (Criticality.LOW, RecoveryAction.FAIL),
        (Criticality.NORMAL, RecoveryAction.FAIL),
        (Criticality.HIGH, RecoveryAction.ASK),
        (Criticality.CRITICAL, RecoveryAction.ASK),
    ):
        found = SHIPPED.choose(letter(category=category, event_type=event_type, criticality=criticality), History())
        assert found.action is action


def test_by_default_other_events_are_kept_and_end_no_project() -> None:
    found = SHIPPED.choose(letter(event_type="EventReceived", criticality=Criticality.CRITICAL), History())
    assert (found.action, found.notify) == (RecoveryAction.NOTIFY, ("operators",))


@pytest.mark.parametrize(
    ("when", "about", "expected"),
    [
        ({"agent": "writer"}, letter(), True),
        ({"agent": "w*"}, letter(), True),
        ({"agent": ["reader", "writ?r"]}, letter(), True),
        ({"agent": "reader"}, letter(), False),
        ({"agent": "writer", "step": "edit"}, letter(), False),
        ({"step": "draft", "goal": "book", "error_type": "KeyError"}, letter(), True),
        ({"category": ["defect", "poison"]}, letter(), True),
        ({"category": "timeout"}, letter(), False),
        ({"severity": "error"}, letter(), True),
        ({"severity": "critical"}, letter(), False),
        ({"criticality": ["high", "normal"]}, letter(), True),
        ({"event_type": "ArtifactCreated"}, letter(), False),
    ],
)
def test_a_rule_matches_by_every_key_it_has(when: dict[str, Any], about: Letter, expected: bool) -> None:  # noqa: FBT001
    chosen = policies({"name": "mine", "when": when, "action": "notify"}).choose(about, History())
    assert (chosen.name == "mine") is expected


def test_the_first_matching_rule_decides() -> None:
    both = policies(
        {"name": "first", "when": {"agent": "writer"}, "action": "notify"},
        {"name": "second", "when": {"agent": "writer", "step": "draft"}, "action": "compensate"},
    )
    assert both.choose(letter(), History()).name == "first"


@pytest.mark.parametrize(("redrives", "expected"), [(0, "again"), (1, "again"), (2, "rest"), (9, "rest")])
def test_a_letter_is_redriven_so_often_and_then_the_next_rule_decides(redrives: int, expected: str) -> None:
    found = policies({"name": "again", "when": {"agent": "writer"}, "action": "redrive", "times": 2})
    assert found.choose(letter(), History(redrives=redrives)).name == expected


@pytest.mark.parametrize(
    ("about", "tried", "expected"),
    [
        (letter(), (), "over"),
        (letter(), ("writer",), "over"),
        (letter(), ("writer", "ghost"), "rest"),
        (letter(agent="ghost"), (), "rest"),
        (letter(task_id=None), (), "rest"),
    ],
)
def test_a_task_goes_to_another_agent_once(about: Letter, tried: tuple[str, ...], expected: str) -> None:
    found = policies({"name": "over", "when": {"goal": "book"}, "action": "reassign", "to": "ghost"})
    assert found.choose(about, History(tried=tried)).name == expected
    assert found.agents == ("ghost",)


def deaths(*ages: float, error_type: str = "KeyError") -> tuple[Death, ...]:
    return tuple(Death(error_type=error_type, age_seconds=age) for age in ages)


THRESHOLD = {"name": "many", "more_than": 2, "minutes": 1}


@pytest.mark.parametrize(
    ("threshold", "history", "expected"),
    [
        ({}, History(recent=deaths(0, 10, 20)), 3),
        ({}, History(recent=deaths(0, 10)), None),
        ({}, History(recent=deaths(0, 10, 61)), None),
        ({}, History(recent=deaths(0, 10, 60)), 3),
        ({}, History(recent=deaths(0, 10) + deaths(5, 6, error_type="OSError")), None),
        ({"per_error_type": False}, History(recent=deaths(0, 10) + deaths(5, error_type="OSError")), 3),
        ({"when": {"agent": "reader"}}, History(recent=deaths(0, 1, 2)), None),
        # While it is open there is one escalation; after its decision only what came later counts.
        ({}, History(recent=deaths(0, 1, 2), breaches=(Breach(breach="many:writer:KeyError"),)), None),
        (
            {},
            History(recent=deaths(0, 1, 2), breaches=(Breach(breach="many:writer:KeyError", age_seconds=1.5),)),
            None,
        ),
        (
            {},
            History(recent=deaths(0, 1, 2, 9), breaches=(Breach(breach="many:writer:KeyError", age_seconds=5),)),
            3,
        ),
        ({}, History(recent=deaths(0, 1, 2), breaches=(Breach(breach="many:writer:OSError"),)), 3),
    ],
)
def test_a_threshold_counts_within_its_time(threshold: dict[str, Any], history: History, expected: int | None) -> None:
    found = policies(thresholds=({**THRESHOLD, **threshold},)).exceeded(letter(), history)
    assert [item.count for item in found] == ([] if expected is None else [expected])


def test_own_rules_come_first_and_an_own_threshold_replaces_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "rules: [{name: mine, when: {agent: writer}, action: notify}]\n"
        "thresholds: [{name: many-of-one-kind, more_than: 1, minutes: 5}]\n"
    )
    found = EscalationPolicies.load(path)
    assert [rule.name for rule in found.rules] == ["mine", *(rule.name for rule in SHIPPED.rules)]
    assert [threshold.more_than for threshold in found.thresholds] == [1]


def test_an_own_rule_for_everything_leaves_none_to_the_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("rules: [{name: all-fails, action: fail}]")
    assert [rule.name for rule in EscalationPolicies.load(path).rules] == ["all-fails"]


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    assert EscalationPolicies.load(path) == SHIPPED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{name: x, when: {agnet: y}, action: fail}]", "agnet"),
        ("rules: [{name: x, when: {category: silly}, action: fail}]", "category"),
        ("rules: [{name: X, action: fail}]", "name"),
        ("rules: [{name: x, action: explode}]", "action"),
        ("rules: [{name: x, when: {agent: y}, action: reassign}]", "needs `to`"),
        ("rules: [{name: x, when: {agent: y}, action: fail, to: z}]", "needs `to`"),
        ("rules: [{name: x, when: {agent: y}, action: fail, times: 2}]", "belong to the action `redrive`"),
        ("rules: [{name: x, when: {agent: y}, action: redrive, times: 0}]", "times"),
        ("rules: [{name: x, when: {agent: y}, action: redrive, delays: [[9, 1]]}]", "the smaller first"),
        ("rules: [{name: x, when: {agent: y}, action: fail, ask: {owners: z}}]", "belongs to the action `ask`"),
        ("rules: [{name: x, when: {agent: y}, action: ask, ask: {fallback: resume}}]", "belongs to thresholds"),
        ("rules: [{name: x, when: {agent: y}, action: ask, ask: {fallback: reassign}}]", "needs `to`"),
        ("rules: [{name: x, when: {agent: y}, action: ask, ask: {deadline_minutes: 0}}]", "deadline_minutes"),
        ("rules: [{name: fail-with-the-step, when: {agent: y}, action: fail}]", "named twice"),
        ("rules: [{name: x, action: fail}, {name: y, when: {agent: z}, action: fail}]", "is ever reached"),
        ("thresholds: [{name: x, more_than: 1, minutes: 1, ask: {fallback: fail}}]", "`resume` or `keep`"),
        ("thresholds: [{name: x, more_than: 0, minutes: 1}]", "more_than"),
        ("[]", "cannot be used"),
        ("rules: [", "cannot be used"),
        ("rules: 7", "cannot be used"),
        ("thresholds: [seven]", "cannot be used"),
    ],
)
def test_policies_that_make_no_sense_are_refused_with_their_fault(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=r"mine\.yaml") as caught:
        EscalationPolicies.load(path)
    assert said in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BadInputError, match="nowhere"):
        EscalationPolicies.load(Path("nowhere/mine.yaml"))
