"""The entry point: finds the command, runs it, and turns errors into messages and exit codes.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted. Commands are imported when they are named, and import
what is heavy (Ray, spaCy, the database driver) inside their functions, so that `factory --help` answers at once.
"""

import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from factory.domain.errors import BadInputError, FactoryError, NotFoundError

# Where each command lives: a function is a command, a Typer application a group of commands.
COMMANDS = {
    "build": "factory.cli.build:build",
    "up": "factory.cli.lifecycle:up",
    "down": "factory.cli.lifecycle:down",
    "status": "factory.cli.lifecycle:status",
    "project": "factory.cli.project:app",
    "artifact": "factory.cli.artifact:app",
    "event": "factory.cli.event:app",
    "subscription": "factory.cli.subscription:app",
    "dead-letter": "factory.cli.dead_letter:app",
    "trace": "factory.cli.trace:trace",
    "escalation": "factory.cli.escalation:app",
    "incident": "factory.cli.incident:app",
    "memory": "factory.cli.memory:app",
    "notification": "factory.cli.notification:app",
    "user": "factory.cli.user:app",
    "client": "factory.cli.client:app",
    "token": "factory.cli.token:app",
    "grant": "factory.cli.grant:app",
    "policy": "factory.cli.policy:app",
    "audit": "factory.cli.audit:app",
    "flag": "factory.cli.flag:app",
    "usage": "factory.cli.usage:usage",
    "agent": "factory.cli.agent:app",
    "contract": "factory.cli.contract:app",
    "doctor": "factory.cli.doctor:doctor",
    "version": "factory.cli.version:version",
}

_FAILED = 1
_BAD_INPUT = 2


class _Commands(MutableMapping[str, Any]):
    """Commands by name, each imported when it is first asked for."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's command classes are private
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:  # noqa: ANN401
        self._loaded[name] = command
        self._places.setdefault(name, "")

    def __delitem__(self, name: str) -> None:
        del self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _LazyGroup(TyperGroup):
    """The root group, whose commands are imported on demand."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - typer passes its own
        super().__init__(**attributes)
        self.commands = _Commands(dict(COMMANDS))


root = typer.Typer(
    name="factory",
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@root.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack of an error.")] = False,
) -> None:
    """Turn a product vision into a tested repository."""


def main() -> None:
    """Run the command line and exit with its code."""
    arguments, debug = _without_debug(sys.argv[1:])
    try:
        root(args=arguments, prog_name="factory")
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever arrives here is reported, not raised
        code = _report(error, debug=debug)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else _FAILED * bool(ended.code)
    else:
        code = 0
    sys.exit(_flushed(code))


def _load(name: str, place: str) -> Any:  # noqa: ANN401 - typer's command classes are private
    module, _, attribute = place.partition(":")
    target = getattr(import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
        single.command(name)(target)
        target = single
    command = get_command(target)
    command.name = name
    return command


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Take `--debug` out wherever it stands before `--`: it belongs to every command."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return kept + arguments[end:], len(kept) < end


def _report(error: Exception, *, debug: bool) -> int:
    """Write an error to standard error and return the exit code it stands for."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if debug:
        traceback.print_exception(error)
    if isinstance(error, FactoryError):
        typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(error.message, err=True)
        if error.remedy:
            typer.echo(error.remedy, err=True)
        return _BAD_INPUT if isinstance(error, BadInputError | NotFoundError) else _FAILED
    if not debug:
        typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        typer.echo("This was not expected. Add --debug to see where it happened; see also `factory doctor`.", err=True)
    return _FAILED


def _flushed(code: int) -> int:
    """Flush standard output; where its reader has gone, leave quietly instead of failing at interpreter exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or _FAILED
    return code
