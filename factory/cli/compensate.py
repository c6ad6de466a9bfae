"""`factory project compensate`: take back what a project has done."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import duration, write_json, write_table

if TYPE_CHECKING:
    from factory.control.saga_records import StepCompensation
    from factory.domain.project import Project

_POLL_SECONDS = 0.1


def compensate(
    project: Annotated[str, typer.Argument(metavar="ID", help="The project's id, or at least six first digits of it.")],
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is recorded.")],
    from_step: Annotated[
        str | None, typer.Option("--from-step", help="Only this step and what builds on it; else everything.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it is over; exit 1 if it failed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Undo the steps of a project, the last one first, by the compensations that its blueprint names.

    Without --wait it is done by the running factory, or by the next one that runs.
    """
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found, compensations = run(_compensate(project, reason, from_step, wait=wait))
    if as_json:
        write_json(
            {
                "project_id": found.id,
                "status": found.status,
                "compensations": [item.model_dump(mode="json") for item in compensations],
            }
        )
    else:
        typer.echo(f"{found.name} is {found.status}.")
        write_compensations(compensations)
    if wait and found.status != "compensated":
        raise typer.Exit(1)


def write_compensations(compensations: "list[StepCompensation]") -> None:
    """Print what is undone of a project, in the order in which it happens."""
    write_table(
        ("COMPENSATION", "AGENT", "STATE", "TRY", "TIME", "MESSAGE"),
        (
            (
                item.step,
                item.agent,
                item.state,
                item.attempts or "",
                _time(item),
                item.message,
            )
            for item in compensations
        ),
        empty="Nothing is undone yet.",
    )


def _time(item: "StepCompensation") -> str:
    return duration((item.ended_at - item.started_at).total_seconds()) if item.started_at and item.ended_at else ""


async def _compensate(
    identifier: str, reason: str, from_step: str | None, *, wait: bool
) -> "tuple[Project, list[StepCompensation]]":
    from factory.cli.attended import attended, until_ended  # noqa: PLC0415 - loads the database driver
    from factory.cli.session import load_settings  # noqa: PLC0415 - same
    from factory.control import saga_records  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.domain.errors import BadInputError  # noqa: PLC0415 - same
    from factory.service import FactoryService  # noqa: PLC0415 - same

    if not reason.strip():
        raise BadInputError("the reason is empty.", remedy="Say why; it is recorded.", field="reason")

    async with await FactoryService.open(load_settings()) as factory:
        found: Project = await factory.database.run(lambda connection: get_project(connection, identifier))
        event_id = await factory.compensate(found.id, reason, from_step)
        if wait:
            async with attended(factory, factory.blueprint(found.blueprint).agents) as host:
                while not await factory.is_handled(event_id):
                    if host is not None:
                        host.check()
                    await asyncio.sleep(_POLL_SECONDS)
                await until_ended(factory, found.id, host)
        async with factory.database.transaction() as connection:
            found = await get_project(connection, found.id)
            return found, await saga_records.compensations(connection, found.id, found.revision)
