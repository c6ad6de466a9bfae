"""Sagas through the whole machinery: real PostgreSQL, a real supervisor on local Ray, agents of a plugin."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from factory.artifacts.verify import verify
from factory.cli.lifecycle import HostProcess
from factory.control.dead_letters import Filter, list_letters, replay
from factory.control.progress import Progress
from factory.domain.errors import BadInputError, ConflictError, NotFoundError
from factory.domain.project import Project, ProjectStatus
from factory.service import BuildRequest, FactoryService
from factory.settings import Settings
from tests.actors import undoing
from tests.actors.conftest import ENVIRONMENT, HERE

pytestmark = pytest.mark.timeout(300)
AGENTS = ("greeter", "answerer", "mourner", "eraser", "artifact-validator")
OWN = ENVIRONMENT | {
    "FACTORY_PLUGINS": '["tests.actors.greeting", "tests.actors.trouble", "tests.actors.undoing"]',
    # Starting an agent takes longer than anything these tests let it do.
    "FACTORY_POOL_IDLE_SECONDS": "300",
}

COMPENSATIONS = """
SELECT c.step, c.state, c.position, c.round, t.attempt, t.status
FROM compensation c LEFT JOIN task t ON t.id = c.task_id
WHERE c.project_id = $1 ORDER BY c.position
"""
EVENTS = """
SELECT event_type, payload ->> 'step' AS step FROM event WHERE project_id = $1 ORDER BY transaction_id, position
"""
TASKS = "SELECT step, count(*) AS number FROM task WHERE project_id = $1 GROUP BY step"


@pytest.fixture(scope="module")
def own_settings() -> Iterator[Settings]:
    """Give settings with both plugins, and a data directory of their own."""
    with tempfile.TemporaryDirectory(prefix="factory-sagas-") as folder, pytest.MonkeyPatch.context() as patch:
        for name, value in {**OWN, "FACTORY_DATA_DIR": folder}.items():
            patch.setenv(name, value)
        settings = Settings()
        patch.undo()
        yield settings


@pytest.fixture(scope="module")
def own_host(own_settings: Settings) -> Iterator[HostProcess]:
    """Give a running supervisor with these settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**OWN, "FACTORY_DATA_DIR": str(own_settings.data_dir)}.items():
            patch.setenv(name, value)
        process = HostProcess(own_settings, AGENTS, attached=True)
    yield process
    process.stop()


class Bench:
    """Begins projects and looks at what became of them."""

    def __init__(self, factory: FactoryService, host: HostProcess) -> None:
        self.factory = factory
        self.host = host

    def request(self, name: str, blueprint: str = "regret") -> BuildRequest:
        return BuildRequest(name, name.lower(), "be nice", blueprint, self.factory.settings.data_dir / name)

    async def begin(self, name: str, blueprint: str = "regret") -> Project:
        self.factory.blueprint(blueprint)
        project, _ = await self.factory.begin(self.request(name, blueprint))
        return project

    async def end(self, project: Project) -> Progress:
        last: Progress | None = None
        async for progress in self.factory.watch(project.id):
            self.host.check()
            last = progress
        assert last is not None
        return last

    async def rows(self, query: str, project: Project) -> list[dict[str, Any]]:
        async with self.factory.database.transaction() as connection:
            return [dict(row) for row in await connection.fetch(query, project.id)]

    async def until(self, query: str, project: Project) -> None:
        """Wait until a query about a project finds something."""
        async with asyncio.timeout(60):
            while not await self.rows(query, project):
                self.host.check()
                await asyncio.sleep(0.05)

    async def undone(self, project: Project) -> list[str]:
        return undoing.undone(self.factory.settings, project)

    async def replay(self, uid: int) -> None:
        async with self.factory.database.transaction() as connection:
            await replay(
                connection, self.factory.bus, self.factory.orchestrator, uid, by="tester", reason="it is mended"
            )

    async def letter(self, project_id: UUID) -> int:
        async with self.factory.database.transaction() as connection:
            (found,) = await list_letters(connection, Filter(project_id=project_id), 10)
        uid: int = found["uid"]
        return uid


@pytest.fixture
async def bench(own_settings: Settings, own_host: HostProcess) -> AsyncIterator[Bench]:
    """Give the bench."""
    async with await FactoryService.open(own_settings) as opened:
        yield Bench(opened, own_host)


async def test_a_compensation_must_be_something_that_its_agent_does(bench: Bench, tmp_path: Path) -> None:
    text = (HERE / "blueprints" / "regret.yaml").read_text()
    elsewhere = FactoryService(
        bench.factory.settings.model_copy(update={"blueprint_dir": tmp_path}), bench.factory.database
    )
    (tmp_path / "regret.yaml").write_text(text.replace("goal: unsay", "goal: forgive", 1))
    with pytest.raises(BadInputError, match="'greeting' asks eraser for 'forgive'") as refused:
        elsewhere.blueprint("regret")
    assert refused.value.field == "compensation"
    (tmp_path / "regret.yaml").write_text(text.replace("agent: eraser", "agent: nobody", 1))
    with pytest.raises(NotFoundError, match="no agent 'nobody'"):
        elsewhere.blueprint("regret")


async def test_a_step_that_fails_for_good_has_the_others_undone_in_reverse_order(bench: Bench) -> None:
    project = await bench.begin("DoomedHesitant")
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.COMPENSATED
    assert progress.failure is not None
    assert "farewell: there are no words." in progress.failure
    assert await bench.undone(project) == ["answer of answer by firm", "greeting of greeting by calm"]
    assert await bench.rows(COMPENSATIONS, project) == [
        {"step": "answer", "state": "done", "position": 1, "round": 1, "attempt": 2, "status": "done"},
        {"step": "greeting", "state": "done", "position": 2, "round": 1, "attempt": 1, "status": "done"},
    ]
    told = [(row["event_type"], row["step"]) for row in await bench.rows(EVENTS, project)]
    names = ("CompensationRequested", "StepCompensated", "CompensationCompleted", "CompensationFailed")
    assert [item for item in told if item[0] in names] == [
        ("CompensationRequested", None),
        ("StepCompensated", "answer"),
        ("StepCompensated", "greeting"),
        ("CompensationCompleted", None),
    ]
    again, known = await bench.factory.begin(bench.request("DoomedHesitant"))
    assert not known, "what was undone is not taken up again"
    assert again.id != project.id
    await bench.end(again)


async def test_a_supervisor_that_dies_in_the_middle_doubles_nothing(bench: Bench) -> None:
    project = await bench.begin("DoomedPatient")
    await bench.until(
        "SELECT 1 FROM task WHERE project_id = $1 AND step = 'compensation.answer' AND attempt > 0", project
    )
    killed = [process for process in _supervisors(bench.host.pid) if process.is_running()]
    assert killed
    for process in killed:
        process.kill()
    undoing.gate(bench.factory.settings, project).touch()
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.COMPENSATED
    rows = await bench.rows(COMPENSATIONS, project)
    assert [(row["step"], row["state"], row["round"]) for row in rows] == [
        ("answer", "done", 1),
        ("greeting", "done", 1),
    ]
    told = [row["step"] for row in await bench.rows(EVENTS, project) if row["event_type"] == "StepCompensated"]
    assert told == ["answer", "greeting"]
    # The agent that was at it may have gone on for a moment beside its successor; what is committed is one of the two.
    ran = [line.split()[0] for line in await bench.undone(project)]
    assert list(dict.fromkeys(ran)) == ["answer", "greeting"]


async def test_a_result_that_comes_late_is_recorded_and_undone_before_what_it_builds_on(bench: Bench) -> None:
    project = await bench.begin("Slow")
    await bench.until("SELECT 1 FROM task WHERE project_id = $1 AND step = 'farewell' AND status = 'running'", project)
    await bench.factory.compensate(project.id, "nobody wants it")
    await bench.until("SELECT 1 FROM project WHERE id = $1 AND status = 'compensating'", project)
    with pytest.raises(ConflictError, match="already"):
        await bench.factory.compensate(project.id, "really")
    assert await bench.undone(project) == [], "the farewell may still build on the answer"
    undoing.gate(bench.factory.settings, project).touch()
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.COMPENSATED
    rows = await bench.rows(COMPENSATIONS, project)
    assert [(row["step"], row["state"]) for row in rows] == [
        ("farewell", "done"),
        ("answer", "done"),
        ("greeting", "done"),
    ]
    statuses = {step.step: step.status for step in progress.steps}
    assert statuses == {"greeting": "done", "answer": "done", "farewell": "withdrawn"}


async def test_withdrawal_takes_artifacts_and_commits_back_without_rewriting_history(bench: Bench) -> None:
    project = await bench.begin("Recalled", "recall")
    released = await bench.end(project)
    assert released.project.status is ProjectStatus.RELEASED
    before = _git(bench, project, "rev-list", "main")
    await bench.factory.compensate(project.id, "recalled")
    await bench.until("SELECT 1 FROM project WHERE id = $1 AND status = 'compensated'", project)

    assert [(row["step"], row["state"]) for row in await bench.rows(COMPENSATIONS, project)] in (
        [("farewell", "done"), ("answer", "skipped"), ("greeting", "done")],
        [("farewell", "done"), ("greeting", "done"), ("answer", "skipped")],
    )
    after = _git(bench, project, "rev-list", "main")
    assert after[2:] == before
    assert _git(bench, project, "log", "--format=%s", "-2", "main") == [
        "Withdraw the greeting, version 1",
        "Withdraw the farewell, version 1",
    ]
    trailers = _git(bench, project, "log", "-1", "--format=%(trailers:key=Factory-Project,valueonly)", "main")
    assert trailers[0] == str(project.id)
    files = _git(bench, project, "ls-tree", "-r", "--name-only", "main")
    assert "answer.txt" in files
    assert not {"greeting.txt", "farewell.txt"} & set(files)
    statuses = await bench.rows("SELECT kind, status FROM artifact WHERE project_id = $1", project)
    assert {row["kind"]: row["status"] for row in statuses} == {
        "vision": "valid",
        "greeting": "withdrawn",
        "answer": "valid",
        "farewell": "withdrawn",
    }
    factory = bench.factory
    async with factory.database.transaction() as connection:
        assert await verify(connection, factory.store, project.id, factory.repositories) == []


async def test_compensation_from_a_step_leaves_what_came_before_it(bench: Bench) -> None:
    project = await bench.begin("Partly")
    await bench.end(project)
    with pytest.raises(BadInputError, match="no step 'applause'"):
        await bench.factory.compensate(project.id, "cut short", "applause")
    await bench.factory.compensate(project.id, "cut short", "answer")
    await bench.until("SELECT 1 FROM project WHERE id = $1 AND status = 'compensated'", project)
    assert [row["step"] for row in await bench.rows(COMPENSATIONS, project)] == ["farewell", "answer"]
    await bench.factory.compensate(project.id, "after all")
    await bench.until("SELECT 1 FROM saga WHERE project_id = $1 AND from_step IS NULL AND state = 'completed'", project)
    rows = await bench.rows(COMPENSATIONS, project)
    assert sorted(row["step"] for row in rows) == ["answer", "farewell", "greeting"], "each step once over all sagas"


async def test_a_failed_compensation_stops_the_saga_until_its_dead_letter_is_replayed(bench: Bench) -> None:
    project = await bench.begin("DoomedStubborn")
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.FAILED
    assert progress.failure == "compensation.greeting: what is said is said."
    rows = await bench.rows(COMPENSATIONS, project)
    assert [(row["step"], row["state"]) for row in rows] == [("answer", "done"), ("greeting", "failed")]
    failed = [row for row in await bench.rows(EVENTS, project) if row["event_type"] == "CompensationFailed"]
    assert [row["step"] for row in failed] == ["greeting"]

    undoing.mend(bench.factory.settings, project).touch()
    async with bench.factory.database.transaction() as connection:
        letters = await list_letters(connection, Filter(project_id=project.id), 10)
    by_step = {letter["step"]: letter["uid"] for letter in letters}
    assert set(by_step) == {"farewell", "compensation.greeting"}
    with pytest.raises(ConflictError, match="failed halfway"):
        await bench.replay(by_step["farewell"])
    await bench.replay(by_step["compensation.greeting"])
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.COMPENSATED
    rows = await bench.rows(COMPENSATIONS, project)
    assert [(row["step"], row["state"], row["round"]) for row in rows] == [
        ("answer", "done", 1),
        ("greeting", "done", 1),
    ]


async def test_a_replayed_dead_letter_lets_its_failed_project_go_on_to_release(bench: Bench) -> None:
    project = await bench.begin("Doomed", "recall")
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.FAILED
    undoing.mend(bench.factory.settings, project).touch()
    uid = await bench.letter(project.id)
    await bench.replay(uid)
    progress = await bench.end(project)
    assert progress.project.status is ProjectStatus.RELEASED
    assert progress.failure is None
    assert {row["step"]: row["number"] for row in await bench.rows(TASKS, project)} == {
        "greeting": 1,
        "answer": 1,
        "farewell": 1,
    }, "the same task ran again, no other"
    with pytest.raises(ConflictError, match="redriven by tester"):
        await bench.replay(uid)


async def test_a_dead_letter_whose_step_was_assigned_again_is_not_replayed(bench: Bench) -> None:
    project = await bench.begin("DoomedAgain", "recall")
    await bench.end(project)
    uid = await bench.letter(project.id)
    undoing.mend(bench.factory.settings, project).touch()
    taken_up, known = await bench.factory.begin(bench.request("DoomedAgain", "recall"))
    assert known
    assert (await bench.end(taken_up)).project.status is ProjectStatus.RELEASED
    with pytest.raises(ConflictError, match="round 2"):
        await bench.replay(uid)


def _git(bench: Bench, project: Project, *arguments: str) -> list[str]:
    path: Path = bench.factory.repositories.path(project.id)
    done = subprocess.run(["git", "-C", path, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def _supervisors(pid: int) -> list[psutil.Process]:
    """Return the supervisors below a host."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if "ray::SupervisorActor" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
