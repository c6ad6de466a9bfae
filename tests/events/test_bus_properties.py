"""A random history of the bus on real PostgreSQL, held against a model and the invariants."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.delivery import Delivery, Owner
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.settings import Settings
from factory.storage.database import Database

T = TypeVar("T")
PROJECTS = [UUID(int=n) for n in range(1, 4)]
NAMES = ("plain", "lane")
TABLES = (
    "event, event_key, delivery, delivery_delayed, delivery_log, dead_letter, delivery_owner, subscription, "
    "project_sequence"
)


@dataclass
class Held:
    """An attempt in somebody's hands, and whether it still should be."""

    delivery: Delivery
    current: bool = True


@dataclass
class Model:
    """What must be true, by (subscription, event)."""

    published: list[Envelope] = field(default_factory=list)
    ended: dict[tuple[str, UUID], str] = field(default_factory=dict)
    served_in_lane: dict[UUID, list[UUID]] = field(default_factory=dict)


def machine(  # noqa: C901 - Hypothesis wants the rules in one class that takes no arguments
    url: str, folder: Path, new_event: Callable[..., Envelope], check: Callable[[Database], Awaitable[None]]
) -> type[RuleBasedStateMachine]:
    class BusMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.loop = asyncio.new_event_loop()
            self.database = self.wait(Database.open(Settings(data_dir=folder, database_url=url)))
            self.wait(self.database.run(lambda connection: connection.execute(f"TRUNCATE {TABLES}")))
            self.bus = EventBus(self.database)
            lane = Subscription(name="lane", event_types=("ProjectFailed",), ordered=True)
            plain = Subscription(name="plain", event_types=("ProjectFailed",))
            self.wait(self.bus.declare([plain, lane]))
            self.model = Model()
            self.held: list[Held] = []
            self.owners: list[Owner] = [self.wait(self.bus.register(name)) for name in ("one", "two")]

        def wait(self, work: Awaitable[T]) -> T:
            return self.loop.run_until_complete(work)

        def teardown(self) -> None:
            self.wait(self.drain())
            self.wait(check(self.database))
            expected = [(name, event.event_id) for event in self.model.published for name in NAMES]
            assert sorted(self.model.ended) == sorted(expected)
            self.wait(self.database.close())
            self.loop.close()

        @rule(project=st.sampled_from(PROJECTS), count=st.integers(1, 5), again=st.booleans())
        def publish(self, project: UUID, count: int, again: bool) -> None:  # noqa: FBT001 - a drawn value
            fresh = [new_event(project) for _ in range(count)]
            repeated = self.model.published[-2:] if again else []

            async def work() -> int:
                async with self.database.transaction() as connection:
                    return await self.bus.publish(connection, [*repeated, *fresh])

            assert self.wait(work()) == len(fresh)
            self.model.published += fresh

        @rule(owner=st.integers(0, 1), plain=st.integers(0, 4), lane=st.integers(0, 4))
        def claim(self, owner: int, plain: int, lane: int) -> None:
            taken = self.wait(self.bus.claim({"plain": plain, "lane": lane}, self.owners[owner]))
            held_now = {(h.delivery.subscription, h.delivery.event.event_id) for h in self.held if h.current}
            for delivery in taken:
                key = (delivery.subscription, delivery.event.event_id)
                assert key not in held_now
                assert key not in self.model.ended
                older = [h for h in self.held if h.delivery.uid == delivery.uid]
                assert all(h.delivery.fence < delivery.fence for h in older)
                self.held.append(Held(delivery))
            busy = [h.delivery.event.project_id for h in self.held if h.current and h.delivery.subscription == "lane"]
            assert len(busy) == len(set(busy))

        @precondition(lambda self: self.held)
        @rule(data=st.data(), ending=st.sampled_from(["finish", "retry", "delay", "dead_letter", "release"]))
        def end(self, data: st.DataObject, ending: str) -> None:
            held = data.draw(st.sampled_from(self.held))
            assert self.wait(self.settle(held, ending)) == held.current
            if held.current and ending in {"finish", "dead_letter"}:
                self.record_end(held.delivery, ending)
            held.current = False

        @rule(owner=st.integers(0, 1))
        def restart(self, owner: int) -> None:
            old = self.owners[owner]
            self.owners[owner] = self.wait(self.bus.register(old.name))
            for held in self.held:
                if held.delivery.owner == old.epoch:
                    held.current = False

        @rule()
        def time_out(self) -> None:
            self.wait(self.database.run(lambda c: c.execute("UPDATE delivery SET deadline = now() - interval '1 s'")))
            self.wait(self.bus.sweep())
            for held in self.held:
                if held.current and held.delivery.attempt >= held.delivery.max_attempts:
                    self.record_end(held.delivery, "dead_letter")
                held.current = False

        @rule()
        def come_due(self) -> None:
            self.wait(self.make_due())

        @invariant()
        def nothing_is_misplaced(self) -> None:
            self.wait(check(self.database))

        def record_end(self, delivery: Delivery, ending: str) -> None:
            key = (delivery.subscription, delivery.event.event_id)
            assert key not in self.model.ended
            self.model.ended[key] = ending
            if delivery.subscription == "lane":
                project = delivery.event.project_id
                assert project is not None
                published = [e.event_id for e in self.model.published if e.project_id == project]
                served = self.model.served_in_lane.setdefault(project, [])
                served.append(delivery.event.event_id)
                assert served == published[: len(served)]

        async def settle(self, held: Held, ending: str) -> bool:
            error = TaskError(message="x", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="X")
            async with self.database.transaction() as connection:
                match ending:
                    case "finish":
                        return held.delivery.uid in await self.bus.finish(connection, [held.delivery])
                    case "release":
                        return held.delivery.uid in await self.bus.release(connection, [held.delivery])
                    case "dead_letter":
                        return await self.bus.dead_letter(connection, held.delivery, error)
                    case _:
                        delay = timedelta(hours=1) if ending == "delay" else timedelta()
                        return await self.bus.retry(connection, held.delivery, error, delay)

        async def make_due(self) -> None:
            async with self.database.transaction() as connection:
                await connection.execute("UPDATE delivery_delayed SET due_at = now()")
                await connection.execute("UPDATE delivery SET not_before = now() WHERE not_before IS NOT NULL")
            await self.bus.sweep()

        async def drain(self) -> None:
            """I11: when the faults stop, everything ends."""
            self.owners = [await self.bus.register(owner.name) for owner in self.owners]
            await self.make_due()
            while taken := await self.bus.claim(dict.fromkeys(NAMES, 50), self.owners[0]):
                async with self.database.transaction() as connection:
                    assert await self.bus.finish(connection, taken) == {d.uid for d in taken}
                for delivery in taken:
                    self.record_end(delivery, "finish")

    return BusMachine


def test_any_history_keeps_the_invariants(
    database_url: str,
    tmp_path: Path,
    new_event: Callable[..., Envelope],
    check_invariants: Callable[[Database], Awaitable[None]],
) -> None:
    run_state_machine_as_test(
        machine(database_url, tmp_path, new_event, check_invariants),
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.explicit, Phase.generate],
        ),
    )
