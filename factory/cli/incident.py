"""`factory incident`: what is wrong with the running factory, and what was."""

from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import age, clock, short, write_json, write_table

if TYPE_CHECKING:
    from factory.domain.telemetry import Incident

app = typer.Typer(help="Look at what is wrong with the factory.", no_args_is_help=True, add_completion=False)


@app.callback()
def incident() -> None:
    """Look at what is wrong with the factory."""  # a group stays one, though it has a single command


@app.command("list")
def list_incidents(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List incidents that the Observability Coordinator raised; those that are open, unless told otherwise."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_list(limit, every=every))
    if as_json:
        write_json([incident.model_dump(mode="json") for incident in found])
        return
    write_table(
        ("ID", "RULE", "SUBJECT", "SEVERITY", "FIGURE", "VALUE", "LIMIT", "RAISED", "CLOSED"),
        (
            (
                short(item.id),
                item.rule,
                item.subject,
                item.severity,
                item.figure,
                f"{item.value:g}",
                f"{item.limit:g}",
                age(item.opened_at),
                clock(item.closed_at) if item.closed_at else "-",
            )
            for item in found
        ),
        empty="There are no incidents." if every else "There are no open incidents.",
    )


async def _list(limit: int, *, every: bool) -> "list[Incident]":
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control import incidents  # noqa: PLC0415 - same

    async with reading() as connection:
        return (
            await incidents.list_latest(connection, limit) if every else (await incidents.list_open(connection))[:limit]
        )
