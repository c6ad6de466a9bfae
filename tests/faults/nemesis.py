"""The nemesis of the bus-level load: a plan of faults drawn from the seed, and the hand that does them.

The plan is a list that is written down before the run: the same seed and length give the same plan. What a fault
meets when it strikes depends on the machine, so a rerun repeats the plan and not every interleaving.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg
import psutil

from factory.domain.errors import FactoryError
from factory.events.bus import EventBus
from factory.storage.database import CLIENT_ERRORS, Database
from factory.storage.embedded import EmbeddedServer
from tests.faults import synthetic
from tests.faults.crew import Crew, Member

# How often each fault is dealt, in one deck; a plan deals deck after deck.
DECK = {
    "kill-worker": 4,
    "kill-worker-again-as-it-starts": 2,
    "kill-client": 2,
    "kill-reader": 1,
    "freeze-worker": 4,
    "usurp-name": 1,
    "stop-postgres": 1,
    "kill-postmaster": 1,
    "kill-postmaster-in-recovery": 1,
    "kill-backend": 1,
    "cut-connections": 4,
    "cut-during-commit": 3,
    "hold-snapshot": 2,
    "lock-lanes": 2,
    "use-up-connections": 1,
    "redrive": 3,
    "abandon-name": 1,
    "pause": 2,
}
COMMIT_LOCK = 4711
_PATIENCE_SECONDS = 20.0
_BACKENDS = "backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name = 'factory'"
_LOCK_LANE = "SELECT 1 FROM project_sequence WHERE project_id = $1 FOR UPDATE"
_LANES = "SELECT project_id FROM project_sequence ORDER BY project_id DESC LIMIT 400"
_OPEN_LETTERS = "SELECT uid FROM dead_letter WHERE state = 'open' ORDER BY uid LIMIT 40"


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, its time in seconds from the start, and two numbers from 0 to 1 that decide its details."""

    at: float
    fault: str
    which: float
    how: float

    def as_dict(self) -> dict[str, Any]:
        """Return the step as it is written down."""
        return asdict(self)


def draw_plan(seed: int, seconds: float, pace: float, faults: Mapping[str, int] = DECK) -> list[Step]:
    """Return the faults of a run, one about every `pace` seconds."""
    chance = random.Random(f"plan/{seed}")  # noqa: S311 - repeatable chance
    plan: list[Step] = []
    deck: list[str] = []
    at = chance.uniform(0, pace)
    while at < seconds:
        if not deck:
            deck = chance.sample(list(faults), counts=list(faults.values()), k=sum(faults.values()))
        plan.append(Step(round(at, 3), deck.pop(), round(chance.random(), 4), round(chance.random(), 4)))
        at += pace * chance.uniform(0.4, 1.6)
    return plan


class Nemesis:
    """Does the faults of a plan and counts those that struck."""

    def __init__(self, crew: Crew, server: EmbeddedServer, database: Database) -> None:
        self._crew = crew
        self._server = server
        self._database = database
        self._bus = EventBus(database, synthetic.BUS_REGISTRY)
        self._lingering: set[asyncio.Task[None]] = set()
        self._paused: set[str] = set()
        self.struck: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()

    async def strike(self, step: Step) -> None:
        """Do one fault; what lasts goes on beside the caller."""
        fault: Callable[[Step], Awaitable[bool]] = getattr(self, "_" + step.fault.replace("-", "_"))
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if await fault(step):
                    self.struck[step.fault] += 1
                else:
                    self.missed[f"{step.fault} (nothing to hit)"] += 1
        except (*CLIENT_ERRORS, FactoryError, psutil.Error, TimeoutError) as error:
            # The nemesis is a client of the same database and suffers from its own faults.
            self.missed[f"{step.fault} ({type(error).__name__})"] += 1

    async def rest(self) -> None:
        """Take back every fault that lasts."""
        for task in self._lingering:
            task.cancel()
        await asyncio.gather(*self._lingering, return_exceptions=True)
        for member in self._crew.members.values():
            self._crew.thaw(member)
        for name in list(self._paused):
            await self._resume(name)

    def _linger(self, work: Awaitable[None]) -> None:
        async def bear() -> None:
            with suppress(*CLIENT_ERRORS, FactoryError):
                await work

        task = asyncio.get_running_loop().create_task(bear())
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    def _pick(self, prefix: str, which: float) -> Member:
        members = [member for name, member in sorted(self._crew.members.items()) if name.startswith(prefix)]
        return members[int(which * len(members))]

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._database.dsn, timeout=5)

    async def _kill_worker(self, step: Step) -> bool:
        # One that comes back at once takes its predecessor's deliveries; of one that rests longer, the sweep does.
        lease = synthetic.LEASE.total_seconds()
        return self._crew.kill(self._pick("worker", step.which), rest=0.0 if step.how < 0.6 else 1.5 * lease)

    async def _kill_worker_again_as_it_starts(self, step: Step) -> bool:
        member = self._pick("worker", step.which)
        if not self._crew.kill(member):
            return False
        self._crew.tend()
        await asyncio.sleep(0.6 + step.how)
        return self._crew.kill(member)

    async def _kill_client(self, step: Step) -> bool:
        return self._crew.kill(self._pick("client", step.which))

    async def _kill_reader(self, step: Step) -> bool:
        return self._crew.kill(self._pick("reader", step.which))

    async def _freeze_worker(self, step: Step) -> bool:
        member = self._pick("worker", step.which)
        if member.frozen or not self._crew.freeze(member):
            return False
        process = member.process

        async def thaw() -> None:
            # Past its own lease, past that of its deliveries, and past the sweep that notices.
            await asyncio.sleep(synthetic.LEASE.total_seconds() * (1.4 + step.how))
            if member.process is process:
                self._crew.thaw(member)

        self._linger(thaw())
        return True

    async def _usurp_name(self, step: Step) -> bool:
        """Start a second process of a name that a living one has."""
        member = self._pick("worker", step.which)
        name = f"usurper of {member.name}"
        if name in self._crew.members:
            return False
        self._crew.start(name, *member.command[2:])

        async def dismiss() -> None:
            try:
                await asyncio.sleep(3 + 2 * step.how)
            finally:
                self._crew.dismiss(name)

        self._linger(dismiss())
        return True

    async def _abandon_name(self, step: Step) -> bool:
        """Declare a living worker dead, as an operator does who believes it to be."""
        connection = await self._connect()
        try:
            done = await connection.execute(
                "UPDATE delivery_owner SET ended_at = clock_timestamp() WHERE name = $1 AND ended_at IS NULL",
                self._pick("worker", step.which).name,
            )
        finally:
            await connection.close()
        return done != "UPDATE 0"

    async def _stop_postgres(self, _: Step) -> bool:
        """Do what `pg_ctl stop -m immediate` does: SIGQUIT to the first process."""
        return self._signal_postmaster(signal.SIGQUIT)

    async def _kill_postmaster(self, _: Step) -> bool:
        return self._signal_postmaster(signal.SIGKILL)

    async def _kill_postmaster_in_recovery(self, step: Step) -> bool:
        """Kill the server, and its successor as soon as it shows."""
        if not self._signal_postmaster(signal.SIGQUIT):
            return False
        first = self._server.postmaster_pid()
        while (pid := self._server.postmaster_pid()) is None or pid == first:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1 * step.how)
        return self._signal_postmaster(signal.SIGKILL)

    def _signal_postmaster(self, number: int) -> bool:
        pid = self._server.postmaster_pid()
        if pid is None:
            return False
        os.kill(pid, number)
        return True

    async def _kill_backend(self, step: Step) -> bool:
        """Kill -9 one process of the server, whereupon it restarts all of them."""
        connection = await self._connect()
        rows = await connection.fetch(f"SELECT pid FROM pg_stat_activity WHERE {_BACKENDS} ORDER BY pid")  # noqa: S608
        connection.terminate()
        if not rows:
            return False
        os.kill(rows[int(step.which * len(rows))]["pid"], signal.SIGKILL)
        return True

    async def _cut_connections(self, step: Step) -> bool:
        """Terminate some sessions, several times, preferring none: whatever they do at that moment is cut."""
        connection = await self._connect()
        cut = 0
        try:
            for _ in range(5):
                cut += await connection.fetchval(
                    f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {_BACKENDS}"  # noqa: S608
                    " AND random() < $1",
                    0.1 + 0.5 * step.how,
                )
                await asyncio.sleep(0.03)
        finally:
            await connection.close()
        return cut > 0

    async def _cut_during_commit(self, step: Step) -> bool:
        """Let sessions that commit effects be terminated inside their COMMIT; see the trigger of the load's tables."""
        connection = await self._connect()
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", COMMIT_LOCK)
            await asyncio.sleep(0.1 + 0.4 * step.how)
        finally:
            await connection.close()
        return True

    async def _hold_snapshot(self, step: Step) -> bool:
        """Keep a transaction open that holds back vacuum, and readers of the log by its transaction id."""

        async def hold() -> None:
            connection = await self._connect()
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    await connection.fetchval("SELECT pg_current_xact_id()::text")
                    await asyncio.sleep(3 + 4 * step.how)
            finally:
                connection.terminate()

        self._linger(hold())
        return True

    async def _lock_lanes(self, step: Step) -> bool:
        """Lock lanes against their order, so that publishers run into deadlocks."""

        async def lock() -> None:
            connection = await self._connect()
            try:
                async with connection.transaction():
                    for row in await connection.fetch(_LANES):
                        await connection.execute(_LOCK_LANE, row["project_id"])
                    await asyncio.sleep(0.5 * step.how)
            finally:
                connection.terminate()

        self._linger(lock())
        return True

    async def _use_up_connections(self, _: Step) -> bool:
        """Open connections until the server refuses, and cut those of the crew so that they must come back."""
        async with AsyncExitStack() as stack:
            refused = False
            while not refused:
                try:
                    connection = await self._connect()
                except asyncpg.TooManyConnectionsError:
                    refused = True
                else:
                    stack.callback(connection.terminate)
            await asyncio.sleep(0.5)
        return True

    async def _redrive(self, step: Step) -> bool:
        """Redrive some dead letters and discard others, as an operator does."""
        async with self._database.transaction() as connection:
            uids = [row["uid"] for row in await connection.fetch(_OPEN_LETTERS)]
        for number, uid in enumerate(uids[: 1 + int(step.which * len(uids))]):
            async with self._database.transaction() as connection:
                if number % 4 == 3:
                    await self._bus.discard(connection, uid, by="nemesis", reason="not worth it")
                else:
                    await self._bus.redrive(connection, uid, by="nemesis", reason="try again")
        return bool(uids)

    async def _pause(self, step: Step) -> bool:
        """Pause a subscription for a while."""
        name = synthetic.SUBSCRIPTIONS[int(step.which * len(synthetic.SUBSCRIPTIONS))].name
        if name in self._paused:
            return False
        self._paused.add(name)
        await self._database.run(lambda connection: self._bus.pause(connection, name, by="nemesis", reason="a fault"))

        async def resume() -> None:
            await asyncio.sleep(1 + 2 * step.how)
            await self._resume(name)

        self._linger(resume())
        return True

    async def _resume(self, name: str) -> None:
        await self._database.run(lambda connection: self._bus.resume(connection, name))
        self._paused.discard(name)
