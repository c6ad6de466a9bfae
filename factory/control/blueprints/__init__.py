"""Blueprints: workflows per project type, as YAML that is validated when it is loaded.

A blueprint names steps; each step has one agent and produces one artifact kind from others. Order is
not written down: it follows from the inputs.
"""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError, model_validator

from factory.domain.artifact import KINDS
from factory.domain.errors import BadInputError, NotFoundError
from factory.domain.project import ProjectStatus

KebabName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
Phase = Literal[
    ProjectStatus.VISIONING,
    ProjectStatus.ARCHITECTURE_MODELLING,
    ProjectStatus.DEVELOPMENT,
    ProjectStatus.DEPLOYMENT,
]
GIVEN = frozenset({"vision"})
WITHDRAW = "withdraw"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Inputs(_Strict):
    """Artifact kinds a step reads.

    Attributes:
        all: Every one must be valid before the step starts.
        any: At least one must be valid.
    """

    all: tuple[KebabName, ...] = ()
    any: tuple[KebabName, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind named, in order."""
        return tuple(dict.fromkeys((*self.all, *self.any)))


class When(_Strict):
    """A step runs only where an artifact's metadata has a number of at least `at_least`."""

    artifact: KebabName
    metadata: str
    at_least: int = 1


class Compensation(_Strict):
    """What undoes a step: a task for an agent, which gets the step's artifact as its input.

    Attributes:
        goal: What the agent is asked for, one of the goals it names in `produces`.
        max_attempts: Most attempts; the retry policy's number where it is not given.
    """

    agent: KebabName
    goal: KebabName
    parameters: Mapping[str, JsonValue] = {}
    max_attempts: int | None = Field(default=None, ge=1, le=100)
    timeout_seconds: int = Field(default=300, ge=1, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _undo_once(cls, value: object) -> object:
        if isinstance(value, Mapping) and "compensation" in value:
            raise ValueError("a compensation cannot be compensated itself")
        return value


class Step(_Strict):
    """One step: an agent turns artifacts of some kinds into one of another.

    Attributes:
        phase: The project status while the step runs.
        redo: How often the step is assigned again after the validator refused its artifact.
        on_failure: What follows when the step has failed for good: the project fails, or everything that was done
            is compensated.
        compensation: What undoes the step; `withdraw` takes its artifact back, in the database and in Git.
    """

    id: KebabName
    agent: KebabName
    inputs: Inputs
    produces: KebabName
    phase: Phase
    when: When | None = None
    timeout_seconds: int = Field(default=300, ge=1, le=86_400)
    redo: int = Field(default=0, ge=0, le=5)
    on_failure: Literal["fail", "compensate"] = "fail"
    compensation: Compensation | Literal["withdraw"] | None = None
    parameters: Mapping[str, JsonValue] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Every kind the step depends on: its inputs, and the subject of its condition."""
        return frozenset(self.inputs.kinds) | ({self.when.artifact} if self.when else frozenset())


class Blueprint(_Strict):
    """A workflow for one project type."""

    name: KebabName
    title: str
    description: str = ""
    steps: tuple[Step, ...] = Field(min_length=1)

    def step(self, step_id: str) -> Step:
        """Return the step of that id; KeyError where there is none."""
        return {step.id: step for step in self.steps}[step_id]

    @property
    def agents(self) -> tuple[str, ...]:
        """Agents in the order in which the steps first need them; those that only compensate come last."""
        undoing = (step.compensation.agent for step in self.steps if isinstance(step.compensation, Compensation))
        return tuple(dict.fromkeys((*(step.agent for step in self.steps), *undoing)))

    @property
    def compensations(self) -> dict[str, Compensation]:
        """Compensations done by agents, by the step they undo."""
        return {step.id: step.compensation for step in self.steps if isinstance(step.compensation, Compensation)}

    def dependants(self, step_id: str) -> frozenset[str]:
        """Return the steps that build on what a step produces, directly or through others."""
        found: set[str] = set()
        pending = [self.step(step_id).produces]
        while pending:
            kind = pending.pop()
            reading = {step.id: step.produces for step in self.steps if kind in step.reads and step.id not in found}
            found |= reading.keys()
            pending += reading.values()
        return frozenset(found)

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = list(_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _problems(blueprint: Blueprint) -> Iterable[str]:
    yield from _duplicates(blueprint)
    known = {step.produces for step in blueprint.steps} | GIVEN
    for step in blueprint.steps:
        if step.produces not in KINDS:
            yield f"step {step.id!r} produces the unknown kind {step.produces!r}"
        if not step.inputs.kinds:
            yield f"step {step.id!r} reads nothing, so nothing can start it"
        for kind in step.inputs.kinds:
            if kind not in known:
                yield f"step {step.id!r} reads {kind!r}, which no step produces"
        if step.when and step.when.artifact not in known:
            yield f"step {step.id!r} depends on {step.when.artifact!r}, which no step produces"
        if isinstance(step.compensation, Compensation) and step.compensation.goal in known:
            yield f"the compensation of step {step.id!r} makes {step.compensation.goal!r}, which is a step's to produce"
    yield from _order_problems(blueprint)


def _order_problems(blueprint: Blueprint) -> Iterable[str]:
    needs = {step.produces: sorted(step.reads) for step in blueprint.steps}
    try:
        order = tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        yield f"the steps form a circle: {' → '.join(error.args[1])}"
        return
    reached = set(GIVEN)
    for kind in order:
        if kind in needs and reached.intersection(needs[kind]):
            reached.add(kind)
    for step in blueprint.steps:
        if step.produces not in reached:
            yield f"step {step.id!r} cannot be reached from the vision"


def _duplicates(blueprint: Blueprint) -> Iterable[str]:
    ids = [step.id for step in blueprint.steps]
    kinds = [step.produces for step in blueprint.steps]
    for name in sorted({name for name in ids if ids.count(name) > 1}):
        yield f"step {name!r} is named twice"
    for kind in sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        yield f"kind {kind!r} is produced by two steps"


def load_blueprint(path: Path | str, text: str | None = None) -> Blueprint:
    """Read and validate one blueprint file.

    Raises:
        BadInputError: The file is not YAML or not a valid blueprint; the message names each problem.
    """
    source = Path(path).read_text(encoding="utf-8") if text is None else text
    try:
        return Blueprint.model_validate(yaml.safe_load(source))
    except yaml.YAMLError as error:
        raise BadInputError(f"blueprint {path} is not YAML: {error}", field="blueprint") from error
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'blueprint'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise BadInputError(f"blueprint {path} is not valid: {details}.", field="blueprint") from error


def load_blueprints(folder: Path | None = None) -> dict[str, Blueprint]:
    """Return the blueprints of the package and, over them, those of a folder of `*.yaml` files.

    Raises:
        BadInputError: A file is not a valid blueprint.
    """
    found: dict[str, Blueprint] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            blueprint = load_blueprint(entry.name, entry.read_text(encoding="utf-8"))
            found[blueprint.name] = blueprint
    if folder is not None:
        for path in sorted(folder.glob("*.yaml")):
            blueprint = load_blueprint(path)
            found[blueprint.name] = blueprint
    return found


def find_blueprint(name: str, folder: Path | None = None) -> Blueprint:
    """Return the blueprint of that name.

    Raises:
        NotFoundError: There is none; the message lists those that exist.
    """
    known = load_blueprints(folder)
    if name not in known:
        raise NotFoundError(
            f"there is no blueprint {name!r}.", remedy=f"Known: {', '.join(sorted(known))}.", field="blueprint"
        )
    return known[name]
