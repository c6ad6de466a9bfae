"""`factory build` as people use it: bad input, an interruption, a second run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import EXAMPLES, ROOT, Workplace

CLINIC = ROOT / "examples" / "visions" / "clinic.md"


def test_there_are_six_examples() -> None:
    assert len(EXAMPLES) >= 6
    assert CLINIC in EXAMPLES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02\x03" * 40, "not text"),
        (b"\xff\xfe caf\xe9", "UTF-8"),
        (b"---\nnaem: Clinic\n---\nAs a nurse I want to book a bed.\n", "naem"),
        (b"---\nblueprint: spaceship\n---\nAs a nurse I want to book a bed.\n", "spaceship"),
        (b"Nice.\n", "vision"),
    ],
)
def test_a_vision_that_cannot_be_built_ends_with_exit_code_2(
    workplace: Workplace, tmp_path: Path, text: bytes, named: str
) -> None:
    vision = tmp_path / "vision.md"
    vision.write_bytes(text)
    done = workplace.factory("build", vision, "--out", tmp_path / "out", "--json", expect=2)
    assert named in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_missing_file_and_an_unknown_option_are_bad_input(workplace: Workplace, tmp_path: Path) -> None:
    assert "nothing.md" in workplace.factory("build", tmp_path / "nothing.md", expect=2).stderr
    assert "--colour" in workplace.factory("build", CLINIC, "--colour", expect=2).stderr
    assert "spaceship" in workplace.factory("build", CLINIC, "--blueprint", "spaceship", expect=2).stderr


def test_a_folder_with_something_else_in_it_is_left_alone(workplace: Workplace, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear")
    done = workplace.factory("build", CLINIC, "--out", tmp_path / "letters", expect=2)
    assert "letters" in done.stderr
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["dear.txt"]


@pytest.mark.timeout(300)
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(workplace: Workplace, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "factory", "build", str(CLINIC), "--out", str(tmp_path / "clinic"), "--json"]
    build = subprocess.Popen(
        # Whoever runs the tests in the background has them ignore the signal, and children inherit that.
        ["env", "--default-signal=INT", *command],
        env=workplace.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert build.stderr is not None
    for line in build.stderr:
        if "backlog: done" in line:
            break
    build.send_signal(signal.SIGINT)
    output, errors = build.communicate(timeout=60)
    assert build.returncode == 130, errors
    assert output == ""
    assert "takes the build up" in errors

    done = subprocess.run(command, env=workplace.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["status"] == "released"
    assert {artifact["version"] for artifact in answer["artifacts"]} == {1}
    assert "taking up" in done.stderr


def test_the_summary_for_machines_has_the_promised_shape(workplace: Workplace) -> None:
    answer = workplace.build(CLINIC)
    assert {"project_id", "status", "repository", "artifacts", "tests", "seconds"} <= answer.keys()
    assert {"kind", "version", "hash", "uri", "status"} <= answer["artifacts"][0].keys()
    assert {"passed", "failed"} <= answer["tests"].keys()


def test_one_trace_tells_of_the_whole_project(workplace: Workplace) -> None:
    project_id = workplace.build(CLINIC)["project_id"]

    def of_project(span: dict[str, Any]) -> bool:
        return {"key": "factory.project.id", "value": {"stringValue": project_id}} in span.get("attributes", ())

    deadline = time.monotonic() + 20
    # The supervisor exports the project's own span up to a second after the project has ended.
    while time.monotonic() < deadline:
        found = [span for span in workplace.spans() if of_project(span)]
        if any(span["name"] == "project clinic" for span in found):
            break
        time.sleep(0.2)
    (trace_id,) = {span["traceId"] for span in found}
    spans = {span["spanId"]: span for span in workplace.spans() if span["traceId"] == trace_id}
    roots = [span for span in spans.values() if not span.get("parentSpanId")]
    assert [span["name"] for span in roots] == ["project clinic"]
    assert all(span["parentSpanId"] in spans for span in spans.values() if span not in roots)
    names = {span["name"] for span in spans.values()}
    assert names >= {"receive", "load", "plan", "execute", "compose", "validate", "publish", "announce", "emit"}
    assert names >= {"backend-developer backend", "blob get", "blob put", "settle", "git commit backend"}


def test_status_tells_of_the_pools(workplace: Workplace) -> None:
    workplace.build(CLINIC)
    status = workplace.read("status")
    assert status["healthy"]
    assert {"agent", "size", "busy", "backlog"} <= status["pools"][0].keys()
    assert {pool["agent"] for pool in status["pools"]} >= {"vision-architect", "artifact-validator"}
    assert os.getpid() != status["pid"]


def test_up_again_finds_the_running_factory(workplace: Workplace) -> None:
    first = workplace.read("up")
    assert {"gateway", "dashboard", "database", "version"} <= first.keys()
    assert workplace.read("up") == first
