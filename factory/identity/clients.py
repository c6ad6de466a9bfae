"""Applications that get tokens from the embedded issuer: services with a secret, and public ones with PKCE."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import asyncpg

from factory.domain.errors import BadInputError, ConflictError, NotFoundError
from factory.identity.errors import OAuthError
from factory.identity.principal import Role, Scope
from factory.identity.secrets import hash_of, new_secret
from factory.storage.database import Connection, Database

ClientKind = Literal["service", "public"]
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_COLUMNS = "id, name, kind, tenant, roles, scopes, redirect_uris, revoked_at, created_at"
_INSERT = f"""
INSERT INTO oauth_client (id, name, kind, secret_hash, tenant, roles, scopes, redirect_uris)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant of this module
# Primary key.
_FIND = f"SELECT {_COLUMNS}, secret_hash FROM oauth_client WHERE id = $1"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM oauth_client ORDER BY id"  # noqa: S608
_REVOKE = f"""
UPDATE oauth_client SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
_REVOKE_TOKENS = """
INSERT INTO revoked_subject (subject, before) VALUES ($1, now())
ON CONFLICT (subject) DO UPDATE SET before = excluded.before
"""
_REVOKE_FAMILIES = """
UPDATE token_family SET revoked_at = now(), reason = 'the client was revoked'
WHERE client_id = $1 AND revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Client:
    """An application.

    Attributes:
        kind: `service` acts for itself with a secret; `public` acts for people who sign in.
        scopes: What its tokens may be used for at most.
        redirect_uris: Where people are sent back to, compared as they are.
    """

    id: str
    name: str
    kind: ClientKind
    tenant: str
    roles: tuple[Role, ...]
    scopes: tuple[Scope, ...]
    redirect_uris: tuple[str, ...]
    revoked_at: datetime | None
    created_at: datetime

    @property
    def subject(self) -> str:
        """The name under which a service acts."""
        return f"service:{self.id}"


class Clients:
    """The applications in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_service(
        self, identity: str, *, name: str, tenant: str, roles: Sequence[Role], scopes: Sequence[Scope]
    ) -> tuple[Client, str]:
        """Add a service, and return it with its secret, which is told this once.

        Raises:
            BadInputError: The id cannot be used, or there is no role or no scope.
            ConflictError: There is a client with this id.
        """
        secret = new_secret()
        if not roles or not scopes:
            raise BadInputError(
                "a service needs a role and a scope.", remedy=f"Scopes: {', '.join(Scope)}.", field="scope"
            )
        return await self._add(identity, name, "service", hash_of(secret), tenant, roles, scopes, ()), secret

    async def add_public(
        self, identity: str, *, name: str, redirect_uris: Sequence[str], scopes: Sequence[Scope]
    ) -> Client:
        """Add an application for people, who sign in with PKCE (RFC 7636).

        Raises:
            BadInputError: The id or an address cannot be used.
            ConflictError: There is a client with this id.
        """
        for uri in redirect_uris:
            _check_redirect(uri)
        return await self._add(identity, name, "public", None, "*", (), scopes, redirect_uris)

    async def listed(self) -> list[Client]:
        """Return all clients, by id."""
        return [_client(row) for row in await self._database.fetch(_LIST)]

    async def get(self, identity: str) -> Client:
        """Return a client that was not revoked.

        Raises:
            OAuthError: There is none (`invalid_client`).
        """
        rows = await self._database.fetch(_FIND, identity)
        if not rows or rows[0]["revoked_at"] is not None:
            raise OAuthError("invalid_client", "there is no such client.")
        return _client(rows[0])

    async def authenticate(self, identity: str, secret: str) -> Client:
        """Return the service whose id and secret these are.

        Raises:
            OAuthError: They do not belong together, or it was revoked (`invalid_client`).
        """
        rows = await self._database.fetch(_FIND, identity)
        stored = rows[0]["secret_hash"] if rows else None
        right = hmac.compare_digest(stored or b"", hash_of(secret))
        if not rows or stored is None or not right or rows[0]["revoked_at"] is not None:
            raise OAuthError("invalid_client", "the client and its secret do not belong together.")
        return _client(rows[0])

    async def revoke(self, identity: str) -> Client:
        """Let a client get no more tokens, and end those it has.

        Raises:
            NotFoundError: There is no such client.
        """

        async def attempt(connection: Connection) -> asyncpg.Record | None:
            await connection.execute(_REVOKE_TOKENS, f"service:{identity}")
            await connection.execute(_REVOKE_FAMILIES, identity)
            return await connection.fetchrow(_REVOKE, identity)

        row = await self._database.run(attempt)
        if row is None:
            raise NotFoundError(
                f"there is no client {identity!r}.", remedy="See `factory client list`.", field="client"
            )
        return _client(row)

    async def _add(  # noqa: PLR0917 - the columns of a row
        self,
        identity: str,
        name: str,
        kind: ClientKind,
        secret_hash: bytes | None,
        tenant: str,
        roles: Sequence[Role],
        scopes: Sequence[Scope],
        redirect_uris: Sequence[str],
    ) -> Client:
        if not _ID.fullmatch(identity):
            raise BadInputError(
                f"{identity!r} is no id for a client.",
                remedy="Use up to 64 lower-case letters, digits and . -, beginning with a letter or digit.",
                field="client",
            )
        stored_roles = [role.value for role in roles]
        stored_scopes = [scope.value for scope in scopes]
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                _INSERT, identity, name, kind, secret_hash, tenant, stored_roles, stored_scopes, list(redirect_uris)
            )
        if row is None:
            raise ConflictError(
                f"there is a client {identity!r} already.", remedy="See `factory client list`.", field="client"
            )
        return _client(row)


def _check_redirect(uri: str) -> None:
    parts = urlsplit(uri)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not secure or not parts.hostname or parts.fragment or parts.username:
        raise BadInputError(
            f"{uri!r} is no address to send people back to.",
            remedy="Give an https URL without a fragment, or an http one of this machine.",
            field="redirect_uri",
        )


def _client(row: asyncpg.Record) -> Client:
    values = {name: row[name] for name in Client.__dataclass_fields__}
    values["roles"] = tuple(Role(role) for role in row["roles"])
    values["scopes"] = tuple(Scope(scope) for scope in row["scopes"])
    values["redirect_uris"] = tuple(row["redirect_uris"])
    return Client(**values)
