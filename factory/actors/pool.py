"""A pool: the actors of one agent, as many as its backlog asks for."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from factory.actors.agent import AgentSpec
from factory.actors.wire import pack_tasks, unpack_outcomes
from factory.actors.worker import Worker
from factory.domain.errors import ErrorCategory, FactoryError
from factory.domain.task import Outcome, Task
from factory.settings import Settings

# Made once: Ray sends a class that it has not seen to the head, and the sender stands still for as long as there is
# none.
_WORKER: Any = ray.remote(Worker)


class WorkerLostError(FactoryError):
    """The actor died, or did not answer in time and was ended; its tasks may run elsewhere."""

    def __init__(self, message: str, category: ErrorCategory) -> None:
        super().__init__(message)
        self.category = category

    @property
    def retryable(self) -> bool:
        """Whether another actor may do better; not where the agent's own code is at fault."""
        return self.category is not ErrorCategory.DEFECT


@dataclass(eq=False)
class Member:
    """One actor of a pool, and how many tasks it holds."""

    handle: Any
    name: str
    load: int = 0
    idle_since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one batch: its actor, and the number of tasks that are reckoned with."""

    member: Member
    size: int


@dataclass(frozen=True, slots=True)
class PoolSize:
    """What a pool looks like now."""

    agent: str
    size: int
    busy: int


class Pool:
    """Starts, feeds, replaces and retires the actors of one agent.

    All methods must be called from one event loop. A batch holds up to `spec.batch` tasks, which the agent runs
    concurrently. An actor takes one batch at a time, unless the agent's `concurrency` says how many tasks it may hold.
    """

    def __init__(self, spec: AgentSpec, settings: Settings) -> None:
        self.spec = spec
        self._settings = settings
        self._members: list[Member] = []
        self._started = 0

    @property
    def size(self) -> PoolSize:
        """Number of actors, and how many of them work."""
        return PoolSize(self.spec.name, len(self._members), sum(member.load > 0 for member in self._members))

    @property
    def room(self) -> int:
        """How many tasks could start now, in the actors there are and in those the pool may still grow by."""
        growth = self._limit - len(self._members)
        return sum(self._room_of(member) for member in self._members) + max(growth, 0) * self._most

    def reserve(self, wanted: int) -> Seat:
        """Keep a place for a batch of up to so many tasks, on a new actor where those that live have no room.

        In a full pool without room the batch waits with the actor that has the least to do.
        """
        member = max(self._members, key=self._room_of, default=None)
        if member is None or not self._room_of(member):
            full = len(self._members) >= self._limit
            member = min(self._members, key=lambda other: other.load) if member and full else self._start()
        size = min(wanted, self.spec.batch, self._room_of(member) or self.spec.batch)
        member.load += size
        return Seat(member, size)

    def release(self, seat: Seat) -> None:
        """Give a place back."""
        seat.member.load -= seat.size
        seat.member.idle_since = time.monotonic()

    async def warm(self) -> None:
        """Start a first actor ahead of need and return when it is up; does nothing where there is one."""
        if not self._members:
            member = self._start()
            with contextlib.suppress(RayActorError):
                await member.handle.ready.remote()

    async def run(self, seat: Seat, tasks: Sequence[Task], timeout_seconds: float) -> list[Outcome]:
        """Run a batch in its place and return the outcomes, one per task. The place is given back.

        Raises:
            WorkerLostError: The actor died (category worker-lost) or took longer than the timeout, in which
                case it was killed (category timeout). Nothing of the batch was committed.
        """
        member = seat.member
        try:
            async with asyncio.timeout(timeout_seconds):
                packed: bytes = await member.handle.run.remote(pack_tasks(tasks))
        except (TimeoutError, GetTimeoutError):
            self._discard(member)
            raise WorkerLostError(
                f"{member.name} gave no answer within {timeout_seconds:g} s and was ended.", ErrorCategory.TIMEOUT
            ) from None
        except RayActorError as error:
            self._discard(member)
            if error.actor_init_failed:
                raise WorkerLostError(
                    f"{member.name} cannot start: {_last_line(error)}", ErrorCategory.DEFECT
                ) from error
            raise WorkerLostError(f"{member.name} died while it worked.", ErrorCategory.WORKER_LOST) from error
        except RayTaskError as error:
            self._discard(member)
            reason = f"{member.name} failed outside any task: {_last_line(error)}"
            raise WorkerLostError(reason, ErrorCategory.DEFECT) from error
        except asyncio.CancelledError:
            self._discard(member)
            raise
        finally:
            self.release(seat)
        return unpack_outcomes(packed)

    def retire_idle(self) -> None:
        """End actors that have been idle for longer than the setting, down to the pool's minimum.

        A live actor keeps its node, idle or not (Ray's autoscaler counts placements), so idle ones must end.
        """
        now = time.monotonic()
        for member in list(self._members):
            if len(self._members) <= self.spec.min_size:
                return
            if not member.load and now - member.idle_since > self._settings.pool_idle_seconds:
                self._discard(member)

    def close(self) -> None:
        """End every actor."""
        for member in list(self._members):
            self._discard(member)

    @property
    def _limit(self) -> int:
        return min(self.spec.max_size, self._settings.pool_max_size)

    @property
    def _most(self) -> int:
        return self.spec.concurrency or self.spec.batch

    def _room_of(self, member: Member) -> int:
        if self.spec.concurrency is None:
            return 0 if member.load else self.spec.batch
        return max(self.spec.concurrency - member.load, 0)

    def _start(self) -> Member:
        self._started += 1
        handle: Any = _WORKER.options(
            num_cpus=0, resources={self.spec.subcluster: 1}, max_restarts=0, max_task_retries=0
        ).remote(self.spec.name, self._settings)
        member = Member(handle=handle, name=f"{self.spec.name}-{self._started}")
        self._members.append(member)
        return member

    def _discard(self, member: Member) -> None:
        if member in self._members:
            self._members.remove(member)
        # Waits for the head's answer, for as long as there is no head.
        asyncio.get_running_loop().run_in_executor(None, partial(ray.kill, member.handle, no_restart=True))


def _last_line(error: Exception) -> str:
    """Return what an exception of another process says in the end, without its stack."""
    return str(error).strip().rsplit("\n", 1)[-1].strip()
