"""`factory event route`: who would get an event from outside, and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.output import write_json
from factory.cli.payload import read_payload

if TYPE_CHECKING:
    from factory.control.routing import Route


def route(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="What the event is, like vision.submitted.")],
    *,
    payload: Annotated[str, typer.Option("--payload", help="Its body: JSON, @FILE, or - for standard input.")] = "{}",
    source: Annotated[str, typer.Option("--source", help="Who sends it.")] = "",
    topic: Annotated[str, typer.Option("--topic", help="Where the sender would have it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show where the dispatcher would send an event, and why; nothing is sent. Exit code 1: to nobody."""
    from factory.cli.session import load_settings  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.control.routing import Received, RoutingRules  # noqa: PLC0415 - same

    rules = RoutingRules.load(load_settings().routing_rules)
    found = rules.route(Received(kind=kind, source=source, topic=topic, body=read_payload(payload)))
    if as_json:
        write_json({**found.model_dump(mode="json", exclude_defaults=False), "goes_to": str(found.target)})
    else:
        _print(found)
    if found.target.nobody is not None:
        raise typer.Exit(1)


def _print(found: "Route") -> None:
    typer.echo(f"{found.target}" + (f" (rule {found.rule})" if found.rule else ""))
    for name, why in found.passed_over.items():
        typer.echo(f"  not {name}: {why}")
