"""`factory event`: the event log as it is written, and adding to it."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import clock, short_project, write_json
from factory.cli.routing import route
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from factory.events.delivery import LoggedEvent

app = typer.Typer(help="Look at the event log, publish and replay.", no_args_is_help=True, add_completion=False)

_PAGE = 500
_POLL_SECONDS = 0.5
_PAYLOAD_WIDTH = 100

# Index event_by_order or event_by_project, backwards: the cost is that of the lines asked for.
BEFORE_LATEST = """
SELECT transaction_id::text::bigint AS transaction_id, position FROM event
WHERE ($1::uuid IS NULL OR project_id = $1) ORDER BY event.transaction_id DESC, event.position DESC OFFSET $2 LIMIT 1
"""


app.command("route")(route)


@app.callback()
def _group() -> None:
    """Look at the event log, publish and replay."""


@app.command("tail")
def tail(
    *,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Only this project: its id or six first digits of it.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the latest events.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with events as they come.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array; with --follow one object per line.")
    ] = False,
) -> None:
    """Print the latest events, oldest first."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    run(_tail(project, lines, follow=follow, as_json=as_json))


@app.command("publish")
def publish(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type of the event, such as ProjectFailed.")],
    *,
    topic: Annotated[str, typer.Option("--topic", "-t", help="One of the topics of its contract.")],
    payload: Annotated[str, typer.Option("--payload", help="JSON, or @FILE, or - for standard input.")],
    project: Annotated[str | None, typer.Option("--project", "-p", help="The project it is about.")] = None,
    version: Annotated[int | None, typer.Option("--version", help="Of its contract; the newest by default.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Deliver it at this time (ISO 8601), not now.")] = None,
    priority: Annotated[int, typer.Option("--priority", help="From -100 to 100; larger is delivered first.")] = 0,
    ttl: Annotated[float | None, typer.Option("--ttl", help="Seconds in which its delivery must begin.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the event as JSON.")] = False,
) -> None:
    """Publish one event, held against its contract and the limits of backlogs."""
    from factory.cli import publication  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli.session import run  # noqa: PLC0415 - same

    event = run(publication.publish(event_type, version, topic, project, payload, at, priority, ttl))
    if as_json:
        write_json(event.model_dump(mode="json"))
    else:
        typer.echo(f"Published {event.event_type} {event.event_id}.")


@app.command("replay")
def replay(
    event: Annotated[str | None, typer.Argument(metavar="EVENT_ID", help="One event; or give --from.")] = None,
    *,
    to: Annotated[str | None, typer.Option("--to", help="The subscription; all that match by default.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Every event recorded since (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Up to this time; now by default.")] = None,
    event_type: Annotated[list[str] | None, typer.Option("--type", help="Only this type; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the deliveries.")] = False,
    resume: Annotated[str | None, typer.Option("--continue", help="Go on with an interrupted replay.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the replay.")] = "by hand",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Deliver events of the past once more: one of them, or those of a stretch of time to one subscription."""
    from factory.cli import publication  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli.session import run  # noqa: PLC0415 - same

    if sum(way is not None for way in (event, since, resume)) != 1:
        raise BadInputError("say what to replay.", remedy="Give one of EVENT_ID, --from and --continue.", field="event")
    if since is None and (until is not None or event_type or dry_run):
        raise BadInputError("--until, --type and --dry-run belong to --from.", remedy="Leave them out.", field="from")
    if resume is not None:
        done = run(publication.carry_on(resume))
    elif event is not None:
        done = run(publication.replay_event(event, to, reason))
    elif since is None or to is None:
        raise BadInputError("a stretch of time goes to one subscription.", remedy="Give --to.", field="to")
    else:
        done = run(publication.replay_stretch(to, since, until, event_type or (), reason, dry_run=dry_run))
    if as_json:
        write_json(done)
    else:
        typer.echo(f"{done['count']} deliveries{' would be made' if dry_run else ''}.")


async def _tail(project: str | None, lines: int, *, follow: bool, as_json: bool) -> None:
    from factory.cli.session import open_database  # noqa: PLC0415 - loads the database driver
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.events.bus import EventBus  # noqa: PLC0415 - same
    from factory.events.delivery import Cursor  # noqa: PLC0415 - same

    async with open_database() as database:
        project_id = None
        if project is not None:
            async with database.transaction() as connection:
                project_id = (await get_project(connection, project)).id
        async with database.transaction() as connection:
            before = await connection.fetchrow(BEFORE_LATEST, project_id, lines)
        bus = EventBus(database)
        cursor = Cursor(before["transaction_id"], before["position"]) if before else Cursor()
        latest: list[LoggedEvent] = []
        while page := await bus.tail(cursor, project_id=project_id, limit=_PAGE):
            latest += page
            cursor = page[-1].cursor
        if not follow and as_json:
            typer.echo(json.dumps([_fields(logged) for logged in latest], ensure_ascii=False, indent=2))
            return
        _print(latest, as_json=as_json)
        while follow:
            page = await bus.tail(cursor, project_id=project_id, limit=_PAGE)
            _print(page, as_json=as_json)
            if page:
                cursor = page[-1].cursor
            else:
                await asyncio.sleep(_POLL_SECONDS)


def _print(events: "list[LoggedEvent]", *, as_json: bool) -> None:
    for logged in events:
        typer.echo(json.dumps(_fields(logged), ensure_ascii=False) if as_json else _line(logged))


def _fields(logged: "LoggedEvent") -> dict[str, object]:
    return {"cursor": str(logged.cursor), **logged.event.model_dump(mode="json")}


def _line(logged: "LoggedEvent") -> str:
    event = logged.event
    payload = json.dumps(dict(event.payload), ensure_ascii=False, default=str)
    if len(payload) > _PAYLOAD_WIDTH:
        payload = f"{payload[: _PAYLOAD_WIDTH - 1]}…"
    project = short_project(event.project_id) if event.project_id else "-"
    return f"{clock(event.timestamp)}  {project:13}  {event.event_type:22} {event.originating_agent:24} {payload}"
