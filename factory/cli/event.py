"""`factory event`: the event log as it is written."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import clock, short_project

if TYPE_CHECKING:
    from factory.events.delivery import LoggedEvent

app = typer.Typer(help="Look at the event log.", no_args_is_help=True, add_completion=False)

_PAGE = 500
_POLL_SECONDS = 0.5
_PAYLOAD_WIDTH = 100

# Index event_by_order or event_by_project, backwards: the cost is that of the lines asked for.
BEFORE_LATEST = """
SELECT transaction_id::text::bigint AS transaction_id, position FROM event
WHERE ($1::uuid IS NULL OR project_id = $1) ORDER BY event.transaction_id DESC, event.position DESC OFFSET $2 LIMIT 1
"""


@app.callback()
def _group() -> None:
    """Look at the event log."""


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
