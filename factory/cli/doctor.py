"""`factory doctor`: is this machine fit, and what to do where it is not."""

from dataclasses import asdict
from typing import Annotated

import typer

from factory.cli.output import write_json

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Start nothing: no sandbox, database or Ray.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Check this machine and say what to do.

    Exit code 1: something is missing that the factory needs.
    """
    from factory.cli.checks import look  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli.session import load_settings  # noqa: PLC0415 - same

    checks = []
    for check in look(load_settings(), start=not quick):
        checks.append(check)
        if not as_json:
            typer.secho(f"{check.level:8}", fg=_COLOURS[check.level], nl=False)
            typer.echo(f"{check.name:17}{check.detail}")
            if not check.passed and check.remedy:
                typer.echo(f"{'':25}{check.remedy}")
    if as_json:
        write_json([{**asdict(check), "level": check.level} for check in checks])
    if any(check.level == "failed" for check in checks):
        raise typer.Exit(1)
