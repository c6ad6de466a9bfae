"""The invariants of the event core, each as one function that returns the rows which break it.

They are held against the database and against what the processes of a run wrote down outside it. I13 compares two
moments, so it is a digest to be taken twice: see namespace.py.
"""

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from factory.events import rows
from factory.events.delivery import Cursor
from factory.storage.database import Connection
from tests.faults import lanes, sagas, synthetic
from tests.faults.evidence import Claim, Evidence, Publication

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """A row that breaks an invariant."""

    invariant: str
    row: Mapping[str, Any]


Rows = list[dict[str, Any]]
Check = Callable[[Connection, Evidence], Awaitable[Rows]]

CHECKS: dict[str, Check] = {}
# What holds of a database in which real agents worked: their effects are artifacts, not rows of the synthetic load.
ENGINE: dict[str, Check] = {}


def _invariant(name: str, *registers: dict[str, Check]) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        for checks in registers:
            checks[name] = check
        return check

    return register


async def find_violations(
    connection: Connection, evidence: Evidence, checks: Mapping[str, Check] = CHECKS
) -> list[Violation]:
    """Return the rows that break any invariant, a limited number of each."""
    found: list[Violation] = []
    for name, check in checks.items():
        found += [Violation(name, row) for row in (await check(connection, evidence))[:_SHOWN]]
    return found


_PUBLISHED = """
SELECT p.event_id, p.outcome FROM unnest($1::uuid[], $2::text[]) AS p (event_id, outcome)
LEFT JOIN event e USING (event_id)
WHERE (e.event_id IS NULL AND p.outcome = 'ack') OR (e.event_id IS NOT NULL AND p.outcome = 'failed')
"""
_UNASKED = """
SELECT event_id, event_type FROM event WHERE causation_id IS NULL AND event_type = 'Stimulus' AND event_id <> ALL ($1)
"""


@_invariant("I1", CHECKS)
async def acknowledged_publications_exist(connection: Connection, evidence: Evidence) -> Rows:
    """Every acknowledged publication exists, none that is known to have failed, and nothing that nobody published."""
    asked = [p.event_id for p in evidence.publications]
    found = await connection.fetch(_PUBLISHED, asked, [p.outcome for p in evidence.publications])
    return _dicts(found) + (_dicts(await connection.fetch(_UNASKED, asked)) if asked else [])


_MATCHING = """
SELECT e.event_id, s.name AS subscription FROM (SELECT DISTINCT ON (event_id) * FROM event) e
JOIN subscription s ON (s.topics = '{}' OR e.topic = ANY (s.topics))
    AND (s.event_types = '{}' OR e.event_type = ANY (s.event_types))
    AND (s.projects = '{}' OR e.project_id = ANY (s.projects))
    AND (s.agents = '{}' OR e.originating_agent = ANY (s.agents))
    AND e.payload @> s.payload
    AND (s.condition_path IS NULL OR jsonb_path_match(e.payload, s.condition_path, silent => true))
"""
_LIVE = """
SELECT uid, event_id, subscription FROM delivery UNION ALL SELECT uid, event_id, subscription FROM delivery_delayed
"""
_TERMINAL = """
SELECT uid, event_id, subscription, fence, outcome FROM delivery_log WHERE outcome IN ('done', 'cancelled')
UNION ALL SELECT uid, event_id, subscription, fence, state FROM dead_letter WHERE state <> 'redriven'
"""
_MISPLACED = f"""
WITH matching AS ({_MATCHING}), live AS ({_LIVE}), terminal AS ({_TERMINAL}),
place AS (
    SELECT event_id, subscription, count(*) AS live, 0 AS terminal FROM live GROUP BY 1, 2
    UNION ALL SELECT event_id, subscription, 0, count(*) FROM terminal GROUP BY 1, 2
), total AS (
    SELECT event_id, subscription, sum(live) AS live, sum(terminal) AS terminal FROM place GROUP BY 1, 2
)
SELECT event_id, subscription, m.event_id IS NOT NULL AS matches, coalesce(t.live, 0)::integer AS live,
    coalesce(t.terminal, 0)::integer AS terminal
FROM matching m FULL JOIN total t USING (event_id, subscription)
WHERE m.event_id IS NULL OR t.event_id IS NULL OR t.live > 1
"""  # noqa: S608 - put together from constants


@_invariant("I2", CHECKS, ENGINE)
async def every_match_has_a_record(connection: Connection, _: Evidence) -> Rows:
    """Every event has a live or terminal record for each subscription that matches it, and for no other."""
    return _dicts(await connection.fetch(_MISPLACED))


_CONTRADICTORY = f"""
SELECT uid, array_agg(outcome) AS outcomes FROM (
    SELECT uid, outcome FROM ({_TERMINAL}) t UNION ALL SELECT uid, 'live' FROM ({_LIVE}) l
) ends GROUP BY uid HAVING count(*) > 1 AND count(*) FILTER (WHERE outcome <> 'live') > 0
"""  # noqa: S608 - put together from constants


@_invariant("I3", CHECKS, ENGINE)
async def nothing_ends_twice(connection: Connection, _: Evidence) -> Rows:
    """A delivery ends once: never done twice, never both done and dead, never live after its end."""
    return _dicts(await connection.fetch(_CONTRADICTORY))


_EFFECTS = """
SELECT subscription, event_id, coalesce(d.done, 0) AS done, coalesce(e.effects, 0) AS effects
FROM (SELECT subscription, event_id, count(DISTINCT uid) AS done FROM delivery_log WHERE outcome = 'done'
      GROUP BY 1, 2) d
FULL JOIN (SELECT subscription, event_id, count(*) AS effects FROM effect GROUP BY 1, 2) e
    USING (subscription, event_id)
WHERE d.done IS DISTINCT FROM e.effects OR e.effects > 1
"""


@_invariant("I4", CHECKS)
async def effects_happen_once(connection: Connection, _: Evidence) -> Rows:
    """An effect happens at most once, and exactly where the delivery is done."""
    return _dicts(await connection.fetch(_EFFECTS))


_ARTIFACTS = """
SELECT t.id AS task_id, t.goal, count(DISTINCT l.uid) AS done, count(DISTINCT a.id) AS artifacts
FROM task t LEFT JOIN delivery_log l ON l.event_id = t.event_id AND l.subscription = t.agent AND l.outcome = 'done'
LEFT JOIN artifact a ON a.task_id = t.id
WHERE t.step NOT LIKE 'compensation.%'
GROUP BY t.id HAVING count(DISTINCT l.uid) <> count(DISTINCT a.id) OR count(DISTINCT a.id) > 1
"""
_DOUBLED_VERSIONS = """
SELECT project_id, kind, count(*) AS versions FROM artifact WHERE status NOT IN ('invalid', 'withdrawn')
GROUP BY 1, 2 HAVING count(*) > 1
"""


@_invariant("I4", ENGINE)
async def artifacts_are_made_once(connection: Connection, _: Evidence) -> Rows:
    """An artifact exists exactly where its task is done; a step is compensated once, after those that follow it."""
    found = _dicts(await connection.fetch(_ARTIFACTS)) + _dicts(await connection.fetch(_DOUBLED_VERSIONS))
    return found + await sagas.find_faults(connection)


_EFFECT_FENCES = """
SELECT e.uid, e.fence AS effect, l.fence AS done, l.owner = e.owner AS same_owner
FROM effect e JOIN delivery_log l ON l.uid = e.uid AND l.outcome = 'done'
WHERE e.fence <> l.fence OR e.owner IS DISTINCT FROM l.owner
"""
_SUPERSEDED = """
WITH claimed AS (SELECT uid, max(fence) AS fence FROM unnest($1::bigint[], $2::bigint[]) AS c (uid, fence) GROUP BY uid)
SELECT l.uid, l.fence, c.fence AS newest FROM delivery_log l JOIN claimed c USING (uid)
WHERE l.outcome = 'done' AND l.fence < c.fence
"""


@_invariant("I5", CHECKS)
async def superseded_fences_write_nothing(connection: Connection, evidence: Evidence) -> Rows:
    """What was written was written under the newest fence that anyone ever held."""
    claimed = [claim.uid for claim in evidence.claims], [claim.fence for claim in evidence.claims]
    return _dicts(await connection.fetch(_EFFECT_FENCES)) + _dicts(await connection.fetch(_SUPERSEDED, *claimed))


# What expires while it waits dies without another attempt, and is recorded with the fence of its last one.
_ATTEMPTS = """
SELECT uid, fence, array_agg(outcome) AS outcomes FROM delivery_log
WHERE outcome IN ('done', 'dead', 'retried', 'timed-out', 'abandoned')
    AND (outcome, category) IS DISTINCT FROM ('dead', 'expired')
GROUP BY uid, fence HAVING count(*) > 1 AND count(*) FILTER (WHERE outcome <> 'done') > 0
"""
_TOO_OFTEN = """
SELECT l.uid, l.outcome, l.attempt, s.max_attempts, l.losses, s.max_losses
FROM delivery_log l JOIN subscription s ON s.name = l.subscription
WHERE l.attempt > s.max_attempts + 1 OR l.losses > s.max_losses + 1
"""


@_invariant("I6", CHECKS, ENGINE)
async def fences_rise_and_attempts_are_bounded(connection: Connection, evidence: Evidence) -> Rows:
    """A fence is given once, rises with time and ends once; attempts and losses stay within their limits."""
    found = _dicts(await connection.fetch(_ATTEMPTS)) + _dicts(await connection.fetch(_TOO_OFTEN))
    by_uid: dict[int, list[Claim]] = defaultdict(list)
    for claim in evidence.claims:
        by_uid[claim.uid].append(claim)
    for uid, claims in by_uid.items():
        found += [
            {"uid": uid, "fence": earlier.fence, "next": later.fence, "workers": [earlier.worker, later.worker]}
            for earlier, later in pairwise(sorted(claims, key=lambda claim: claim.fence))
            if earlier.fence == later.fence or later.taken_at < earlier.taken_at - lanes.TOLERANCE_SECONDS
        ]
    return found


_DOUBLE_IN_LANE = """
SELECT subscription, project_id, count(*) FROM delivery WHERE sequence IS NOT NULL AND owner IS NOT NULL
GROUP BY subscription, project_id HAVING count(*) > 1
"""
_EFFECTS_OUT_OF_ORDER = """
SELECT * FROM (
    SELECT subscription, project_id, event_id, sequence,
        lag(sequence) OVER (PARTITION BY subscription, project_id ORDER BY number) AS before
    FROM effect WHERE sequence IS NOT NULL
) lanes WHERE sequence <= before
"""
_REDRIVEN = "SELECT DISTINCT uid FROM delivery_log WHERE outcome = 'redriven'"
_LANE_EFFECTS = "SELECT subscription, event_id, sequence, uid FROM effect WHERE sequence IS NOT NULL"


@_invariant("I7", CHECKS)
async def lanes_keep_their_order(connection: Connection, evidence: Evidence) -> Rows:
    """A lane has one delivery in flight, its effects follow its sequence, and that follows the clients' order."""
    found = _dicts(await connection.fetch(_DOUBLE_IN_LANE)) + _dicts(await connection.fetch(_EFFECTS_OUT_OF_ORDER))
    effects = await connection.fetch(_LANE_EFFECTS)
    places = {(row["subscription"], row["event_id"]): (row["sequence"], row["uid"]) for row in effects}
    redriven = await _redriven(connection)
    undisturbed = {of: place for of, place in places.items() if place[1] not in redriven}
    found += lanes.against_program_order(evidence, undisturbed)
    return found + await lanes.overlapping(connection, evidence, places)


@_invariant("I8", CHECKS)
async def everything_runs_in_its_time(connection: Connection, evidence: Evidence) -> Rows:
    """Nothing starts before its time, nor before the delay of a retry is over, nor after its time to live."""
    # A redriven delivery has no time to live.
    redriven = await _redriven(connection)
    published = {publication.event_id: publication for publication in evidence.publications}
    found: Rows = []
    by_uid: dict[int, list[Claim]] = defaultdict(list)
    for claim in evidence.claims:
        by_uid[claim.uid].append(claim)
        publication = published.get(claim.event_id)
        if publication is None:
            continue
        expires_at = _expiry(publication)
        if claim.taken_at < (publication.available_at or 0.0) - lanes.TOLERANCE_SECONDS:
            found.append({"uid": claim.uid, "taken_at": claim.taken_at, "available_at": publication.available_at})
        if claim.taken_at > expires_at + lanes.TOLERANCE_SECONDS and claim.uid not in redriven:
            found.append({"uid": claim.uid, "taken_at": claim.taken_at, "expires_at": expires_at})
    for (uid, fence), due in evidence.due.items():
        found += [
            {"uid": uid, "fence": claim.fence, "taken_at": claim.taken_at, "due_at": due}
            for claim in by_uid[uid]
            if claim.fence > fence and claim.taken_at < due - lanes.TOLERANCE_SECONDS
        ]
    return found


def _expiry(publication: Publication) -> float:
    """Return the latest time at which a delivery may begin, as far as its client can tell."""
    if publication.time_to_live is None or publication.acknowledged_at is None:
        return math.inf
    return max(publication.acknowledged_at, publication.available_at or 0.0) + publication.time_to_live


_DOUBLED_EVENTS = "SELECT event_id, count(*) FROM event GROUP BY event_id HAVING count(*) > 1"
_WITHOUT_KEY = "SELECT event_id FROM event e WHERE NOT EXISTS (SELECT FROM event_key k WHERE k.event_id = e.event_id)"


@_invariant("I9", CHECKS, ENGINE)
async def an_id_is_published_once(connection: Connection, _: Evidence) -> Rows:
    """One id is one event, however often it was published; its key is kept."""
    return _dicts(await connection.fetch(_DOUBLED_EVENTS)) + _dicts(await connection.fetch(_WITHOUT_KEY))


_MUTE = """
SELECT d.uid, d.category, d.reason, d.error_type, d.attempts, d.state FROM dead_letter d
WHERE d.category = '' OR d.reason = '' OR d.error_type = '' OR d.error = '' OR d.attempts < 0
    OR d.event ->> 'event_id' IS DISTINCT FROM d.event_id::text OR length(d.event ->> 'trace_id') <> 32
    OR (d.state <> 'open' AND (d.resolved_by IS NULL OR d.resolution IS NULL OR d.resolved_at IS NULL))
"""
_UNRECORDED = """
SELECT d.uid, d.fence, d.state FROM dead_letter d
WHERE NOT EXISTS (SELECT FROM delivery_log l WHERE l.uid = d.uid AND l.fence = d.fence AND l.outcome = 'dead')
    OR (d.state <> 'open' AND NOT EXISTS (
        SELECT FROM delivery_log l WHERE l.uid = d.uid AND l.fence = d.fence AND l.outcome = d.state))
"""
_UNANNOUNCED = """
SELECT l.uid, l.fence FROM delivery_log l JOIN event e ON e.event_id = l.event_id
WHERE l.outcome = 'dead' AND e.event_type <> 'DeadLettered' AND NOT EXISTS (
    SELECT FROM event a WHERE a.causation_id = l.event_id AND a.event_type = 'DeadLettered'
        AND a.payload ->> 'subscription' = l.subscription)
"""


@_invariant("I10", CHECKS, ENGINE)
async def dead_letters_speak(connection: Connection, _: Evidence) -> Rows:
    """A dead letter has category, reason, error, attempts, trace and history; its announcement was published."""
    return [row for query in (_MUTE, _UNRECORDED, _UNANNOUNCED) for row in _dicts(await connection.fetch(query))]


_LEFT = """
SELECT 'ready' AS at, uid, subscription, attempt, owner FROM delivery WHERE owner IS NULL
UNION ALL SELECT 'taken', uid, subscription, attempt, owner FROM delivery WHERE owner IS NOT NULL
UNION ALL SELECT 'delayed', uid, subscription, attempt, NULL FROM delivery_delayed
"""


@_invariant("I11", CHECKS, ENGINE)
async def everything_drains(connection: Connection, _: Evidence) -> Rows:
    """Once faults have stopped and the bound has passed, nothing waits and nobody holds anything."""
    return _dicts(await connection.fetch(_LEFT))


# Positions rise with the order of insertion, and a cause is committed before its consequence is inserted: so a graph
# whose arrows all point to later positions has no cycle.
_CAUSELESS = """
SELECT e.event_id, e.event_type, e.causation_id, c.position AS cause FROM event e
LEFT JOIN event c ON c.event_id = e.causation_id
WHERE e.causation_id IS NOT NULL AND (c.event_id IS NULL OR c.position >= e.position)
"""
_DONE_STIMULI = f"""
SELECT {rows.COLUMNS} FROM event WHERE event_type = 'Stimulus' AND (payload ->> 'depth')::integer > 0 AND event_id IN (
    SELECT event_id FROM delivery_log WHERE outcome = 'done' AND subscription = ANY ($1))
"""  # noqa: S608 - put together from constants
_UNKNOWN = """
SELECT event_id FROM unnest($1::uuid[]) AS expected (event_id)
WHERE NOT EXISTS (SELECT FROM event e WHERE e.event_id = expected.event_id)
"""
_PRODUCERS = """
SELECT a.id AS artifact_id, count(l.uid) AS producers FROM artifact a
JOIN task t ON t.id = a.task_id LEFT JOIN delivery_log l ON l.event_id = t.event_id
    AND l.outcome = 'done' AND l.subscription = t.agent
GROUP BY a.id HAVING count(l.uid) <> 1
"""


@_invariant("I12", CHECKS, ENGINE)
async def causes_are_complete(connection: Connection, _: Evidence) -> Rows:
    """Causes are there and earlier; what a finished delivery causes exists; an artifact has one producing delivery."""
    found = _dicts(await connection.fetch(_CAUSELESS)) + _dicts(await connection.fetch(_PRODUCERS))
    done = await connection.fetch(_DONE_STIMULI, list(synthetic.BEGETTERS))
    expected = [child.event_id for row in done for child in synthetic.children(rows.to_envelope(row))]
    return found + _dicts(await connection.fetch(_UNKNOWN, expected))


_ALL_EVENTS = "SELECT event_id FROM event"


@_invariant("I14", CHECKS)
async def readers_miss_nothing(connection: Connection, evidence: Evidence) -> Rows:
    """A reader of the log by offset has seen every event, each once, at rising places."""
    everything = {row["event_id"] for row in await connection.fetch(_ALL_EVENTS)} if evidence.seen else set()
    found: Rows = []
    for reader, seen in evidence.seen.items():
        found += [{"reader": reader, "missed": event} for event in everything - {event for _, event in seen}]
        places = [Cursor.parse(place) for place, _ in seen]
        found += [
            {"reader": reader, "place": str(later), "after": str(earlier)}
            for earlier, later in pairwise(places)
            if later <= earlier
        ]
        found += [{"reader": reader, "invented": event} for _, event in seen if event not in everything]
    return found


@_invariant("I15", CHECKS)
async def caps_hold(_: Connection, evidence: Evidence) -> Rows:
    """No claim returns more than was asked for, and no owner holds more than its cap."""
    return [dict(excess) for excess in evidence.excesses]


def _dicts(found: Sequence[Any]) -> Rows:
    return [dict(row) for row in found]


async def _redriven(connection: Connection) -> set[int]:
    return {row["uid"] for row in await connection.fetch(_REDRIVEN)}
