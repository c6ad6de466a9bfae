"""Projects, artifacts, events and agents, read from a real database through the command line."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from factory.cli.output import short, short_project
from factory.control.submission import project_created
from factory.domain.ids import new_id
from factory.events.bus import EventBus
from factory.storage.database import Database
from tests.cli.conftest import VISION, Ended, Seeded

Factory = Callable[..., Ended]


def test_projects_are_listed_newest_first(factory: Factory, seeded: Seeded) -> None:
    listed = factory("project", "list", "--json")
    assert [project["name"] for project in listed.json] == ["Library", "Clinic"]
    assert [project["name"] for project in factory("project", "list", "--json", "-n", "1").json] == ["Library"]
    assert factory("project", "list", "--status", "released", "--json").json == []
    table = factory("project", "list").out.splitlines()
    assert table[0].split() == ["ID", "NAME", "BLUEPRINT", "STATUS", "UPDATED"]
    assert table[2].split()[:4] == [short_project(seeded.clinic.id), "Clinic", "api-service", "visioning"]


def test_a_state_that_does_not_exist_is_refused_with_those_that_do(factory: Factory) -> None:
    ended = factory("project", "list", "--status", "sleeping")
    assert ended.code == 2
    assert "sleeping" in ended.err
    assert "released" in ended.err


def test_a_project_is_shown_by_its_id_or_a_prefix(factory: Factory, seeded: Seeded) -> None:
    whole = factory("project", "show", str(seeded.clinic.id), "--json").json
    assert whole["name"] == "Clinic"
    assert {artifact["kind"] for artifact in whole["artifacts"]} == {"vision", "backlog", "domain-model"}
    assert whole["tests"] == {"passed": 0, "failed": 0}
    assert [step["status"] for step in whole["steps"]] == ["waiting"] * len(whole["steps"])
    assert factory("project", "show", str(seeded.clinic.id)[:-4], "--json").json["id"] == str(seeded.clinic.id)
    text = factory("project", "show", str(seeded.clinic.id)).out
    assert text.startswith("Clinic\n")
    assert "vision-document" in text
    assert short(seeded.ids["backlog-2"]) in text


@pytest.mark.parametrize(
    ("identifier", "said"),
    [
        ("12345", "not the id of any project"),
        ("clinic", "not the id of any project"),
        ("ffffffff-ffff-7fff-8fff-ffffffffffff", "there is no project"),
        ("", "not the id of any project"),
    ],
)
@pytest.mark.parametrize("command", ["show", "lineage"])
def test_a_bad_id_is_bad_input(factory: Factory, command: str, identifier: str, said: str) -> None:
    ended = factory("project", command, identifier)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""


def test_an_ambiguous_prefix_is_refused(factory: Factory, seeded: Seeded) -> None:
    # Ids begin with the time: the first six digits are the same for four hours.
    ended = factory("project", "show", str(seeded.clinic.id)[:6])
    assert ended.code == 2
    assert "several projects" in ended.err


def test_lineage_leads_from_the_vision_to_every_artifact_and_commit(factory: Factory, seeded: Seeded) -> None:
    ended = factory("project", "lineage", str(seeded.clinic.id), "--verify")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    places = [next(n for n, line in enumerate(lines) if f"{name} " in line) for name in (
        "Clinic", "vision v1", "backlog v1", "backlog v2", "domain-model v1",
    )]  # fmt: skip
    assert places == sorted(places)
    indents = [len(lines[place]) - len(lines[place].lstrip("│└├─ ")) for place in places]
    assert indents == sorted(set(indents)), "each stands under the newest artifact it came from"
    assert "also from vision v1" in lines[places[-1]]
    assert all("commit " in lines[place] for place in places[1:])
    assert "as recorded" in ended.out

    graph = factory("project", "lineage", str(seeded.clinic.id), "--json").json
    commits = [node["id"] for node in graph["nodes"] if node["type"] == "commit"]
    assert len(commits) == 4
    assert {edge["target"] for edge in graph["edges"] if edge["relation"] == "committed-as"} == {
        f"commit:{sha}" for sha in commits
    }


def test_verification_finds_damaged_bytes(factory: Factory, seeded: Seeded) -> None:
    path = next(
        path
        for path in (seeded.settings.data_dir / "blobs").rglob("*")
        if path.is_file() and b"# Model" in path.read_bytes()
    )
    intact = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(intact.replace(b"# Model", b"# Muddle"))
    try:
        ended = factory("project", "lineage", str(seeded.clinic.id), "--verify", "--json")
        shown = factory("artifact", "show", str(seeded.ids["domain-model"]))
    finally:
        path.write_bytes(intact)
    assert ended.code == 1
    assert "domain-model v1" in ended.err
    assert ended.json["problems"][0]["check"] == "bytes"
    assert shown.code == 1


def test_artifacts_are_listed_with_every_version(factory: Factory, seeded: Seeded) -> None:
    listed = factory("artifact", "list", "--project", str(seeded.clinic.id), "--json").json
    assert [(entry["kind"], entry["version"]) for entry in listed] == [
        ("vision", 1),
        ("backlog", 1),
        ("backlog", 2),
        ("domain-model", 1),
    ]
    everything = factory("artifact", "list", "--json").json
    assert len(everything) == 5
    assert [entry["kind"] for entry in factory("artifact", "list", "-n", "2", "--json").json] == [
        "domain-model",
        "vision",
    ]
    filtered = factory("artifact", "list", "--kind", "backlog", "--status", "valid", "--json").json
    assert [entry["version"] for entry in filtered] == [1, 2]
    assert factory("artifact", "list", "--status", "invalid").err == "There are no such artifacts.\n"
    assert factory("artifact", "list", "--kind", "poem").code == 2
    assert factory("artifact", "list", "--status", "lost").code == 2
    assert short(seeded.ids["backlog-1"]) in factory("artifact", "list").out


def test_an_artifact_is_shown_by_id_prefix_kind_and_version(factory: Factory, seeded: Seeded) -> None:
    clinic = str(seeded.clinic.id)
    for which in (str(seeded.ids["backlog-2"]), str(seeded.ids["backlog-2"])[:8], f"{clinic}/backlog"):
        assert factory("artifact", "show", which).out == "# Backlog\n\n- Book and cancel\n"
    assert "- Book\n" in factory("artifact", "show", f"{clinic}/backlog", "--version", "1").out
    assert "- Book\n" in factory("artifact", "show", str(seeded.ids["backlog-2"]), "-v", "1").out
    assert factory("artifact", "show", f"{clinic}/vision").out == VISION
    assert factory("artifact", "show", f"{clinic}/backlog", "--file", ".factory/backlog.json").out == "{}\n"
    assert factory("artifact", "show", f"{clinic}/backlog", "--files").out.split() == [
        ".factory/backlog.json",
        "docs/backlog.md",
    ]
    document = factory("artifact", "show", f"{clinic}/backlog", "--json").json
    assert document["version"] == 2
    assert document["files"]["docs/backlog.md"].endswith("cancel\n")
    assert {entry["path"] for entry in factory("artifact", "show", f"{clinic}/backlog", "--files", "--json").json} == {
        ".factory/backlog.json",
        "docs/backlog.md",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{clinic}/poem"], "has no artifact 'poem'"),
        (["{clinic}/backlog", "--version", "9"], "has no artifact 'backlog v9'"),
        (["{clinic}/backlog", "--file", "docs/novel.md"], "docs/backlog.md"),
        (["12345"], "not the id of any artifact"),
        (["00000000-0000-5000-8000-000000000000"], "there is no artifact"),
    ],
)
def test_an_artifact_that_is_not_there_is_bad_input(
    factory: Factory, seeded: Seeded, arguments: list[str], said: str
) -> None:
    ended = factory("artifact", "show", *(argument.format(clinic=seeded.clinic.id) for argument in arguments))
    assert ended.code == 2
    assert said in ended.err


def test_versions_are_compared(factory: Factory, seeded: Seeded) -> None:
    clinic = str(seeded.clinic.id)
    first, second = str(seeded.ids["backlog-1"]), str(seeded.ids["backlog-2"])
    expected = factory("artifact", "diff", first, second).out
    assert "-- Book\n+- Book and cancel\n" in expected
    assert "--- a/docs/backlog.md" in expected
    assert factory("artifact", "diff", f"{clinic}/backlog").out == expected
    assert factory("artifact", "diff", second, "--since", "1").out == expected
    assert [file["path"] for file in factory("artifact", "diff", second, "--json").json["files"]] == ["docs/backlog.md"]
    same = factory("artifact", "diff", first, first)
    assert (same.code, same.out, same.err) == (0, "", "They do not differ.\n")
    assert factory("artifact", "diff", first).code == 2
    assert factory("artifact", "diff", first, second, "--since", "1").code == 2


def test_the_event_log_is_read_from_its_end(factory: Factory, seeded: Seeded) -> None:
    events = factory("event", "tail", "--json").json
    assert [event["event_type"] for event in events] == ["ProjectCreated", "ProjectCreated"]
    assert [event["payload"]["name"] for event in events] == ["Clinic", "Library"]
    assert [event["payload"]["name"] for event in factory("event", "tail", "-n", "1", "--json").json] == ["Library"]
    assert factory("event", "tail", "-n", "0", "--json").json == []
    mine = factory("event", "tail", "--project", str(seeded.clinic.id), "--json").json
    assert [event["project_id"] for event in mine] == [str(seeded.clinic.id)]
    (line,) = factory("event", "tail", "--project", str(seeded.clinic.id)).out.splitlines()
    assert "ProjectCreated" in line
    assert short_project(seeded.clinic.id) in line
    assert factory("event", "tail", "--project", "ffffff").code == 2


def test_following_prints_events_as_they_come(seeded: Seeded) -> None:
    command: list[str | Path] = [
        Path(sys.executable).with_name("factory"),
        "event",
        "tail",
        "-f",
        "--json",
        "-p",
        str(seeded.library.id),
    ]
    environment = os.environ | {"FACTORY_DATA_DIR": str(seeded.settings.data_dir)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as following:
        assert following.stdout is not None
        assert '"ProjectCreated"' in following.stdout.readline()
        asyncio.run(_publish_again(seeded))
        assert '"revision": 7' in following.stdout.readline()
        following.terminate()


async def _publish_again(seeded: Seeded) -> None:
    revised = seeded.library.model_copy(update={"revision": 7})
    async with await Database.open(seeded.settings) as database, database.transaction() as connection:
        await EventBus(database).publish(connection, [project_created(revised, new_id())])


def test_agents_are_listed_with_what_they_make(factory: Factory) -> None:
    agents = {agent["name"]: agent for agent in factory("agent", "list", "--json").json}
    assert agents["product-owner"]["produces"] == ["backlog"]
    assert agents["backend-developer"]["subcluster"] == "development"
    assert "product-owner" in factory("agent", "list").out


def test_tables_in_a_pipe_are_not_cut(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    rows = factory("project", "list").out.splitlines()
    assert len(rows) == 3
    assert all("api-service" in row for row in rows[1:])
