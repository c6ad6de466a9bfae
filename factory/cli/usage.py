"""`factory usage`: what agents, projects and event types cost in events, attempts and time."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import duration, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from factory.control.usage import Usage

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def usage(
    *,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Only this project: its id or six first digits of it.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Sum by agent, project or event-type.")] = "agent",
    since: Annotated[
        str | None, typer.Option("--since", help="Only the latest 90m, 12h, 7d, or from a date like 2026-05-01.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Show events, deliveries, attempts, retries, dead letters, redrives and agents' time."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_read(project, by, since_time(since, datetime.now(UTC)) if since else None))
    if as_json:
        key = by.replace("-", "_")
        write_json([{key: item.name or None, **item.model_dump(mode="json", exclude={"name"})} for item in found])
        return
    write_table(
        (by.upper(), "EVENTS", "DELIVERIES", "ATTEMPTS", "RETRIES", "DEAD", "REDRIVES", "TIME"),
        (
            (
                item.name or "-",
                item.events,
                item.deliveries,
                item.attempts,
                item.retries,
                item.dead_letters,
                item.redrives,
                duration(item.seconds),
            )
            for item in found
        ),
        empty="Nothing happened.",
    )


def since_time(text: str, now: datetime) -> datetime:
    """Read a span before now, or a date or time (UTC unless it says otherwise).

    Raises:
        BadInputError: It is neither.
    """
    span = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    try:
        if span:
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise BadInputError(
            f"{text!r} is no time to count from.", remedy="Give 90m, 12h, 7d, or a date like 2026-05-01.", field="since"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _read(project: str | None, by: str, since: datetime | None) -> "list[Usage]":
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.control.usage import Grouping, read_usage  # noqa: PLC0415 - same

    if by not in set(Grouping):
        raise BadInputError(f"usage is not summed by {by!r}.", remedy=f"By: {', '.join(Grouping)}.", field="by")
    async with reading() as connection:
        project_id = (await get_project(connection, project)).id if project else None
        return await read_usage(connection, Grouping(by), project_id=project_id, since=since)
