"""`factory notification`: tell people something, and see what they were told."""

from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import age, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from uuid import UUID

    from factory.control.notifications import Notification
    from factory.domain.recovery import Severity

app = typer.Typer(help="Tell people something over a channel.", no_args_is_help=True, add_completion=False)

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PROJECT = Annotated[
    str | None, typer.Option("--project", "-p", help="The project that it is about: its id or six first digits.")
]


@app.command("send")
def send(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="By its name; log is always there.")],
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="One line.")],
    *,
    text: Annotated[str, typer.Option("--text", help="What to say; the subject alone by default.")] = "",
    severity: Annotated[str, typer.Option("--severity", help="info, warning, error or critical.")] = "info",
    project: _PROJECT = None,
    as_json: _JSON = False,
) -> None:
    """Ask for a notification; a running factory sends it, again until the channel takes it."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.domain.recovery import Severity  # noqa: PLC0415 - same

    if severity not in set(Severity):
        raise BadInputError(
            f"{severity!r} is no severity.", remedy=f"Severities: {', '.join(Severity)}.", field="severity"
        )
    if not subject.strip() or not subject.isprintable():
        raise BadInputError("the subject is not one line of text.", remedy="Give one.", field="subject")
    identity = run(_send(channel, subject, text or subject, Severity(severity), project))
    if as_json:
        write_json({"notification_id": str(identity), "state": "requested"})
    else:
        typer.echo(f"Notification {identity} is requested.")


@app.command("list")
def list_notifications(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the latest.")] = 50,
    as_json: _JSON = False,
) -> None:
    """List notifications with what became of them, the latest first."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_list(limit))
    if as_json:
        write_json([one.model_dump(mode="json") for one in found])
        return
    write_table(
        ("NOTIFICATION", "CHANNEL", "SEVERITY", "STATE", "BY", "ASKED", "SUBJECT"),
        (
            (one.id, one.channel, one.severity, one.state, one.requested_by, age(one.created_at), one.subject)
            for one in found
        ),
        empty="Nobody was told anything.",
    )


async def _send(channel: str, subject: str, text: str, severity: "Severity", project: str | None) -> "UUID":
    from factory.cli.identity_session import operator  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli.session import load_settings, open_database  # noqa: PLC0415 - same
    from factory.control import notifications  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.domain.ids import new_id  # noqa: PLC0415 - same
    from factory.events.bus import EventBus  # noqa: PLC0415 - same
    from factory.integrations.notifications import Channels  # noqa: PLC0415 - same

    settings = load_settings()
    Channels.load(settings.notification_channels).require(channel)
    async with open_database(settings) as database, database.transaction() as connection:
        found = await get_project(connection, project) if project else None
        new = notifications.NewNotification(
            id=new_id(),
            tenant=found.tenant if found else settings.tenant,
            channel=channel,
            subject=subject,
            text=text,
            severity=severity,
            project=found,
        )
        await notifications.request(connection, EventBus(database), new, by=operator())
        return new.id


async def _list(limit: int) -> "list[Notification]":
    from factory.cli.session import reading  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.control import notifications  # noqa: PLC0415 - same

    async with reading() as connection:
        return await notifications.page(connection, tenant=None, limit=limit)
