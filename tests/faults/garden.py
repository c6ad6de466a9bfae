"""One run of the engine-level load: real hosts with Ray, supervisors and actors build small projects under faults."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil

from factory.artifacts.verify import verify
from factory.domain.errors import FactoryError
from factory.domain.project import ENDED
from factory.service import BuildRequest, FactoryService
from factory.settings import Settings
from factory.storage.database import CLIENT_ERRORS, is_connection_lost
from factory.storage.embedded import EmbeddedServer
from tests.faults.agents import expected_end
from tests.faults.arena import WAITING, Verdict
from tests.faults.crew import Crew, Member
from tests.faults.evidence import Evidence
from tests.faults.invariants import ENGINE, Violation, find_violations
from tests.faults.namespace import digest_namespace
from tests.faults.nemesis import Nemesis, Step, draw_plan

HERE = Path(__file__).parent
AGENTS = ("grower", "pruner", "chronicler", "artifact-validator")
LEASE_SECONDS = 6
DECK = {
    "kill-agent": 4,
    "kill-supervisor": 2,
    "freeze-supervisor": 2,
    "kill-node": 1,
    "stop-postgres": 2,
    "kill-postmaster": 1,
    "cut-connections": 3,
    "hold-snapshot": 1,
}
_CHECKED = """
SELECT (SELECT count(*) FROM project) AS projects, (SELECT count(*) FROM event) AS events,
    (SELECT count(*) FROM artifact) AS artifacts,
    (SELECT count(*) FROM compensation WHERE state = 'done') AS "steps compensated",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'done') AS "deliveries done",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'retried') AS "attempts retried",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'abandoned') AS "attempts abandoned",
    (SELECT count(*) FROM dead_letter) AS "dead letters"
"""

_SPROUTED = "SELECT EXISTS (SELECT FROM delivery_log WHERE subscription = 'grower' AND outcome = 'done')"


@dataclass(frozen=True, slots=True)
class Plot:
    """How large a run is."""

    seconds: float
    projects: int
    pace: float = 4.0
    hosts: int = 1
    drain_seconds: float = 180.0


class GardenNemesis(Nemesis):
    """Hits the processes of Ray hosts."""

    async def _kill_agent(self, step: Step) -> bool:
        return self._signal(step, "ray::Worker", signal.SIGKILL)

    async def _kill_supervisor(self, step: Step) -> bool:
        return self._signal(step, "ray::SupervisorActor", signal.SIGKILL)

    async def _kill_node(self, step: Step) -> bool:
        """Kill -9 a host with everything below it: Ray's daemons, the supervisor, the agents."""
        return self._crew.kill(self._pick("host", step.which))

    async def _freeze_supervisor(self, step: Step) -> bool:
        """Stop a supervisor past its lease; the run's own sweep declares it dead meanwhile."""
        found = self._find(self._pick("host", step.which), "ray::SupervisorActor")
        if not found:
            return False
        found[0].send_signal(signal.SIGSTOP)

        async def thaw() -> None:
            try:
                await asyncio.sleep(LEASE_SECONDS * (1.5 + step.how))
            finally:
                with suppress(psutil.Error):
                    found[0].send_signal(signal.SIGCONT)

        self._linger(thaw())
        return True

    def _signal(self, step: Step, title: str, number: signal.Signals) -> bool:
        found = self._find(self._pick("host", step.how), title)
        if found:
            found[int(step.which * len(found))].send_signal(number)
        return bool(found)

    def _find(self, host: Member, title: str) -> list[psutil.Process]:
        found = []
        with suppress(psutil.Error):
            for process in psutil.Process(host.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if title in " ".join(process.cmdline()):
                        found.append(process)
        return found


class Garden:
    """Builds projects in a folder of its own until all have ended, while faults strike."""

    def __init__(self, folder: Path, seed: int, plot: Plot, say: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder
        self._seed = seed
        self._plot = plot
        self._say = say
        self._projects: dict[UUID, str] = {}
        self._found: list[Violation] = []
        environment = {
            "FACTORY_DATA_DIR": str(folder / "factory"),
            "FACTORY_PLUGINS": json.dumps(["tests.faults.agents"]),
            "FACTORY_BLUEPRINT_DIR": str(HERE / "blueprints"),
            "FACTORY_RETRY_POLICIES": str(HERE / "policies.yaml"),
            "FACTORY_DATABASE_OPTIONS": json.dumps({"fsync": "off"}),
            "FACTORY_LEASE": str(LEASE_SECONDS),
            "FACTORY_POLL_SECONDS": "0.5",
        }
        self._environment = environment
        self._settings = Settings(
            data_dir=folder / "factory",
            plugins=("tests.faults.agents",),
            blueprint_dir=HERE / "blueprints",
            database_options={"fsync": "off"},
        )

    async def run(self) -> Verdict:
        """Run to the end and judge. Every process that was started is gone afterwards."""
        verdict = Verdict(self._seed, draw_plan(self._seed, self._plot.seconds, self._plot.pace, DECK))
        (self._folder / "plan.json").write_text(json.dumps([step.as_dict() for step in verdict.plan], indent=1))
        async with AsyncExitStack() as stack:
            factory = await stack.enter_async_context(await FactoryService.open(self._settings))
            crew = stack.enter_context(Crew(self._folder, self._environment))
            for number in range(self._plot.hosts):
                crew.start(f"host-{number}", "factory.cli.daemon", "--attached", "--agents", *AGENTS)
            server = EmbeddedServer(self._settings.data_dir / "postgres")
            nemesis = GardenNemesis(crew, server, factory.database)
            helpers = [asyncio.create_task(work) for work in (self._tend(crew), self._sweep(factory))]
            try:
                await self._sow(factory)
                await self._sprout(factory)
                await self._fight(nemesis, verdict)
                await self._ripen(factory, verdict)
                await self._replay(factory, verdict)
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)
            for name in list(crew.members):
                await asyncio.to_thread(crew.stop, name)
            verdict.struck, verdict.missed = nemesis.struck, nemesis.missed
            await self._judge(factory, verdict)
        return verdict

    async def _sow(self, factory: FactoryService) -> None:
        """Submit the projects; one whose submission breaks is asked for again, as the command line does."""
        for number in range(self._plot.projects):
            slug = f"plant-{self._seed}-{number}"
            out = self._folder / "out" / slug
            request = BuildRequest(name=slug, slug=slug, vision=f"Grow {slug}.", blueprint="growth", out_dir=out)
            while True:
                try:
                    project, _ = await factory.begin(request)
                except Exception as error:
                    if not is_connection_lost(error):
                        raise
                else:
                    self._projects[project.id] = slug
                    break

    async def _sprout(self, factory: FactoryService) -> None:
        """Wait for the first task that is done: before the hosts are up there is nothing to hit."""
        deadline = time.monotonic() + self._plot.drain_seconds
        while time.monotonic() < deadline:
            if await factory.database.run(lambda connection: connection.fetchval(_SPROUTED)):
                break
            await asyncio.sleep(0.2)

    async def _fight(self, nemesis: Nemesis, verdict: Verdict) -> None:
        started = time.monotonic()
        try:
            for step in verdict.plan:
                await asyncio.sleep(max(0.0, started + step.at - time.monotonic()))
                await nemesis.strike(step)
                self._say(f"{time.monotonic() - started:6.1f} s {step.fault}")
            await asyncio.sleep(max(0.0, started + self._plot.seconds - time.monotonic()))
        finally:
            await nemesis.rest()

    async def _tend(self, crew: Crew) -> None:
        while True:
            crew.tend()
            await asyncio.sleep(0.1)

    async def _sweep(self, factory: FactoryService) -> None:
        """Do what another supervisor would do: take deliveries from owners that fell silent."""
        while True:
            with suppress(*CLIENT_ERRORS, FactoryError):
                await factory.bus.sweep()
            await asyncio.sleep(1.0)

    async def _ripen(self, factory: FactoryService, verdict: Verdict) -> None:
        """Wait until every project has ended and nothing is left to do."""
        started = time.monotonic()
        query = "SELECT count(*) FROM project WHERE status <> ALL ($1)"
        ended = [status.value for status in ENDED]
        while time.monotonic() - started < self._plot.drain_seconds:
            growing = await factory.database.run(lambda connection: connection.fetchval(query, ended))
            if not growing and not await factory.database.run(lambda connection: connection.fetchval(WAITING)):
                break
            await asyncio.sleep(0.3)
        verdict.drained_seconds += time.monotonic() - started

    async def _replay(self, factory: FactoryService, verdict: Verdict) -> None:
        """I13: replay a released project into a sandbox, and see whether anything else changed by a byte."""
        original = next(key for key, slug in self._projects.items() if expected_end(slug) == "released")
        before = await factory.database.run(lambda connection: digest_namespace(connection, []))
        sandbox = await factory.replay(original)
        self._projects[sandbox.id] = self._projects[original]
        await self._ripen(factory, verdict)
        after = await factory.database.run(lambda connection: digest_namespace(connection, [sandbox.id]))
        changed = [table for table in before if before[table] != after[table]]
        self._found += [Violation("I13", {"table": table, "sandbox": sandbox.id}) for table in changed]

    async def _judge(self, factory: FactoryService, verdict: Verdict) -> None:
        async with factory.database.transaction() as connection:
            verdict.violations = self._found + await find_violations(connection, Evidence(), ENGINE)
            verdict.checked = dict(await connection.fetchrow(_CHECKED) or {})
            rows = await connection.fetch("SELECT id, slug, status FROM project")
            statuses = {row["id"]: row["status"] for row in rows}
            for project, slug in self._projects.items():
                expected = expected_end(slug)
                if statuses.get(project) != expected:
                    row = {"project": slug, "status": statuses.get(project), "expected": expected}
                    verdict.violations.append(Violation("I1", row))
            if len(rows) != len(self._projects):
                verdict.violations.append(Violation("I1", {"projects": len(rows), "asked for": len(self._projects)}))
            chosen = random.Random(self._seed).sample(sorted(self._projects), min(10, len(self._projects)))  # noqa: S311
            for project in chosen:
                problems = await verify(connection, factory.store, project, factory.repositories)
                verdict.violations += [Violation("I12", {"project": project, "problem": str(p)}) for p in problems]
        # Supervisors do not record what was refused to them.
        verdict.refused = None
        verdict.counts["projects whose lineage and repository were verified"] = len(chosen)
