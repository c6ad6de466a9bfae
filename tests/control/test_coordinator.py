"""The coordinator is pure, so its rules are stated as tables over states."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.control.blueprints import Blueprint, find_blueprint
from factory.control.coordinator import Decision, KnownArtifact, KnownTask, ProjectState, decide
from factory.domain.artifact import KINDS, ArtifactStatus
from factory.domain.ids import derived_id
from factory.domain.project import ProjectStatus

BLUEPRINT = find_blueprint("api-service")


def task_id(step: str, round_: int = 1) -> UUID:
    return derived_id("task", step, round_)


def artifact(
    kind: str,
    status: ArtifactStatus = ArtifactStatus.VALID,
    *,
    round_: int = 1,
    committed: bool = True,
    errors: tuple[str, ...] = (),
    **metadata: int,
) -> KnownArtifact:
    step = next((step.id for step in BLUEPRINT.steps if step.produces == kind), kind)
    return KnownArtifact(
        id=derived_id("artifact", kind, round_),
        kind=kind,
        task_id=task_id(step, round_),
        status=status,
        committed=committed,
        metadata=metadata,
        errors=errors,
    )


def state(
    *artifacts: KnownArtifact, tasks: tuple[KnownTask, ...] = (), status: ProjectStatus = ProjectStatus.VISIONING
) -> ProjectState:
    made = [
        KnownTask(id=found.task_id, step=step.id, round=1, failed=False)
        for found in artifacts
        for step in BLUEPRINT.steps
        if step.produces == found.kind
    ]
    return ProjectState(
        status=status,
        artifacts={found.kind: found for found in (artifact("vision"), *artifacts)},
        tasks={task.step: task for task in (*made, *tasks)},
    )


def names(decision: Decision) -> set[str]:
    return {assignment.step for assignment in decision.assignments}


def test_a_new_project_begins_with_the_vision_document() -> None:
    decision = decide(BLUEPRINT, state())
    assert names(decision) == {"vision-document"}
    assert decision.assignments[0].input_ids == (artifact("vision").id,)
    assert decision.status is None


def test_nothing_is_assigned_twice() -> None:
    running = KnownTask(id=task_id("vision-document"), step="vision-document", round=1, failed=False)
    assert decide(BLUEPRINT, state(tasks=(running,))) == Decision()


def test_an_artifact_counts_only_once_it_is_valid() -> None:
    assert decide(BLUEPRINT, state(artifact("vision-document", ArtifactStatus.PENDING))) == Decision()
    assert names(decide(BLUEPRINT, state(artifact("vision-document")))) == {"product-requirements"}


def test_independent_steps_are_assigned_together_and_move_the_project_on() -> None:
    done = ("vision-document", "product-requirements", "backlog", "domain-model")
    decision = decide(BLUEPRINT, state(*(artifact(kind) for kind in done)))
    assert names(decision) == {"architecture", "event-catalogue", "api-specification"}
    assert decision.status is ProjectStatus.ARCHITECTURE_MODELLING


def test_a_failed_task_fails_the_project_with_its_reason() -> None:
    failed = KnownTask(id=task_id("vision-document"), step="vision-document", round=1, failed=True, reason="no entity")
    decision = decide(BLUEPRINT, state(tasks=(failed,)))
    assert decision.status is ProjectStatus.FAILED
    assert decision.failure is not None
    assert decision.failure.reason == "no entity"


def test_resuming_gives_a_failed_step_one_more_round() -> None:
    failed = KnownTask(id=task_id("vision-document"), step="vision-document", round=1, failed=True)
    resumed = decide(BLUEPRINT, state(tasks=(failed,), status=ProjectStatus.FAILED), resume=True)
    assert [(item.step, item.round) for item in resumed.assignments] == [("vision-document", 2)]
    assert resumed.status is ProjectStatus.VISIONING
    assert decide(BLUEPRINT, state(tasks=(failed,), status=ProjectStatus.FAILED)) == Decision()


def test_a_refused_artifact_fails_the_project_unless_the_step_may_be_redone() -> None:
    refused = artifact("vision-document", ArtifactStatus.INVALID, errors=("no title",))
    decision = decide(BLUEPRINT, state(refused))
    assert decision.failure is not None
    assert "no title" in decision.failure.reason

    patient = Blueprint.model_validate(
        {
            **BLUEPRINT.model_dump(),
            "steps": [
                {**step.model_dump(), "redo": 1} if step.id == "vision-document" else step.model_dump()
                for step in BLUEPRINT.steps
            ],
        }
    )
    again = decide(patient, state(refused))
    assert [(item.step, item.round) for item in again.assignments] == [("vision-document", 2)]
    assert again.assignments[0].parameters == {"refused_because": ["no title"]}


def test_release_waits_for_every_commit() -> None:
    everything = [artifact(step.produces) for step in BLUEPRINT.steps]
    late = [artifact("pipeline", committed=False) if found.kind == "pipeline" else found for found in everything]
    assert decide(BLUEPRINT, state(*late, status=ProjectStatus.DEPLOYMENT)) == Decision()
    decision = decide(BLUEPRINT, state(*everything, status=ProjectStatus.DEPLOYMENT))
    assert decision.released
    assert decision.status is ProjectStatus.RELEASED


def test_a_released_project_stays_as_it_is() -> None:
    assert decide(BLUEPRINT, state(status=ProjectStatus.RELEASED)) == Decision()


@pytest.mark.parametrize(("events", "runs"), [(0, False), (1, True)])
def test_a_conditional_step_runs_only_where_its_condition_holds(events: int, *, runs: bool) -> None:
    steps = [step.model_dump() for step in BLUEPRINT.steps]
    for step in steps:
        if step["id"] == "event-catalogue":
            step["when"] = {"artifact": "domain-model", "metadata": "events"}
    blueprint = Blueprint.model_validate({**BLUEPRINT.model_dump(), "steps": steps})
    done = [artifact(kind) for kind in ("vision-document", "product-requirements", "backlog", "api-specification")]
    known = state(*done, artifact("domain-model", events=events), artifact("architecture"))
    assigned = names(decide(blueprint, known))
    assert ("event-catalogue" in assigned) is runs
    assert ("backend" in assigned) is not runs


@given(st.data())
def test_whatever_the_order_every_project_ends_released(data: st.DataObject) -> None:
    """Finishing assigned steps in any order always leads to release, each step having run exactly once."""
    artifacts: dict[str, KnownArtifact] = {"vision": artifact("vision")}
    tasks: dict[str, KnownTask] = {}
    status = ProjectStatus.VISIONING
    for _round in range(len(BLUEPRINT.steps) * 2 + 1):
        decision = decide(BLUEPRINT, ProjectState(status=status, artifacts=artifacts, tasks=tasks))
        assert decision.failure is None
        status = decision.status or status
        if decision.released:
            break
        for item in decision.assignments:
            assert item.step not in tasks
            tasks[item.step] = KnownTask(id=task_id(item.step), step=item.step, round=item.round, failed=False)
        open_steps = [step for step in tasks if BLUEPRINT.step(step).produces not in artifacts]
        finished = BLUEPRINT.step(data.draw(st.sampled_from(sorted(open_steps)))).produces
        artifacts[finished] = artifact(finished, committed=KINDS[finished].commit_subject is not None)
    assert status is ProjectStatus.RELEASED
