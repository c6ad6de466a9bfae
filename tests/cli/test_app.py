"""Errors, exit codes, pipes and speed of the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from factory.cli.app import COMMANDS

HEAVY = {"ray", "spacy", "asyncpg", "sqlalchemy", "alembic", "pydantic", "dulwich", "fsspec", "opentelemetry", "numpy"}
FACTORY = Path(sys.executable).with_name("factory")


def factory(*arguments: str, data_dir: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    extra = {"FACTORY_DATA_DIR": str(data_dir)} if data_dir else {}
    return subprocess.run(
        [FACTORY, *arguments], capture_output=True, text=True, check=False, env=os.environ | extra | environment
    )


def program(body: str) -> str:
    """Return a script that is the command line with a command `probe`, defined by `body`, among the real ones."""
    return (
        "import sys, types\n"
        "import typer\n"
        "from factory.cli import app\n"
        "from factory.domain import errors\n"
        f"{body}\n"
        "module = types.ModuleType('probe_command')\n"
        "module.probe = probe\n"
        "sys.modules['probe_command'] = module\n"
        "app.COMMANDS['probe'] = 'probe_command:probe'\n"
        "app.main()\n"
    )


def probe(body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program(body), *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from factory.cli.app import main\n"
        "sys.argv = ['factory', '--help']\n"
        "try:\n    main()\n"
        "finally:\n    print('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout
    loaded = set(done.stdout.split("LOADED ")[1].split())
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("group", ["project", "artifact", "event", "agent"])
def test_every_group_explains_itself(group: str) -> None:
    done = factory(group, "--help")
    assert done.returncode == 0, done.stderr
    assert "Commands" in done.stdout
    bare = factory(group)
    assert bare.returncode == 2


def test_unknown_commands_and_options_are_bad_input() -> None:
    done = factory("projct")
    assert done.returncode == 2
    assert "project" in done.stderr, "the nearest command is suggested"
    assert factory("version", "--colour").returncode == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("errors.BadInputError('the vision is empty.', remedy='Write one.')", 2),
        ("errors.NotFoundError('there is no project.', remedy='Write one.')", 2),
        ("errors.FactoryError('the disk is full.', remedy='Write one.')", 1),
        ("ExceptionGroup('work', [errors.BadInputError('the vision is empty.', remedy='Write one.')])", 2),
    ],
)
def test_errors_of_the_factory_are_a_message_a_remedy_and_a_code(error: str, code: int) -> None:
    done = probe(f"def probe() -> None:\n    raise {error}\n", "probe")
    assert done.returncode == code
    first, second = done.stderr.splitlines()
    assert first.startswith("Error: the")
    assert second == "Write one."
    assert done.stdout == ""


def test_an_unexpected_error_shows_its_stack_only_when_asked() -> None:
    body = "def probe() -> None:\n    raise ZeroDivisionError('halves')\n"
    done = probe(body, "probe")
    assert done.returncode == 1
    assert "ZeroDivisionError: halves" in done.stderr
    assert "--debug" in done.stderr
    assert "Traceback" not in done.stderr
    for arguments in (("probe", "--debug"), ("--debug", "probe")):
        verbose = probe(body, *arguments)
        assert "Traceback" in verbose.stderr
        assert verbose.returncode == 1


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    done = factory("project", "list", data_dir=tmp_path, FACTORY_LOG_LEVEL="loud")
    assert done.returncode == 2
    assert "FACTORY_LOG_LEVEL" in done.stderr
    assert "loud" in done.stderr


def test_a_reader_that_leaves_early_causes_no_noise() -> None:
    body = "def probe() -> None:\n    [typer.echo('line') for _ in range(100_000)]\n"
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -c "$1" probe | head -n 1', sys.executable, program(body)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "line\n"
    assert done.stderr == ""
    assert done.returncode == 1


def test_ctrl_c_ends_with_130_after_cleaning_up() -> None:
    body = (
        "import asyncio\n"
        "async def work() -> None:\n"
        "    try:\n        print('begun', flush=True); await asyncio.sleep(600)\n"
        "    finally:\n        print('cleaned', flush=True)\n"
        "def probe() -> None:\n    asyncio.run(work())\n"
    )
    with subprocess.Popen(
        # Whoever runs the tests in the background has them ignore the signal, and children inherit that.
        ["env", "--default-signal=INT", sys.executable, "-c", program(body), "probe"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    assert running.returncode == 130
    assert out == "cleaned\n"
    assert "Traceback" not in err


def test_version_is_the_packages_version() -> None:
    import factory as package  # noqa: PLC0415 - the helper above has the name

    assert factory("version").stdout.splitlines()[0] == f"factory {package.__version__}"
    assert json.loads(factory("version", "--json").stdout)["factory"] == package.__version__
