"""The identity of a factory, opened for the length of one command by whoever may use its database."""

import getpass
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from factory.identity.identity import Identity
    from factory.settings import Settings
    from factory.storage.database import Database


@asynccontextmanager
async def open_identity() -> "AsyncIterator[tuple[Identity, Database]]":
    """Open users, clients and keys, with the database that they are in."""
    from factory.cli.session import load_settings, open_database  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.identity import Identity  # noqa: PLC0415 - same

    settings = load_settings()
    async with open_database(settings) as database:
        identity = await Identity.open(database, settings, gateway_url(settings))
        try:
            yield identity, database
        finally:
            await identity.close()


async def tell(
    database: "Database",
    action: str,
    resource_type: str,
    resource_id: str,
    details: "Mapping[str, JsonValue] | None" = None,
) -> None:
    """Put into the audit trail what the person at the machine did."""
    from factory.domain.ids import new_id  # noqa: PLC0415 - keeps `factory --help` quick
    from factory.identity.audit import AuditEntry, write  # noqa: PLC0415 - same

    entry = AuditEntry(
        id=new_id(),
        subject=operator(),
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        allowed=True,
        details=details or {},
    )
    await database.run(lambda connection: write(connection, [entry]))


def operator() -> str:
    """Return under which name the person at the machine acts."""
    return f"operator:{getpass.getuser()}"


def gateway_url(settings: "Settings") -> str:
    """Return how clients reach the gateway: as it runs, else as it would run."""
    from factory.cli.lifecycle import running  # noqa: PLC0415 - keeps `factory --help` quick

    state = running(settings)
    if state is not None and state.get("gateway"):
        return str(state["gateway"])
    return (settings.gateway_url or f"http://{settings.gateway_host}:{settings.gateway_port}").rstrip("/")
