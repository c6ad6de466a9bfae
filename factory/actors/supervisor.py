"""The supervisor: claims deliveries, hands them to pools, commits what comes back.

It keeps nothing that matters in memory: killed at any moment, its successor of the same name takes over its
deliveries at once and continues.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import structlog

from factory.actors.context import Job, prepare
from factory.actors.control_loop import ControlPlane
from factory.actors.demand import Demand
from factory.actors.holdings import Holdings
from factory.actors.permission import Permissions
from factory.actors.pool import Pool, PoolSize, Seat, WorkerLostError
from factory.actors.recall import Recall
from factory.actors.roster import load_roster
from factory.actors.settlement import Result, Settler
from factory.actors.subscriptions import CONTROL, PROLONG_SECONDS, agent_of, agent_subscriptions, topics_of
from factory.actors.upkeep import Upkeep
from factory.actors.utility.knowledge_base_manager import KnowledgeBaseManager
from factory.actors.utility.notification_dispatcher import NotificationDispatcher
from factory.actors.utility.observability_coordinator import ObservabilityCoordinator
from factory.actors.utility.semantic_embedder import SemanticEmbedder
from factory.artifacts.blobs import BlobStore
from factory.artifacts.repository import RepositoryStore
from factory.control import recovery, tasks
from factory.control.governance import Committer
from factory.control.orchestrator import Orchestrator
from factory.control.recovery import Recovery
from factory.domain.task import TASK_ASSIGNED, Outcome, TaskError
from factory.events.bus import EventBus
from factory.events.delivery import Delivery, Owner
from factory.garbage import collect_rarely
from factory.memory.sharing import Sharing
from factory.observability import figures
from factory.observability.logs import configure_logging
from factory.observability.metrics import Metrics, start_metrics
from factory.observability.traces import Tracing, start_tracing
from factory.recovery.classification import classify
from factory.recovery.escalation import EscalationPolicies
from factory.recovery.policy import Policies
from factory.settings import Settings
from factory.storage.database import Database, is_connection_lost, is_passing

_log = structlog.stdlib.get_logger(__name__)
_CONTROL_CAPACITY = 32
_CONTROL_NAMES = frozenset(item.name for item in CONTROL)
_REPORT_SECONDS = 1.0
_RECONNECT_SECONDS = 0.5
_CONTENTION_SECONDS = 0.02


class Supervisor:
    """Runs pools and the control plane over one connection pool. Hosted by a Ray actor or by any event loop.

    Args:
        settings: Of the factory.
        name: The same for every incarnation that replaces another; no two live ones may share it.
        agents: Names of the agents whose pools it runs; None for all.
    """

    def __init__(self, settings: Settings, name: str, agents: Sequence[str] | None = None) -> None:
        self._settings = settings
        self._name = name
        roster = load_roster(tuple(settings.plugins))
        policies = EscalationPolicies.load(settings.escalation_policies)
        # Whatever is built here, what fails is decided on, and handed over, here; and what succeeds is remembered.
        others = (SemanticEmbedder, KnowledgeBaseManager, NotificationDispatcher, ObservabilityCoordinator)
        always = (*recovery.AGENTS, *policies.agents, *(agent.spec.name for agent in others))
        chosen = list(roster) if agents is None else [roster.find(agent) for agent in dict.fromkeys((*agents, *always))]
        chosen = [agent for agent in chosen if agent.is_available(settings)]
        self._subscriptions = (*CONTROL, *agent_subscriptions(chosen))
        self._topics = topics_of(roster)
        self._pools = {agent.spec.name: Pool(agent.spec, settings) for agent in chosen}
        self._demand = Demand((item.name for item in self._subscriptions), settings.poll_seconds)
        self._running: set[asyncio.Future[None]] = set()
        self._finished: asyncio.Queue[Result] = asyncio.Queue()
        self._drain_asked = asyncio.Event()
        self._sharing = Sharing.load(settings.memory_sharing)
        self._recall: Recall | None = None
        self._control_busy: set[str] = set()

    async def run(self) -> None:
        """Work until cancelled or drained; connection losses are waited out."""
        configure_logging(self._settings, service="supervisor")
        self._tracing: Tracing = start_tracing(self._settings, service="supervisor")
        self._metrics: Metrics = start_metrics(self._settings, service="supervisor")
        self._database = await Database.open(self._settings)
        try:
            await self._set_up()
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self._forever(self._claim_and_dispatch)),
                    group.create_task(self._forever(self._settle_finished)),
                    group.create_task(self._forever(self._renew)),
                    group.create_task(self._forever(self._prolong)),
                    group.create_task(self._forever(self._report)),
                    *(group.create_task(self._forever(step)) for step in self._upkeep.steps),
                    group.create_task(self._listen()),
                ]
                await self._drained(loops)
        finally:
            await self._shut_down()

    async def warm(self, agents: Sequence[str]) -> None:
        """Start one actor of each of these pools ahead of need, one after another, so that the first is up soonest."""
        for agent in agents:
            if agent in self._pools:
                await self._pools[agent].warm()

    def sizes(self) -> list[PoolSize]:
        """Return what the pools look like now."""
        return [pool.size for pool in self._pools.values()]

    def drain(self) -> None:
        """Stop claiming; `run` returns once the work under way is committed."""
        self._drain_asked.set()
        self._demand.ring()

    async def _set_up(self) -> None:
        settings = self._settings
        store = BlobStore(settings.blob_url)
        repositories = RepositoryStore(settings.repositories_dir)
        self._bus = EventBus(self._database)
        self._holdings = Holdings(self._bus)
        self._upkeep = Upkeep(self._database, self._bus, settings, self._demand.ring)
        policies = Policies.load(settings.retry_policies)
        self._settler = Settler(self._database, self._bus, policies, Permissions.load(settings.policy_dir))
        orchestrator = Orchestrator(self._bus, store, repositories, self._topics, settings.blueprint_dir)
        committer = Committer(self._database, store, repositories)
        recoverer = Recovery(self._bus, orchestrator, store, settings.blueprint_dir)
        self._control = ControlPlane(
            self._database,
            self._bus,
            orchestrator=orchestrator,
            committer=committer,
            recovery=recoverer,
            policies=policies,
            tracing=self._tracing,
        )
        self._recall = Recall.on_cluster(self._database, store, settings, self._sharing)
        self._recall.begin()
        self._owner: Owner = await self._bus.register(self._name, lease=settings.lease)
        collect_rarely()

    async def _shut_down(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for pool in self._pools.values():
            pool.close()
        if self._recall is not None:
            await self._recall.close()
        with contextlib.suppress(Exception):
            await self._bus.retire(self._owner)
        self._tracing.close()
        self._metrics.close()
        await self._database.close()

    async def _drained(self, loops: Sequence[asyncio.Task[None]]) -> None:
        await self._drain_asked.wait()
        while self._running:
            await asyncio.wait(self._running)
        await self._finished.join()
        for loop in loops:
            loop.cancel()

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step; where the database is away, wait and go on."""
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - a supervisor outlives whatever one step runs into
                if not is_connection_lost(error):
                    _log.exception("supervisor_step_failed", step=step.__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        async with self._bus.doorbell(self._demand.ring):
            await asyncio.Event().wait()

    async def _claim_and_dispatch(self) -> None:
        wanted = self._demand.take({} if self._drain_asked.is_set() else self._room())
        if wanted:
            await self._claim(wanted)
        for pool in self._pools.values():
            pool.retire_idle()
        await self._demand.wait()

    async def _claim(self, capacity: Mapping[str, int]) -> None:
        """Take and hand out what waits, up to a number for each subscription."""
        try:
            deliveries = await self._bus.claim(capacity, self._owner)
        except BaseException:
            self._demand.ring(capacity)
            raise
        self._holdings.take(deliveries)
        by_subscription: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            by_subscription.setdefault(delivery.subscription, []).append(delivery)
        for name, group in by_subscription.items():
            self._dispatch(name, group)
        # There may be more of what filled all the room there was.
        self._demand.ring([name for name, group in by_subscription.items() if len(group) == capacity[name]])

    def _room(self) -> dict[str, int]:
        """Return how many deliveries of each subscription could be worked on now, without those of which none could."""
        by_agent = {name: pool.room for name, pool in self._pools.items()}
        room: dict[str, int] = {}
        for subscription in self._subscriptions:
            name = subscription.name
            if name in _CONTROL_NAMES:
                room[name] = 0 if name in self._control_busy else _CONTROL_CAPACITY
            else:
                room[name] = by_agent[agent_of(name)]
        return {name: number for name, number in room.items() if number}

    def _dispatch(self, name: str, group: Sequence[Delivery]) -> None:
        if name in _CONTROL_NAMES:
            self._control_busy.add(name)
            self._spawn(self._run_control(name, group))
            return
        pool = self._pools[agent_of(name)]
        rest = group
        while rest:
            seat = pool.reserve(len(rest))
            batch = rest[: seat.size]
            self._spawn(self._or_give_up(batch, pool.spec.name, self._run_batch(pool, seat, batch)))
            rest = rest[seat.size :]

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[None]") -> None:
        self._running.discard(task)
        self._demand.nudge()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("supervisor_work_failed", exc_info=error)

    async def _run_control(self, name: str, deliveries: Sequence[Delivery]) -> None:
        try:
            await self._or_give_up(deliveries, name, self._persistently(lambda: self._control.handle(deliveries)))
        finally:
            self._holdings.let_go(deliveries)
            self._control_busy.discard(name)
            # What was handled may have been the head of a lane.
            self._demand.ring([name])

    async def _or_give_up(self, deliveries: Sequence[Delivery], agent: str, work: Awaitable[None]) -> None:
        """Do work on deliveries; where it breaks, settle them by the recovery rules instead of keeping them."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever broke, the deliveries must not stay with nobody
            _log.exception("supervisor_work_failed", agent=agent)
            self._holdings.let_go(deliveries)
            reason = classify(error)
            for delivery in deliveries:
                await self._persistently(partial(self._settler.give_up, delivery, agent, reason))

    async def _run_batch(self, pool: Pool, seat: Seat, deliveries: Sequence[Delivery]) -> None:
        jobs: list[Job] = []
        try:
            jobs = await self._prepare(pool, deliveries)
        finally:
            if not jobs:
                pool.release(seat)
        if not jobs:
            return
        started = time.time_ns()
        worker = seat.member.name
        try:
            outcomes = await pool.run(seat, [job.task for job in jobs], max(job.timeout_seconds for job in jobs))
        except WorkerLostError as error:
            _log.warning("worker_lost", agent=pool.spec.name, category=error.category, reason=error.message)
            lost = TaskError(
                message=error.message,
                category=error.category,
                retryable=error.retryable,
                error_type=type(error).__name__,
            )
            outcomes = [Outcome(task_id=job.task.id, agent=pool.spec.name, error=lost) for job in jobs]
        ended = time.time_ns()
        for job, outcome in zip(jobs, outcomes, strict=True):
            self._tracing.record_task(job.task, outcome, started_ns=started, ended_ns=ended)
            self._metrics.attempt(job.task, outcome, (ended - started) / 1e9)
        settled = [Result(job, outcome, worker) for job, outcome in zip(jobs, outcomes, strict=True)]
        for result in settled:
            self._finished.put_nowait(result)

    async def _prepare(self, pool: Pool, deliveries: Sequence[Delivery]) -> list[Job]:
        jobs: list[Job] = []

        # What is written at the start of a task may be lost: it is for people.
        writes = any(delivery.event.event_type == TASK_ASSIGNED for delivery in deliveries)
        begin = self._database.transaction if writes else self._database.session

        async def look_up() -> None:
            jobs.clear()
            async with begin(hot=True) as connection:
                found, unready = await prepare(
                    connection, deliveries, self._settings.blueprint_dir, pool.spec.facts, self._tracing.keeps
                )
                assigned = [(job.task.id, job.task.attempt) for job in found if job.task.event_type == TASK_ASSIGNED]
                await tasks.start_tasks(connection, assigned)
            jobs.extend(found)
            for item in unready:
                await self._settler.give_up(item.delivery, agent_of(item.delivery.subscription), item.error)
            self._holdings.let_go(item.delivery for item in unready)

        await self._persistently(look_up)
        return await self._recall.add(jobs, pool.spec) if self._recall else jobs

    async def _settle_finished(self) -> None:
        group = [await self._finished.get()]
        while not self._finished.empty() and len(group) < self._settings.commit_group:
            group.append(self._finished.get_nowait())
        deliveries = [result.job.delivery for result in group]
        started = time.time_ns()
        try:
            await self._or_give_up(deliveries, self._name, self._persistently(lambda: self._settler.settle(group)))
            self._measure(group, started, time.time_ns())
        finally:
            self._holdings.let_go(deliveries)
            for _ in group:
                self._finished.task_done()
            if any(result.outcome.error for result in group):
                # What is tried again at once rings no bell.
                self._demand.ring()

    def _measure(self, group: Sequence[Result], started: int, ended: int) -> None:
        self._metrics.put(figures.COMMIT_DURATION, (ended - started) / 1e9)
        for result in group:
            delivery = result.job.delivery
            self._tracing.record_settlement(result.job.task, batch=len(group), started_ns=started, ended_ns=ended)
            seconds = ended / 1e9 - delivery.event.timestamp.timestamp()
            # Clocks of two machines differ.
            self._metrics.put(figures.EVENTS_HANDLED, 1, delivery.subscription)
            self._metrics.put(figures.EVENT_DURATION, max(seconds, 0), delivery.subscription)

    async def _report(self) -> None:
        for size in self.sizes():
            self._metrics.put(figures.POOL_ACTORS, size.size, size.agent)
            self._metrics.put(figures.POOL_BUSY, size.busy, size.agent)
        self._metrics.flush()
        await asyncio.sleep(_REPORT_SECONDS)

    async def _persistently(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step that is safe to repeat, again and again until the database lets it happen."""
        while True:
            try:
                await step()
            except Exception as error:
                if not is_passing(error):
                    raise
                await asyncio.sleep(_RECONNECT_SECONDS if is_connection_lost(error) else _CONTENTION_SECONDS)
            else:
                return

    async def _renew(self) -> None:
        await asyncio.sleep(self._settings.lease.total_seconds() / 3)
        if not await self._bus.renew(self._owner, lease=self._settings.lease):
            # Silent past the lease (a frozen process, a long outage): others hold our deliveries now, and the
            # fences refuse what we still commit for them.
            _log.warning("lease_lost", owner=self._name)
            self._owner = await self._bus.register(self._name, lease=self._settings.lease)

    async def _prolong(self) -> None:
        await asyncio.sleep(PROLONG_SECONDS)
        await self._holdings.prolong()


class SupervisorActor:
    """The Ray actor that hosts a supervisor. Ray restarts it when it dies, and it goes on where it was.

    Where the supervisor ends by an error, the process ends with it: an actor without its supervisor would look alive.
    """

    def __init__(self, settings: Settings, name: str, agents: Sequence[str] | None = None) -> None:
        self._supervisor = Supervisor(settings, name, agents)
        self._work = asyncio.get_running_loop().create_task(self._supervisor.run())
        self._work.add_done_callback(_end_process_on_error)

    async def warm(self, agents: Sequence[str]) -> None:
        """Start one actor of each of these pools ahead of need."""
        await self._supervisor.warm(agents)

    async def sizes(self) -> list[PoolSize]:
        """Return what the pools look like now."""
        return self._supervisor.sizes()

    async def drain(self, patience: timedelta) -> None:
        """Finish the work under way and stop, within the given patience."""
        self._supervisor.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._work), patience.total_seconds())
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)


def _end_process_on_error(work: "asyncio.Task[None]") -> None:
    if work.cancelled() or (error := work.exception()) is None:
        return
    _log.error("supervisor_ended", exc_info=error)
    os._exit(1)
