"""`factory subscription`: who receives which events, how much waits, and holding it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import clock, write_json, write_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from factory.events.bus import EventBus
    from factory.events.delivery import Standing
    from factory.storage.database import Connection

app = typer.Typer(help="Look at subscriptions and hold them.", no_args_is_help=True, add_completion=False)

_COUNTED = 1_000

Name = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_subscriptions(*, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List the subscriptions with what waits for them."""
    found = _standings(None)
    if as_json:
        write_json([_fields(standing) for standing in found])
        return
    write_table(
        ("subscription", "state", "ready", "delayed", "in flight", "blocked", "receives"),
        (
            (
                standing.subscription.name,
                _state(standing),
                _count(standing.backlog.ready),
                _count(standing.backlog.delayed),
                _count(standing.backlog.in_flight),
                standing.blocked,
                ", ".join(standing.subscription.event_types) or "everything",
            )
            for standing in found
        ),
        empty="There are no subscriptions: they are declared when a factory starts.",
    )


@app.command("show")
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show one subscription: its filters, its rules, and how it stands."""
    (standing,) = _standings(name)
    if as_json:
        write_json(_fields(standing))
        return
    rules = standing.subscription.model_dump(mode="json", exclude_defaults=True)
    rows = [("state", _state(standing)), *((field.replace("_", " "), value) for field, value in rules.items())]
    if standing.pause is not None:
        since = standing.pause.since
        rows += [
            ("paused since", clock(since) if since else None),
            ("paused by", standing.pause.by),
            ("reason", standing.pause.reason),
        ]
    rows += [(field.replace("_", " "), _waiting(value)) for field, value in asdict(standing.backlog).items()]
    write_table(("field", "value"), [*rows, ("blocked", standing.blocked)], empty="")


@app.command("pause")
def pause(
    name: Name,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; shown to everyone who looks.")],
    by: Annotated[str | None, typer.Option("--by", help="Who holds it; your login name by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Deliver nothing more to a subscription; it still collects its events."""
    import getpass  # noqa: PLC0415 - not needed to list

    holder = by or getpass.getuser()
    _change(name, lambda bus, connection: bus.pause(connection, name, by=holder, reason=reason), as_json=as_json)


@app.command("resume")
def resume(name: Name, *, as_json: AsJson = False) -> None:
    """Deliver to a paused subscription again."""
    _change(name, lambda bus, connection: bus.resume(connection, name), as_json=as_json)


def _standings(name: str | None) -> "list[Standing]":
    from factory.cli.session import open_database, run  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.events.bus import EventBus  # noqa: PLC0415 - same

    async def work() -> "list[Standing]":
        async with open_database() as database:
            return await EventBus(database).standings(name)

    return run(work())


def _change(name: str, change: "Callable[[EventBus, Connection], Awaitable[None]]", *, as_json: bool) -> None:
    from factory.cli.session import open_database, run  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.events.bus import EventBus  # noqa: PLC0415 - same

    async def work() -> "Standing":
        async with open_database() as database:
            bus = EventBus(database)
            async with database.transaction() as connection:
                await change(bus, connection)
            (standing,) = await bus.standings(name)
            return standing

    standing = run(work())
    if as_json:
        write_json(_fields(standing))
    else:
        typer.echo(f"{name} is {_state(standing)}; {_count(standing.backlog.total)} deliveries are not finished.")


def _fields(standing: "Standing") -> dict[str, Any]:
    backlog = asdict(standing.backlog) | {"oldest": standing.backlog.oldest.total_seconds()}
    return {
        **standing.subscription.model_dump(mode="json"),
        "active": standing.active,
        "paused": standing.pause is not None,
        "pause": asdict(standing.pause) if standing.pause else None,
        "blocked": standing.blocked,
        "backlog": backlog,
    }


def _state(standing: "Standing") -> str:
    if standing.pause is not None:
        return "paused"
    return "active" if standing.active else "retracted"


def _count(number: int) -> str:
    return f"{number}+" if number >= _COUNTED else str(number)


def _waiting(value: object) -> str:
    return _count(value) if isinstance(value, int) else str(value)
