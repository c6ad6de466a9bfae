"""`factory flag`: what is switched on for whom."""

from typing import Annotated

import typer

from factory.cli.output import write_json, write_table

app = typer.Typer(help="Look at feature flags.", no_args_is_help=True, add_completion=False)

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_flags(*, as_json: _JSON = False) -> None:
    """List the flags of FACTORY_FEATURE_FLAGS; exit code 2 where the file cannot be used."""
    from factory.cli.session import load_settings  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.flags import Flags  # noqa: PLC0415 - same

    found = Flags(load_settings().feature_flags).all
    if as_json:
        write_json([{"name": name, **flag.model_dump(mode="json")} for name, flag in sorted(found.items())])
        return
    write_table(
        ("FLAG", "STATE", "SHARE", "USERS", "TENANTS", "AGENTS", "ABOUT"),
        (
            (
                name,
                "off" if not flag.enabled else "everybody" if flag.everybody else "some",
                f"{flag.percent:g} %",
                ", ".join(sorted(flag.users)),
                ", ".join(sorted(flag.tenants)),
                ", ".join(sorted(flag.agents)),
                flag.description,
            )
            for name, flag in sorted(found.items())
        ),
        empty="There are no flags. Name a file: FACTORY_FEATURE_FLAGS.",
    )


@app.command("explain")
def explain(
    name: Annotated[str, typer.Argument(metavar="FLAG", help="The flag's name.")],
    *,
    subject: Annotated[str, typer.Option("--subject", help="For user:NAME or service:NAME.")] = "",
    tenant: Annotated[str, typer.Option("--tenant", help="For this tenant.")] = "",
    agent: Annotated[str, typer.Option("--agent", help="For the work of this agent.")] = "",
    as_json: _JSON = False,
) -> None:
    """Tell whether a flag is on for somebody, and why; exit code 1 where it is off."""
    from factory.cli.session import load_settings  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.flags import Flags  # noqa: PLC0415 - same

    flags = Flags(load_settings().feature_flags)
    reason = flags.decide(name, subject=subject, tenant=tenant, agent=agent)
    on = flags.is_on(name, subject=subject, tenant=tenant, agent=agent)
    if as_json:
        write_json({"flag": name, "on": on, "reason": reason.value})
    else:
        typer.echo(f"{name} is {'on' if on else 'off'}: {reason}.")
    if not on:
        raise typer.Exit(1)
