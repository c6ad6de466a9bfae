"""`factory contract` as people and CI call it."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import factory.events.registry as registry_module
from factory.cli import app
from factory.events.registry import CONTRACTS_FOLDER, REGISTRY
from tests.cli.conftest import Ended

Command = Callable[..., Ended]


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `factory contract` in this process; it needs no data folder."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["factory", "contract", *arguments])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own, whose contracts folder the command takes for the project's."""
    path = tmp_path / "repository" / "contracts"
    shutil.copytree(CONTRACTS_FOLDER, path)
    monkeypatch.setattr(registry_module, "CONTRACTS_FOLDER", path)
    return path


def git(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    author = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *author, *arguments], cwd=folder.parent, check=True, capture_output=True, env=environment)


def release(folder: Path, tag: str = "") -> None:
    """Commit the folder as it is, and tag it."""
    if not (folder.parent / ".git").exists():
        git(folder, "init")
    git(folder, "add", "--all")
    git(folder, "commit", "--allow-empty", "--message", tag or "change")
    if tag:
        git(folder, "tag", "--annotate", "--message", tag, tag)


def edit(path: Path, change: Callable[[Any], object]) -> None:
    schema = json.loads(path.read_text())
    change(schema)
    path.write_text(json.dumps(schema))


def test_contracts_are_listed(contract: Command) -> None:
    listed = contract("list", "--json").json
    assert [(row["type"], row["version"]) for row in listed] == sorted(
        (c.event_type, c.event_version) for c in REGISTRY
    )
    (created,) = [row for row in listed if row["type"] == "ProjectCreated"]
    assert (created["state"], created["topics"], created["release"]) == ("active", ["system"], "1.0")
    assert contract("list").out.splitlines()[0].split() == ["CONTRACT", "VERSION", "STATE", "TOPICS", "FIELDS"]


def test_a_contract_is_shown_as_text_and_as_schema(contract: Command) -> None:
    text = contract("show", "TaskAssigned").out
    assert text.startswith("TaskAssigned 1.0 (active) on architecture, ")
    assert "array of uuid" in text
    schema = contract("show", "TaskAssigned", "--version", "1", "--json").json
    assert schema == json.loads((CONTRACTS_FOLDER / "TaskAssigned/v1.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "taskasigned"], "Did you mean TaskAssigned"),
        (["show", "Zzz"], "`factory contract list` shows"),
        (["show", "TaskAssigned", "--version", "9"], "Known: 1."),
        (["check", "--against", "no-such-tag"], "neither a folder nor a revision"),
        (["asyncapi", "--out", "/no/such/folder/x.yaml"], "cannot be written"),
    ],
)
def test_bad_input_is_answered_with_what_would_be_good(contract: Command, arguments: list[str], said: str) -> None:
    ended = contract(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err) < 300


def test_the_contracts_of_this_tree_pass(contract: Command) -> None:
    ended = contract("check")
    assert (ended.code, ended.err) == (0, "")
    assert contract("check", "--json").code == 0


def test_a_change_is_refused_by_name_and_exit_code(contract: Command, folder: Path, tmp_path: Path) -> None:
    """The old release had a field that is gone, and lacked one that is required now."""
    released = tmp_path / "released"
    shutil.copytree(folder, released)
    edit(released / "TaskFailed/v1.json", lambda s: s["properties"].update(gone={"type": "string"}))
    edit(released / "TaskAssigned/v1.json", lambda s: (s["properties"].pop("goal"), s["required"].remove("goal")))
    ended = contract("check", "--against", str(released))
    assert ended.code == 1
    assert "refused  field-removed  TaskFailed v1 gone: string → nothing." in ended.out
    assert "refused  required-field-added  TaskAssigned v1 goal" in ended.out
    assert "4 changes are refused." in ended.err
    findings = contract("check", "--against", str(released), "--json").json
    assert {(f["rule"], f["path"]) for f in findings} == {
        ("field-removed", "gone"), ("required-field-added", "goal"), ("minor-bump-missing", ""),
    }  # fmt: skip


def test_every_released_tag_counts_and_drafts_do_not(contract: Command, folder: Path) -> None:
    """A field that only the first release had is missed although the second forgot it too."""
    path = folder / "TaskFailed/v1.json"
    edit(path, lambda s: s["properties"].update(gone={"type": "string"}))
    release(folder, "v1.0.0")
    edit(path, lambda s: s["properties"].pop("gone"))
    REGISTRY.write(folder)
    release(folder, "v1.1.0")
    release(folder, "nightly")
    found = contract("check", "--json")
    assert [f["rule"] for f in found.json] == ["field-removed", "minor-bump-missing"]
    assert contract("check", "--against", "v1.1.0").out == "The contracts may follow those of v1.1.0.\n"
    assert contract("check", "--against", "HEAD~2").code == 1


def test_without_tags_the_last_commit_counts(contract: Command, folder: Path) -> None:
    edit(folder / "TaskFailed/v1.json", lambda s: s["properties"].update(gone={"type": "string"}))
    release(folder)
    REGISTRY.write(folder)
    assert contract("check").code == 1
    release(folder)
    assert contract("check").out == "The contracts may follow those of HEAD.\n"


def test_without_git_the_folder_itself_counts(contract: Command, folder: Path) -> None:
    assert contract("check").out == f"The contracts may follow those of {folder}.\n"
    (folder / "TaskFailed/v1.json").write_text("{")
    ended = contract("check")
    assert ended.code == 2
    assert "TaskFailed/v1.json" in ended.err
    assert contract("check", "--against", "v1").code == 2


def test_a_schema_file_that_lags_behind_is_refused(contract: Command, folder: Path) -> None:
    release(folder)
    (folder / "TaskFailed/v1.json").unlink()
    ended = contract("check")
    assert ended.code == 1
    assert "schema-file-differs  TaskFailed/v1.json" in ended.out


def test_the_asyncapi_document_is_printed_and_written(contract: Command, tmp_path: Path) -> None:
    printed = yaml.safe_load(contract("asyncapi").out)
    assert printed["asyncapi"] == "3.0.0"
    assert contract("asyncapi", "--format", "json").json == printed
    assert contract("asyncapi", "--out", str(tmp_path / "a.json")).out == ""
    assert json.loads((tmp_path / "a.json").read_text()) == printed
