"""`factory memory` from an empty data folder to a search, as a person and as a program uses it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from factory.cli import app
from tests.cli.conftest import Ended

Command = Callable[..., Ended]

HANDBOOK = """# Handbook

## Backups

The database is dumped every night at two, and a restore is rehearsed on the first Monday of the month.

## On call

Whoever is on call answers within fifteen minutes. The pager rings twice.
"""


@pytest.fixture
def command(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("FACTORY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FACTORY_DATABASE_URL", database_url)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["factory", "memory", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.mark.timeout(240)
def test_a_folder_is_indexed_searched_and_compacted(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "handbook.md").write_text(HANDBOOK)
    (folder / "orders.jsonl").write_text(json.dumps({"text": "Orders are shipped from Rotterdam.", "key": "o"}) + "\n{")

    indexed = command("index", str(folder), "-c", "handbook", "--kind", "manual", "--json")
    assert indexed.code == 0
    assert indexed.json["documents"] == 2
    chunks = indexed.json["chunks"]
    assert chunks >= 3
    assert sum(indexed.json["refused"].values()) == 1
    again = command("index", str(folder), "-c", "handbook", "--kind", "manual", "--json")
    assert (again.json["version"], again.json["resumed"]) == (indexed.json["version"], 1)

    found = command("search", "how quickly must one react to an alarm?", "-c", "handbook", "--json")
    assert found.code == 0
    first = found.json[0]
    assert first["title"].endswith("On call")
    assert (first["kind"], first["tenant"]) == ("manual", "default")
    shown = command("search", "rehearsed restore", "-c", "handbook", "--mode", "keyword")
    assert "Handbook > Backups" in shown.out
    assert "The database is dumped every night" in shown.out
    assert command("search", "restore", "-c", "handbook", "--kind", "other", "--json").json == []

    (sizes,) = command("status", "--json").json
    assert (sizes["collection"], sizes["model"], sizes["rows"]) == ("handbook", "all-MiniLM-L6-v2", chunks)
    compacted = command("compact", "-c", "handbook", "--all", "--json").json
    assert compacted["rows_after"] == chunks
    assert (
        command("search", "pager", "-c", "handbook", "--mode", "keyword", "--json").json[0]["title"] == first["title"]
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "x", "-c", "nothing"), "there is no collection 'nothing'"),
        (("search", "x", "--mode", "psychic"), "Choose from dense, keyword, hybrid"),
        (("search", "x", "--version", "new"), "Write 3, 2.., ..4 or 2..4"),
        (("compact", "-c", "nothing"), "there is no collection 'nothing'"),
        (("forget", "abcdef"), "project"),
    ],
)
def test_what_cannot_be_done_says_why(command: Command, arguments: tuple[str, ...], said: str) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.out == ""


def test_nothing_is_a_list(command: Command) -> None:
    ended = command("status", "--json")
    assert (ended.code, ended.json) == (0, [])
