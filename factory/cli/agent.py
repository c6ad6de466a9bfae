"""`factory agent`: who works here."""

from typing import Annotated

import typer

from factory.cli.output import write_json, write_table

app = typer.Typer(help="Look at the agents.", no_args_is_help=True, add_completion=False)


@app.callback()
def _group() -> None:
    """Look at the agents."""


@app.command("list")
def list_agents(*, as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False) -> None:
    """List the agents with what they produce and the skills they may use."""
    from factory.actors.roster import load_roster  # noqa: PLC0415 - imports the agents
    from factory.cli.session import load_settings  # noqa: PLC0415 - keeps `factory --help` quick

    specs = [agent.spec for agent in load_roster(load_settings().plugins)]
    if as_json:
        write_json([spec.model_dump(mode="json") for spec in specs])
        return
    write_table(
        ("AGENT", "SUB-CLUSTER", "PRODUCES", "SKILLS", "ACTORS"),
        (
            (
                spec.name,
                spec.subcluster,
                ", ".join(spec.produces),
                ", ".join(spec.skills),
                f"{spec.min_size} to {spec.max_size}",
            )
            for spec in specs
        ),
        empty="There are no agents.",
    )
