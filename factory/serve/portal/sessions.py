"""Who is signed in at the portal: a cookie that means nothing by itself, and a row for it."""

from dataclasses import dataclass
from datetime import timedelta

from factory.identity.secrets import hash_of, new_secret
from factory.identity.users import User, Users
from factory.storage.database import Connection, Database

IDLE = timedelta(hours=8)
LONGEST = timedelta(hours=12)
# How exactly it is known when somebody was last here.
_NOTED = timedelta(minutes=5)

_INSERT = "INSERT INTO portal_session (hash, user_name, csrf) VALUES ($1, $2, $3)"
# Primary key.
_FIND = """
SELECT s.user_name, s.csrf, s.seen_at < now() - $4::interval AS stale
FROM portal_session s JOIN app_user u ON u.name = s.user_name
LEFT JOIN revoked_subject r ON r.subject = 'user:' || s.user_name
WHERE s.hash = $1 AND s.seen_at > now() - $2::interval AND s.created_at > now() - $3::interval AND NOT u.disabled
    AND (r.before IS NULL OR r.before <= s.created_at)
"""
_SEEN = "UPDATE portal_session SET seen_at = now() WHERE hash = $1"
_END = "DELETE FROM portal_session WHERE hash = $1"
_FORGET = "DELETE FROM portal_session WHERE created_at < now() - $1::interval"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in.

    Attributes:
        csrf: What every form of theirs carries.
    """

    user: User
    csrf: str


class Sessions:
    """The sessions in PostgreSQL."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users

    async def begin(self, user: User) -> str:
        """Begin a session, and return what the cookie is to hold."""
        secret = new_secret()

        async def attempt(connection: Connection) -> None:
            await connection.execute(_FORGET, LONGEST)
            await connection.execute(_INSERT, hash_of(secret), user.name, new_secret())

        await self._database.run(attempt)
        return secret

    async def find(self, secret: str) -> Session | None:
        """Return the session of a cookie; None where it is over, or its user was changed or disabled since."""
        rows = await self._database.fetch(_FIND, hash_of(secret), IDLE, LONGEST, _NOTED)
        if not rows:
            return None
        if rows[0]["stale"]:
            await self._database.run(lambda connection: connection.execute(_SEEN, hash_of(secret)))
        return Session(await self._users.get(rows[0]["user_name"]), rows[0]["csrf"])

    async def end(self, secret: str) -> None:
        """End a session."""
        await self._database.run(lambda connection: connection.execute(_END, hash_of(secret)))
