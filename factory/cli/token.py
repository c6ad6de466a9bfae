"""`factory token`: access tokens of the embedded issuer, and the keys that sign them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import age, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from factory.identity.principal import Scope
    from factory.identity.signing import KeyRecord

app = typer.Typer(help="Issue and revoke access tokens.", no_args_is_help=True, add_completion=False)
keys = typer.Typer(help="Look at the keys that sign tokens, and replace them.", no_args_is_help=True)
app.add_typer(keys, name="keys")

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("issue")
def issue(
    *,
    user: Annotated[str | None, typer.Option("--user", "-u", help="For this user.")] = None,
    service: Annotated[
        str | None, typer.Option("--service", "-s", help="For a component of the factory, such as an agent.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="What it may be used for at most; may be repeated. All by default."),
    ] = None,
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=1440, help="How long it lives.")] = 60,
    as_json: _JSON = False,
) -> None:
    """Print an access token; send it as `Authorization: Bearer TOKEN`."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    if (user is None) == (service is None):
        raise BadInputError("it is not clear whom the token is for.", remedy="Give --user or --service.", field="user")
    token = run(_issue(user, service, _scopes(scope), minutes))
    if as_json:
        write_json({"access_token": token, "token_type": "Bearer", "expires_in": minutes * 60})
    else:
        typer.echo(token)


@app.command("revoke")
def revoke(
    given: Annotated[str, typer.Argument(metavar="TOKEN", help="The token; - reads it from standard input.")],
    *,
    as_json: _JSON = False,
) -> None:
    """End an access token before its time; gateways know within seconds."""
    import sys  # noqa: PLC0415 - only here

    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    subject = run(_revoke(sys.stdin.read().strip() if given == "-" else given))
    if as_json:
        write_json({"revoked": True, "subject": subject})
    else:
        typer.echo(f"The token of {subject} is revoked.")


@keys.command("list")
def list_keys(*, as_json: _JSON = False) -> None:
    """List the keys, the newest first; one signs, the others are still believed."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_keys())
    if as_json:
        write_json(
            [
                {
                    "id": key.id,
                    "created_at": key.created_at.isoformat(),
                    "retired_at": key.retired_at.isoformat() if key.retired_at else None,
                }
                for key in found
            ]
        )
        return
    write_table(
        ("KEY", "MADE", "STATE"),
        ((key.id, age(key.created_at), "retired" if key.retired_at else "signs") for key in found),
        empty="There are no keys yet; the first token makes one.",
    )


@keys.command("rotate")
def rotate(*, as_json: _JSON = False) -> None:
    """Let a new key sign from now on; tokens of the old one stay good until they end."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    name = run(_rotate())
    if as_json:
        write_json({"id": name})
    else:
        typer.echo(f"{name} signs from now on.")


def _scopes(names: list[str] | None) -> "tuple[Scope, ...] | None":
    from factory.identity.principal import Scope  # noqa: PLC0415 - keeps `factory --help` quick

    if not names:
        return None
    known = {scope.value: scope for scope in Scope}
    for name in names:
        if name not in known:
            raise BadInputError(f"{name!r} is no scope.", remedy=f"Scopes: {', '.join(known)}.", field="scope")
    return tuple(known[name] for name in names)


async def _issue(user: str | None, service: str | None, scopes: "tuple[Scope, ...] | None", minutes: int) -> str:
    from datetime import timedelta  # noqa: PLC0415 - keeps `factory --help` quick

    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - same

    life = timedelta(minutes=minutes)
    async with open_identity() as (identity, database):
        options: dict[str, Any] = {"life": life, **({"scopes": scopes} if scopes else {})}
        if user is not None:
            token = await identity.issuer.token_for_user(user, **options)
        else:
            token = await identity.issuer.token_for_service(service or "", **options)
        principal = await identity.verifier.verify(token)
        details: dict[str, JsonValue] = {"for": principal.subject, "scopes": [*sorted(principal.scopes)]}
        await tell(database, "token:issue", "token", principal.token_id or "", details)
    return token


async def _revoke(token: str) -> str:
    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.domain.errors import UnauthenticatedError  # noqa: PLC0415 - same

    async with open_identity() as (identity, database):
        try:
            principal = await identity.verifier.verify(token)
        except UnauthenticatedError as error:
            raise BadInputError(error.message, remedy="Give a token that is still good.", field="token") from error
        if principal.token_id is None or principal.expires_at is None:
            raise BadInputError("the token has no id.", remedy="Revoke it where it was issued.", field="token")
        await identity.issuer.revoke_access(principal.token_id, principal.expires_at)
        await tell(database, "token:revoke", "token", principal.token_id, {"for": principal.subject})
        return principal.subject


async def _keys() -> "list[KeyRecord]":
    from factory.cli.identity_session import open_identity  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (identity, _):
        return await identity.issuer.keys.listed()


async def _rotate() -> str:
    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (identity, database):
        name = await identity.issuer.keys.rotate()
        await tell(database, "key:rotate", "key", name)
        return name
