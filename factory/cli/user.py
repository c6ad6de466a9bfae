"""`factory user`: who may sign in, and as what."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import age, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from factory.identity.principal import Role
    from factory.identity.users import User

app = typer.Typer(help="Add people and change what they are.", no_args_is_help=True, add_completion=False)

_NAME = Annotated[str, typer.Argument(metavar="NAME", help="The name to sign in with.")]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_ROLES = Annotated[
    list[str] | None, typer.Option("--role", "-r", help="platform-user, admin or guest; may be repeated.")
]
_TENANT = Annotated[str | None, typer.Option("--tenant", "-t", help="Whose projects they see; * for all.")]
_PASSWORD = Annotated[bool, typer.Option("--password", help="Ask for a password; piped, it is read from the pipe.")]
_GENERATE = Annotated[bool, typer.Option("--generate", help="Make a password and print it once.")]


@app.command("add")
def add(
    name: _NAME,
    *,
    role: _ROLES = None,
    tenant: _TENANT = None,
    display: Annotated[str, typer.Option("--display", help="The name to show.")] = "",
    password: _PASSWORD = False,
    generate: _GENERATE = False,
    as_json: _JSON = False,
) -> None:
    """Add a user; without a password they sign in by `factory user sign-in-link`."""
    from factory.cli.session import load_settings, run  # noqa: PLC0415 - keeps `factory --help` quick

    roles = _roles(role or ["platform-user"])
    secret = _password(ask=password, generate=generate)
    user = run(_add(name, tenant or load_settings().tenant, roles, secret, display))
    _told(user, secret if generate else None, as_json=as_json, done="is added")


@app.command("list")
def list_users(*, as_json: _JSON = False) -> None:
    """List the users."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    users = run(_list())
    if as_json:
        write_json([_document(user) for user in users])
        return
    write_table(
        ("NAME", "TENANT", "ROLES", "STATE", "ADDED"),
        (
            (
                user.name,
                user.tenant,
                ", ".join(user.roles),
                "disabled" if user.disabled else "active" if user.has_password else "link only",
                age(user.created_at),
            )
            for user in users
        ),
        empty="There are no users yet. Add one: factory user add NAME --role admin --generate",
    )


@app.command("change")
def change(
    name: _NAME,
    *,
    role: _ROLES = None,
    tenant: _TENANT = None,
    display: Annotated[str | None, typer.Option("--display", help="The name to show.")] = None,
    password: _PASSWORD = False,
    generate: _GENERATE = False,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Let them in, or no longer.")] = None,
    as_json: _JSON = False,
) -> None:
    """Change a user; what they hold of tokens and sessions ends."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    secret = _password(ask=password, generate=generate)
    changes: dict[str, Any] = {
        "roles": _roles(role) if role else None,
        "tenant": tenant,
        "display": display,
        "password": secret,
        "disabled": None if enable is None else not enable,
    }
    if all(value is None for value in changes.values()):
        raise BadInputError("nothing was said to change.", remedy="See `factory user change --help`.", field="user")
    user = run(_change(name, changes))
    _told(user, secret if generate else None, as_json=as_json, done="is changed")


@app.command("sign-in-link")
def sign_in_link(name: _NAME, *, as_json: _JSON = False) -> None:
    """Print a link that signs a user in once, within ten minutes."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    link = run(_link(name))
    if as_json:
        write_json({"link": link, "expires_in": 600})
    else:
        typer.echo(link)


def _roles(names: list[str]) -> "list[Role]":
    from factory.identity.principal import Role  # noqa: PLC0415 - keeps `factory --help` quick

    known = {role.value: role for role in Role if role is not Role.AGENT}
    for name in names:
        if name not in known:
            raise BadInputError(f"{name!r} is no role of a person.", remedy=f"Roles: {', '.join(known)}.", field="role")
    return [known[name] for name in names]


def _password(*, ask: bool, generate: bool) -> str | None:
    if ask and generate:
        raise BadInputError("a password was to be asked for and to be made.", remedy="Choose one.", field="password")
    if generate:
        from factory.identity.secrets import new_secret  # noqa: PLC0415 - keeps `factory --help` quick

        return new_secret()
    if not ask:
        return None
    import sys  # noqa: PLC0415 - only here

    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _told(user: "User", secret: str | None, *, as_json: bool, done: str) -> None:
    if as_json:
        write_json({**_document(user), **({"password": secret} if secret else {})})
        return
    typer.echo(f"User {user.name} {done} ({', '.join(user.roles)} of tenant {user.tenant}).")
    if secret:
        typer.echo(f"Password: {secret}")


def _document(user: "User") -> dict[str, Any]:
    return {
        "name": user.name,
        "display": user.display,
        "tenant": user.tenant,
        "roles": list(user.roles),
        "disabled": user.disabled,
        "has_password": user.has_password,
        "created_at": user.created_at.isoformat(),
    }


async def _add(name: str, tenant: str, roles: "list[Role]", password: str | None, display: str) -> "User":
    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (identity, database):
        user = await identity.users.add(name, tenant=tenant, roles=roles, password=password, display=display)
        await tell(database, "user:add", "user", name, {"tenant": tenant, "roles": [*roles]})
        return user


async def _list() -> "list[User]":
    from factory.cli.identity_session import open_identity  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (identity, _):
        return await identity.users.listed()


async def _change(name: str, changes: dict[str, Any]) -> "User":
    from factory.cli.identity_session import open_identity, tell  # noqa: PLC0415 - keeps `factory --help` quick

    async with open_identity() as (identity, database):
        user = await identity.users.change(name, **changes)
        told = sorted(key for key, value in changes.items() if value is not None)
        await tell(database, "user:change", "user", name, {"changed": [*told]})
        return user


async def _link(name: str) -> str:
    from factory.cli.identity_session import gateway_url, open_identity, tell  # noqa: PLC0415 - keeps help quick
    from factory.cli.session import load_settings  # noqa: PLC0415 - same

    async with open_identity() as (identity, database):
        code = await identity.users.sign_in_link(name)
        await tell(database, "user:sign-in-link", "user", name)
    return f"{gateway_url(load_settings())}/sign-in?code={code}"
