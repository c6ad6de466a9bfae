"""`factory grant`: policies that hold for somebody on a project or in a tenant."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import age, short_project, write_json, write_table
from factory.domain.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from factory.identity.grants import GrantRecord

app = typer.Typer(help="Give somebody rights on projects, and take them back.", no_args_is_help=True)

_SUBJECT = Annotated[str, typer.Argument(metavar="SUBJECT", help="user:NAME, service:NAME, or ISSUER|SUB of others.")]
_PROJECT = Annotated[
    str | None, typer.Option("--project", "-p", help="On this project: its id or six first digits; else on all.")
]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("add")
def add(
    subject: _SUBJECT,
    policy: Annotated[str, typer.Argument(metavar="POLICY", help="read-only, editor, admin or guest.")],
    *,
    project: _PROJECT = None,
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="In this tenant, without --project.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", "-k", help="Only for artifacts of this kind; may be repeated.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Grant a policy; gateways know within two seconds."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    record = run(_add(subject, policy, project, tenant, kind))
    if as_json:
        write_json(_document(record))
    else:
        typer.echo(f"{record.grant.subject} has {record.grant.policy} ({record.id}).")


@app.command("list")
def list_grants(
    *,
    project: _PROJECT = None,
    subject: Annotated[str | None, typer.Option("--subject", help="Only to this subject.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 1_000,
    as_json: _JSON = False,
) -> None:
    """List grants."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    found = run(_list(project, subject, limit))
    if as_json:
        write_json([_document(record) for record in found])
        return
    write_table(
        ("GRANT", "SUBJECT", "POLICY", "TENANT", "PROJECT", "KINDS", "GIVEN"),
        (
            (
                record.id,
                record.grant.subject,
                record.grant.policy,
                record.grant.tenant,
                short_project(record.grant.project_id) if record.grant.project_id else "all",
                ", ".join(sorted(record.grant.kinds)) if record.grant.kinds is not None else "all",
                age(record.created_at),
            )
            for record in found
        ),
        empty="Nothing was granted.",
    )


@app.command("remove")
def remove(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")], *, as_json: _JSON = False
) -> None:
    """Take a grant back; gateways know within two seconds."""
    from factory.cli.session import run  # noqa: PLC0415 - keeps `factory --help` quick

    record = run(_remove(grant))
    if as_json:
        write_json(_document(record))
    else:
        typer.echo(f"{record.grant.subject} no longer has {record.grant.policy}.")


def _document(record: "GrantRecord") -> dict[str, Any]:
    return {
        "id": str(record.id),
        "subject": record.grant.subject,
        "policy": record.grant.policy.value,
        "tenant": record.grant.tenant,
        "project_id": str(record.grant.project_id) if record.grant.project_id else None,
        "kinds": sorted(record.grant.kinds) if record.grant.kinds is not None else None,
        "granted_by": record.granted_by,
        "created_at": record.created_at.isoformat(),
    }


async def _add(
    subject: str, policy: str, project: str | None, tenant: str | None, kinds: list[str] | None
) -> "GrantRecord":
    from factory.cli.identity_session import operator, tell  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.cli.session import load_settings, open_database  # noqa: PLC0415 - same
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.domain.artifact import KINDS  # noqa: PLC0415 - same
    from factory.identity import grants  # noqa: PLC0415 - same
    from factory.identity.access import Grant, PolicyName  # noqa: PLC0415 - same

    if policy not in set(PolicyName):
        raise BadInputError(
            f"{policy!r} is no policy that can be granted.",
            remedy=f"Policies: {', '.join(PolicyName)}.",
            field="policy",
        )
    for kind in kinds or ():
        if kind not in KINDS:
            raise BadInputError(
                f"{kind!r} is not a kind of artifact.", remedy=f"Kinds: {', '.join(KINDS)}.", field="kind"
            )
    settings = load_settings()
    async with open_database(settings) as database:
        async with database.transaction() as connection:
            found = await get_project(connection, project) if project else None
            grant = Grant(
                subject,
                PolicyName(policy),
                found.tenant if found else tenant or settings.tenant,
                found.id if found else None,
                frozenset(kinds) if kinds else None,
            )
            record = await grants.add(connection, grant, by=operator())
        await tell(database, "grant:add", "grant", str(record.id), {"subject": subject, "policy": policy})
        return record


async def _list(project: str | None, subject: str | None, limit: int) -> "Sequence[GrantRecord]":
    from factory.cli.session import reading  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.control.projects import get_project  # noqa: PLC0415 - same
    from factory.identity import grants  # noqa: PLC0415 - same

    async with reading() as connection:
        project_id = (await get_project(connection, project)).id if project else None
        return await grants.listed(connection, project_id=project_id, subject=subject, limit=limit)


async def _remove(text: str) -> "GrantRecord":
    from uuid import UUID  # noqa: PLC0415 - keeps `factory --help` quick

    from factory.cli.identity_session import tell  # noqa: PLC0415 - same
    from factory.cli.session import open_database  # noqa: PLC0415 - same
    from factory.identity import grants  # noqa: PLC0415 - same

    try:
        grant_id = UUID(text)
    except ValueError:
        raise BadInputError(
            f"{text!r} is no id of a grant.", remedy="See `factory grant list`.", field="grant"
        ) from None
    async with open_database() as database:
        async with database.transaction() as connection:
            record = await grants.remove(connection, grant_id)
        details = {"subject": record.grant.subject, "policy": record.grant.policy.value}
        await tell(database, "grant:remove", "grant", text, {**details})
        return record
