"""What a skill is: a typed function from input artifacts to artifact content."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from factory.domain.artifact import Content
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.project import Project
from factory.domain.task import Finding
from factory.settings import Settings


class Make(StrEnum):
    """How a skill works: native code, a model, or a chain of other skills."""

    NATIVE = "native"
    MODEL = "model"
    COMPOSITE = "composite"


@dataclass(frozen=True, slots=True)
class SkillContext:
    """What a skill may know.

    Attributes:
        project: The project it works for; `project.created_at` is the only clock a skill may read.
        inputs: Content of each input artifact by kind.
        parameters: The blueprint step's parameters.
        settings: Of the factory, for skills that run programs or call services.
    """

    project: Project
    inputs: Mapping[str, Content]
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    def input(self, kind: str) -> Content:
        """Return the content of one input artifact.

        Raises:
            TerminalError: The blueprint gave the step no artifact of this kind.
        """
        try:
            return self.inputs[kind]
        except KeyError:
            raise TerminalError(
                f"no input artifact of kind {kind!r} for project {self.project.slug!r}.",
                category=ErrorCategory.VALIDATION,
                remedy="Name the kind among the step's inputs in the blueprint.",
                field="inputs",
            ) from None


@dataclass(frozen=True, slots=True)
class SkillResult:
    """Content made by a skill, and what it wants recorded beside it."""

    content: Content
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


SkillFunction = Callable[[SkillContext], "SkillResult | Awaitable[SkillResult]"]


@dataclass(frozen=True, slots=True)
class Skill:
    """A capability with a name.

    The function must be deterministic for native skills: equal inputs give equal bytes, so that a repeated
    attempt stores nothing twice. It may be a plain function (run in a thread) or a coroutine function.

    Attributes:
        name: Unique, in kebab case.
        produces: The artifact kind.
        consumes: Kinds it reads; the planner drops the skill where one is missing.
    """

    name: str
    produces: str
    consumes: tuple[str, ...]
    make: Make
    run: SkillFunction
