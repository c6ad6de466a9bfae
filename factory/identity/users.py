"""People who sign in at the embedded issuer."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import argon2
import asyncpg
from argon2.exceptions import Argon2Error, InvalidHashError

from factory.domain.errors import BadInputError, ConflictError, NotFoundError, UnauthenticatedError
from factory.identity.principal import Principal, PrincipalKind, Role
from factory.identity.secrets import hash_of, new_secret
from factory.storage.database import Connection, Database

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
_LINK_LIFE = timedelta(minutes=10)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_TENANT = re.compile(r"\*|[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Attempts that may fail before an account waits: two seconds, then twice as long with each failure, up to 15 minutes.
_FREE_FAILURES = 5
_LONGEST_WAIT_SECONDS = 900

_COLUMNS = "name, display, tenant, roles, disabled, password_hash IS NOT NULL AS has_password, created_at"
_INSERT = f"""
INSERT INTO app_user (name, display, tenant, roles, password_hash) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""  # noqa: S608 - a constant of this module
# Primary key.
_FIND = f"SELECT {_COLUMNS} FROM app_user WHERE name = $1"  # noqa: S608
_LIST = f"SELECT {_COLUMNS} FROM app_user ORDER BY name"  # noqa: S608
# Primary key.
_CHANGE = f"""
UPDATE app_user SET display = coalesce($2, display), tenant = coalesce($3, tenant), roles = coalesce($4, roles),
    password_hash = coalesce($5, password_hash), disabled = coalesce($6, disabled),
    failures = CASE WHEN $5::text IS NULL THEN failures ELSE 0 END,
    locked_until = CASE WHEN $5::text IS NULL THEN locked_until END
WHERE name = $1 RETURNING {_COLUMNS}
"""  # noqa: S608
# Primary key.
_HASH = "SELECT password_hash, disabled, locked_until > now() AS locked FROM app_user WHERE name = $1 FOR UPDATE"
_FAILED = """
UPDATE app_user SET failures = failures + 1,
    locked_until = CASE WHEN failures + 1 > $2 THEN
        now() + make_interval(secs => least(power(2, least(failures + 1 - $2, 20)), $3)) END
WHERE name = $1
"""
_SUCCEEDED = "UPDATE app_user SET failures = 0, locked_until = NULL, password_hash = $2 WHERE name = $1"
# Index token_family_by_user.
_REVOKE_FAMILIES = """
UPDATE token_family SET revoked_at = now(), reason = $2 WHERE user_name = $1 AND revoked_at IS NULL
"""
_REVOKE_TOKENS = """
INSERT INTO revoked_subject (subject, before) VALUES ($1, now())
ON CONFLICT (subject) DO UPDATE SET before = excluded.before
"""
_LINK = "INSERT INTO sign_in_link (hash, user_name, expires_at) VALUES ($1, $2, now() + $3::interval)"
_USE_LINK = """
UPDATE sign_in_link SET used_at = now() WHERE hash = $1 AND used_at IS NULL AND expires_at > now() RETURNING user_name
"""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in.

    Attributes:
        tenant: Whose projects they see; `*` for all.
        has_password: Whether they can sign in without a link.
    """

    name: str
    display: str
    tenant: str
    roles: tuple[Role, ...]
    disabled: bool
    has_password: bool
    created_at: datetime

    @property
    def subject(self) -> str:
        """The name under which they act."""
        return f"user:{self.name}"

    def principal(self, issuer: str = "") -> Principal:
        """Return who they are, where no token proves it."""
        return Principal(
            subject=self.subject,
            kind=PrincipalKind.USER,
            tenant=self.tenant,
            roles=frozenset(self.roles),
            issuer=issuer,
            name=self.display or self.name,
        )


class Users:
    """The users in PostgreSQL.

    Passwords are kept as Argon2id hashes with the parameters of RFC 9106 for little memory, as `argon2-cffi` sets them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = argon2.PasswordHasher.from_parameters(argon2.profiles.RFC_9106_LOW_MEMORY)
        # Compared with where there is no such user, so that the answer takes as long.
        self._nobody = self._hasher.hash(new_secret())

    async def add(
        self,
        name: str,
        *,
        tenant: str,
        roles: Sequence[Role],
        password: str | None = None,
        display: str = "",
    ) -> User:
        """Add a user.

        Raises:
            BadInputError: The name, the tenant or the password cannot be used, or there is no role.
            ConflictError: There is a user of this name.
        """
        if not _NAME.fullmatch(name):
            raise BadInputError(
                f"{name!r} is no name for a user.",
                remedy="Use up to 64 lower-case letters, digits and . _ @ -, beginning with a letter or digit.",
                field="name",
            )
        _check_tenant(tenant)
        _check_roles(roles)
        hashed = await self._hash(password) if password is not None else None
        stored = [role.value for role in roles]
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_INSERT, name, display, tenant, stored, hashed)
        if row is None:
            raise ConflictError(f"there is a user {name!r} already.", remedy="See `factory user list`.", field="name")
        return _user(row)

    async def get(self, name: str) -> User:
        """Return a user.

        Raises:
            NotFoundError: There is none of this name.
        """
        rows = await self._database.fetch(_FIND, name)
        if not rows:
            raise NotFoundError(f"there is no user {name!r}.", remedy="See `factory user list`.", field="name")
        return _user(rows[0])

    async def listed(self) -> list[User]:
        """Return all users, by name."""
        return [_user(row) for row in await self._database.fetch(_LIST)]

    async def change(
        self,
        name: str,
        *,
        tenant: str | None = None,
        roles: Sequence[Role] | None = None,
        password: str | None = None,
        display: str | None = None,
        disabled: bool | None = None,
    ) -> User:
        """Change what is given. What they hold of tokens and sessions ends, unless only the shown name changes.

        Raises:
            BadInputError: A value cannot be used.
            NotFoundError: There is no such user.
        """
        if tenant is not None:
            _check_tenant(tenant)
        if roles is not None:
            _check_roles(roles)
        hashed = await self._hash(password) if password is not None else None
        stored = [role.value for role in roles] if roles is not None else None

        async def attempt(connection: Connection) -> asyncpg.Record | None:
            row = await connection.fetchrow(_CHANGE, name, display, tenant, stored, hashed, disabled)
            if row is not None and (tenant, roles, password, disabled) != (None, None, None, None):
                await connection.execute(_REVOKE_FAMILIES, name, "the account was changed")
                await connection.execute(_REVOKE_TOKENS, f"user:{name}")
            return row

        row = await self._database.run(attempt)
        if row is None:
            raise NotFoundError(f"there is no user {name!r}.", remedy="See `factory user list`.", field="name")
        return _user(row)

    async def authenticate(self, name: str, password: str) -> User:
        """Return the user whose name and password these are.

        Takes as long for a user that does not exist. After five failures an account waits, longer with each further
        one; while it waits, the right password fails as well.

        Raises:
            UnauthenticatedError: They do not belong together, or the account waits or is disabled.
        """
        # The row stays locked while the password is checked: guesses side by side are no quicker than one by one.
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_HASH, name)
            known = row is not None and row["password_hash"] is not None
            stored = row["password_hash"] if row is not None and known else self._nobody
            right = await asyncio.to_thread(self._verify, stored, password[:LONGEST_PASSWORD])
            waits = row is not None and bool(row["locked"])
            accepted = known and right and not waits and row is not None and not row["disabled"]
            if accepted:
                fresh = await self._hash(password) if self._hasher.check_needs_rehash(stored) else stored
                await connection.execute(_SUCCEEDED, name, fresh)
            elif known and not waits:
                await connection.execute(_FAILED, name, _FREE_FAILURES, _LONGEST_WAIT_SECONDS)
        if not accepted:
            raise UnauthenticatedError(
                "the name and the password do not belong together, or the account waits after failed attempts.",
                remedy="Try again in a moment; `factory user change NAME --password` sets a new password.",
            )
        return await self.get(name)

    async def sign_in_link(self, name: str) -> str:
        """Return a code that signs a user in once, within ten minutes: for whoever sits at the machine.

        Raises:
            BadInputError: The user is disabled.
            NotFoundError: There is no such user.
        """
        user = await self.get(name)
        if user.disabled:
            raise BadInputError(f"user {name!r} is disabled.", remedy="factory user change NAME --enable", field="name")
        code = new_secret()
        async with self._database.transaction() as connection:
            await connection.execute(_LINK, hash_of(code), name, _LINK_LIFE)
        return code

    async def use_link(self, code: str) -> User:
        """Return the user whom a code of `sign_in_link` signs in, once.

        Raises:
            UnauthenticatedError: The code was used, is over, or never was.
        """
        async with self._database.transaction() as connection:
            name = await connection.fetchval(_USE_LINK, hash_of(code))
        user = await self.get(name) if name is not None else None
        if user is None or user.disabled:
            raise UnauthenticatedError("the link is over.", remedy="Make a new one: factory user sign-in-link NAME.")
        return user

    async def _hash(self, password: str) -> str:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise BadInputError(
                f"the password has {len(password)} characters.",
                remedy=f"Use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}.",
                field="password",
            )
        return await asyncio.to_thread(self._hasher.hash, password)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (Argon2Error, InvalidHashError):
            return False


def _check_tenant(tenant: str) -> None:
    if not _TENANT.fullmatch(tenant):
        raise BadInputError(
            f"{tenant!r} is no name for a tenant.",
            remedy="Use letters, digits and . _ -, beginning with a letter or digit; * means every tenant.",
            field="tenant",
        )


def _check_roles(roles: Sequence[Role]) -> None:
    if not roles:
        raise BadInputError("there is no role.", remedy=f"Roles: {', '.join(Role)}.", field="role")


def _user(row: asyncpg.Record) -> User:
    return User(**{**dict(row), "roles": tuple(Role(role) for role in row["roles"])})
