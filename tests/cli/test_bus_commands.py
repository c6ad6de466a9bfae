"""Subscriptions, publishing and replaying, through the command line on a database of the test's own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path
from typing import TypeVar

import pytest

from factory.cli import app
from factory.control.projects import NewProject, create_project
from factory.events.bus import EventBus
from factory.events.conditions import Condition
from factory.events.delivery import Delivery
from factory.events.subscriptions import Subscription
from factory.settings import Settings
from factory.storage.database import Database
from tests.cli.conftest import Ended

T = TypeVar("T")
Command = Callable[..., Ended]
OnBus = Callable[[Callable[[EventBus, Database], Awaitable[T]]], T]

READER = Subscription(name="reader", event_types=("ProjectFailed",))
LIMITED = Subscription(
    name="limited",
    event_types=("ProjectFailed",),
    ordered=True,
    max_backlog=2,
    conditions=(Condition(field=("step",), value="x"),),
)
PUBLISH = ("event", "publish", "ProjectFailed", "--topic", "system")


@pytest.fixture
def command(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("FACTORY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FACTORY_DATABASE_URL", database_url)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["factory", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def on_bus(settings: Settings) -> OnBus[T]:
    def run(work: Callable[[EventBus, Database], Awaitable[T]]) -> T:
        async def opened() -> T:
            async with await Database.open(settings) as database:
                return await work(EventBus(database), database)

        return asyncio.run(opened())

    return run


@pytest.fixture
def declared(on_bus: OnBus[None]) -> None:
    on_bus(lambda bus, _: bus.declare([READER, LIMITED]))


async def claim(bus: EventBus, _: Database) -> list[Delivery]:
    return await bus.claim({"reader": 50, "limited": 50}, await bus.register("test"))


@pytest.mark.usefixtures("declared")
def test_subscriptions_are_listed_and_shown_with_what_waits(command: Command) -> None:
    command(*PUBLISH, "--payload", '{"reason": "one"}')
    command(*PUBLISH, "--payload", '{"reason": "two", "step": "x"}')
    listed = {entry["name"]: entry for entry in command("subscription", "list", "--json").json}
    assert listed["reader"]["backlog"]["ready"] == 2
    assert listed["limited"]["backlog"]["ready"] == 1
    assert (listed["limited"]["max_backlog"], listed["limited"]["paused"]) == (2, False)
    table = command("subscription", "list").out.splitlines()
    assert [line.split()[:3] for line in table[1:]] == [["limited", "active", "1"], ["reader", "active", "2"]]
    shown = command("subscription", "show", "limited", "--json").json
    assert shown["conditions"] == [{"field": ["step"], "operator": "equals", "value": "x"}]
    assert "max backlog" in command("subscription", "show", "limited").out
    unknown = command("subscription", "show", "nobody")
    assert (unknown.code, unknown.out) == (2, "")
    assert "'nobody'" in unknown.err


def test_no_subscriptions_are_an_empty_list(command: Command) -> None:
    assert command("subscription", "list", "--json").json == []
    assert "no subscriptions" in command("subscription", "list").err


@pytest.mark.usefixtures("declared")
def test_a_paused_subscription_collects_and_says_who_holds_it(command: Command, on_bus: OnBus[list[Delivery]]) -> None:
    paused = command("subscription", "pause", "reader", "--reason", "the model is away", "--by", "ann")
    assert paused.code == 0
    assert "reader is paused" in paused.out
    assert command("subscription", "pause", "reader", "--reason", "me too", "--by", "bob").code == 0
    command(*PUBLISH, "--payload", '{"reason": "one"}')
    assert on_bus(claim) == []
    shown = command("subscription", "show", "reader", "--json").json
    assert (shown["paused"], shown["backlog"]["ready"]) == (True, 1)
    assert (shown["pause"]["by"], shown["pause"]["reason"]) == ("ann", "the model is away")
    assert "the model is away" in command("subscription", "show", "reader").out
    assert command("subscription", "resume", "reader", "--json").json["pause"] is None
    assert len(on_bus(claim)) == 1
    for verb in (("pause", "nobody", "--reason", "?"), ("resume", "nobody")):
        assert command("subscription", *verb).code == 2


@pytest.mark.usefixtures("declared")
def test_an_event_is_published_from_text_file_and_standard_input(
    command: Command, on_bus: OnBus[list[Delivery]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "payload.json").write_text('{"reason": "file"}')
    monkeypatch.setattr("sys.stdin", StringIO('{"reason": "pipe"}'))
    text = command(*PUBLISH, "--payload", '{"reason": "text"}', "--priority", "-5", "--json").json
    assert command(*PUBLISH, "--payload", f"@{tmp_path / 'payload.json'}", "--priority", "5", "--ttl", "60").code == 0
    assert command(*PUBLISH, "--payload", "-").code == 0
    command(*PUBLISH, "--payload", '{"reason": "later"}', "--at", "2999-01-01T00:00:00+00:00")
    taken = on_bus(claim)
    assert [d.event.payload["reason"] for d in taken] == ["file", "pipe", "text"]
    assert str(taken[2].event.event_id) == text["event_id"]
    assert command("subscription", "show", "reader", "--json").json["backlog"]["delayed"] == 1


def test_an_event_is_about_the_project_it_names(command: Command, on_bus: OnBus[str]) -> None:
    async def create(_: EventBus, database: Database) -> str:
        async with database.transaction() as connection:
            project = await create_project(
                connection, NewProject(name="Clinic", slug="clinic", blueprint="api-service", build_key="clinic")
            )
            return str(project.id)

    project_id = on_bus(create)
    published = command(*PUBLISH, "--payload", '{"reason": "x"}', "--project", project_id[:13], "--json").json
    assert published["project_id"] == project_id
    assert command(*PUBLISH, "--payload", '{"reason": "x"}', "--project", "ffffff").code == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--payload", "{"), "payload"),
        (("--payload", "[1]"), "payload"),
        (("--payload", "@missing.json"), "missing.json"),
        (("--payload", '{"reason": 7}'), "reason"),
        (("--payload", '{"reason": "x", "extra": 1}'), "extra"),
        (("--payload", '{"reason": "a\\u0000b"}'), "payload"),
        (("--payload", json.dumps({"reason": "x" * 300_000})), "the limit is 262144"),
        (("--payload", '{"reason": "x"}', "--version", "99"), "version 99"),
        (("--payload", '{"reason": "x"}', "--version", "0"), "version"),
        (("--payload", '{"reason": "x"}', "--topic", "nowhere"), "topic"),
        (("--payload", '{"reason": "x"}', "--topic", "vision"), "topic"),
        (("--payload", '{"reason": "x"}', "--at", "tomorrow"), "--at"),
        (("--payload", '{"reason": "x"}', "--priority", "101"), "priority"),
        (("--payload", '{"reason": "x"}', "--ttl", "0"), "time to live"),
        (("--payload", '{"reason": "x"}', "--ttl", "nan"), "--ttl"),
        (("--payload", '{"reason": "x"}', "--ttl", "1e300"), "--ttl"),
    ],
)
def test_a_publication_that_cannot_be_is_bad_input_with_the_field_named(
    command: Command, arguments: tuple[str, ...], named: str
) -> None:
    ended = command(*PUBLISH, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.err
    assert command("event", "tail", "--json").json == []


def test_an_unknown_type_is_bad_input_with_the_known_ones(command: Command) -> None:
    ended = command("event", "publish", "Nonsense", "--topic", "system", "--payload", "{}")
    assert ended.code == 2
    assert "'Nonsense'" in ended.err
    assert "ProjectFailed" in ended.err


@pytest.mark.usefixtures("declared")
def test_a_full_backlog_refuses_and_says_what_to_do(command: Command) -> None:
    payload = ("--payload", '{"reason": "x", "step": "x"}')
    assert [command(*PUBLISH, *payload).code for _ in range(2)] == [0, 0]
    ended = command(*PUBLISH, *payload)
    assert ended.code == 1
    assert "'limited'" in ended.err
    command("subscription", "pause", "limited", "--reason", "x")
    assert "factory subscription resume limited" in command(*PUBLISH, *payload).err
    assert len(command("event", "tail", "--json").json) == 2


@pytest.mark.usefixtures("declared")
def test_events_are_replayed_one_or_a_stretch(command: Command, on_bus: OnBus[list[Delivery]]) -> None:
    events = [command(*PUBLISH, "--payload", f'{{"reason": "{n}"}}', "--json").json for n in range(3)]
    assert len(on_bus(claim)) == 3
    one = command("event", "replay", events[1]["event_id"], "--json").json
    assert one["count"] == 1
    (delivery,) = [d for d in on_bus(claim) if d.replay is not None]
    assert (str(delivery.replay), str(delivery.event.event_id)) == (one["replay"], events[1]["event_id"])

    stretch = ("event", "replay", "--from", events[0]["timestamp"][:10] + "T00:00:00+00:00", "--to", "reader")
    assert command(*stretch, "--dry-run", "--json").json == {"replay": None, "count": 3}
    assert command(*stretch, "--dry-run").out == "3 deliveries would be made.\n"
    assert command(*stretch, "--type", "TaskFailed", "--json").json["count"] == 0
    done = command(*stretch, "--type", "ProjectFailed", "--json")
    assert (done.code, done.json["count"]) == (0, 3)
    again = command("event", "replay", "--continue", done.json["replay"], "--json")
    assert again.json == done.json
    assert sum(str(d.replay) == done.json["replay"] for d in on_bus(claim)) == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "EVENT_ID"),
        (("not-an-id",), "'not-an-id'"),
        (("01a20000-0000-7000-8000-000000000000",), "no event"),
        (("01a20000-0000-7000-8000-000000000000", "--dry-run"), "--dry-run"),
        (("01a20000-0000-7000-8000-000000000000", "--from", "2026-01-01"), "EVENT_ID"),
        (("--from", "2026-01-01"), "--to"),
        (("--from", "yesterday", "--to", "reader"), "--from"),
        (("--from", "2026-01-02", "--until", "2026-01-01", "--to", "reader"), "not before"),
        (("--from", "2026-01-01", "--to", "nobody"), "'nobody'"),
        (("--from", "2026-01-01", "--to", "reader", "--type", "Nonsense"), "'Nonsense'"),
        (("--continue", "01a20000-0000-7000-8000-000000000000"), "no replay"),
    ],
)
@pytest.mark.usefixtures("declared")
def test_a_replay_that_cannot_be_is_bad_input(command: Command, arguments: tuple[str, ...], named: str) -> None:
    ended = command("event", "replay", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.err
