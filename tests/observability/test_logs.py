"""Logs are JSON lines that name the work they belong to."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory.observability.logs import RotatedFileHandler, bound, configure_logging, get_logger
from factory.settings import Settings


@pytest.fixture(autouse=True)
def _restored_root() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_carry_the_bound_ids_and_fields(tmp_path: Path) -> None:
    path = configure_logging(Settings(data_dir=tmp_path, log_level="info"), service="supervisor")
    logger = get_logger("factory.actors")
    with bound(trace="4bf9", project="p1"):
        with bound(task="t1", agent="backlog-agent"):
            logger.info("task_claimed", attempt=2)
        logger.debug("hidden")
        logger.warning("lease_lost")
    logger.info("idle")

    assert path == tmp_path / "logs" / "supervisor.jsonl"
    claimed, lost, idle = lines(path)
    assert claimed["event"] == "task_claimed"
    assert claimed["level"] == "info"
    assert claimed["logger"] == "factory.actors"
    assert claimed["attempt"] == 2
    assert [claimed[name] for name in ("trace", "project", "task", "agent")] == ["4bf9", "p1", "t1", "backlog-agent"]
    assert (lost["project"], "task" in lost) == ("p1", False)
    assert "project" not in idle
    assert claimed["timestamp"].endswith("Z")


def test_library_logs_and_stacks_come_out_in_the_same_form(tmp_path: Path) -> None:
    path = configure_logging(Settings(data_dir=tmp_path, log_level="info"), service="cli")
    with bound(project="p1"):
        logging.getLogger("alembic").info("ran %s", "0001", extra={"seconds": 3})
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            get_logger("factory").exception("commit_failed")

    library, failed = lines(path)
    assert (library["event"], library["logger"], library["seconds"]) == ("ran 0001", "alembic", 3)
    assert library["project"] == "p1"
    assert failed["exception"][0]["exc_type"] == "ZeroDivisionError"


def test_standard_error_stays_quiet_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(data_dir=tmp_path, log_level="info")
    configure_logging(settings, service="cli")
    get_logger("factory").info("quiet")
    assert capsys.readouterr() == ("", "")

    configure_logging(settings, service="cli", stderr=True)
    get_logger("factory").info("loud")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "loud"


def test_a_large_file_is_moved_aside_by_whichever_process_sees_it_and_no_line_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    script = (
        "import logging, sys; from pathlib import Path\n"
        "from factory.observability.logs import RotatedFileHandler\n"
        "handler = RotatedFileHandler(Path(sys.argv[1]), rotate_at=20_000)\n"
        "for number in range(300):\n"
        "    handler.handle(logging.makeLogRecord({'msg': '%s-%d' % (sys.argv[2], number)}))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in ("a" * 50, "b" * 50)]
    assert [writer.wait() for writer in writers] == [0, 0]

    older = path.with_name("shared.jsonl.1")
    assert path.stat().st_size < 20_100
    kept = older.read_text().splitlines() + path.read_text().splitlines()
    assert all(len(line.split("-")[0]) == 50 for line in kept)
    assert {line for line in kept if line.endswith("-299")} == {f"{'a' * 50}-299", f"{'b' * 50}-299"}


def test_a_file_removed_by_another_program_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    handler = RotatedFileHandler(path)
    handler.handle(logging.makeLogRecord({"msg": "before"}))
    path.unlink()
    handler.handle(logging.makeLogRecord({"msg": "after"}))
    handler.close()
    assert path.read_text() == "after\n"
