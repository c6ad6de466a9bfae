"""The embedded issuer: access tokens for an hour, refresh tokens for thirty days, each used once (R33)."""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from joserfc import jwt

from factory.domain.ids import new_id
from factory.identity.clients import Client, Clients
from factory.identity.errors import OAuthError
from factory.identity.principal import EVERY_TENANT, Role, Scope
from factory.identity.secrets import hash_of, new_secret
from factory.identity.signing import ALGORITHM, SigningKeys
from factory.identity.users import User, Users
from factory.storage.database import Connection, Database

ACCESS_LIFE = timedelta(hours=1)
LONGEST_LIFE = timedelta(days=1)
REFRESH_LIFE = timedelta(days=30)
_CODE_LIFE = timedelta(seconds=60)
AUDIENCE = "factory"
CLI_CLIENT = "factory-cli"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")

_NEW_FAMILY = """
INSERT INTO token_family (id, client_id, user_name, scopes, expires_at) VALUES ($1, $2, $3, $4, now() + $5::interval)
"""
_NEW_CODE = """
INSERT INTO authorization_code (hash, family, redirect_uri, challenge, expires_at)
VALUES ($1, $2, $3, $4, now() + $5::interval)
"""
# Primary keys.
_FIND_CODE = """
SELECT c.redirect_uri, c.challenge, c.used_at IS NOT NULL AS used, c.expires_at <= now() AS over, c.family,
    f.client_id, f.user_name, f.scopes, f.revoked_at IS NOT NULL AS revoked
FROM authorization_code c JOIN token_family f ON f.id = c.family WHERE c.hash = $1 FOR UPDATE OF c, f
"""
_USE_CODE = "UPDATE authorization_code SET used_at = now() WHERE hash = $1"
# Primary keys.
_FIND_REFRESH = """
SELECT r.used_at IS NOT NULL AS used, least(r.expires_at, f.expires_at) <= now() AS over, r.family,
    f.client_id, f.user_name, f.scopes, f.revoked_at IS NOT NULL AS revoked
FROM refresh_token r JOIN token_family f ON f.id = r.family WHERE r.hash = $1 FOR UPDATE OF r, f
"""
_USE_REFRESH = "UPDATE refresh_token SET used_at = now() WHERE hash = $1"
_NEW_REFRESH = "INSERT INTO refresh_token (hash, family, expires_at) VALUES ($1, $2, now() + $3::interval)"
_REVOKE_FAMILY = """
UPDATE token_family SET revoked_at = coalesce(revoked_at, now()), reason = coalesce(reason, $2) WHERE id = $1
"""
_REVOKE_TOKEN = "INSERT INTO revoked_token (token_id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"  # noqa: S105
_FORGET_REVOKED = "DELETE FROM revoked_token WHERE expires_at < now() - interval '1 hour'"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client is given.

    Attributes:
        expires_in: Seconds that the access token lives.
        refresh_token: For the next ones; None for services, which ask again.
    """

    access_token: str
    expires_in: int
    scopes: tuple[Scope, ...]
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What an application asks a person for (RFC 6749, section 4.1.1; RFC 7636).

    Attributes:
        challenge: SHA-256 of the application's verifier, base64url without padding.
    """

    client_id: str
    redirect_uri: str
    scopes: tuple[Scope, ...]
    challenge: str


class Issuer:
    """Issues tokens, and takes them back.

    Args:
        database: Where everything is that outlives this process.
        keys: Sign.
        users: Who may sign in.
        clients: Which applications may ask.
        url: The issuer's name in tokens: the gateway's URL.
    """

    def __init__(self, database: Database, keys: SigningKeys, users: Users, clients: Clients, url: str) -> None:
        self._database = database
        self._users = users
        self.keys = keys
        self.clients = clients
        self.url = url

    async def token_for_user(
        self, name: str, *, scopes: Sequence[Scope] = tuple(Scope), life: timedelta = ACCESS_LIFE
    ) -> str:
        """Return an access token for a user: for whoever may use the database, so on the command line.

        Raises:
            NotFoundError: There is no such user.
            OAuthError: The user is disabled.
        """
        user = await self._users.get(name)
        if user.disabled:
            raise OAuthError("invalid_grant", f"user {name!r} is disabled.")
        return await self._access_token(*_identity_of(user), CLI_CLIENT, scopes, life)

    async def token_for_service(
        self,
        name: str,
        *,
        tenant: str = EVERY_TENANT,
        roles: Sequence[Role] = (Role.AGENT,),
        scopes: Sequence[Scope] = (Scope.INTERNAL, Scope.READ),
        life: timedelta = ACCESS_LIFE,
    ) -> str:
        """Return an access token for a component of the factory itself, such as an agent's pool."""
        return await self._access_token(f"service:{name}", name, tenant, roles, name, scopes, life)

    async def client_credentials(self, client_id: str, secret: str, scopes: Sequence[Scope]) -> Tokens:
        """Give a service a token for itself (RFC 6749, section 4.4).

        Args:
            client_id: Of the service.
            secret: Of the service.
            scopes: Those it asks for; all of its own where it asks for none.

        Raises:
            OAuthError: The client is not proven, or asks for a scope that it does not have.
        """
        client = await self.clients.authenticate(client_id, secret)
        granted = _granted(client, scopes)
        token = await self._access_token(
            client.subject, client.name, client.tenant, client.roles, client.id, granted, ACCESS_LIFE
        )
        return Tokens(token, int(ACCESS_LIFE.total_seconds()), granted)

    async def check(self, request: AuthorizationRequest) -> Client:
        """Return the client of a request to sign somebody in.

        Raises:
            OAuthError: The client or the address is not known: then nobody may be sent there (`invalid_client`,
                `invalid_redirect_uri`). Anything else may be told to the address: `invalid_scope`, `invalid_request`.
        """
        client = await self.clients.get(request.client_id)
        if client.kind != "public" or request.redirect_uri not in client.redirect_uris:
            raise OAuthError("invalid_redirect_uri", "the address to return to does not belong to this client.")
        if not _CHALLENGE.fullmatch(request.challenge):
            raise OAuthError("invalid_request", "code_challenge must be the S256 of a verifier (RFC 7636).")
        _granted(client, request.scopes)
        return client

    async def authorize(self, request: AuthorizationRequest, user: User) -> str:
        """Return a code for an application that a signed-in person lets in; it is good for a minute, once.

        Raises:
            OAuthError: As `check`.
        """
        client = await self.check(request)
        code = new_secret()
        family = new_id()
        scopes = [scope.value for scope in _granted(client, request.scopes)]

        async def attempt(connection: Connection) -> None:
            await connection.execute(_NEW_FAMILY, family, client.id, user.name, scopes, REFRESH_LIFE)
            await connection.execute(
                _NEW_CODE, hash_of(code), family, request.redirect_uri, request.challenge, _CODE_LIFE
            )

        await self._database.run(attempt)
        return code

    async def exchange(self, client_id: str, code: str, redirect_uri: str, verifier: str) -> Tokens:
        """Give an application tokens for a code (RFC 6749, section 4.1.3).

        A code that comes a second time was stolen by one of two: what the first got ends as well.

        Raises:
            OAuthError: The code is over, was used, or belongs to another client, address or verifier
                (`invalid_grant`).
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_FIND_CODE, hash_of(code))
            reused = row is not None and row["used"]
            if row is not None and reused:
                await connection.execute(_REVOKE_FAMILY, row["family"], "a code was used twice")
            fits = (
                row is not None
                and not (row["used"] or row["over"] or row["revoked"])
                and row["client_id"] == client_id
                and row["redirect_uri"] == redirect_uri
                and _proves(verifier, row["challenge"])
            )
            if row is not None and fits:
                await connection.execute(_USE_CODE, hash_of(code))
                refresh = await self._new_refresh(connection, row["family"])
        if row is None or not fits:
            raise OAuthError("invalid_grant", "the code is over, was used, or is not for this client.")
        return await self._for_family(row, refresh)

    async def refresh(self, client_id: str, token: str) -> Tokens:
        """Give new tokens for a refresh token, which is used up by it (RFC 9700, section 4.14.2).

        One that comes a second time was stolen by one of two: the whole family ends. Of two requests at once with the
        same token one succeeds, and the other ends the family.

        Raises:
            OAuthError: The token is over, was used, was revoked, or belongs to another client (`invalid_grant`).
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_FIND_REFRESH, hash_of(token))
            if row is not None and row["used"]:
                await connection.execute(_REVOKE_FAMILY, row["family"], "a refresh token was used twice")
            fits = (
                row is not None and not (row["used"] or row["over"] or row["revoked"]) and row["client_id"] == client_id
            )
            if row is not None and fits:
                await connection.execute(_USE_REFRESH, hash_of(token))
                fresh = await self._new_refresh(connection, row["family"])
        if row is None or not fits:
            raise OAuthError("invalid_grant", "the refresh token is over, was used or revoked, or is another client's.")
        return await self._for_family(row, fresh)

    async def revoke_refresh(self, client_id: str, token: str) -> None:
        """End a refresh token with its family (RFC 7009); one that is not known changes nothing."""

        async def attempt(connection: Connection) -> None:
            row = await connection.fetchrow(_FIND_REFRESH, hash_of(token))
            if row is not None and row["client_id"] == client_id:
                await connection.execute(_REVOKE_FAMILY, row["family"], "revoked by the client")

        await self._database.run(attempt)

    async def revoke_access(self, token_id: str, expires_at: datetime) -> None:
        """End an access token before its time; replicas know within seconds."""

        async def attempt(connection: Connection) -> None:
            await connection.execute(_FORGET_REVOKED)
            await connection.execute(_REVOKE_TOKEN, token_id, expires_at)

        await self._database.run(attempt)

    async def _new_refresh(self, connection: Connection, family: UUID) -> str:
        token = new_secret()
        await connection.execute(_NEW_REFRESH, hash_of(token), family, REFRESH_LIFE)
        return token

    async def _for_family(self, row: asyncpg.Record, refresh: str) -> Tokens:
        user = await self._users.get(row["user_name"])
        if user.disabled:
            raise OAuthError("invalid_grant", "the user is disabled.")
        scopes = tuple(Scope(scope) for scope in row["scopes"])
        token = await self._access_token(*_identity_of(user), row["client_id"], scopes, ACCESS_LIFE)
        return Tokens(token, int(ACCESS_LIFE.total_seconds()), scopes, refresh)

    async def _access_token(  # noqa: PLR0917 - the claims of a token
        self,
        subject: str,
        name: str,
        tenant: str,
        roles: Iterable[Role],
        client_id: str,
        scopes: Iterable[Scope],
        life: timedelta,
    ) -> str:
        """Return a token as RFC 9068 describes it."""
        if not timedelta() < life <= LONGEST_LIFE:
            raise OAuthError("invalid_request", f"a token lives for up to {LONGEST_LIFE}.")
        key = await self.keys.active()
        now = time.time()
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": subject,
            "aud": AUDIENCE,
            "exp": int(now + life.total_seconds()),
            "iat": round(now, 3),
            "jti": new_id().hex,
            "client_id": client_id,
            "scope": " ".join(sorted(scopes)),
            "roles": sorted(roles),
            "tenant": tenant,
            "name": name,
        }
        return jwt.encode({"alg": ALGORITHM, "typ": "at+jwt", "kid": key.kid}, claims, key, algorithms=[ALGORITHM])


def read_scopes(text: str) -> tuple[Scope, ...]:
    """Read scopes as requests give them: names with spaces between.

    Raises:
        OAuthError: One of them is not known (`invalid_scope`).
    """
    try:
        return tuple(dict.fromkeys(Scope(name) for name in text.split()))
    except ValueError:
        raise OAuthError("invalid_scope", f"the scopes are: {', '.join(Scope)}.") from None


def expiry_of(claims: dict[str, Any]) -> datetime:
    """Return when a token ends."""
    return datetime.fromtimestamp(claims["exp"], UTC)


def _identity_of(user: User) -> tuple[str, str, str, tuple[Role, ...]]:
    return user.subject, user.display or user.name, user.tenant, user.roles


def _granted(client: Client, scopes: Sequence[Scope]) -> tuple[Scope, ...]:
    wanted = tuple(scopes) or client.scopes
    if not set(wanted) <= set(client.scopes):
        raise OAuthError("invalid_scope", f"this client may ask for: {', '.join(client.scopes)}.")
    return wanted


def _proves(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(digest, challenge)
