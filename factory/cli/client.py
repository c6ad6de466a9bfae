"""`factory client`: applications and services that get tokens from the embedded issuer."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import age, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from factory.identity.clients import Client

app = typer.Typer(help="Register applications that ask for tokens.", no_args_is_help=True, add_completion=False)

_ID = Annotated[str, typer.Argument(metavar="ID", help="The client's id.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("add")
def add(
    identity: _ID,
    *,
    name: Annotated[str, typer.Option("--name", help="The name to show.")] = "",
    scope: Annotated[list[str] | None, typer.Option("--scope", help="What it may ask for; may be repeated.")] = None,
    role: Annotated[list[str] | None, typer.Option("--role", help="Of a service; may be repeated.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Of a service: whose projects it sees.")] = None,
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option("--redirect-uri", help="Of an application for people: where they return to; may be repeated."),
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Add a service, whose secret is printed once; with --redirect-uri, an application that people sign in to."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415 - keeps `factory --help` quick

    if redirect_uri and (role or tenant):
        raise BadInputError(
            "an application for people has no role and no tenant: they have theirs.",
            remedy="Leave --role and --tenant out.",
            field="role",
        )
    scopes = scope or ["factory.read"]
    client, secret = run(
        _add(
            identity,
            name or identity,
            scopes,
            role or ["platform-user"],
            tenant or load_settings().tenant,
            redirect_uri,
        )
    )
    if as_json:
        write_json({**_document(client), **({"secret": secret} if secret else {})})
        return
    typer.echo(f"Client {client.id} is added ({client.kind}).")
    if secret:
        typer.echo(f"Secret: {secret}")


@app.command("list")
def list_clients(*, as_json: _JSON = False) -> None:
    """List the clients."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_list())
    if as_json:
        write_json([_document(client) for client in found])
        return
    write_table(
        ("CLIENT", "KIND", "TENANT", "SCOPES", "STATE", "ADDED"),
        (
            (
                client.id,
                client.kind,
                client.tenant if client.kind == "service" else "-",
                ", ".join(client.scopes),
                "revoked" if client.revoked_at else "active",
                age(client.created_at),
            )
            for client in found
        ),
        empty="There are no clients.",
    )


@app.command("revoke")
def revoke(identity: _ID, *, as_json: _JSON = False) -> None:
    """Let a client get no more tokens, and end those it has."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    client = run(_revoke(identity))
    if as_json:
        write_json(_document(client))
    else:
        typer.echo(f"Client {client.id} is revoked.")


def _document(client: "Client") -> dict[str, Any]:
    return {
        "id": client.id,
        "name": client.name,
        "kind": client.kind,
        "tenant": client.tenant,
        "roles": list(client.roles),
        "scopes": list(client.scopes),
        "redirect_uris": list(client.redirect_uris),
        "revoked_at": client.revoked_at.isoformat() if client.revoked_at else None,
        "created_at": client.created_at.isoformat(),
    }


async def _add(  # noqa: PLR0917 - what the command was given
    identity: str, name: str, scopes: list[str], roles: list[str], tenant: str, redirect_uris: list[str] | None
) -> "tuple[Client, str | None]":
    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.principal import Role, Scope  # noqa: PLC0415 - same

    for given, known, field in ((scopes, Scope, "scope"), (roles, Role, "role")):
        for one in given:
            if one not in set(known):
                raise BadInputError(f"{one!r} is no {field}.", remedy=f"Known: {', '.join(known)}.", field=field)
    wanted = [Scope(scope) for scope in scopes]
    async with open_identity() as (opened, database):
        secret: str | None = None
        if redirect_uris:
            client = await opened.clients.add_public(identity, name=name, redirect_uris=redirect_uris, scopes=wanted)
        else:
            client, secret = await opened.clients.add_service(
                identity, name=name, tenant=tenant, roles=[Role(role) for role in roles], scopes=wanted
            )
        await tell(database, "client:add", "client", identity, {"kind": client.kind, "scopes": [*scopes]})
        return client, secret


async def _list() -> "list[Client]":
    from factory.cli.identity_session import open_identity  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (identity, _):
        return await identity.clients.listed()


async def _revoke(identity: str) -> "Client":
    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (opened, database):
        client = await opened.clients.revoke(identity)
        await tell(database, "client:revoke", "client", identity)
        return client
