"""What every agent is: nine stages, inherited; an agent's own file only says what differs.

1 receive · 2 load · 3 plan · 4 execute · 5 compose · 6 validate · 7 publish · 8 announce · 9 emit
"""

import asyncio
import inspect
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from factory.artifacts.blobs import BlobStore
from factory.domain.artifact import ArtifactRef, Content
from factory.domain.errors import ErrorCategory, FactoryError, TerminalError
from factory.domain.ids import derived_id
from factory.domain.memory import SIMILAR_ARTIFACTS, NewSegment, RecalledPassage
from factory.domain.task import (
    TASK_ASSIGNED,
    ArtifactDraft,
    EventDraft,
    Finding,
    Outcome,
    StageSpan,
    Task,
    Verdict,
)
from factory.events.topics import Topic
from factory.recovery.classification import classify
from factory.settings import Settings
from factory.skills.catalogue import Catalogue
from factory.skills.planner import plan
from factory.skills.skill import Recalled, Skill, SkillContext, SkillResult
from factory.skills.validation import correct

_log = structlog.stdlib.get_logger(__name__)
_CACHED_CONTENTS = 64
# Artifacts of other projects that are read for one task at most, the most fitting first.
_RECALLED_ARTIFACTS = 8


class AgentSpec(BaseModel):
    """What one agent consumes, produces and may use.

    Attributes:
        subcluster: Names the topic it listens to and the Ray resource its actors need.
        consumes: Event types that become its tasks.
        accepts: What the payload of events other than assigned tasks must contain, as in a subscription's filter.
        topics: Where it listens for them; its sub-cluster's topic for assigned tasks, the system topic for others.
        produces: Artifact kinds it can make.
        skills: Names of the skills it may use.
        facts: What the supervisor looks up for its tasks, by the names of `factory.actors.facts`.
        questions: By the kind to make, what `similar-artifacts` are looked for; where a kind has none, what its inputs
            are about.
        batch: Most tasks handed to one actor at once.
        concurrency: Most tasks in flight in one actor; one batch unless given.
        min_size: Actors kept while there is nothing to do.
        max_size: Most actors at any time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    subcluster: str
    consumes: tuple[str, ...] = (TASK_ASSIGNED,)
    accepts: Mapping[str, JsonValue] = {}
    topics: tuple[Topic, ...] = ()
    produces: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    questions: Mapping[str, tuple[str, ...]] = {}
    batch: int = Field(default=8, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    min_size: int = Field(default=0, ge=0)
    max_size: int = Field(default=4, ge=1)


@dataclass
class Work:
    """One task on its way through the stages."""

    task: Task
    spans: list[StageSpan] = field(default_factory=list)
    inputs: dict[str, Content] = field(default_factory=dict)
    memory: tuple[Recalled, ...] = ()
    chain: tuple[Skill, ...] = ()
    result: SkillResult | None = None
    content: Content | None = None
    findings: tuple[Finding, ...] = ()
    draft: ArtifactDraft | None = None
    verdict: Verdict | None = None
    events: tuple[EventDraft, ...] = ()
    segment: NewSegment | None = None
    notified: bool = False

    def stage(self, name: str, within: str = "") -> "_Stage":
        """Record the time a block takes; what the block adds to the dictionary it gets becomes span attributes.

        Args:
            name: Of the stage, or of what happens in one.
            within: The stage in which it happens.
        """
        return _Stage(self.spans, name, within)


class _Stage:
    """One stage while it runs. Nine of them surround every task, so it is a plain object and no generator."""

    __slots__ = ("_name", "_noted", "_spans", "_started", "_within")

    def __init__(self, spans: list[StageSpan], name: str, within: str) -> None:
        self._spans = spans
        self._name = name
        self._within = within

    def __enter__(self) -> dict[str, Any]:
        self._noted: dict[str, Any] = {}
        self._started = time.time_ns()
        return self._noted

    def __exit__(self, *_: object) -> None:
        self._spans.append(StageSpan(self._name, self._started, time.time_ns(), self._noted, self._within))


class Agent:
    """Runs tasks through the nine stages. Holds no state but a cache of content by hash.

    Subclasses set `spec`; one that does something other than produce artifacts overrides a stage. One that handles
    events overrides `execute` and sets `work.events`, the events that follow.
    """

    spec: ClassVar[AgentSpec]

    def __init__(self, store: BlobStore, catalogue: Catalogue, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.skills = catalogue.named(self.spec.skills)
        self._contents: OrderedDict[str, Content] = OrderedDict()

    @classmethod
    def is_available(cls, settings: Settings) -> bool:  # noqa: ARG003 - subclasses may ask
        """Whether the agent can work with these settings; where it cannot, nothing is delivered to it."""
        return True

    async def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Return one outcome per task, in order; an error of one task never touches another."""
        return list(await asyncio.gather(*(self.run_one(task) for task in tasks)))

    async def run_one(self, task: Task) -> Outcome:
        """Take one task through the stages; an exception becomes a classified error in the outcome."""
        work = Work(task)
        try:
            with work.stage("receive"):
                self.receive(work)
            with work.stage("load") as noted:
                await self.load(work)
                noted["inputs"] = sorted(work.inputs)
                if SIMILAR_ARTIFACTS in task.facts:
                    noted["recalled"] = len(work.memory)
            with work.stage("plan") as noted:
                self.plan(work)
                noted["skills"] = [skill.name for skill in work.chain]
            with work.stage("execute"):
                await self.execute(work)
            with work.stage("compose"):
                self.compose(work)
            with work.stage("validate") as noted:
                await self.validate(work)
                noted["corrected"] = sum(finding.severity == "corrected" for finding in work.findings)
            with work.stage("publish"):
                await self.publish(work)
            with work.stage("announce"):
                outcome = self.announce(work)
        except Exception as error:  # noqa: BLE001 - the recovery rules decide what an error means
            outcome = Outcome(task_id=task.id, agent=self.spec.name, error=classify(error, self.spec.name))
        return self.emit(work, outcome)

    def receive(self, work: Work) -> None:
        """Stage 1: refuse a task that is not for this agent."""
        task = work.task
        known = self.spec.consumes if task.is_event else self.spec.produces
        if task.agent != self.spec.name or (known and task.goal not in known):
            raise TerminalError(
                f"the task {task.step!r} asks {task.agent} for {task.goal!r}, but {self.spec.name} produces "
                f"{', '.join(known) or 'nothing'}.",
                category=ErrorCategory.SCHEMA,
                remedy="Correct the step's agent or kind in the blueprint.",
                field="agent",
            )

    async def load(self, work: Work) -> None:
        """Stage 2: read the input artifacts and what is recalled, from the session cache where that has it."""
        if work.task.facts.get(SIMILAR_ARTIFACTS):
            work.memory = await self._recalled(work.task.facts[SIMILAR_ARTIFACTS])
        if not work.task.inputs:
            return
        with work.stage("blob get", "load") as noted:
            contents = await asyncio.gather(*(self.read(ref) for ref in work.task.inputs))
            noted["factory.blob.count"] = len(contents)
        work.inputs = {ref.kind: content for ref, content in zip(work.task.inputs, contents, strict=True)}

    def plan(self, work: Work) -> None:
        """Stage 3: choose a skill, or a chain of skills, that leads from the inputs to the goal."""
        if work.task.is_event:
            return
        work.chain = plan(work.task.goal, work.inputs.keys(), self.skills)

    async def execute(self, work: Work) -> None:
        """Stage 4: run the skills; each sees what the ones before it made."""
        made: dict[str, Content] = {}
        for skill in work.chain:
            context = SkillContext(
                work.task.needed_project, {**work.inputs, **made}, work.task.parameters, self.settings, work.memory
            )
            with work.stage(f"skill {skill.name}", "execute") as noted:
                work.result = await _call(skill, context)
                noted["factory.artifact.kind"] = skill.produces
            made[skill.produces] = work.result.content

    def compose(self, work: Work) -> None:
        """Stage 5: take the content, and what the skill found on its way."""
        if work.result is None and (work.task.is_event or work.events):
            return
        if work.result is None:
            raise TerminalError(f"the skills of {self.spec.name} made nothing.", category=ErrorCategory.DEFECT)
        work.content = work.result.content
        work.findings = work.result.findings

    async def validate(self, work: Work) -> None:
        """Stage 6: mend minor faults; what was mended is recorded."""
        if work.content is not None:
            work.content, mended = await asyncio.to_thread(correct, work.task.goal, work.content)
            work.findings = (*work.findings, *mended)

    async def publish(self, work: Work) -> None:
        """Stage 7: store the bytes by their hash; the metadata waits for the supervisor's commit."""
        if work.content is None:
            return
        with work.stage("blob put", "publish") as noted:
            stored = await asyncio.to_thread(self.store.put_content, work.content)
            noted["factory.blob.bytes"] = stored.size
        self._remember(stored.hash, work.content)
        recalled = work.result.recalled if work.result else ()
        metadata = dict(work.result.metadata) if work.result else {}
        if recalled:
            metadata["recalled"] = [_source(passage) for passage in recalled]
        sources = [ref.id for ref in work.task.inputs]
        sources += [passage.artifact.id for passage in recalled if passage.artifact]
        work.draft = ArtifactDraft(
            id=derived_id(work.task.id, work.task.goal),
            kind=work.task.goal,
            hash=stored.hash,
            uri=stored.uri,
            size=stored.size,
            inputs=tuple(dict.fromkeys(sources)),
            metadata=metadata,
        )

    def announce(self, work: Work) -> Outcome:
        """Stage 8: say what follows; the supervisor commits it with the acknowledgement, in one transaction."""
        return Outcome(
            task_id=work.task.id,
            agent=self.spec.name,
            artifact=work.draft,
            verdict=work.verdict,
            events=work.events,
            segment=work.segment,
            notified=work.notified,
            findings=work.findings,
            skill=work.chain[-1].name if work.chain else None,
        )

    def emit(self, work: Work, outcome: Outcome) -> Outcome:
        """Stage 9: attach the telemetry of every stage to the outcome."""
        now = time.time_ns()
        work.spans.append(StageSpan(stage="emit", started_ns=now, ended_ns=time.time_ns()))
        spans = work.spans if work.task.traced else _outline(work.spans)
        return outcome.model_copy(update={"spans": tuple(spans)})

    async def read(self, ref: ArtifactRef) -> Content:
        """Return an artifact's content.

        Raises:
            IntegrityError: The stored bytes do not match the artifact's hash.
        """
        cached = self._contents.get(ref.hash)
        if cached is not None:
            self._contents.move_to_end(ref.hash)
            return cached
        content = await asyncio.to_thread(self.store.content, ref)
        self._remember(ref.hash, content)
        return content

    async def _recalled(self, fact: JsonValue) -> tuple[Recalled, ...]:
        """Return what memory told, with the artifacts that can be read: memory helps, and never hinders."""
        if not isinstance(fact, list):
            return ()
        passages = [RecalledPassage.model_validate(item) for item in fact]
        refs = {passage.artifact.id: passage.artifact for passage in passages if passage.artifact}
        contents: dict[object, Content] = {}
        for ref in [*refs.values()][:_RECALLED_ARTIFACTS]:
            try:
                contents[ref.id] = await self.read(ref)
            except (FactoryError, ValueError, OSError) as error:
                _log.warning("recalled_artifact_unreadable", artifact=str(ref.id), reason=str(error))
        return tuple(
            Recalled(passage, contents.get(passage.artifact.id) if passage.artifact else None) for passage in passages
        )

    def _remember(self, content_hash: str, content: Content) -> None:
        self._contents[content_hash] = content
        while len(self._contents) > _CACHED_CONTENTS:
            self._contents.popitem(last=False)


def _outline(spans: Sequence[StageSpan]) -> list[StageSpan]:
    """Return when the first stage began and the last ended, and what happened within stages: models are paid for."""
    return [spans[0], *(span for span in spans[1:-1] if span.within), spans[-1]]


def _source(passage: RecalledPassage) -> JsonValue:
    """Return what an artifact's metadata says of a passage that went into it."""
    return {
        "project_id": passage.project_id,
        "kind": passage.kind,
        "version": passage.version,
        "document_key": passage.document_key,
        "chunk_id": passage.chunk_id,
        "artifact_id": str(passage.artifact.id) if passage.artifact else None,
    }


async def _call(skill: Skill, context: SkillContext) -> SkillResult:
    if inspect.iscoroutinefunction(skill.run):
        answer = await skill.run(context)
    else:
        answer = await asyncio.to_thread(skill.run, context)
    if not isinstance(answer, SkillResult):
        raise TerminalError(
            f"skill {skill.name!r} answered {type(answer).__name__}, not a SkillResult.", category=ErrorCategory.DEFECT
        )
    return answer
