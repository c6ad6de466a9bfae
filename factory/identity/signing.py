"""The embedded issuer's keys: one signs, those before it are still believed until their tokens are over."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc.jwk import ECKey

from factory.identity.seal import Seal
from factory.storage.database import Connection, Database

ALGORITHM = "ES256"
# How long a token of a key that was replaced may still be in use: longer than any access token lives.
OVERLAP = timedelta(days=1)
_FRESH_SECONDS = 30.0

# One advisory lock for whoever makes or replaces the active key.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('signing-key', 0))"
# Index signing_key_active.
_ACTIVE = "SELECT id, sealed FROM signing_key WHERE retired_at IS NULL"
_INSERT = "INSERT INTO signing_key (id, public_jwk, sealed) VALUES ($1, $2, $3)"
_RETIRE = "UPDATE signing_key SET retired_at = now() WHERE retired_at IS NULL"
_FORGET = "DELETE FROM signing_key WHERE retired_at < now() - $1::interval"
_LIST = "SELECT id, public_jwk, created_at, retired_at FROM signing_key ORDER BY created_at DESC"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key, without what is secret of it."""

    id: str
    public_jwk: dict[str, Any]
    created_at: datetime
    retired_at: datetime | None


class SigningKeys:
    """The keys in PostgreSQL, shared by all replicas.

    Args:
        database: Where they are.
        seal: Opens the private halves.
    """

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal
        self._active: ECKey | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def active(self) -> ECKey:
        """Return the key that signs; the first is made when it is asked for.

        Another replica's rotation shows within 30 seconds.

        Raises:
            BadInputError: It was sealed with another secret.
        """
        async with self._reading:
            if self._active is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                self._active = await self._database.run(self._ensure)
                self._read_at = time.monotonic()
            return self._active

    async def rotate(self) -> str:
        """Let a new key sign from now on, and return its id."""

        async def attempt(connection: Connection) -> ECKey:
            await connection.execute(_LOCK)
            await connection.execute(_RETIRE)
            await connection.execute(_FORGET, OVERLAP)
            return await self._make(connection)

        async with self._reading:
            self._active = await self._database.run(attempt)
            self._read_at = time.monotonic()
            return str(self._active.kid)

    async def listed(self) -> list[KeyRecord]:
        """Return all keys, the newest first."""
        return [KeyRecord(**row) for row in await self._database.fetch(_LIST)]

    async def public(self) -> dict[str, Any]:
        """Return the public halves of all keys that may still be believed, as a JWK set (RFC 7517)."""
        await self.active()
        return {"keys": [key.public_jwk for key in await self.listed()]}

    async def _ensure(self, connection: Connection) -> ECKey:
        row = await connection.fetchrow(_ACTIVE)
        if row is None:
            await connection.execute(_LOCK)
            row = await connection.fetchrow(_ACTIVE)
        if row is None:
            return await self._make(connection)
        return ECKey.import_key(json.loads(self._seal.open(row["sealed"], row["id"])))

    async def _make(self, connection: Connection) -> ECKey:
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)
        private = json.dumps(key.as_dict(private=True)).encode()
        name = str(key.kid)
        await connection.execute(_INSERT, name, key.as_dict(private=False), self._seal.close(private, name))
        return key
