"""Every check of the invariants can fail: a sound database is damaged by hand, and exactly that check reports it."""
# ruff: noqa: S608 - the statements are put together from constants

import time
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from factory.domain.errors import ErrorCategory
from factory.domain.task import TaskError
from factory.events.bus import EventBus
from factory.events.delivery import Delivery
from factory.storage.database import Connection, Database
from tests.faults import arena, invariants, synthetic
from tests.faults.evidence import Claim, Evidence, Publication
from tests.faults.namespace import digest_namespace
from tests.faults.synthetic import LANE, MOURNER, PLAIN

_ERROR = TaskError(message="no", category=ErrorCategory.POISON, retryable=False, error_type="SyntheticError")
_PROJECT = synthetic.project_of(1, 1)
_EFFECT = """
INSERT INTO effect (subscription, event_id, project_id, uid, fence, owner, sequence, worker)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'one')
"""


class Small:
    """A small run without faults: chains of events of one project, one retried, one dead letter."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.bus = EventBus(database, synthetic.BUS_REGISTRY)
        self.evidence = Evidence()

    async def play(self) -> None:
        """Publish, handle everything, and keep the records that processes would have kept."""
        await self.bus.declare([PLAIN, LANE, MOURNER])
        await self.database.run(lambda connection: connection.execute(arena.TABLES))
        for number in range(6):
            event = synthetic.stimulus(1, "client-0", number, _PROJECT)
            asked_at = time.time()
            async with self.database.transaction() as connection:
                await self.bus.publish(connection, [event])
            known = Publication(event.event_id, _PROJECT, "ack", None, None, asked_at, time.time())
            self.evidence.publications.append(known)
        self.owner = await self.bus.register("one")
        number = 0
        while deliveries := await self.bus.claim({"plain": 3, "lane": 3, "mourner": 3}, self.owner):
            self._note(deliveries)
            for delivery in deliveries:
                async with self.database.transaction() as connection:
                    await self._end(connection, delivery, number)
                number += 1
        seen = await self.bus.tail(limit=1000)
        self.evidence.seen["reader-0"] = [(str(item.cursor), item.event.event_id) for item in seen]

    def _note(self, deliveries: list[Delivery]) -> None:
        for item in deliveries:
            event = item.event
            known = (
                item.uid,
                item.fence,
                item.subscription,
                event.event_id,
                item.attempt,
                event.project_id or _PROJECT,
            )
            self.evidence.claims.append(Claim((item.deadline - synthetic.LEASE).timestamp(), "one", *known))

    async def _end(self, connection: Connection, delivery: Delivery, number: int) -> None:
        if number == 0:
            await self.bus.retry(connection, delivery, _ERROR, timedelta())
            self.evidence.due[delivery.uid, delivery.fence] = time.time()
            return
        if number == 1:
            await self.bus.dead_letter(connection, delivery, _ERROR)
            return
        sequence = await connection.fetchval("SELECT sequence FROM delivery WHERE id = $1", delivery.id)
        await self.bus.finish(connection, [delivery])
        event = delivery.event
        effect = (delivery.subscription, event.event_id, event.project_id, delivery.uid, delivery.fence)
        await connection.execute(_EFFECT, *effect, delivery.owner, sequence)
        if delivery.subscription in synthetic.BEGETTERS:
            await self.bus.publish(connection, list(synthetic.children(event)))

    async def broken(self, damage: str | None = None) -> set[str]:
        """Return the invariants that are broken after a statement, which is undone."""
        async with self.database.transaction() as connection:
            undo = connection.transaction()
            await undo.start()
            if damage is not None:
                done = await connection.execute(damage)
                assert not done.endswith(" 0"), damage
            found = {item.invariant for item in await invariants.find_violations(connection, self.evidence)}
            await undo.rollback()
            return found


@pytest.fixture
async def small(database: Database) -> Small:
    made = Small(database)
    await made.play()
    return made


_LAST_LANE = "(SELECT uid FROM effect WHERE subscription = 'lane' ORDER BY sequence DESC LIMIT 1)"
_COPY = "uid, subscription, event_id, project_id, outcome, attempt, crash_count, losses, fence, owner"
DAMAGES = {
    "I3: a delivery is done twice": (
        "I3",
        f"INSERT INTO delivery_log ({_COPY}) SELECT {_COPY} FROM delivery_log WHERE uid = {_LAST_LANE}",
    ),
    "I3: a delivery is done and dead": (
        "I3",
        f"""WITH done AS (
            INSERT INTO delivery_log ({_COPY}) SELECT uid, subscription, event_id, project_id, 'done', attempts, 0, 0,
                fence + 1, '{UUID(int=7)}' FROM dead_letter RETURNING *
        ) INSERT INTO effect (subscription, event_id, project_id, uid, fence, owner)
        SELECT subscription, event_id, project_id, uid, fence, owner FROM done""",
    ),
    "I4: an effect happens twice": (
        "I4",
        """INSERT INTO effect (subscription, event_id, project_id, uid, fence, owner) SELECT subscription, event_id,
            project_id, uid, fence, owner FROM effect WHERE subscription = 'plain' LIMIT 1""",
    ),
    "I4: a delivery is done without its effect": (
        "I4",
        f"DELETE FROM effect WHERE uid = {_LAST_LANE}",
    ),
    "I5: an effect of another fence": ("I5", f"UPDATE effect SET fence = fence - 1 WHERE uid = {_LAST_LANE}"),
    "I5: an effect of another owner": (
        "I5",
        f"UPDATE effect SET owner = '{UUID(int=7)}' WHERE uid = {_LAST_LANE}",
    ),
    "I6: an attempt ends twice": (
        "I6",
        f"""INSERT INTO delivery_log ({_COPY}) SELECT uid, subscription, event_id, project_id, 'timed-out', attempt,
            crash_count, losses, fence, owner FROM delivery_log WHERE uid = {_LAST_LANE}""",
    ),
    "I6: too many attempts": ("I6", f"UPDATE delivery_log SET attempt = 6 WHERE uid = {_LAST_LANE}"),
    "I6: too many losses": ("I6", f"UPDATE delivery_log SET losses = 1002 WHERE uid = {_LAST_LANE}"),
    "I7: effects out of order": ("I7", f"UPDATE effect SET sequence = 1 WHERE uid = {_LAST_LANE}"),
    "I7: a lane begins before its head has ended": (
        "I7",
        """UPDATE delivery_log SET logged_at = now() + interval '1 hour' WHERE uid = (
            SELECT uid FROM effect WHERE subscription = 'lane' ORDER BY sequence LIMIT 1)""",
    ),
    "I9: an event twice": (
        "I9",
        """INSERT INTO event (event_id, recorded_at, event_type, version, topic, project_id, originating_agent,
            trace_id, traceparent, correlation_id, causation_id, "timestamp", payload)
        SELECT event_id, recorded_at + interval '1 second', event_type, version, topic, project_id, originating_agent,
            trace_id, traceparent, correlation_id, causation_id, "timestamp", payload
        FROM event WHERE event_type = 'DeadLettered'""",
    ),
    "I9: a lost key": ("I9", "DELETE FROM event_key WHERE event_id = (SELECT event_id FROM event LIMIT 1)"),
    "I10: a dead letter without a reason": ("I10", "UPDATE dead_letter SET reason = ''"),
    "I10: a dead letter without its event": ("I10", "UPDATE dead_letter SET event = '{}'"),
    "I10: a dead letter without history": ("I10", "DELETE FROM delivery_log WHERE outcome = 'dead'"),
    "I10: a discarded one without a person": (
        "I10",
        """WITH d AS (UPDATE dead_letter SET state = 'discarded' RETURNING *)
        INSERT INTO delivery_log (uid, subscription, event_id, project_id, outcome, attempt, crash_count, losses, fence)
        SELECT uid, subscription, event_id, project_id, 'discarded', attempts, 0, 0, fence FROM d""",
    ),
    "I12: a cause that never was": (
        "I12",
        f"UPDATE event SET causation_id = '{UUID(int=9)}' WHERE event_type = 'Stimulus' AND causation_id IS NOT NULL",
    ),
    "I12: a cause that is later": (
        "I12",
        "UPDATE event SET position = position + 1000 WHERE causation_id IS NULL",
    ),
}


async def test_damage_is_reported_by_its_own_check_and_by_no_other(small: Small) -> None:
    assert len(small.evidence.claims) > 12
    assert await small.broken() == set()
    reported = {name: await small.broken(damage) for name, (_, damage) in DAMAGES.items()}
    assert reported == {name: {invariant} for name, (invariant, _) in DAMAGES.items()}


async def test_records_that_contradict_the_database_are_reported(small: Small) -> None:
    """Checks that hold the records of processes against the database, each with a record changed and put back."""
    evidence = small.evidence
    sound = replace(evidence, publications=list(evidence.publications), claims=list(evidence.claims))
    first = evidence.publications[0]

    async def broken(changed: Evidence) -> set[str]:
        small.evidence = changed
        return await small.broken()

    lost, failed = replace(first, event_id=uuid4()), replace(first, outcome="failed")
    assert await broken(replace(sound, publications=[*sound.publications, lost])) == {"I1"}
    assert await broken(replace(sound, publications=[failed, *sound.publications[1:]])) == {"I1"}
    assert await broken(replace(sound, publications=sound.publications[1:])) == {"I1"}
    unknown = replace(lost, outcome="unknown")
    assert await broken(replace(sound, publications=[*sound.publications, unknown])) == set()

    last = sound.claims[-1]
    assert await broken(replace(sound, claims=[*sound.claims, replace(last, fence=last.fence + 1)])) == {"I5"}
    assert await broken(replace(sound, claims=[*sound.claims, last])) == {"I6"}

    early = replace(first, available_at=time.time() + 60)
    assert await broken(replace(sound, publications=[early, *sound.publications[1:]])) == {"I8"}
    mortal = replace(first, time_to_live=-60.0)
    assert await broken(replace(sound, publications=[mortal, *sound.publications[1:]])) == {"I8"}
    assert await broken(replace(sound, due={key: at + 60 for key, at in sound.due.items()})) == {"I8"}

    seen = sound.seen["reader-0"]
    assert await broken(replace(sound, seen={"reader-0": seen[1:]})) == {"I14"}
    assert await broken(replace(sound, seen={"reader-0": [seen[1], seen[0], *seen[2:]]})) == {"I14"}
    assert await broken(replace(sound, excesses=[{"asked": 1, "taken": 2}])) == {"I15"}


async def test_an_event_that_overtakes_one_acknowledged_before_is_reported(small: Small) -> None:
    """I7: the order of a lane is the order in which its client learned of its events."""
    evidence = small.evidence
    lane = [
        number
        for number, publication in enumerate(evidence.publications)
        if sum(c.event_id == publication.event_id and c.subscription == "lane" for c in evidence.claims) == 1
    ]
    first, last = evidence.publications[lane[0]], evidence.publications[lane[-1]]
    evidence.publications[lane[0]] = replace(first, event_id=last.event_id)
    evidence.publications[lane[-1]] = replace(last, event_id=first.event_id)
    assert await small.broken() == {"I7"}


async def test_what_waits_after_the_bound_and_what_has_no_record_is_reported(small: Small) -> None:
    event = synthetic.stimulus(1, "client-0", 99, _PROJECT)
    async with small.database.transaction() as connection:
        await small.bus.publish(connection, [event])
    small.evidence.publications.append(
        Publication(event.event_id, _PROJECT, "ack", None, None, time.time(), time.time())
    )
    seen = await small.bus.tail(limit=1000)
    small.evidence.seen["reader-0"] = [(str(item.cursor), item.event.event_id) for item in seen]
    assert await small.broken() == {"I11"}
    assert await small.broken("DELETE FROM delivery") == {"I2"}


async def test_the_digest_of_a_namespace_sees_one_changed_row_and_nothing_of_the_sandbox(small: Small) -> None:
    """I13."""
    async with small.database.transaction() as connection:
        before = await digest_namespace(connection, [])
        await connection.execute("UPDATE dead_letter SET reason = 'another'")
        after = await digest_namespace(connection, [])
        assert {table for table in before if before[table] != after[table]} == {"dead_letter"}
        hidden = await digest_namespace(connection, [_PROJECT])
        await connection.execute("UPDATE delivery_log SET error = 'x'")
        assert await digest_namespace(connection, [_PROJECT]) == hidden


PROJECT, SAGA = UUID(int=1), UUID(int=2)
_GARDEN = f"""
INSERT INTO project (id, name, slug, blueprint, status, trace_id, build_key)
VALUES ('{PROJECT}', 'plant', 'plant', 'growth', 'compensated', '{"a" * 32}', 'x');
INSERT INTO saga (id, project_id, revision, reason, state, requested_by)
VALUES ('{SAGA}', '{PROJECT}', 1, 'no', 'completed', '{UUID(int=3)}');
"""
_GROW = """
INSERT INTO task (id, project_id, revision, step, round, agent, goal, status, input_ids, event_id)
VALUES ($1, $2, 1, $3, 1, $4, $3, 'done', '{}', $1);
"""
_KEEP = """
INSERT INTO artifact (id, project_id, kind, version, hash, uri, media_type, size, status, agent, trace_id, task_id)
VALUES ($1, $2, $3, 1, repeat('a', 64), '', '', 0, 'withdrawn', 'grower', repeat('a', 32), $1)
"""
_ACKNOWLEDGE = """
INSERT INTO delivery_log (uid, subscription, event_id, project_id, outcome, attempt, crash_count, losses, fence)
VALUES (nextval('delivery_uid'), $3, $1, $2, 'done', 1, 0, 0, 1)
"""
_UNDO = """
INSERT INTO compensation (project_id, revision, step, saga_id, state, position, task_id, started_at, ended_at)
VALUES ($1, 1, $2, $3, 'done', $4, $5, to_timestamp($4 * 10), to_timestamp($4 * 10 + 5))
"""
GARDEN_DAMAGES = {
    "an artifact without its task": "UPDATE delivery_log SET outcome = 'cancelled' WHERE uid = 1",
    "a step that was not undone": "UPDATE compensation SET state = 'skipped' WHERE step = 'stem'",
    "a step that was undone too early": (
        "UPDATE compensation SET started_at = to_timestamp(1), ended_at = to_timestamp(2) WHERE step = 'seed'"
    ),
    "a compensation that was acknowledged twice": f"""
        INSERT INTO delivery_log ({_COPY}) SELECT uid + 100, {_COPY.partition(", ")[2]} FROM delivery_log
        WHERE uid = (SELECT max(uid) FROM delivery_log WHERE subscription = 'pruner')
    """,
}


async def test_damage_to_what_agents_did_is_reported(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(_GARDEN)
        for number, step in enumerate(("seed", "stem"), start=1):
            task, undoing = UUID(int=100 + number), UUID(int=200 + number)
            await connection.execute(_GROW, task, PROJECT, step, "grower")
            await connection.execute(_KEEP, task, PROJECT, step)
            await connection.execute(_ACKNOWLEDGE, task, PROJECT, "grower")
            await connection.execute(_GROW, undoing, PROJECT, f"compensation.{step}", "pruner")
            await connection.execute(_ACKNOWLEDGE, undoing, PROJECT, "pruner")
            await connection.execute(_UNDO, PROJECT, step, SAGA, 3 - number, undoing)

    async def broken(damage: str | None = None) -> bool:
        async with database.transaction() as connection:
            undo = connection.transaction()
            await undo.start()
            if damage is not None:
                assert not (await connection.execute(damage)).endswith(" 0"), damage
            found = await invariants.artifacts_are_made_once(connection, Evidence())
            await undo.rollback()
            return bool(found)

    assert not await broken()
    for name, damage in GARDEN_DAMAGES.items():
        assert await broken(damage), name
