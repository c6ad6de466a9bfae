"""`factory escalation`: questions that wait for a person, and the answers."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import age, clock, short, short_project, write_json, write_table

if TYPE_CHECKING:
    from factory.control.escalations import Escalation

app = typer.Typer(help="Answer what waits for a person.", no_args_is_help=True, add_completion=False)

_ID = Annotated[str, typer.Argument(metavar="ID", help="The escalation's id, or at least six first digits of it.")]
_NOTE = Annotated[str, typer.Option("--note", help="Why; it is recorded with the decision.")]
_BY = Annotated[str | None, typer.Option("--by", help="Who decides.", show_default="the user of this machine")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_QUESTION_WIDTH = 90


@app.command("list")
def list_escalations(
    *,
    state: Annotated[
        str | None, typer.Option("--state", help="Only those that are open, approved, rejected, retried or expired.")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Only this project: its id or six first digits of it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List escalations, newest first."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_list(state, project, limit))
    if as_json:
        from factory.control.escalations import document  # noqa: PLC0415 - loads the database driver

        write_json([document(escalation) for escalation in found])
        return
    write_table(
        ("ID", "PROJECT", "AGENT", "SEVERITY", "STATE", "RAISED", "DEADLINE", "QUESTION"),
        (
            (
                short(item.id),
                short_project(item.project_id) if item.project_id else "-",
                item.agent,
                item.severity,
                item.state,
                age(item.created_at),
                clock(item.deadline),
                _line(item.question),
            )
            for item in found
        ),
        empty="There are no escalations.",
    )


@app.command("show")
def show(escalation: _ID, *, as_json: _JSON = False) -> None:
    """Show an escalation: the question, what each answer means, and what was decided."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    _print(run(_show(escalation)), as_json=as_json)


@app.command("approve")
def approve(escalation: _ID, *, note: _NOTE, by: _BY = None, as_json: _JSON = False) -> None:
    """Accept the fallback that the question proposes."""
    _decide(escalation, "approve", note, by, as_json=as_json)


@app.command("reject")
def reject(escalation: _ID, *, note: _NOTE, by: _BY = None, as_json: _JSON = False) -> None:
    """Fail the project; an agent stays as it is."""
    _decide(escalation, "reject", note, by, as_json=as_json)


@app.command("retry")
def retry(escalation: _ID, *, note: _NOTE, by: _BY = None, as_json: _JSON = False) -> None:
    """Deliver the dead letter again, or let the paused agent go on: the cause is mended."""
    _decide(escalation, "retry", note, by, as_json=as_json)


def _decide(identifier: str, answer: str, note: str, by: str | None, *, as_json: bool) -> None:
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    _print(run(_write(identifier, answer, note, by or getpass.getuser())), as_json=as_json)


async def _list(state: str | None, project: str | None, limit: int) -> "list[Escalation]":
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control import escalations  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.domain.errors import BadInputError  # noqa: PLC0415 - same
    from factory.domain.recovery import EscalationState  # noqa: PLC0415 - same

    if state is not None and state not in set(EscalationState):
        known = ", ".join(EscalationState)
        raise BadInputError(f"{state!r} is not a state of an escalation.", remedy=f"States: {known}.", field="state")
    async with reading() as connection:
        project_id = (await get_project(connection, project)).id if project else None
        wanted = EscalationState(state) if state else None
        return await escalations.listed(connection, state=wanted, project_id=project_id, limit=limit)


async def _show(identifier: str) -> "Escalation":
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control import escalations  # noqa: PLC0415 - same

    async with reading() as connection:
        return await escalations.find(connection, identifier)


async def _write(identifier: str, answer: str, note: str, by: str) -> "Escalation":
    from factory.cli.session import open_database  # noqa: PLC0415 - loads the database driver
    from factory.control import escalations  # noqa: PLC0415 - same
    from factory.events.bus import EventBus  # noqa: PLC0415 - same

    async with open_database() as database, database.transaction() as connection:
        return await escalations.decide(connection, EventBus(database), identifier, answer, by=by, note=note)


def _print(escalation: "Escalation", *, as_json: bool) -> None:
    if as_json:
        from factory.control.escalations import document  # noqa: PLC0415 - loads the database driver

        write_json(document(escalation))
        return
    facts = [
        ("Id", str(escalation.id)),
        ("Project", str(escalation.project_id or "-")),
        ("Agent", escalation.agent),
        ("Step", escalation.step or "-"),
        ("Severity", f"{escalation.severity} (criticality {escalation.criticality})"),
        ("Rule", escalation.rule),
        ("Owners", ", ".join(escalation.owners) or "-"),
        ("State", escalation.state.value),
        ("Deadline", clock(escalation.deadline)),
    ]
    if escalation.letter is not None:
        facts.append(("Letter", str(escalation.letter)))
    if escalation.decided_at is not None:
        facts.append(("Decided", f"{clock(escalation.decided_at)} by {escalation.decided_by}: {escalation.note}"))
    for name, value in facts:
        typer.echo(f"{name:11}{value}")
    typer.echo()
    typer.echo(escalation.question)


def _line(text: str) -> str:
    first = text.partition("\n")[0]
    return first if len(first) <= _QUESTION_WIDTH else f"{first[: _QUESTION_WIDTH - 1]}…"
