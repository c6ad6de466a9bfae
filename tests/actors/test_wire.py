"""Tasks and outcomes survive the way between supervisor and actor."""

import math
from uuid import UUID

from factory.actors.wire import pack_outcomes, pack_tasks, unpack_outcomes, unpack_tasks
from factory.domain.errors import ErrorCategory
from factory.domain.ids import new_id
from factory.domain.task import EventDraft, Outcome, StageSpan, Task, TaskError


def outcome(**fields: object) -> Outcome:
    return Outcome.model_validate({"task_id": new_id(), "agent": "someone", **fields})


def test_a_task_arrives_as_it_was_sent() -> None:
    task = Task(
        id=new_id(),
        project=None,
        step="step",
        agent="someone",
        goal="goal",
        attempt=2,
        cause_id=new_id(),
        correlation_id=new_id(),
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        payload={"text": "naïve \N{SNOWMAN}", "list": [1, 2.5, None, True], "deep": {"of": {"course": "yes"}}},
        facts={"rows": [{"a": 1}]},
    )
    assert unpack_tasks(pack_tasks([task, task])) == [task, task]


def test_an_outcome_arrives_as_it_was_sent_with_numbers_that_are_none() -> None:
    events = (EventDraft(event_type="Done", topic="system", payload={"share": math.inf, "rest": -0.0}),)
    spans = (StageSpan("load", 1, 2, {"inputs": ["a", "b"]}),)
    error = TaskError(message="no", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="OSError")
    sent = [outcome(events=events, spans=spans), outcome(error=error)]
    arrived = unpack_outcomes(pack_outcomes(sent))
    assert arrived == sent
    (nothing,) = unpack_outcomes(
        pack_outcomes([outcome(events=[{**events[0].model_dump(), "payload": {"x": math.nan}}])])
    )
    assert math.isnan(nothing.events[0].payload["x"])  # type: ignore[arg-type]


def test_what_json_cannot_hold_ends_its_own_task_only() -> None:
    good, bad = outcome(skill="fine"), outcome(spans=[StageSpan("load", 1, 2, {"what": object()})])
    first, second = unpack_outcomes(pack_outcomes([good, bad]))
    assert first == good
    assert second.task_id == bad.task_id
    assert second.error is not None
    assert second.error.category is ErrorCategory.DEFECT
    assert not second.error.retryable


def test_ids_are_plain_uuids_again() -> None:
    sent = outcome()
    (arrived,) = unpack_outcomes(pack_outcomes([sent]))
    assert type(arrived.task_id) is UUID
