"""The Observability Coordinator on real actors: what is wrong becomes an incident, is told, and ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from factory.cli.lifecycle import HostProcess
from factory.control import incidents
from factory.domain.ids import new_id
from factory.domain.recovery import Severity
from factory.domain.telemetry import Figure, Incident
from factory.events.contracts.notifications import NotificationSent
from factory.events.envelope import Envelope
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic
from factory.observability.traceparents import root_traceparent
from factory.service import FactoryService

NOBODY = Subscription(name="nobody.events", event_types=("NotificationSent",))
PATIENCE_SECONDS = 90


async def until(seen: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await seen():
            await asyncio.sleep(0.2)


@pytest.mark.usefixtures("host")
async def test_deliveries_that_nobody_takes_are_an_incident_until_they_are_held(
    factory: FactoryService, host: HostProcess
) -> None:
    del host
    event = Envelope.of(
        NotificationSent(channel="log"),
        topic=Topic.SYSTEM,
        project_id=None,
        originating_agent="test",
        traceparent=root_traceparent(new_id().hex),
    )

    async def latest() -> list[Incident]:
        async with factory.database.session() as connection:
            return await incidents.list_latest(connection, 10)

    async def raised() -> bool:
        return bool(await latest())

    async def closed() -> bool:
        return all(item.closed_at is not None for item in await latest())

    await factory.bus.declare([NOBODY])
    try:
        async with factory.database.transaction() as connection:
            await factory.bus.publish(connection, [event])
        await until(raised)
        (incident,) = await latest()
        assert (incident.rule, incident.subject, incident.figure) == (
            "nobody-serves",
            NOBODY.name,
            Figure.WAITING_SECONDS,
        )
        assert incident.severity is Severity.ERROR
        assert incident.value > incident.limit == 1
        told = await factory.database.fetch(
            "SELECT payload FROM event WHERE event_type = 'NotificationRequested' AND payload::text LIKE '%nobody%'"
        )
        assert len(told) == 1

        # Held on purpose is not waiting.
        async with factory.database.transaction() as connection:
            await factory.bus.pause(connection, NOBODY.name, by="test", reason="on purpose")
        await until(closed)
        assert len(await latest()) == 1
    finally:
        await factory.bus.retract([NOBODY.name])
