"""What people are asked."""

from datetime import UTC, datetime

import pytest

from factory.domain.ids import new_id
from factory.domain.project import Project, ProjectMetadata, ProjectStatus
from factory.domain.recovery import Fallback, RecoveryAction, Severity
from factory.events.contracts.recovery import ThresholdExceeded
from factory.recovery.escalation import Question, Rule, Threshold
from factory.recovery.questions import ask_about_agent, ask_about_letter, owners
from tests.recovery.builders import letter

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PROJECT = Project(
    id=new_id(),
    name="Clinic",
    slug="clinic",
    blueprint="api-service",
    status=ProjectStatus.DEVELOPMENT,
    trace_id="0af7651916cd43dd8448eb211c80319c",
    metadata=ProjectMetadata(stakeholders=("ada", "grace")),
    created_at=NOW,
    updated_at=NOW,
)


def rule(ask: Question | None = None) -> Rule:
    return Rule(name="ask", action=RecoveryAction.ASK, ask=ask)


@pytest.mark.parametrize(
    ("ask", "meaning"),
    [
        (Question(), "the project fails"),
        (Question(fallback=Fallback.REASSIGN, to="ghost"), "the task goes to ghost"),
        (Question(fallback=Fallback.COMPENSATE), "is undone"),
        (Question(fallback=Fallback.REDRIVE), "delivered once more"),
    ],
)
def test_a_question_says_what_happened_and_what_each_answer_means(ask: Question, meaning: str) -> None:
    raised = ask_about_letter(letter(attempts=6), rule(ask), PROJECT)
    assert raised.question.startswith("writer could not do step 'draft' of Clinic after 6 attempts (defect): no such")
    assert raised.question.count(meaning) == 2
    assert "Reject: fail the project" in raised.question
    assert (raised.fallback, raised.to) == (ask.fallback, ask.to)


def test_without_a_project_a_rejection_leaves_the_letter_where_it_is() -> None:
    raised = ask_about_letter(letter(step="", event_type="EventReceived"), rule(), None)
    assert "could not do EventReceived after 1 attempt (" in raised.question
    assert "Reject: leave the event among the dead letters" in raised.question


def test_a_long_reason_is_shortened() -> None:
    assert len(ask_about_letter(letter(reason="x" * 5_000), rule(), PROJECT).question) < 1_500


def test_stakeholders_stand_where_the_policy_names_them_and_nobody_twice() -> None:
    ask = Question(owners=("lead", "stakeholders", "grace", "lead"))
    assert owners(ask, PROJECT) == ["lead", "ada", "grace"]
    assert owners(ask, None) == ["lead", "grace"]


@pytest.mark.parametrize("pause", [True, False])
def test_a_question_about_an_agent_says_whether_it_is_paused(pause: bool) -> None:  # noqa: FBT001
    exceeded = ThresholdExceeded(
        threshold="many",
        breach="many:writer:KeyError",
        subscription="writer",
        agent="writer",
        error_type="KeyError",
        last_letter=7,
        count=21,
        minutes=10,
        severity=Severity.ERROR,
    )
    raised = ask_about_agent(exceeded, Threshold(name="many", more_than=20, minutes=10, pause=pause))
    assert "21 dead letters of type KeyError within 10 minutes" in raised.question
    assert ("no further work" in raised.question) is pause
    assert (raised.pause, raised.breach, raised.letter) == (pause, "many:writer:KeyError", None)
