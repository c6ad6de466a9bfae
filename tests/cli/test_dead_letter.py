"""Dead letters through the command line: listed, shown, corrected, delivered again, closed."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from factory.cli import app
from factory.cli.payload import edit_payload
from factory.control import projects, tasks
from factory.control.submission import first_event
from factory.domain.errors import BadInputError, ConflictError, ErrorCategory
from factory.domain.project import Project, ProjectStatus
from factory.domain.task import TaskError
from factory.service import BuildRequest, FactoryService
from factory.settings import Settings
from tests.cli.conftest import VISION, Ended

ERROR = TaskError(
    message="the model is away.",
    category=ErrorCategory.DEPENDENCY,
    retryable=False,
    error_type="RetryableError",
    stack="Traceback: in a far land",
)

Command = Callable[..., Ended]


class Letters:
    """A database with failed projects, each because of one dead letter."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.projects: list[Project] = []
        self.uids: list[int] = []

    def sow(self, number: int) -> "Letters":
        for place in range(number):
            asyncio.run(self._fail(f"Product{place}"))
        return self

    async def _fail(self, name: str) -> None:
        async with await FactoryService.open(self.settings) as factory:
            request = BuildRequest(name, name.lower(), VISION, "api-service", self.settings.data_dir / name)
            project, _ = await factory.begin(request)
            async with factory.database.transaction() as connection:
                await factory.orchestrator.advance(connection, await first_event(connection, project))
            owner = await factory.bus.register("tester")
            (delivery,) = await factory.bus.claim({"vision-architect": 1}, owner)
            task_id = UUID(str(delivery.event.payload["task_id"]))
            async with factory.database.transaction() as connection:
                await factory.bus.dead_letter(connection, delivery, ERROR)
                await tasks.fail_task(connection, task_id, "tester", ERROR)
                await projects.set_status(connection, project, ProjectStatus.FAILED)
                await projects.set_failure(connection, project.id, {"step": "vision-document", "reason": "it failed"})
            await factory.bus.retire(owner)
        self.projects.append(project)
        self.uids.append(delivery.uid)

    def look(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with (
                await FactoryService.open(self.settings) as factory,
                factory.database.transaction() as connection,
            ):
                return [dict(row) for row in await connection.fetch(query, *arguments)]

        return asyncio.run(read())

    def status(self, place: int = 0) -> str:
        (row,) = self.look("SELECT status FROM project WHERE id = $1", self.projects[place].id)
        return str(row["status"])


@pytest.fixture
def letters(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Letters:
    """Give the database; the command line uses the same."""
    monkeypatch.setenv("FACTORY_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("FACTORY_DATABASE_URL", str(settings.database_url))
    return Letters(settings)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `factory dead-letter` in this process."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["factory", "dead-letter", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


def test_dead_letters_are_listed_by_what_is_asked_for(letters: Letters, command: Command) -> None:
    letters.sow(2)
    listed = command("list", "--json").json
    assert [letter["uid"] for letter in listed] == letters.uids[::-1]
    first = listed[-1]
    assert (first["agent"], first["step"], first["category"]) == ("vision-architect", "vision-document", "dependency")
    assert (first["event_type"], first["state"], first["attempts"]) == ("TaskAssigned", "open", 1)
    assert first["trace_id"] == letters.projects[0].trace_id

    def numbers(*arguments: str) -> list[int]:
        return [letter["uid"] for letter in command("list", "--json", *arguments).json]

    assert numbers("--project", str(letters.projects[0].id)) == letters.uids[:1]
    assert numbers("--agent", "vision-architect", "-n", "1") == letters.uids[1:]
    assert numbers("--agent", "product-owner") == []
    assert numbers("--category", "dependency", "--since", "1h") == letters.uids[::-1]
    assert numbers("--category", "schema") == []
    assert numbers("--since", "2999-01-01") == []
    assert numbers("--state", "discarded") == []
    assert numbers("--state", "all") == letters.uids[::-1]
    assert "vision-architect" in command("list").out
    assert command("list", "--state", "redriven").err == "There are no such dead letters.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--category", "bad luck"], "bad luck"),
        (["list", "--state", "lost"], "lost"),
        (["list", "--since", "yesterday"], "yesterday"),
        (["list", "--since", "99999999999999d"], "not a time"),
        (["list", "--project", "ffffffffffff"], "there is no project"),
        (["show", "999999"], "no dead letter 999999"),
        (["edit", "999999", "--payload", "{}"], "no dead letter 999999"),
        (["replay", "999999"], "no dead letter 999999"),
        (["discard", "999999", "--reason", "old"], "no dead letter 999999"),
        (["discard", "999999"], "--reason"),
        (["discard", "999999", "--reason", " "], "reason is empty"),
        (["replay"], "name one dead letter"),
        (["replay", "1", "--all"], "name one dead letter"),
        (["replay", "--all", "--payload", "{}"], "one payload"),
    ],
)
def test_bad_input_is_exit_code_2(letters: Letters, command: Command, arguments: list[str], said: str) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""
    assert letters.look("SELECT uid FROM dead_letter") == []


def test_a_dead_letter_is_shown_with_its_history(letters: Letters, command: Command) -> None:
    (uid,) = letters.sow(1).uids
    shown = command("show", str(uid), "--json").json
    assert shown["stack"] == "Traceback: in a far land"
    assert shown["event"]["payload"]["goal"] == "vision-document"
    assert [entry["outcome"] for entry in shown["history"]] == ["dead"]
    text = command("show", str(uid)).out
    for expected in ("the model is away.", "Traceback: in a far land", letters.projects[0].trace_id, "dependency"):
        assert expected in text


def test_a_replay_lets_the_project_go_on(letters: Letters, command: Command) -> None:
    (uid,) = letters.sow(1).uids
    assert letters.status() == "failed"
    assert command("replay", str(uid), "--reason", "the model is back", "--json").json == [
        {"uid": uid, "state": "redriven", "error": None}
    ]
    assert letters.status() == "visioning"
    assert letters.look("SELECT status, attempt, error FROM task") == [
        {"status": "assigned", "attempt": 0, "error": None}
    ]
    assert len(letters.look("SELECT 1 FROM delivery WHERE uid = $1", uid)) == 1
    (resolved,) = letters.look("SELECT state, resolution FROM dead_letter")
    assert resolved == {"state": "redriven", "resolution": "the model is back"}
    again = command("replay", str(uid))
    assert again.code == 1
    assert "was redriven" in again.err
    assert command("edit", str(uid), "--payload", "{}").code == 1
    assert command("discard", str(uid), "--reason", "late").code == 1


def test_a_payload_that_breaks_its_contract_changes_nothing(letters: Letters, command: Command, tmp_path: Path) -> None:
    (uid,) = letters.sow(1).uids
    payload = command("show", str(uid), "--json").json["event"]["payload"]
    refused = {
        "round": payload | {"round": "many"},
        "parameters": {name: value for name, value in payload.items() if name != "parameters"},
        "colour": payload | {"colour": "red"},
        "task_id": payload | {"task_id": str(letters.projects[0].id)},
        "agent": payload | {"agent": "product-owner"},
    }
    for field, wrong in refused.items():
        for name in ("edit", "replay"):
            ended = command(name, str(uid), "--payload", json.dumps(wrong))
            assert ended.code == 2, field
            assert field in ended.err
    for text in ("[1]", "nonsense", f"@{tmp_path / 'missing.json'}", "null", "[" * 100_000):
        ended = command("edit", str(uid), "--payload", text)
        assert ended.code == 2
        assert "payload" in ended.err or "missing.json" in ended.err
    assert command("edit", str(uid)).code == 2, "no payload and no terminal"
    (row,) = letters.look("SELECT state, edited_payload FROM dead_letter")
    assert row == {"state": "open", "edited_payload": None}
    assert letters.status() == "failed"


def test_a_corrected_payload_is_kept_and_then_delivered(letters: Letters, command: Command, tmp_path: Path) -> None:
    (uid,) = letters.sow(1).uids
    payload = command("show", str(uid), "--json").json["event"]["payload"]
    file = tmp_path / "payload.json"
    file.write_text(json.dumps(payload | {"parameters": {"tone": "warm"}}))
    assert command("edit", str(uid), "--payload", f"@{file}").code == 0
    shown = command("show", str(uid), "--json").json
    assert shown["edited_payload"]["parameters"] == {"tone": "warm"}
    assert shown["event"]["payload"]["parameters"] == {}
    assert "Corrected by" in command("show", str(uid)).out
    assert command("replay", str(uid)).code == 0
    (delivered,) = letters.look(
        "SELECT e.payload, e.causation_id FROM delivery d JOIN event e USING (event_id) WHERE d.uid = $1", uid
    )
    assert delivered["payload"]["parameters"] == {"tone": "warm"}
    assert str(delivered["causation_id"]) == shown["event_id"]
    (task,) = letters.look("SELECT parameters ->> 'tone' AS tone FROM task")
    assert task["tone"] == "warm"


def test_a_correction_may_come_with_the_replay_from_standard_input(
    letters: Letters, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (uid,) = letters.sow(1).uids
    payload = command("show", str(uid), "--json").json["event"]["payload"]
    given = tmp_path / "given"
    given.write_text(json.dumps(payload | {"parameters": {"tone": "cool"}}))
    with given.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert command("replay", str(uid), "--payload", "-").code == 0
    (delivered,) = letters.look("SELECT e.payload FROM delivery d JOIN event e USING (event_id) WHERE d.uid = $1", uid)
    assert delivered["payload"]["parameters"] == {"tone": "cool"}


def test_many_are_replayed_at_once_and_what_cannot_be_is_named(letters: Letters, command: Command) -> None:
    letters.sow(3)
    asked = command("replay", "--all")
    assert asked.code == 2
    assert "3 dead letters" in asked.err
    second = letters.projects[1].id
    letters.look("UPDATE project SET status = 'compensated' WHERE id = $1", second)
    ended = command("replay", "--all", "--yes", "--category", "dependency", "--json")
    assert ended.code == 1
    by_uid = {item["uid"]: item for item in ended.json}
    assert [by_uid[uid]["state"] for uid in letters.uids] == ["redriven", "open", "redriven"]
    assert "compensated" in by_uid[letters.uids[1]]["error"]
    assert "3/3" in ended.err
    assert [letters.status(place) for place in range(3)] == ["visioning", "compensated", "visioning"]
    assert command("replay", "--all", "--yes", "--agent", "nobody", "--json").json == []


def test_a_dead_letter_is_discarded_for_a_reason(letters: Letters, command: Command) -> None:
    (uid,) = letters.sow(1).uids
    assert command("discard", str(uid), "--reason", "nobody waits for it", "--json").json["state"] == "discarded"
    assert command("list", "--json").json == []
    (shown,) = command("list", "--state", "discarded", "--json").json
    assert shown["resolution"] == "nobody waits for it"
    assert command("discard", str(uid), "--reason", "again").code == 1
    assert letters.status() == "failed"


def test_a_payload_is_edited_in_the_editor_of_ones_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.delenv("VISUAL", raising=False)
    script = tmp_path / "editor.py"
    script.write_text(
        "import pathlib, sys; p = pathlib.Path(sys.argv[2]); p.write_text(eval(sys.argv[1])(p.read_text()))"
    )
    change = 'lambda text: text.replace("red", "blue")'
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script} '{change}'")
    assert edit_payload({"colour": "red"}) == {"colour": "blue"}
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script} 'lambda text: text'")
    with pytest.raises(ConflictError, match="nothing was changed"):
        edit_payload({"colour": "red"})
    monkeypatch.setenv("EDITOR", f"{sys.executable} {script} 'lambda text: text + text'")
    with pytest.raises(BadInputError, match="not JSON"):
        edit_payload({"colour": "red"})
    monkeypatch.setenv("EDITOR", "no-such-editor")
    with pytest.raises(BadInputError, match="no-such-editor"):
        edit_payload({"colour": "red"})
