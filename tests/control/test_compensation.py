"""The compensation rules are pure: tables over states, and a simulation over random workflows."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.control.blueprints import Blueprint
from factory.control.compensation import CompensationState, SagaDecision, SagaState, compensate, in_scope
from factory.domain.artifact import KINDS

PENDING, RUNNING, DONE, FAILED, SKIPPED = CompensationState
# `third` builds on `second`, which builds on `first`; `aside` stands alone and names no compensation.
STEPS = {"first": (), "second": ("first",), "third": ("second",), "aside": ()}
KIND_NAMES = [kind for kind in KINDS if kind != "vision"]


def workflow(needs: Mapping[str, tuple[str, ...]], without: frozenset[str] = frozenset()) -> Blueprint:
    """Return a blueprint whose steps build on one another as given."""
    kinds = dict(zip(needs, KIND_NAMES, strict=False))
    return Blueprint.model_validate(
        {
            "name": "random",
            "title": "Random",
            "steps": [
                {
                    "id": step,
                    "agent": "somebody",
                    "inputs": {"all": [kinds[other] for other in others] or ["vision"]},
                    "produces": kinds[step],
                    "phase": "development",
                    "compensation": None if step in without else "withdraw",
                }
                for step, others in needs.items()
            ],
        }
    )


BLUEPRINT = workflow(STEPS, frozenset({"aside"}))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (SagaState(completed=()), SagaDecision(completed=True)),
        (
            SagaState(completed=("first", "second")),
            SagaDecision(found=("second", "first"), next="second"),
        ),
        (
            SagaState(completed=("first", "second"), compensations={"second": DONE, "first": PENDING}),
            SagaDecision(next="first"),
        ),
        (SagaState(completed=("first", "second"), compensations={"second": RUNNING, "first": PENDING}), SagaDecision()),
        (SagaState(completed=("first",), compensations={"first": DONE}), SagaDecision(completed=True)),
        (
            SagaState(completed=("first", "second"), compensations={"second": FAILED, "first": PENDING}),
            SagaDecision(failed="second"),
        ),
        (
            SagaState(completed=("first", "aside")),
            SagaDecision(found=("aside", "first"), skipped=("aside",), next="first"),
        ),
        (SagaState(completed=("aside",)), SagaDecision(found=("aside",), skipped=("aside",), completed=True)),
    ],
    ids=["nothing", "begin", "next", "wait", "over", "failed", "skip", "only-skipped"],
)
def test_what_follows_from_a_state(state: SagaState, expected: SagaDecision) -> None:
    assert compensate(BLUEPRINT, state) == expected


def test_a_step_is_not_undone_while_something_in_flight_may_build_on_it() -> None:
    waiting = SagaState(completed=("first", "second"), in_flight=frozenset({"third"}))
    assert compensate(BLUEPRINT, waiting) == SagaDecision(found=("second", "first"))
    late = waiting.model_copy(update={"completed": ("first", "second", "third"), "in_flight": frozenset()})
    assert compensate(BLUEPRINT, late).next == "third"


def test_what_stands_aside_need_not_be_waited_for_but_the_end_waits_for_it() -> None:
    state = SagaState(completed=("first",), in_flight=frozenset({"aside"}))
    assert compensate(BLUEPRINT, state).next == "first"
    undone = state.model_copy(update={"compensations": {"first": DONE}})
    assert compensate(BLUEPRINT, undone) == SagaDecision()


def test_a_late_result_is_undone_although_another_compensation_runs_or_is_over() -> None:
    state = SagaState(completed=("second", "first", "aside", "third"), compensations={"aside": SKIPPED})
    assert compensate(BLUEPRINT, state).next == "third"
    running = state.model_copy(update={"compensations": {"aside": SKIPPED, "first": RUNNING}})
    assert "third" in compensate(BLUEPRINT, running).found


def test_compensation_may_begin_at_a_step_and_then_leaves_the_earlier_ones() -> None:
    assert in_scope(BLUEPRINT, "second") == {"second", "third"}
    state = SagaState(completed=("first", "second", "third"), from_step="second")
    assert compensate(BLUEPRINT, state).found == ("third", "second")
    undone = state.model_copy(update={"compensations": {"second": DONE, "third": DONE}})
    assert compensate(BLUEPRINT, undone).completed


def test_the_order_holds_even_where_the_clocks_ran_backwards() -> None:
    assert compensate(BLUEPRINT, SagaState(completed=("third", "second", "first"))).found == (
        "third",
        "second",
        "first",
    )


@st.composite
def workflows(draw: st.DrawFn) -> Blueprint:
    """Draw a workflow of up to nine steps; about a third of them name no compensation."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 9)))]
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3))) if place else ()
        for place, name in enumerate(names)
    }
    without = draw(st.sets(st.sampled_from(names), max_size=len(names) // 3))
    return workflow(needs, frozenset(without))


@given(workflows(), st.data())
def test_every_saga_undoes_each_completed_step_once_behind_those_that_build_on_it(
    blueprint: Blueprint, data: st.DataObject
) -> None:
    """A project stops anywhere, with steps in flight that end while the saga runs, well or badly."""
    needs = {
        step.id: {other.id for other in blueprint.steps if other.produces in step.reads} for step in blueprint.steps
    }
    run = data.draw(st.permutations(sorted(needs)), label="preference")
    stop = data.draw(st.integers(0, len(run)), label="completed before the request")
    completed: list[str] = []
    while len(completed) < stop:
        completed.append(next(step for step in run if step not in completed and needs[step] <= set(completed)))
    startable = sorted(step for step in needs if step not in completed and needs[step] <= set(completed))
    in_flight = set(data.draw(st.lists(st.sampled_from(startable), unique=True) if startable else st.just([])))

    states: dict[str, CompensationState] = {}
    order: list[str] = []
    for _turn in range(4 * len(needs) + 4):
        state = SagaState(completed=tuple(completed), in_flight=frozenset(in_flight), compensations=states)
        decision = compensate(blueprint, state)
        assert decision.failed is None
        states.update(dict.fromkeys(decision.found, PENDING))
        for step in (*decision.skipped, *([decision.next] if decision.next else [])):
            assert step not in order, "each once"
            order.append(step)
        states.update(dict.fromkeys(decision.skipped, SKIPPED))
        if decision.next:
            states[decision.next] = RUNNING
        if decision.completed:
            break
        running = [step for step, how in states.items() if how is RUNNING]
        event = data.draw(st.sampled_from(sorted({*running, *in_flight})), label="what ends now")
        if event in running:
            states[event] = DONE
        else:
            in_flight.remove(event)
            if data.draw(st.booleans(), label="well"):
                completed.append(event)
    else:
        pytest.fail("the saga did not end")

    assert sorted(order) == sorted(completed), "all of them, and nothing else"
    assert {step for step in order if states[step] is SKIPPED} == {
        step.id for step in blueprint.steps if step.compensation is None and step.id in completed
    }
    place = {step: number for number, step in enumerate(reversed(order))}
    for step in order:
        assert all(place[other] < place[step] for other in needs[step]), "reversed, it is an order of work"


@given(workflows(), st.data())
def test_without_late_results_the_order_is_that_of_completion_reversed(
    blueprint: Blueprint, data: st.DataObject
) -> None:
    needs = {
        step.id: {other.id for other in blueprint.steps if other.produces in step.reads} for step in blueprint.steps
    }
    run = data.draw(st.permutations(sorted(needs)))
    completed: list[str] = []
    while len(completed) < len(run):
        completed.append(next(step for step in run if step not in completed and needs[step] <= set(completed)))
    cut = completed[: data.draw(st.integers(0, len(completed)))]
    assert compensate(blueprint, SagaState(completed=tuple(cut))).found == tuple(reversed(cut))
