"""`factory dead-letter`: deliveries that were given up, to be understood, corrected, delivered again or closed."""

import getpass
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import age, clock, short_project, write_json, write_table
from factory.cli.payload import edit_payload, read_payload
from factory.domain.errors import BadInputError, ErrorCategory, FactoryError

if TYPE_CHECKING:
    from factory.control.dead_letters import Filter

app = typer.Typer(help="See and mend deliveries that were given up.", no_args_is_help=True, add_completion=False)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST_AT_ONCE = 10_000
# What `show` prints in words of its own, or leaves to --json; a column that is not here is printed as it is.
_NAMED = frozenset(
    "uid state project_id subscription agent step event_type event_id category error_type reason attempts dead_at "
    "trace_id resolved_at resolved_by resolution event stack history error crash_count losses fence edited_payload "
    "edited_by edited_at".split()
)

_UID = Annotated[int, typer.Argument(metavar="NUMBER", help="The dead letter's number.", min=1)]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PROJECT = Annotated[str | None, typer.Option("--project", "-p", help="Only of this project: its id or a prefix.")]
_AGENT = Annotated[str | None, typer.Option("--agent", "-a", help="Only of this agent or subscription.")]
_CATEGORY = Annotated[str | None, typer.Option("--category", "-c", help="Only of this kind of error.")]
_SINCE = Annotated[str | None, typer.Option("--since", help="Only that recent: 90s, 15m, 2h, 7d, or an ISO 8601 time.")]
_PAYLOAD = Annotated[
    str | None, typer.Option("--payload", help="The corrected payload: JSON, @FILE, or - for standard input.")
]


@app.command("list")
def list_letters(
    *,
    project: _PROJECT = None,
    agent: _AGENT = None,
    category: _CATEGORY = None,
    state: Annotated[str, typer.Option("--state", "-s", help="open, redriven, discarded or all.")] = "open",
    since: _SINCE = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the latest.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List dead letters, the latest first."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    letters = run(_list(_filter(agent, category, state, since), project, limit))
    if as_json:
        write_json(letters)
        return
    write_table(
        ("NUMBER", "PROJECT", "AGENT", "STEP", "CATEGORY", "TRIES", "STATE", "DIED", "REASON"),
        (
            (
                letter["uid"],
                short_project(letter["project_id"]) if letter["project_id"] else "-",
                letter["agent"],
                letter["step"],
                letter["category"],
                letter["attempts"],
                letter["state"],
                age(letter["dead_at"]),
                letter["reason"],
            )
            for letter in letters
        ),
        empty="There are no such dead letters.",
    )


@app.command("show")
def show(uid: _UID, *, as_json: _JSON = False) -> None:
    """Show a dead letter: event, reason, stack, the history of its attempts."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    letter = run(_show(uid))
    if as_json:
        write_json(letter)
        return
    _print(letter)


@app.command("edit")
def edit(uid: _UID, *, payload: _PAYLOAD = None, as_json: _JSON = False) -> None:
    """Correct the payload of a dead letter; it is kept with the letter and delivered by `replay`.

    Without --payload the payload is opened in $EDITOR. It is checked against its contract before anything is written.
    """
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    letter = run(_show(uid))
    present = letter["edited_payload"] or letter["event"]["payload"]
    corrected = read_payload(payload) if payload is not None else edit_payload(present)
    run(_edit(uid, corrected))
    if as_json:
        write_json({"uid": uid, "edited": True, "edited_payload": corrected})
    else:
        typer.echo(
            f"The corrected payload is kept with dead letter {uid}. Deliver it: factory dead-letter replay {uid}"
        )


@app.command("replay")
def replay(
    uid: Annotated[int | None, typer.Argument(metavar="[NUMBER]", help="The dead letter's number.", min=1)] = None,
    *,
    payload: _PAYLOAD = None,
    every: Annotated[bool, typer.Option("--all", help="All open ones that the filters let pass.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    project: _PROJECT = None,
    agent: _AGENT = None,
    category: _CATEGORY = None,
    since: _SINCE = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is recorded.")] = "replayed by hand",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """Deliver dead letters again. A project that failed because of one goes on."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    if (uid is None) != every:
        raise BadInputError("name one dead letter, or all of them.", remedy="Give NUMBER or --all.", field="uid")
    if every and payload is not None:
        raise BadInputError("one payload cannot be that of all.", remedy="Leave out --payload.", field="payload")
    if uid is not None:
        corrected = read_payload(payload) if payload is not None else None
        run(_replay([uid], reason, corrected))
        done, failed = [{"uid": uid, "state": "redriven", "error": None}], False
    else:
        letters = run(_list(_filter(agent, category, "open", since), project, _MOST_AT_ONCE))
        _confirm(len(letters), yes=yes)
        done = run(_replay([letter["uid"] for letter in reversed(letters)], reason, None, together=True))
        failed = any(item["error"] for item in done)
    if as_json:
        write_json(done)
    else:
        typer.echo(f"{sum(not item['error'] for item in done)} of {len(done)} are on their way again.")
    if failed:
        raise typer.Exit(1)


@app.command("discard")
def discard(
    uid: _UID,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is recorded.")],
    as_json: _JSON = False,
) -> None:
    """Close a dead letter without delivering it."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    if not reason.strip():
        raise BadInputError("the reason is empty.", remedy="Say why; it is recorded.", field="reason")
    run(_discard(uid, reason))
    if as_json:
        write_json({"uid": uid, "state": "discarded", "reason": reason})
    else:
        typer.echo(f"Dead letter {uid} is discarded.")


async def _list(which: "Filter", project: str | None, limit: int) -> list[dict[str, Any]]:
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control import dead_letters  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same

    async with reading() as connection:
        if project is not None:
            which = replace(which, project_id=(await get_project(connection, project)).id)
        return await dead_letters.list_letters(connection, which, limit)


def _filter(agent: str | None, category: str | None, state: str, since: str | None) -> "Filter":
    from factory.control.dead_letters import STATES, Filter  # noqa: PLC0415 - loads the database driver

    if category is not None and category not in set(ErrorCategory):
        known = ", ".join(ErrorCategory)
        raise BadInputError(f"{category!r} is not a kind of error.", remedy=f"Kinds: {known}.", field="category")
    if state not in {*STATES, "all"}:
        known = ", ".join((*STATES, "all"))
        raise BadInputError(f"{state!r} is not a state of a dead letter.", remedy=f"States: {known}.", field="state")
    return Filter(
        agent=agent,
        category=category,
        state=None if state == "all" else state,
        since=_moment(since) if since is not None else None,
    )


async def _show(uid: int) -> dict[str, Any]:
    from factory.cli.session import reading  # noqa: PLC0415 - loads the database driver
    from factory.control import dead_letters  # noqa: PLC0415 - same

    async with reading() as connection:
        return await dead_letters.read_letter(connection, uid)


async def _edit(uid: int, payload: Mapping[str, Any]) -> None:
    from factory.cli.session import open_database  # noqa: PLC0415 - loads the database driver
    from factory.control import dead_letters  # noqa: PLC0415 - same

    async with open_database() as database, database.transaction() as connection:
        await dead_letters.edit(connection, uid, payload, by=getpass.getuser())


async def _replay(
    uids: list[int], reason: str, payload: Mapping[str, Any] | None, *, together: bool = False
) -> list[dict[str, Any]]:
    """Replay each in a transaction of its own; of several, those that cannot be are named and passed over."""
    from factory.cli.session import load_settings  # noqa: PLC0415 - loads the database driver
    from factory.control import dead_letters  # noqa: PLC0415 - same
    from factory.service import FactoryService  # noqa: PLC0415 - same

    done: list[dict[str, Any]] = []
    async with await FactoryService.open(load_settings()) as factory:
        for number, uid in enumerate(uids, start=1):
            error = ""
            try:
                async with factory.database.transaction() as connection:
                    await dead_letters.replay(
                        connection,
                        factory.bus,
                        factory.orchestrator,
                        uid,
                        by=getpass.getuser(),
                        reason=reason,
                        payload=payload,
                    )
            except FactoryError as refused:
                if not together:
                    raise
                error = str(refused)
            if together:
                typer.echo(f"{number}/{len(uids)}  {uid}  {error or 'on its way'}", err=True)
            done.append({"uid": uid, "state": "open" if error else "redriven", "error": error or None})
    return done


async def _discard(uid: int, reason: str) -> None:
    from factory.cli.session import open_database  # noqa: PLC0415 - loads the database driver
    from factory.events.bus import EventBus  # noqa: PLC0415 - same

    async with open_database() as database, database.transaction() as connection:
        await EventBus(database).discard(connection, uid, by=getpass.getuser(), reason=reason)


def _confirm(number: int, *, yes: bool) -> None:
    if yes or not number:
        return
    if not sys.stdin.isatty():
        raise BadInputError(f"{number} dead letters would be replayed.", remedy="Add --yes to do it.", field="yes")
    typer.confirm(f"Replay {number} dead letters?", abort=True, err=True)


def _moment(text: str) -> datetime:
    """Return the time that a user means: so long ago, or an ISO 8601 time, which is local unless it says otherwise."""
    if text[-1:] in _UNITS and text[:-1].isdecimal():
        try:
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        except OverflowError:
            pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise BadInputError(
            f"{text!r} is not a time.", remedy="Give 90s, 15m, 2h, 7d, or 2026-01-31T12:00.", field="since"
        ) from None


def _print(letter: Mapping[str, Any]) -> None:
    facts = [
        ("Number", letter["uid"]),
        ("State", letter["state"]),
        ("Project", letter["project_id"] or "-"),
        ("Subscription", letter["subscription"]),
        ("Agent", letter["agent"]),
        ("Step", letter["step"]),
        ("Event", f"{letter['event_type']} {letter['event_id']}"),
        ("Category", letter["category"]),
        ("Error", letter["error_type"]),
        ("Reason", letter["reason"]),
        ("Attempts", letter["attempts"]),
        ("Died", clock(letter["dead_at"])),
        ("Trace", letter["trace_id"]),
        ("Resolved", f"by {letter['resolved_by']}: {letter['resolution']}" if letter["resolved_by"] else None),
    ]
    facts += [(name.replace("_", " ").capitalize(), letter[name]) for name in letter if name not in _NAMED]
    for name, value in facts:
        if value is not None and value != "":
            typer.echo(f"{name:14}{value}")
    _print_block("Payload", json.dumps(letter["event"]["payload"], ensure_ascii=False, indent=2))
    if letter["edited_payload"] is not None:
        title = f"Corrected by {letter['edited_by']}, {clock(letter['edited_at'])}"
        _print_block(title, json.dumps(letter["edited_payload"], ensure_ascii=False, indent=2))
    if letter["stack"]:
        _print_block("Stack", letter["stack"].rstrip())
    typer.echo()
    write_table(
        ("TIME", "TRY", "OUTCOME", "CATEGORY", "ERROR"),
        (
            (clock(entry["logged_at"]), entry["attempt"], entry["outcome"], entry["category"], entry["error"])
            for entry in letter["history"]
        ),
        empty="The history of its attempts is no longer kept.",
    )


def _print_block(title: str, text: str) -> None:
    typer.echo()
    typer.secho(title, bold=True)
    typer.echo(text)
