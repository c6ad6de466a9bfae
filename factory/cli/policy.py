"""`factory policy`: what is allowed, and why."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from factory.identity.access import Decision, Resource
    from factory.identity.policy.engine import Policy
    from factory.identity.principal import Principal

app = typer.Typer(help="Look at policies, check them, have decisions explained.", no_args_is_help=True)

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_policies(*, as_json: _JSON = False) -> None:
    """List the policies that decide, the shipped ones first; checks those of FACTORY_POLICY_DIR with it."""
    found = _policies()
    if as_json:
        write_json([{"id": one.id, "effect": one.effect, "reason": one.reason, "source": one.source} for one in found])
        return
    write_table(
        ("POLICY", "EFFECT", "FILE", "REASON"),
        ((one.id, one.effect, one.source, one.reason) for one in found),
        empty="There are no policies.",
    )


@app.command("check")
def check(*, as_json: _JSON = False) -> None:
    """Check every policy against the schema; exit code 2 where one cannot be used."""
    found = _policies()
    if as_json:
        write_json({"policies": len(found)})
    else:
        typer.echo(f"{len(found)} policies can be used.")


@app.command("explain")
def explain(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="user:NAME, or service:NAME.")],
    action: Annotated[str, typer.Argument(metavar="ACTION", help="What they want to do, such as project:change.")],
    resource: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="project:ID, artifact:ID, tenant:NAME, topic:NAME or agent:NAME.")
    ],
    *,
    as_json: _JSON = False,
) -> None:
    """Tell whether somebody may do something, and which policies say so; exit code 1 where they may not."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    principal, decision = run(_explain(subject, action, resource))
    if as_json:
        from factory.identity.policy.engine import describe  # noqa: PLC0415 - only here

        write_json(
            {
                "allowed": decision.allowed,
                "policies": list(decision.policies),
                "reason": decision.reason,
                "principal": describe(principal),
                "action": action,
                "resource": resource,
            }
        )
    else:
        typer.echo(f"{'Allowed' if decision.allowed else 'Not allowed'}: {decision.reason}.")
        for name in decision.policies:
            typer.echo(f"  by {name}")
    if not decision.allowed:
        raise typer.Exit(1)


def _policies() -> "tuple[Policy, ...]":
    from factory.cli.session import load_settings  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.policy import PolicyEngine  # noqa: PLC0415 - same

    return PolicyEngine.load(load_settings().policy_dir).policies


async def _explain(subject: str, action: str, resource: str) -> "tuple[Principal, Decision]":
    from factory.cli.identity_session import open_identity  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli.session import load_settings  # noqa: PLC0415 - same
    from factory.identity.access import Action  # noqa: PLC0415 - same
    from factory.identity.authority import Authority  # noqa: PLC0415 - same
    from factory.identity.identity import service_principal  # noqa: PLC0415 - same
    from factory.identity.policy import PolicyEngine  # noqa: PLC0415 - same

    if action not in set(Action):
        raise BadInputError(f"{action!r} is no action.", remedy=f"Actions: {', '.join(Action)}.", field="action")
    kind, _, name = subject.partition(":")
    if kind not in {"user", "service"} or not name:
        raise BadInputError(f"{subject!r} is nobody.", remedy="Write user:NAME or service:NAME.", field="subject")
    async with open_identity() as (identity, database):
        principal = (await identity.users.get(name)).principal() if kind == "user" else service_principal(name)
        authority = Authority(database, PolicyEngine.load(load_settings().policy_dir))
        async with database.transaction() as connection:
            what = await _resource(connection, resource, principal)
        return principal, await authority.decide(principal, Action(action), what)


async def _resource(connection: Any, text: str, principal: "Principal") -> "Resource":  # noqa: ANN401 - a connection
    from factory.artifacts import records  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli import lookup  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.identity.access import Resource, ResourceType, project_resource  # noqa: PLC0415 - same

    kind, _, name = text.partition(":")
    if kind not in set(ResourceType) or not name:
        known = ", ".join(f"{one}:…" for one in ResourceType)
        raise BadInputError(f"{text!r} is no resource.", remedy=f"Resources: {known}.", field="resource")
    if kind == ResourceType.PROJECT:
        return project_resource(await get_project(connection, name))
    if kind == ResourceType.ARTIFACT:
        artifact = await lookup.find(connection, name)
        project = await get_project(connection, artifact.project_id)
        stored = await records.get(connection, artifact.id)
        return Resource(ResourceType.ARTIFACT, str(stored.id), project.tenant, project.id, stored.kind)
    if kind == ResourceType.TENANT:
        return Resource(ResourceType.TENANT, name, name)
    return Resource(ResourceType(kind), name, principal.tenant)
