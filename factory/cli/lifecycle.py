"""`factory up`, `factory down`, `factory status`: a factory that keeps running between builds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.domain.errors import FactoryError

if TYPE_CHECKING:
    from factory.settings import Settings

_START_SECONDS = 120
_STOP_SECONDS = 120


def up(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Start a factory that keeps running until `factory down`; returns when it is healthy."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415 - `factory --help` must answer at once

    settings = load_settings()
    state = running(settings) or _start(settings)
    shown = {name: state[name] for name in ("gateway", "grpc", "dashboard", "database", "version")}
    if as_json:
        typer.echo(json.dumps(shown))
        return
    typer.echo(f"The factory runs (process {state['pid']}).")
    for name, value in shown.items():
        typer.echo(f"  {name:<10} {value or '-'}")
    if state["gateway"] and not run(_has_users()):
        typer.echo("Nobody can sign in yet: factory user add NAME --role admin --generate")


def down(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Stop the running factory, after the work under way is committed."""
    from factory.cli.session import load_settings  # noqa: PLC0415

    settings = load_settings()
    state = running(settings)
    if state is not None:
        os.kill(state["pid"], signal.SIGTERM)
        _wait_gone(state["pid"])
    if as_json:
        typer.echo(json.dumps({"stopped": state is not None}))
    else:
        typer.echo("The factory is stopped." if state else "No factory was running.")


def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show whether the factory runs, and its pools. Exit code 1 where it does not."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415

    settings = load_settings()
    state = running(settings)
    pools: list[dict[str, Any]] = []
    if state is not None:
        pools = run(_pools(settings))
    if as_json:
        typer.echo(json.dumps({"healthy": state is not None, "pools": pools, **(state or {})}))
    elif state is None:
        typer.echo("No factory runs. Start one with `factory up`.")
    else:
        typer.echo(f"The factory runs (process {state['pid']}, version {state['version']}).")
        for pool in pools:
            typer.echo(f"  {pool['agent']:<26} {pool['size']} actors, {pool['busy']} busy, {pool['backlog']} waiting")
    if state is None:
        raise typer.Exit(1)


def running(settings: "Settings") -> dict[str, Any] | None:
    """Return what the running factory says of itself, or None where none runs."""
    try:
        state: dict[str, Any] = json.loads(settings.state_file.read_text())
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return state


async def _has_users() -> bool:
    from factory.cli.identity_session import open_identity  # noqa: PLC0415 - `factory --help` must answer at once

    async with open_identity() as (identity, _):
        return bool(await identity.users.listed()) or not identity.embedded


async def _pools(settings: "Settings") -> list[dict[str, Any]]:
    from factory.service import FactoryService  # noqa: PLC0415 - `factory --help` must answer at once

    try:
        sizes = json.loads(settings.pools_file.read_text())
    except (OSError, ValueError):
        sizes = []
    async with await FactoryService.open(settings) as opened:
        names = [name for pool in sizes for name in (pool["agent"], f"{pool['agent']}.events")]
        backlog = await opened.bus.backlog(names)
    return [
        {**pool, "backlog": sum(backlog[name].ready for name in (pool["agent"], f"{pool['agent']}.events"))}
        for pool in sizes
    ]


class HostProcess:
    """A process that hosts a supervisor.

    An attached one ends with this process, however that ends; the other keeps running.
    """

    def __init__(self, settings: "Settings", agents: Sequence[str] = (), *, attached: bool) -> None:
        self._log = settings.data_dir / "logs" / "factory.out"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "factory.cli.daemon"]
        if attached:
            command += ["--attached", "--agents", *agents]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def check(self) -> None:
        """Make sure that the process lives.

        Raises:
            FactoryError: It ended; the message is the last thing it said.
        """
        if self._process.poll() is not None:
            raise FactoryError(f"the factory ended unexpectedly: {_last_line(self._log)}", remedy=f"See {self._log}.")

    def stop(self) -> None:
        """Let an attached process finish the work under way, and wait for its end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """Tell the process to stop."""
        self._process.terminate()


def _start(settings: "Settings") -> dict[str, Any]:
    process = HostProcess(settings, attached=False)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        state = running(settings)
        if state is not None and state["pid"] == process.pid:
            return state
        process.check()
        time.sleep(0.1)
    process.terminate()
    raise FactoryError(f"the factory was not healthy after {_START_SECONDS} s.", remedy="See `factory doctor`.")


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise FactoryError(f"process {pid} did not end within {_STOP_SECONDS} s.", remedy="End it by its id.")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
