"""Compensation: decides which completed step is undone next (R19). Pure; the sagas act on its answer."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from factory.control.blueprints import Blueprint

_PREFIX = "compensation."


class CompensationState(StrEnum):
    """How far the compensation of one step is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class SagaState(BaseModel):
    """Everything a decision depends on.

    Attributes:
        completed: Steps whose results stand, in the order in which they were completed.
        in_flight: Steps that may still complete.
        compensations: Those known so far, by step.
        from_step: Where the compensation begins; None for the whole project.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    completed: tuple[str, ...]
    in_flight: frozenset[str] = frozenset()
    compensations: Mapping[str, CompensationState] = {}
    from_step: str | None = None


class SagaDecision(BaseModel):
    """What is to happen now; empty where the saga waits.

    Attributes:
        found: Steps to be undone that were not known before, in the order in which it will happen.
        skipped: Steps that name no compensation, whose turn has come.
        next: The step to undo now.
        failed: The step whose compensation failed for good.
        completed: Whether nothing is left to undo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    found: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    next: str | None = None
    failed: str | None = None
    completed: bool = False


def compensate(blueprint: Blueprint, state: SagaState) -> SagaDecision:
    """Return what follows from a saga's present state.

    Steps are undone one at a time, the one completed last first, and none before everything that builds on it
    is undone; where a step still in flight might build on it, the saga waits for that step's end. So the order
    is always one in which the steps could have been done, reversed. Steps that complete after the request take
    their place in it.
    """
    scope = in_scope(blueprint, state.from_step)
    left = [step for step in reversed(state.completed) if step in scope and not _is_over(state, step)]
    order = _reverse_order(blueprint, left)
    found = tuple(step for step in order if step not in state.compensations)
    by_state = {known: step for step, known in state.compensations.items()}
    if CompensationState.FAILED in by_state:
        return SagaDecision(found=found, failed=by_state[CompensationState.FAILED])
    if CompensationState.RUNNING in by_state:
        return SagaDecision(found=found)
    skipped: list[str] = []
    for step in order:
        if blueprint.dependants(step) & state.in_flight:
            return SagaDecision(found=found, skipped=tuple(skipped))
        if blueprint.step(step).compensation is not None:
            return SagaDecision(found=found, skipped=tuple(skipped), next=step)
        skipped.append(step)
    return SagaDecision(found=found, skipped=tuple(skipped), completed=not scope & state.in_flight)


def in_scope(blueprint: Blueprint, from_step: str | None) -> frozenset[str]:
    """Return the steps that a compensation concerns: all, or one with everything that builds on it."""
    if from_step is None:
        return frozenset(step.id for step in blueprint.steps)
    return blueprint.dependants(from_step) | {from_step}


def compensation_step(step: str) -> str:
    """Return the name that the task which undoes a step has instead of a step's own."""
    return f"{_PREFIX}{step}"


def compensated_step(name: str) -> str | None:
    """Return the step that a task undoes, by the task's name; None for a step's own task."""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else None


def _is_over(state: SagaState, step: str) -> bool:
    return state.compensations.get(step) in {CompensationState.DONE, CompensationState.SKIPPED}


def _reverse_order(blueprint: Blueprint, latest_first: list[str]) -> list[str]:
    """Put each step behind those that build on it, whatever the clocks said of their completion."""
    order: list[str] = []
    left = list(latest_first)
    while left:
        step = next(step for step in left if not blueprint.dependants(step).intersection(left))
        left.remove(step)
        order.append(step)
    return order
