"""One run of the bus-level load: a crew works, the nemesis strikes, what is left behind is judged."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from factory.domain.errors import FactoryError
from factory.events.bus import EventBus
from factory.settings import Settings
from factory.storage.database import CLIENT_ERRORS, Connection, Database
from factory.storage.embedded import EmbeddedServer
from tests.faults import evidence, synthetic
from tests.faults.crew import Crew
from tests.faults.invariants import Violation, find_violations
from tests.faults.nemesis import COMMIT_LOCK, Nemesis, Step, draw_plan
from tests.faults.records import Record
from tests.faults.worker import CAPS

_TICK_SECONDS = 0.05
_SAMPLE_SECONDS = 0.5
_LEAST_CONNECTIONS = 40

# Doubles would show: nothing but the bus keeps an effect from happening twice. Every 16th row looks whether the
# nemesis wants its session terminated inside COMMIT, which is when deferred triggers run.
TABLES = f"""
CREATE TABLE effect (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subscription text NOT NULL, event_id uuid NOT NULL,
    project_id uuid, uid bigint NOT NULL, fence bigint NOT NULL, owner uuid NOT NULL, sequence bigint, worker text
);
CREATE FUNCTION end_in_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = {COMMIT_LOCK} AND granted) THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER end_in_commit AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.number % 16 = 0) EXECUTE FUNCTION end_in_commit();
"""
_SAMPLE = """
SELECT d.owner, d.subscription, count(*) AS held FROM delivery d WHERE owner IS NOT NULL GROUP BY 1, 2
"""
WAITING = "SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM delivery_delayed)"
_REDRIVES = 3
_BLOCKING = """
SELECT b.uid, (SELECT count(*) FROM delivery_log l WHERE l.uid = b.uid AND l.outcome = 'redriven') AS before
FROM lane_block b ORDER BY b.uid
"""
_CHECKED = """
SELECT (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM effect) AS effects,
    (SELECT count(DISTINCT project_id) FROM event) AS projects,
    (SELECT count(*) FROM delivery_log WHERE outcome = 'done') AS "deliveries done",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'retried') AS "attempts retried",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'timed-out') AS "attempts timed out",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'abandoned') AS "attempts abandoned",
    (SELECT count(*) FROM delivery_log WHERE outcome = 'redriven') AS "dead letters redriven",
    (SELECT count(*) FROM dead_letter) AS "dead letters"
"""
_CATEGORIES = "SELECT category, count(*) FROM dead_letter GROUP BY category ORDER BY category"


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a run is."""

    seconds: float
    projects: int = 2000
    workers: int = 4
    clients: int = 2
    pace: float = 0.8
    drain_seconds: float = 60.0
    durable: bool = True


@dataclass
class Verdict:
    """What a run showed."""

    seed: int
    plan: list[Step]
    struck: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    checked: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    # None where the load cannot tell.
    refused: int | None = 0
    drained_seconds: float = 0.0

    @property
    def emptiness(self) -> list[str]:
        """Return why the run proves nothing, where that is so."""
        reasons = {
            "no event was published": self.checked.get("events", 0) == 0,
            "no delivery was done": self.checked.get("deliveries done", 0) == 0,
            "no stale result was refused": self.refused == 0,
            "no fault struck": not self.struck,
        }
        return [reason for reason, holds in reasons.items() if holds]

    @property
    def ok(self) -> bool:
        """Whether every invariant held in a run that could have broken them."""
        return not self.violations and not self.emptiness

    def lines(self) -> list[str]:
        """Return the verdict for people."""
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.struck.items()))
        checked = ", ".join(f"{name} {count}" for name, count in self.checked.items())
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        missed = ", ".join(f"{name} {count}" for name, count in sorted(self.missed.items()))
        found = [f"faults: {faults}", f"faults that missed: {missed}", f"checked: {checked}", f"seen: {counts}"]
        found.append(f"stale results refused: {self.refused}; drained in {self.drained_seconds:.1f} s")
        found += [f"worker error, {count} times: {error}" for error, count in self.errors.items()]
        found += [f"VIOLATION of {item.invariant}: {dict(item.row)}" for item in self.violations]
        found += [f"PROVES NOTHING: {reason}" for reason in self.emptiness]
        found.append(f"{'ok' if self.ok else 'BROKEN'}, seed {self.seed}")
        return found


class Arena:
    """Runs the bus-level load in a folder of its own, with an embedded PostgreSQL of its own."""

    def __init__(self, folder: Path, seed: int, scale: Scale, say: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder
        self._seed = seed
        self._scale = scale
        self._say = say
        options = {"max_connections": str(_LEAST_CONNECTIONS + 10 * scale.workers)}
        if not scale.durable:
            options |= {"fsync": "off"}
        self._environment = {
            "FACTORY_DATA_DIR": str(folder / "factory"),
            "FACTORY_DATABASE_OPTIONS": json.dumps(options),
            "FACTORY_DATABASE_POOL_SIZE": "6",
        }
        self._settings = Settings(data_dir=folder / "factory", database_options=options, database_pool_size=6)

    async def run(self) -> Verdict:
        """Run to the end and judge. Every process that was started is gone afterwards."""
        verdict = Verdict(self._seed, draw_plan(self._seed, self._scale.seconds, self._scale.pace))
        (self._folder / "plan.json").write_text(json.dumps([step.as_dict() for step in verdict.plan], indent=1))
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(await Database.open(self._settings))
            await EventBus(database, synthetic.BUS_REGISTRY).declare(synthetic.SUBSCRIPTIONS)
            await database.run(lambda connection: connection.execute(TABLES))
            crew = stack.enter_context(Crew(self._folder, self._environment))
            self._muster(crew)
            server = EmbeddedServer(self._settings.data_dir / "postgres")
            nemesis = Nemesis(crew, server, database)
            await self._fight(crew, nemesis, database, verdict)
            verdict.struck = nemesis.struck
            verdict.missed = nemesis.missed
            await self._drain(crew, database, verdict)
            await self._judge(database, verdict)
        return verdict

    def _muster(self, crew: Crew) -> None:
        folder, seed = str(self._folder), str(self._seed)
        for number in range(self._scale.workers):
            deaf = ["--deaf"] if number % 3 == 2 else []
            crew.start(f"worker-{number}", "tests.faults.worker", folder, f"worker-{number}", seed, *deaf)
        per_client = str(max(1, self._scale.projects // self._scale.clients))
        for number in range(self._scale.clients):
            crew.start(f"client-{number}", "tests.faults.client", folder, f"client-{number}", seed, per_client)
        crew.start("reader-0", "tests.faults.reader", folder, "reader-0")

    async def _fight(self, crew: Crew, nemesis: Nemesis, database: Database, verdict: Verdict) -> None:
        started = time.monotonic()
        tending = asyncio.create_task(self._tend(crew))
        sampling = asyncio.create_task(self._sample(database))
        try:
            for step in verdict.plan:
                await asyncio.sleep(max(0.0, started + step.at - time.monotonic()))
                if time.monotonic() - started > 1.5 * self._scale.seconds + 10:
                    break
                await nemesis.strike(step)
                self._say(f"{time.monotonic() - started:6.1f} s {step.fault}")
            await asyncio.sleep(max(0.0, started + self._scale.seconds - time.monotonic()))
        finally:
            await nemesis.rest()
            for task in (tending, sampling):
                task.cancel()
            await asyncio.gather(tending, sampling, return_exceptions=True)

    async def _tend(self, crew: Crew) -> None:
        while True:
            crew.tend()
            await asyncio.sleep(_TICK_SECONDS)

    async def _sample(self, database: Database) -> None:
        """Write down owners that hold more than they may."""
        with Record(self._folder / "samples") as record:
            while True:
                with suppress(*CLIENT_ERRORS, FactoryError):
                    async with database.transaction() as connection:
                        for row in await connection.fetch(_SAMPLE):
                            if row["held"] > CAPS[row["subscription"]]:
                                record.write(**dict(row), cap=CAPS[row["subscription"]])
                await asyncio.sleep(_SAMPLE_SECONDS)

    async def _drain(self, crew: Crew, database: Database, verdict: Verdict) -> None:
        """Let the clients end, then wait until nothing is left to do, then let everyone end in good order."""
        for name in [name for name in crew.members if name.startswith("client")]:
            await asyncio.to_thread(crew.stop, name)
        started = time.monotonic()
        while time.monotonic() - started < self._scale.drain_seconds:
            crew.tend()
            opened = await self._open_lanes(database)
            if not opened and not await database.run(lambda connection: connection.fetchval(WAITING)):
                break
            await asyncio.sleep(2 * _TICK_SECONDS)
        verdict.drained_seconds = time.monotonic() - started
        for name in list(crew.members):
            await asyncio.to_thread(crew.stop, name)

    async def _open_lanes(self, database: Database) -> int:
        """Redrive what blocks lanes, as a person must; what dies of it again is discarded."""
        bus = EventBus(database, synthetic.BUS_REGISTRY)

        async def decide(connection: Connection) -> int:
            blocking = await connection.fetch(_BLOCKING)
            for row in blocking:
                if row["before"] < _REDRIVES:
                    await bus.redrive(connection, row["uid"], by="the run", reason="its lane waits")
                else:
                    await bus.discard(connection, row["uid"], by="the run", reason="its lane waits")
            return len(blocking)

        return await database.run(decide)

    async def _judge(self, database: Database, verdict: Verdict) -> None:
        found = evidence.gather(self._folder)
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = 0")
            verdict.violations = await find_violations(connection, found)
            verdict.checked = dict(await connection.fetchrow(_CHECKED) or {})
            for row in await connection.fetch(_CATEGORIES):
                verdict.counts[f"dead letters of category {row['category']}"] = row["count"]
        verdict.counts += found.counts
        verdict.checked["claims"] = len(found.claims)
        verdict.checked["publications"] = len(found.publications)
        verdict.errors = found.errors
        verdict.refused = len(found.refused)
