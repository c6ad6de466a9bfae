"""What a skill is: a typed function from input artifacts to artifact content."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from factory.domain.artifact import Content
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.memory import RecalledPassage
from factory.domain.project import Project
from factory.domain.task import Finding
from factory.settings import Settings


class Make(StrEnum):
    """How a skill works: native code, a model, or a chain of other skills."""

    NATIVE = "native"
    MODEL = "model"
    COMPOSITE = "composite"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What memory holds of an earlier project that this one may see.

    Attributes:
        passage: What was found, and where.
        content: The whole artifact that it stands in; None where there is none, or it could not be read.
    """

    passage: RecalledPassage
    content: Content | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        passage = self.passage
        return f"project {passage.project or passage.project_id}, {passage.kind} v{passage.version}"


@dataclass(frozen=True, slots=True)
class SkillContext:
    """What a skill may know.

    Attributes:
        project: The project it works for; `project.created_at` is the only clock a skill may read.
        inputs: Content of each input artifact by kind.
        parameters: The blueprint step's parameters.
        settings: Of the factory, for skills that run programs or call services.
        memory: What memory holds of other projects, the most fitting first; empty unless the agent asks for it and a
            rule of sharing lets this project see more than itself. A skill works without it.
    """

    project: Project
    inputs: Mapping[str, Content]
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    memory: Sequence[Recalled] = ()

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
    """Content made by a skill, and what it wants recorded beside it.

    Attributes:
        recalled: What of memory went into the content; it is recorded among what the artifact was derived from.
    """

    content: Content
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    recalled: tuple[RecalledPassage, ...] = ()


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
        prepare: Loads what the first run would wait for; called once when an actor starts.
    """

    name: str
    produces: str
    consumes: tuple[str, ...]
    make: Make
    run: SkillFunction
    prepare: Callable[[], object] | None = None
