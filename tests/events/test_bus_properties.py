"""Random histories of the bus on real PostgreSQL, held against a model that says what may be claimed.

Time passes by moving what is stored into the past, so hours take no time. FACTORY_MODEL_EXAMPLES asks for a longer
run, with other histories each time: `FACTORY_MODEL_EXAMPLES=2000 pytest tests/events/test_bus_properties.py`.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from factory.domain.errors import ErrorCategory
from factory.domain.ids import new_id
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.contracts.system import ProjectFailed
from factory.events.delivery import Delivery, Owner
from factory.events.envelope import Envelope
from factory.events.rules import Rules as BusRules
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.settings import Settings
from factory.storage.database import Database
from tests.events.clock import pass_time
from tests.events.conftest import TRACEPARENT
from tests.events.model import LEASE, MAX_ATTEMPTS, Entry, Model, Rules

T = TypeVar("T")
EXAMPLES = os.environ.get("FACTORY_MODEL_EXAMPLES")
PROJECTS = [UUID(int=n) for n in range(1, 4)]
WINDOW = 5
RULES = (Rules("lane", ordered=True), Rules("plain", time_to_live=6), Rules("strict", ordered=True, block=True))
NAMES = tuple(rules.name for rules in RULES)
TABLES = (
    "event, event_key, delivery, delivery_delayed, delivery_log, dead_letter, delivery_owner, subscription, "
    "project_sequence, lane_block, replay"
)
ENDINGS = ("finish", "retry", "defer", "dead_letter", "release", "extend")
HOUR = timedelta(hours=1)

# Everything there is: what waits, what is held, and how the rest ended.
_STATES = """
WITH place AS (
    SELECT subscription, event_id, recorded_at, replay, CASE WHEN owner IS NULL THEN 'waiting' ELSE 'held' END AS state
    FROM delivery
    UNION ALL SELECT subscription, event_id, recorded_at, replay, 'waiting' FROM delivery_delayed
    UNION ALL SELECT subscription, event_id, recorded_at, replay, CASE state WHEN 'open' THEN 'dead' ELSE state END
    FROM dead_letter WHERE state <> 'redriven'
)
SELECT subscription, payload ->> 'reason' AS mark, replay, state FROM place JOIN event USING (event_id, recorded_at)
"""
_ENDED = "SELECT uid, outcome FROM delivery_log WHERE outcome IN ('done', 'cancelled')"
_BLOCKS = "SELECT count(*) FROM lane_block"
_AMBIGUOUS_ATTEMPTS = """
SELECT uid, fence FROM delivery_log
WHERE outcome IN ('done', 'dead', 'retried', 'deferred', 'timed-out', 'abandoned') AND owner IS NOT NULL
GROUP BY uid, fence HAVING count(*) > 1
"""
_ERROR = TaskError(message="x", category=ErrorCategory.DEPENDENCY, retryable=True, error_type="X")


@dataclass(eq=False)
class Held:
    """An attempt in somebody's hands, and whether it still should be."""

    delivery: Delivery
    entry: Entry
    current: bool = True


def an_event(event_id: UUID, project: UUID, mark: str) -> Envelope:
    return Envelope.of(
        ProjectFailed(reason=mark),
        topic=Topic.SYSTEM,
        project_id=project,
        originating_agent="tester",
        traceparent=TRACEPARENT,
        event_id=event_id,
    )


def machine(url: str, folder: Path) -> type[RuleBasedStateMachine]:  # noqa: C901 - Hypothesis wants one class
    class BusMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.loop = asyncio.new_event_loop()
            self.database = self.wait(Database.open(Settings(data_dir=folder, database_url=url)))
            self.wait(self.database.run(lambda connection: connection.execute(f"TRUNCATE {TABLES}")))
            self.bus = EventBus(self.database, rules=BusRules(duplicate_window=WINDOW * HOUR, promote_seconds=0))
            self.wait(self.bus.declare(_subscription(rules) for rules in RULES))
            self.model = Model(RULES, WINDOW)
            self.held: list[Held] = []
            self.marks = 0
            self.owners: list[Owner] = [self.wait(self.bus.register(name, lease=HOUR)) for name in ("one", "two")]

        def wait(self, work: Awaitable[T]) -> T:
            return self.loop.run_until_complete(work)

        def teardown(self) -> None:
            try:
                self.wait(self.drain())
            finally:
                self.wait(self.database.close())
                self.loop.close()

        @rule(
            project=st.sampled_from(PROJECTS),
            count=st.integers(1, 3),
            again=st.integers(0, 2),
            delay=st.none() | st.integers(0, 3),
            priority=st.sampled_from([0, 0, 5, -5]),
            time_to_live=st.none() | st.integers(1, 4),
        )
        def publish(  # noqa: PLR0917 - drawn values
            self, project: UUID, count: int, again: int, delay: int | None, priority: int, time_to_live: int | None
        ) -> None:
            ids = [*list(self.model.published)[-again:][:again], *(new_id() for _ in range(count))]
            events, expected = [], 0
            terms: dict[str, Any] = {"priority": priority}
            if delay is not None:
                terms["available_at"] = datetime.now(UTC) + delay * HOUR
            if time_to_live is not None:
                terms["time_to_live"] = time_to_live * HOUR
            for event_id in ids:
                known = self.model.published.get(event_id)
                where = known.project if known else project
                self.marks += 1
                events.append(an_event(event_id, where, f"m{self.marks}"))
                if self.model.is_new(event_id):
                    expected += 1
                    self.model.publish(
                        f"m{self.marks}", event_id, where, delay=delay, priority=priority, time_to_live=time_to_live
                    )

            async def work() -> int:
                async with self.database.transaction() as connection:
                    return await self.bus.publish(connection, events, **terms)

            assert self.wait(work()) == expected

        @rule(owner=st.integers(0, 1), lane=st.integers(0, 4), plain=st.integers(0, 4), strict=st.integers(0, 4))
        def claim(self, owner: int, lane: int, plain: int, strict: int) -> None:
            self.wait(self.take(self.owners[owner], {"lane": lane, "plain": plain, "strict": strict}))

        @precondition(lambda self: self.in_hand())
        @rule(data=st.data(), ending=st.sampled_from(ENDINGS), hours=st.integers(0, 3))
        def end(self, data: st.DataObject, ending: str, hours: int) -> None:
            held = data.draw(st.sampled_from(self.in_hand()))
            answer = self.wait(self.settle(held.delivery, ending, hours))
            entry = held.entry
            last = entry.attempt >= MAX_ATTEMPTS
            assert answer == (not (ending == "retry" and last))
            held.current = ending == "extend"
            if ending == "extend":
                entry.deadline = self.model.now + LEASE
            elif ending == "finish":
                entry.state = "done"
            elif ending == "dead_letter" or (ending == "retry" and last):
                self.model.die(entry)
            elif ending == "retry":
                self.model.give_back(entry, due=self.model.now + hours)
            else:
                due = self.model.now + (hours if ending == "defer" else 0)
                self.model.give_back(entry, due=due, uncounted=1)

        @precondition(lambda self: self.lost())
        @rule(data=st.data(), ending=st.sampled_from(ENDINGS))
        def end_late(self, data: st.DataObject, ending: str) -> None:
            """I5: who lost a delivery changes nothing, even where the same owner holds the same row again."""
            held = data.draw(st.sampled_from(self.lost()))
            assert not self.wait(self.settle(held.delivery, ending, 0))

        @precondition(lambda self: self.in_hand())
        @rule(data=st.data(), ending=st.sampled_from(["release", "retry"]))
        def let_go_and_take_again(self, data: st.DataObject, ending: str) -> None:
            held = data.draw(st.sampled_from(self.in_hand()))
            owner = next((owner for owner in self.owners if owner.epoch == held.delivery.owner), None)
            assert owner is not None
            last = ending == "retry" and held.entry.attempt >= MAX_ATTEMPTS
            assert self.wait(self.settle(held.delivery, ending, 0)) is not last
            held.current = False
            if last:
                self.model.die(held.entry)
            else:
                self.model.give_back(held.entry, due=self.model.now, uncounted=int(ending == "release"))
            self.wait(self.take(owner, {held.delivery.subscription: 50}))

        def in_hand(self) -> list[Held]:
            return [held for held in self.held if held.current]

        def lost(self) -> list[Held]:
            """Return the attempts that somebody lost; only those of deliveries in flight again, if there are any."""
            lost = [held for held in self.held if not held.current]
            return [held for held in lost if held.entry.state == "held"] or lost

        @rule(hours=st.integers(1, 3))
        def let_time_pass(self, hours: int) -> None:
            self.wait(pass_time(self.database, hours * HOUR))
            self.model.now += hours

        @rule()
        def sweep(self) -> None:
            self.wait(self.bus.sweep())
            self.model.sweep()
            self.lose_what_is_not_held()

        @rule(owner=st.integers(0, 1))
        def restart(self, owner: int) -> None:
            old = self.owners[owner]
            self.owners[owner] = self.wait(self.bus.register(old.name, lease=HOUR))
            for held in self.held:
                if held.current and held.delivery.owner == old.epoch:
                    self.model.give_back(held.entry, due=self.model.now, uncounted=1)
                    held.current = False

        @rule(name=st.sampled_from(NAMES))
        def pause_or_resume(self, name: str) -> None:
            async def work() -> None:
                async with self.database.transaction() as connection:
                    if name in self.model.paused:
                        await self.bus.resume(connection, name)
                    else:
                        await self.bus.pause(connection, name, by="ann", reason="why not")

            self.wait(work())
            self.model.paused ^= {name}

        @precondition(lambda self: any(e.state == "dead" for e in self.model.entries))
        @rule(data=st.data(), again=st.booleans())
        def resolve(self, data: st.DataObject, again: bool) -> None:  # noqa: FBT001 - a drawn value
            entry = data.draw(st.sampled_from([e for e in self.model.entries if e.state == "dead"]))

            async def work() -> None:
                async with self.database.transaction() as connection:
                    uid = await connection.fetchval(
                        "SELECT uid FROM dead_letter WHERE subscription = $1 AND event -> 'payload' ->> 'reason' = $2 "
                        "AND replay IS NOT DISTINCT FROM $3 AND state = 'open'",
                        entry.rules.name, entry.mark, entry.replay,
                    )  # fmt: skip
                    resolve = self.bus.redrive if again else self.bus.discard
                    await resolve(connection, uid, by="ann", reason="why not")

            self.wait(work())
            if again:
                self.model.redrive(entry)
            else:
                self.model.discard(entry)

        @precondition(lambda self: self.model.published)
        @rule(data=st.data(), to=st.none() | st.sampled_from(NAMES))
        def replay(self, data: st.DataObject, to: str | None) -> None:
            event_id = data.draw(st.sampled_from(list(self.model.published)))

            async def work() -> UUID:
                async with self.database.transaction() as connection:
                    done = await self.bus.replay(connection, event_id, to=to, by="ann", reason="why not")
                    assert done.count == (len(NAMES) if to is None else 1)
                    return done.id

            self.model.replay(event_id, NAMES if to is None else (to,), self.wait(work()))

        @precondition(lambda self: self.model.published)
        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            event_id = data.draw(st.sampled_from(list(self.model.published)))

            async def work() -> int:
                async with self.database.transaction() as connection:
                    return await self.bus.cancel(connection, event_id, by="ann", reason="why not")

            waiting = [e for e in self.model.waiting() if e.event_id == event_id]
            assert self.wait(work()) == len(waiting)
            for entry in waiting:
                entry.state = "cancelled"

        @invariant()
        def the_tables_say_what_the_model_says(self) -> None:
            self.wait(self.compare())

        async def compare(self) -> None:
            async with self.database.transaction() as connection:
                found = Counter(tuple(row) for row in await connection.fetch(_STATES))
                ended = await connection.fetch(_ENDED)
                assert await connection.fetch(_AMBIGUOUS_ATTEMPTS) == []
                assert await connection.fetchval(_BLOCKS) == len(self.model.blocks)
            expected = Counter(
                (e.rules.name, e.mark, e.replay, e.state)
                for e in self.model.entries
                if e.state not in {"done", "cancelled"}
            )
            assert found == expected
            assert len({row["uid"] for row in ended}) == len(ended)
            assert Counter(row["outcome"] for row in ended) == Counter(
                e.state for e in self.model.entries if e.state in {"done", "cancelled"}
            )

        async def take(self, owner: Owner, capacity: dict[str, int]) -> None:
            """Claim, and hold the answer against what the model lets be claimed."""
            taken = await self.bus.claim(capacity, owner)
            if any(capacity.values()):
                self.model.promote()
            for name, room in capacity.items():
                mine = [d for d in taken if d.subscription == name]
                open_to = self.model.claimable(name)
                assert len(mine) == min(room, len(open_to)), name
                chosen = [self.entry_of(delivery, open_to) for delivery in mine]
                if name == "plain" and room:
                    self.model.claims[name] = self.model.claims.get(name, 0) + 1
                    # Every tenth claim may begin lower, so that no band starves.
                    if self.model.claims[name] % 10:
                        best = [e.priority for e in open_to[: len(mine)]]
                        assert sorted((e.priority for e in chosen), reverse=True) == best
                for delivery, entry in zip(mine, chosen, strict=True):
                    assert delivery.fence > entry.fence
                    assert entry.uid in {None, delivery.uid}
                    self.model.take(entry, delivery.uid, delivery.fence)
                    assert delivery.attempt == entry.attempt
                    self.held.append(Held(delivery, entry))

        def entry_of(self, delivery: Delivery, open_to: list[Entry]) -> Entry:
            mark = delivery.event.payload["reason"]
            (entry,) = [e for e in open_to if e.mark == mark and e.replay == delivery.replay]
            return entry

        def lose_what_is_not_held(self) -> None:
            for held in self.held:
                held.current = held.current and held.entry.state == "held"

        async def settle(self, delivery: Delivery, ending: str, hours: int) -> bool:
            if ending == "extend":
                return delivery.uid in await self.bus.extend([delivery])
            async with self.database.transaction() as connection:
                match ending:
                    case "finish":
                        return delivery.uid in await self.bus.finish(connection, [delivery])
                    case "release":
                        return delivery.uid in await self.bus.release(connection, [delivery])
                    case "dead_letter":
                        return await self.bus.dead_letter(connection, delivery, _ERROR)
                    case "defer":
                        return await self.bus.defer(connection, delivery, datetime.now(UTC) + hours * HOUR)
                    case _:
                        return await self.bus.retry(connection, delivery, _ERROR, hours * HOUR)

        async def drain(self) -> None:
            """I11: when the faults stop, everything ends that no open dead letter holds."""
            for name in sorted(self.model.paused):
                async with self.database.transaction() as connection:
                    await self.bus.resume(connection, name)
            self.model.paused.clear()
            await pass_time(self.database, 10 * HOUR)
            self.model.now += 10
            await self.bus.sweep()
            self.model.sweep()
            while any(self.model.claimable(name) for name in NAMES):
                before = len(self.held)
                await self.take(self.owners[0], dict.fromkeys(NAMES, 50))
                taken = self.held[before:]
                async with self.database.transaction() as connection:
                    finished = await self.bus.finish(connection, [held.delivery for held in taken])
                assert finished == {held.delivery.uid for held in taken}
                for held in taken:
                    held.entry.state = "done"
            await self.compare()
            behind_a_letter = {(e.rules.name, e.project) for e in self.model.blocks}
            assert {(e.rules.name, e.project) for e in self.model.waiting()} <= behind_a_letter

    return BusMachine


def _subscription(rules: Rules) -> Subscription:
    return Subscription(
        name=rules.name,
        event_types=("ProjectFailed",),
        ordered=rules.ordered,
        after_dead_letter="block" if rules.block else "skip",
        lease=LEASE * HOUR,
        max_attempts=MAX_ATTEMPTS,
        time_to_live=None if rules.time_to_live is None else rules.time_to_live * HOUR,
    )


def test_any_history_is_what_the_model_says(database_url: str, tmp_path: Path) -> None:
    run_state_machine_as_test(
        machine(database_url, tmp_path),
        settings=settings(
            max_examples=int(EXAMPLES or 20),
            stateful_step_count=50,
            deadline=None,
            derandomize=EXAMPLES is None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
        ),
    )
