"""`factory audit`: who did what, when, to what, from where."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import write_json, write_table

if TYPE_CHECKING:
    from factory.identity.audit.entry import AuditRecord
    from factory.identity.audit.reading import AuditFilter, Broken

app = typer.Typer(help="Read the audit trail, export it, check that nothing was changed.", no_args_is_help=True)

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_entries(
    *,
    subject: Annotated[str | None, typer.Option("--subject", help="Only of this subject.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only of this action.")] = None,
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only on this project.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")] = None,
    allowed: Annotated[
        bool | None, typer.Option("--allowed/--denied", help="Only what was allowed, or was not.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only the latest 90m, 12h, 7d, or from a date like 2026-05-01.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the latest.")] = 50,
    as_json: _JSON = False,
) -> None:
    """List entries, the latest first."""
    from datetime import UTC, datetime  # noqa: PLC0415 - keeps `factory --help` quick

    from factory.cli.session import run  # noqa: PLC0415 - same
    from factory.cli.usage import since_time  # noqa: PLC0415 - same
    from factory.identity.audit.reading import AuditFilter  # noqa: PLC0415 - same

    which = AuditFilter(
        tenant=tenant,
        subject=subject,
        action=action,
        allowed=allowed,
        since=since_time(since, datetime.now(UTC)) if since else None,
    )
    found = run(_list(which, project, limit))
    if as_json:
        write_json([entry.model_dump(mode="json") for entry in found])
        return
    write_table(
        ("ENTRY", "AT", "SUBJECT", "ACTION", "RESOURCE", "ANSWER", "FROM"),
        (
            (
                entry.sequence,
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                entry.subject,
                entry.action,
                f"{entry.resource_type}:{entry.resource_id}" if entry.resource_type else entry.route,
                entry.status or ("allowed" if entry.allowed else "denied"),
                entry.address,
            )
            for entry in found
        ),
        empty="There are no such entries.",
    )


@app.command("export")
def export() -> None:
    """Print every entry as a line of JSON, the oldest first; keep the last hash elsewhere to see later cuts."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    run(_export())


@app.command("verify")
def verify(*, as_json: _JSON = False) -> None:
    """Walk the chain of hashes; exit code 1 where an entry was changed or is missing."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    count, broken = run(_verify())
    if as_json:
        found = {"sequence": broken.sequence, "reason": broken.reason} if broken else None
        write_json({"entries": count, "broken": found})
    elif broken is None:
        typer.echo(f"{count:,} entries are as they were written.")
    else:
        typer.echo(
            f"Entry {broken.sequence}: {broken.reason}. The {count:,} before it are as they were written.", err=True
        )
    if broken is not None:
        raise typer.Exit(1)


async def _list(which: "AuditFilter", project: str | None, limit: int) -> "list[AuditRecord]":
    from dataclasses import replace  # noqa: PLC0415 - keeps `factory --help` quick

    from factory.cli.session import open_database  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.identity.audit.reading import find  # noqa: PLC0415 - same

    async with open_database() as database:
        if project is not None:
            async with database.transaction() as connection:
                which = replace(which, project_id=(await get_project(connection, project)).id)
        return await find(database, which, limit=limit)


async def _export() -> None:
    from factory.cli.session import open_database  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.audit.reading import walk  # noqa: PLC0415 - same

    async with open_database() as database:
        async for entry in walk(database):
            sys.stdout.write(entry.model_dump_json() + "\n")


async def _verify() -> "tuple[int, Broken | None]":
    from factory.cli.session import open_database  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.audit.reading import verify as walked  # noqa: PLC0415 - same

    async with open_database() as database:
        return await walked(database)
