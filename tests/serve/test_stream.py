"""Events as they happen: none missing, none twice, in order, for many readers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

import pytest

from factory.control.projects import get_project, set_status
from factory.control.submission import first_event
from factory.domain.ids import new_id
from factory.domain.project import Project, ProjectStatus
from factory.events.contracts.system import ProjectStatusChanged
from factory.events.delivery import Cursor
from factory.events.topics import Topic
from factory.serve import feed as feeds
from tests.serve.conftest import Office


async def _change(office: Office, project: Project, status: ProjectStatus) -> UUID:
    async with office.gateway.database.transaction() as connection:
        current = await get_project(connection, project.id)
        cause = await first_event(connection, current)
        if status is not current.status:
            await set_status(connection, current, status)
        payload = ProjectStatusChanged(previous=current.status, current=status, reason="test")
        event = cause.caused(payload, topic=Topic.SYSTEM, originating_agent="test", event_id=new_id())
        await office.gateway.service.bus.publish(connection, [event])
    return event.event_id


async def _lines(office: Office, path: str, **headers: str) -> AsyncIterator[tuple[str, str, str]]:
    answer = await office.get(path, office.ada, **headers)
    assert answer.status_code == 200, answer.text
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            yield fields["event"], fields.get("id", ""), fields["data"]


async def test_a_stream_tells_everything_and_ends_with_the_project(office: Office) -> None:
    project = await office.project()
    changed = await _change(office, project, ProjectStatus.FAILED)
    found = [item async for item in _lines(office, f"/api/v1/project/{project.id}/events/stream")]
    assert [event for event, _, _ in found] == ["ProjectCreated", "ProjectStatusChanged", "project-ended"]
    assert json.loads(found[1][2])["event_id"] == str(changed)
    assert json.loads(found[2][2]) == {"project_id": str(project.id), "status": "failed"}


async def test_a_reader_goes_on_after_the_last_event_it_had(office: Office) -> None:
    project = await office.project()
    await _change(office, project, ProjectStatus.FAILED)
    path = f"/api/v1/project/{project.id}/events/stream"
    first = await anext(_lines(office, path))
    rest = [item async for item in _lines(office, path, last_event_id=first[1])]
    assert [event for event, _, _ in rest] == ["ProjectStatusChanged", "project-ended"]
    assert [item async for item in _lines(office, f"{path}?after={first[1]}")] == rest
    assert (await office.get(path, office.ada, last_event_id="x-1")).status_code == 400
    assert (await office.get(path, office.ada, last_event_id="9" * 30 + "-1")).status_code == 400


async def test_readers_that_come_at_any_time_hear_everything_once_in_order(office: Office) -> None:
    project = await office.project()
    total = 40
    published: list[UUID] = []

    async def listen(after: Cursor) -> list[UUID]:
        heard: list[UUID] = []
        async with aclosing(office.gateway.feed.follow(project.id, after)) as events:
            async for one in events:
                if one is not None and one.event.event_type == "ProjectStatusChanged":
                    heard.append(one.event.event_id)
                if len(heard) == total:
                    return heard
        return heard

    async with asyncio.timeout(60):
        readers = []
        for number in range(total):
            if number % 8 == 0:
                readers.append(asyncio.create_task(listen(Cursor())))
            published.append(await _change(office, project, ProjectStatus.VISIONING))
            await asyncio.sleep(0)
        assert [await reader for reader in readers] == [published] * len(readers)


async def test_a_slow_reader_loses_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_QUEUE", 3)
    project = await office.project()
    heard: list[UUID] = []
    published: list[UUID] = []
    async with asyncio.timeout(60):
        async with aclosing(office.gateway.feed.follow(project.id, Cursor())) as events:
            async for one in events:
                if one is None:
                    continue
                heard.append(one.event.event_id)
                if not published:
                    published = [await _change(office, project, ProjectStatus.VISIONING) for _ in range(30)]
                if len(heard) == 31:
                    break
    assert heard[1:] == published
