"""Growth: the factory's throughput with years of work behind it, against an empty database."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console

from benchmarks.contest.contest import Plan
from benchmarks.contest.home import PROJECTS, Home, create_projects
from benchmarks.contest.pairs import measure_in_turn
from benchmarks.contest.server import Server
from factory.storage.migrate import migrate

_DAYS = 30
_CONNECTIONS = 2
_SUBSCRIPTION = "relay.events"

_PREPARE = """
SET synchronous_commit = off; SET statement_timeout = 0; SET maintenance_work_mem = '512MB'
"""
_PARTITIONS = "SELECT create_day_partitions($1, $2)"

# One day of finished chains, as the factory logs them. Ids begin with the time at which their chain began, like those
# that agents derive.
_EVENTS = """
INSERT INTO event (recorded_at, event_id, event_type, version, topic, project_id, originating_agent, trace_id,
    traceparent, correlation_id, causation_id, "timestamp", payload)
SELECT at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '8'
        || right(md5(random()::text), 19))::uuid,
    CASE WHEN n % 13 = 12 THEN 'BenchDone' ELSE 'BenchStep' END, 1, 'system',
    ($4::uuid[])[1 + n / 13 % cardinality($4::uuid[])], 'relay', trace,
    '00-' || trace || '-' || left(md5(trace), 16) || '-01',
    gen_random_uuid(), gen_random_uuid(), at,
    CASE WHEN n % 13 = 12 THEN jsonb_build_object('chain', n / 13)
        ELSE jsonb_build_object('chain', n / 13, 'step', n % 13 + 1, 'steps', 12, 'sleep_seconds', 0) END
FROM (SELECT n, $1::timestamptz + n * ($2::interval / $3::integer) AS at, md5((n / 13)::text || $1::text) AS trace
    FROM generate_series(0, $3::integer - 1) AS n) AS step
"""
_KEYS = "INSERT INTO event_key (event_id, recorded_at) SELECT event_id, recorded_at FROM event"
_DELIVERIES = """
INSERT INTO delivery_log (logged_at, uid, subscription, event_id, project_id, outcome, attempt, crash_count, losses,
    fence, owner)
SELECT recorded_at + interval '20 milliseconds', nextval('delivery_uid'), $2, event_id, project_id, 'done', 1, 0, 0, 1,
    $3::uuid
FROM event WHERE event_type = 'BenchStep' AND mod(position, $4) = 0 LIMIT $1
"""
_COUNTS = "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM event_key), (SELECT count(*) FROM delivery_log)"


async def measure_growth(
    server: Server, folder: Path, *, events: int, deliveries: int, plan: Plan, console: Console
) -> dict[str, Any]:
    """Fill a database, then measure it and an empty one in turn."""
    full = await server.fresh("factory_full")
    started = time.perf_counter()
    counts = await _fill(full, events, deliveries)
    seconds = time.perf_counter() - started
    console.print(f"filled in {seconds:.0f} s: events, keys, deliveries: {counts}", style="dim", highlight=False)
    empty = await server.fresh("factory_empty")
    async with Home.running(empty, folder / "empty") as small, Home.running(full, folder / "full") as grown:
        homes = {"empty": small, "full": grown}
        measured = await measure_in_turn(homes, rounds=plan.rounds, seconds=plan.seconds, console=console)
    return {"events": counts[0], "deliveries": counts[2], **measured}


async def _fill(dsn: str, events: int, deliveries: int) -> tuple[int, ...]:
    """Write the history, bring the tables to rest and return their sizes."""
    await migrate(dsn)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_PREPARE)
        await connection.execute(_PARTITIONS, today.date() - timedelta(days=_DAYS), _DAYS + 2)
        async with connection.transaction():
            projects = await create_projects(connection, PROJECTS)
        days: asyncio.Queue[datetime] = asyncio.Queue()
        for number in range(_DAYS):
            days.put_nowait(today - timedelta(days=_DAYS - number))
        # The key's index is made anew afterwards: row by row it would take longer than all the rest.
        await connection.execute("ALTER TABLE event_key DROP CONSTRAINT event_key_pkey")
        await asyncio.gather(*(_fill_days(dsn, days, -(-events // _DAYS), projects) for _ in range(_CONNECTIONS)))
        await connection.execute(_KEYS)
        await connection.execute("ALTER TABLE event_key ADD PRIMARY KEY (event_id)")
        every = max(1, events * 12 // 13 // max(1, deliveries))
        await connection.execute(_DELIVERIES, deliveries, _SUBSCRIPTION, projects[0], every)
        # In use, autovacuum has done this long ago; here it would begin beside the measurement.
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
        return tuple(await connection.fetchrow(_COUNTS) or ())
    finally:
        await connection.close()


async def _fill_days(dsn: str, days: "asyncio.Queue[datetime]", events: int, projects: list[Any]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_PREPARE)
        while not days.empty():
            await connection.execute(_EVENTS, days.get_nowait(), timedelta(days=1), events, projects)
    finally:
        await connection.close()
