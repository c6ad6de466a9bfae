"""One agent without Ray: what each of the nine stages does and records."""

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from factory.actors.agent import Agent, AgentSpec, Work
from factory.artifacts.blobs import BlobStore
from factory.domain.artifact import ArtifactRef, ArtifactStatus, Content
from factory.domain.errors import ErrorCategory
from factory.domain.ids import new_id
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import EventDraft, Outcome, Task
from factory.settings import Settings
from factory.skills.catalogue import Catalogue
from tests.actors.greeting import SKILLS, Greeter

STAGES = ["receive", "load", "plan", "execute", "compose", "validate", "publish", "announce", "emit"]
NOW = datetime(2026, 1, 2, tzinfo=UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PROJECT = Project(
    id=new_id(),
    name="World",
    slug="world",
    blueprint="courtesy",
    status=ProjectStatus.VISIONING,
    trace_id=TRACE,
    created_at=NOW,
    updated_at=NOW,
)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore((tmp_path / "blobs").as_uri())


@pytest.fixture
def greeter(store: BlobStore, tmp_path: Path) -> Agent:
    return Greeter(store, Catalogue(SKILLS), Settings(data_dir=tmp_path))


def stored(store: BlobStore, kind: str, path: str, text: str) -> ArtifactRef:
    blob = store.put_content(Content(files={path: text}))
    return ArtifactRef(
        id=new_id(),
        project_id=PROJECT.id,
        kind=kind,
        version=1,
        hash=blob.hash,
        uri=blob.uri,
        status=ArtifactStatus.VALID,
        agent="somebody",
        trace_id=TRACE,
        task_id=new_id(),
        created_at=NOW,
    )


def task(*inputs: ArtifactRef, goal: str = "greeting", agent: str = "greeter") -> Task:
    return Task(
        id=new_id(),
        project=PROJECT,
        step=goal,
        agent=agent,
        goal=goal,
        attempt=1,
        inputs=inputs,
        cause_id=new_id(),
        correlation_id=new_id(),
        traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
    )


def stages(outcome: Outcome) -> list[str]:
    return [span.stage for span in outcome.spans if not span.within]


async def test_every_stage_runs_in_order_and_is_timed(greeter: Agent, store: BlobStore) -> None:
    work = task(stored(store, "vision", ".factory/vision.md", "be nice"))
    outcome = await greeter.run_one(work)
    assert outcome.error is None
    assert stages(outcome) == STAGES
    assert {(span.within, span.stage) for span in outcome.spans if span.within} == {
        ("load", "blob get"),
        ("execute", "skill greet"),
        ("publish", "blob put"),
    }
    assert all(span.started_ns <= span.ended_ns for span in outcome.spans)
    assert outcome.skill == "greet"


async def test_a_task_that_is_not_traced_tells_how_long_it_took_and_what_its_stages_did(
    greeter: Agent, store: BlobStore
) -> None:
    work = task(stored(store, "vision", ".factory/vision.md", "be nice"))
    outcome = await greeter.run_one(work.model_copy(update={"traced": False}))
    assert stages(outcome) == ["receive", "emit"]
    assert [span.stage for span in outcome.spans if span.within] == ["blob get", "skill greet", "blob put"]


async def test_the_artifact_is_stored_before_it_is_announced(greeter: Agent, store: BlobStore) -> None:
    vision = stored(store, "vision", ".factory/vision.md", "be nice")
    outcome = await greeter.run_one(task(vision))
    assert outcome.artifact is not None
    assert store.get(outcome.artifact.hash) == Content(files={"greeting.txt": "Hello, World.\n"}).to_bytes()
    assert outcome.artifact.inputs == (vision.id,)


async def test_running_a_task_twice_gives_the_same_artifact(greeter: Agent, store: BlobStore) -> None:
    work = task(stored(store, "vision", ".factory/vision.md", "be nice"))
    first, second = await greeter.run([work, work])
    assert first.artifact == second.artifact


async def test_skills_are_chained_where_none_leads_there_alone(store: BlobStore, tmp_path: Path) -> None:
    agent = Greeter(store, Catalogue(SKILLS), Settings(data_dir=tmp_path))
    agent.skills = Catalogue(SKILLS).named(["part", "answer", "greet"])
    outcome = await agent.run_one(task(stored(store, "vision", ".factory/vision.md", "be nice"), goal="farewell"))
    assert outcome.error is None
    plan = next(span for span in outcome.spans if span.stage == "plan")
    assert plan.attributes["skills"] == ["greet", "answer", "part"]


@pytest.mark.parametrize(
    ("goal", "agent", "category"),
    [("answer", "greeter", ErrorCategory.SCHEMA), ("greeting", "answerer", ErrorCategory.SCHEMA)],
)
async def test_a_task_for_somebody_else_is_refused(
    greeter: Agent, store: BlobStore, goal: str, agent: str, category: ErrorCategory
) -> None:
    vision = stored(store, "vision", ".factory/vision.md", "be nice")
    outcome = await greeter.run_one(task(vision, goal=goal, agent=agent))
    assert outcome.error is not None
    assert (outcome.error.category, outcome.error.retryable) == (category, False)
    assert stages(outcome) == ["receive", "emit"]


async def test_a_missing_input_is_a_terminal_error_that_names_the_skills(greeter: Agent) -> None:
    outcome = await greeter.run_one(task())
    assert outcome.error is not None
    assert not outcome.error.retryable
    assert "no skill leads to 'greeting' from nothing" in outcome.error.message


async def test_damaged_bytes_are_noticed(greeter: Agent, store: BlobStore) -> None:
    vision = stored(store, "vision", ".factory/vision.md", "be nice")
    Path(vision.uri.removeprefix("file://")).write_bytes(b"{}")
    outcome = await greeter.run_one(task(vision))
    assert outcome.error is not None
    assert outcome.error.error_type == "IntegrityError"


async def test_an_error_of_one_task_leaves_the_batch_alone(greeter: Agent, store: BlobStore) -> None:
    good = task(stored(store, "vision", ".factory/vision.md", "be nice"))
    bad = task(stored(store, "vision", ".factory/vision.md", "mute"))
    outcomes = await greeter.run([bad, good])
    assert [outcome.error is None for outcome in outcomes] == [False, True]
    assert [outcome.task_id for outcome in outcomes] == [bad.id, good.id]


class Echo(Agent):
    spec: ClassVar[AgentSpec] = AgentSpec(
        name="echo", title="Echo", subcluster="utility", consumes=("ProjectFailed",), produces=("nothing-of-the-kind",)
    )

    async def execute(self, work: Work) -> None:
        work.events = (EventDraft(event_type="ProjectFailed", topic="system", payload=work.task.payload, key="echo"),)


async def test_an_agent_that_handles_events_answers_with_events(store: BlobStore, tmp_path: Path) -> None:
    agent = Echo(store, Catalogue(()), Settings(data_dir=tmp_path))
    heard = task(goal="ProjectFailed", agent="echo").model_copy(
        update={"event_type": "ProjectFailed", "payload": {"reason": "heard"}, "project": None}
    )
    outcome = await agent.run_one(heard)
    assert outcome.error is None
    assert [event.payload for event in outcome.events] == [{"reason": "heard"}]
    assert stages(outcome) == STAGES


async def test_an_event_that_the_agent_does_not_consume_is_refused(store: BlobStore, tmp_path: Path) -> None:
    agent = Echo(store, Catalogue(()), Settings(data_dir=tmp_path))
    strange = task(goal="ProjectReleased", agent="echo").model_copy(update={"event_type": "ProjectReleased"})
    outcome = await agent.run_one(strange)
    assert outcome.error is not None
    assert outcome.error.category is ErrorCategory.SCHEMA
