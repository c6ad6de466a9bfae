"""The Workflow Coordinator: decides what runs next (R13). Pure; the orchestrator acts on its answer."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from factory.control.blueprints import Blueprint, Step, When
from factory.domain.artifact import KINDS, ArtifactStatus
from factory.domain.project import ENDED, ProjectStatus

_AT_REST = frozenset({ProjectStatus.RELEASED, ProjectStatus.COMPENSATING, ProjectStatus.COMPENSATED})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownArtifact(_Frozen):
    """The latest version of one kind, as far as the coordinator needs to know it."""

    id: UUID
    kind: str
    task_id: UUID
    status: ArtifactStatus
    committed: bool
    metadata: Mapping[str, JsonValue] = {}
    errors: tuple[str, ...] = ()


class KnownTask(_Frozen):
    """The latest round of one step."""

    id: UUID
    step: str
    round: int
    failed: bool
    reason: str = ""


class ProjectState(_Frozen):
    """Everything a decision depends on."""

    status: ProjectStatus
    artifacts: Mapping[str, KnownArtifact]
    tasks: Mapping[str, KnownTask]


class Assignment(_Frozen):
    """A task to assign."""

    step: str
    agent: str
    goal: str
    round: int
    input_ids: tuple[UUID, ...]
    parameters: Mapping[str, JsonValue]


class Failure(_Frozen):
    """Why the project cannot go on."""

    step: str
    reason: str


class Decision(_Frozen):
    """What is to happen now; empty where the project waits for work under way."""

    assignments: tuple[Assignment, ...] = ()
    status: ProjectStatus | None = None
    failure: Failure | None = None
    released: bool = False


def decide(blueprint: Blueprint, state: ProjectState, *, resume: bool = False) -> Decision:
    """Return what follows from a project's present state.

    Args:
        blueprint: The project's workflow.
        state: Latest artifacts by kind and latest tasks by step.
        resume: Take a failed project up again: steps that failed get one more round.

    The decision depends on the state alone, never on the event that woke the coordinator, so that events
    that arrive twice or late change nothing.
    """
    if state.status in _AT_REST or (state.status is ProjectStatus.FAILED and not resume):
        return Decision()
    skipped = frozenset(step.produces for step in blueprint.steps if _is_skipped(step, state))
    assignments: list[Assignment] = []
    for step in blueprint.steps:
        if step.produces in skipped:
            continue
        failure, assignment = _next_of(step, state, skipped, resume=resume)
        if failure:
            return Decision(status=ProjectStatus.FAILED, failure=failure)
        if assignment:
            assignments.append(assignment)
    if assignments:
        return Decision(assignments=tuple(assignments), status=_phase(blueprint, state, assignments))
    unfinished = _unfinished(blueprint, state)
    if not unfinished:
        return Decision(released=True, status=ProjectStatus.RELEASED)
    return Decision(status=unfinished[0].phase if state.status is ProjectStatus.FAILED else None)


def present_phase(blueprint: Blueprint, state: ProjectState) -> ProjectStatus:
    """Return the phase of the first step that is not finished, or the last phase."""
    unfinished = _unfinished(blueprint, state)
    return unfinished[0].phase if unfinished else blueprint.steps[-1].phase


def _unfinished(blueprint: Blueprint, state: ProjectState) -> list[Step]:
    return [step for step in blueprint.steps if not _is_skipped(step, state) and not _is_finished(step, state)]


def _next_of(
    step: Step, state: ProjectState, skipped: frozenset[str], *, resume: bool
) -> tuple[Failure | None, Assignment | None]:
    task = state.tasks.get(step.id)
    if task is None:
        return None, _assignment(step, state, skipped, round_=1)
    if task.failed:
        if resume:
            return None, _assignment(step, state, skipped, round_=task.round + 1)
        return Failure(step=step.id, reason=task.reason), None
    artifact = state.artifacts.get(step.produces)
    if artifact is None or artifact.task_id != task.id or artifact.status is not ArtifactStatus.INVALID:
        return None, None
    if resume or task.round <= step.redo:
        again = _assignment(step, state, skipped, round_=task.round + 1, errors=artifact.errors)
        return None, again
    reason = "; ".join(artifact.errors) or "the validator refused it"
    return Failure(step=step.id, reason=f"{KINDS[step.produces].title} is not valid: {reason}"), None


def _assignment(
    step: Step, state: ProjectState, skipped: frozenset[str], *, round_: int, errors: tuple[str, ...] = ()
) -> Assignment | None:
    ready = {kind: found.id for kind, found in state.artifacts.items() if found.status is ArtifactStatus.VALID}
    wanted = [kind for kind in step.inputs.all if kind not in skipped]
    if any(kind not in ready for kind in wanted):
        return None
    chosen = [kind for kind in step.inputs.any if kind in ready]
    if step.inputs.any and not chosen:
        return None
    if step.when and step.when.artifact not in ready:
        return None
    parameters: dict[str, JsonValue] = dict(step.parameters)
    if errors:
        parameters["refused_because"] = list(errors)
    return Assignment(
        step=step.id,
        agent=step.agent,
        goal=step.produces,
        round=round_,
        input_ids=tuple(ready[kind] for kind in dict.fromkeys((*wanted, *chosen))),
        parameters=parameters,
    )


def _is_skipped(step: Step, state: ProjectState) -> bool:
    if step.when is None:
        return False
    subject = state.artifacts.get(step.when.artifact)
    return subject is not None and subject.status is ArtifactStatus.VALID and not _holds(step.when, subject)


def _holds(when: When, subject: KnownArtifact) -> bool:
    value = subject.metadata.get(when.metadata, 0)
    return isinstance(value, int | float) and value >= when.at_least


def _is_finished(step: Step, state: ProjectState) -> bool:
    artifact = state.artifacts.get(step.produces)
    if artifact is None or artifact.status is not ArtifactStatus.VALID:
        return False
    return artifact.committed or KINDS[step.produces].commit_subject is None


def _phase(blueprint: Blueprint, state: ProjectState, assignments: list[Assignment]) -> ProjectStatus | None:
    order = [
        ProjectStatus.VISIONING,
        ProjectStatus.ARCHITECTURE_MODELLING,
        ProjectStatus.DEVELOPMENT,
        ProjectStatus.DEPLOYMENT,
    ]
    target = max((blueprint.step(item.step).phase for item in assignments), key=order.index)
    if state.status in ENDED or state.status is ProjectStatus.EVOLVING:
        return target
    return target if order.index(target) > order.index(state.status) else None
