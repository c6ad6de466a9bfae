"""What the gateway answers, as types. Fields that a newer gateway adds are kept and harm nothing."""

import html
from datetime import datetime
from importlib import import_module
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from factory.client.display import diagram, table


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Project(_Answer):
    """A project."""

    id: UUID
    name: str
    slug: str
    blueprint: str
    status: str
    revision: int
    tenant: str
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    def _repr_html_(self) -> str:
        rows = [(name, getattr(self, name)) for name in ("name", "status", "blueprint", "revision", "id", "updated_at")]
        return table(("", ""), rows, caption="Project")


class Step(_Answer):
    """A step of a project's workflow.

    Attributes:
        status: `waiting`, `assigned`, `running`, `validating`, `done`, `failed` or `withdrawn`.
        seconds: Of the latest attempt.
    """

    step: str
    agent: str
    goal: str
    status: str
    attempt: int = 0
    seconds: float | None = None
    artifact_version: int | None = None
    message: str = ""


class Question(_Answer):
    """What a person has to decide before the project goes on."""

    escalation_id: UUID
    agent: str
    question: str


class Status(_Answer):
    """How far a project is.

    Attributes:
        tests: Passed and failed tests of the product itself.
    """

    project: Project
    steps: tuple[Step, ...]
    failure: str | None = None
    tests: tuple[int, int] | None = None
    released_commit: str | None = None
    waits_for: tuple[Question, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.project.status in {"released", "failed", "compensated"}

    @property
    def done(self) -> int:
        """How many steps are done."""
        return sum(step.status == "done" for step in self.steps)

    def _repr_html_(self) -> str:
        rows = [
            (step.step, step.agent, step.status, step.attempt or "", f"{step.seconds:.1f} s" if step.seconds else "")
            for step in self.steps
        ]
        title = f"{self.project.name}: {self.project.status}, {self.done} of {len(self.steps)} steps"
        return table(("step", "agent", "state", "attempt", "time"), rows, caption=title)

    def graph(self) -> str:
        """Return the workflow as an SVG picture."""
        return diagram([(step.step, step.status) for step in self.steps])


class Artifact(_Answer):
    """A version of an artifact."""

    id: UUID
    project_id: UUID
    kind: str
    version: int
    hash: str
    status: str
    agent: str
    created_at: datetime
    size: int = 0
    inputs: tuple[UUID, ...] = ()

    def _repr_html_(self) -> str:
        rows = [(name, getattr(self, name)) for name in ("kind", "version", "status", "agent", "hash", "id")]
        return table(("", ""), rows, caption="Artifact")


class Event(_Answer):
    """An event of a project.

    Attributes:
        place: Where it stands in the log; a stream goes on after it.
    """

    event_id: UUID
    event_type: str
    topic: str
    originating_agent: str
    timestamp: datetime
    payload: dict[str, Any]
    place: str = ""


class Hit(_Answer):
    """A passage that a search found."""

    score: float
    project_id: str
    kind: str
    version: int
    agent: str
    path: str
    title: str
    text: str

    def _repr_html_(self) -> str:
        head = f"{self.kind} v{self.version}, {self.path}: {self.title} ({self.score:.3f})"
        return f"<p><b>{html.escape(head)}</b><br>{html.escape(self.text)}</p>"


class Answers(tuple[Any, ...]):
    """A list of answers that shows itself as a table in notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        if not self:
            return "<p>Nothing.</p>"
        rows = [one.model_dump(mode="json") if isinstance(one, BaseModel) else dict(one) for one in self]
        names = [name for name, value in rows[0].items() if not isinstance(value, dict | list)][:8]
        return table(names, [[row.get(name) for name in names] for row in rows])

    def to_pandas(self) -> Any:  # noqa: ANN401 - pandas is not needed otherwise
        """Return the answers as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        rows = [one.model_dump(mode="json") if isinstance(one, BaseModel) else dict(one) for one in self]
        return import_module("pandas").DataFrame(rows)
