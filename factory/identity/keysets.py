"""Keys of other issuers: fetched when needed, kept, and fetched again with restraint."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from factory.domain.errors import RetryableError
from factory.identity.trusted import LOOPBACK, TrustedIssuer

# Google and Microsoft replace keys within days; a key that is withdrawn stops to be believed after this.
_FRESH_SECONDS = 900
# While the issuer does not answer, the keys it had are believed for this long.
_STALE_SECONDS = 86_400
# A key that is not known may be new; a flood of such tokens must not become a flood of requests.
_ASK_AGAIN_SECONDS = 60
_PATIENCE_SECONDS = 5.0
_MOST_BYTES = 512 * 1024
_MOST_KEYS = 100
_KINDS = frozenset({"RSA", "EC", "OKP"})
_log = structlog.stdlib.get_logger(__name__)


class KeysUnavailableError(RetryableError):
    """An issuer's keys cannot be had at the moment, so that nothing of it can be verified."""


class RemoteKeys:
    """The keys of one issuer.

    Args:
        issuer: Whose.
        client: Asks; without following redirects.
    """

    def __init__(self, issuer: TrustedIssuer, client: httpx.AsyncClient) -> None:
        self._issuer = issuer
        self._client = client
        self._keys: Mapping[str | None, Key] = {}
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()

    async def find(self, kid: str | None) -> Key | None:
        """Return the key of that id; for a token without one, the only key there is.

        Raises:
            KeysUnavailableError: The issuer does not answer, and what it had is too old or was never read.
        """
        if self._age() > _FRESH_SECONDS or self._pick(kid) is None:
            await self._refresh(kid)
        if self._age() > _STALE_SECONDS:
            raise KeysUnavailableError(
                f"the keys of {self._issuer.name} cannot be read.", remedy="Its discovery document must be reachable."
            )
        return self._pick(kid)

    def _age(self) -> float:
        return float("inf") if self._read_at is None else time.monotonic() - self._read_at

    def _pick(self, kid: str | None) -> Key | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _refresh(self, kid: str | None) -> None:
        """Read the keys again, unless that was tried a moment ago; those who wait share one reading."""
        async with self._asking:
            wanted = self._age() > _FRESH_SECONDS or self._pick(kid) is None
            recently = self._asked_at is not None and time.monotonic() - self._asked_at < _ASK_AGAIN_SECONDS
            if not wanted or recently:
                return
            self._asked_at = time.monotonic()
            try:
                self._keys = await self._read()
            except (httpx.HTTPError, ValueError, JoseError) as error:
                _log.warning("keys_unavailable", issuer=self._issuer.name, reason=repr(error))
                return
            self._read_at = time.monotonic()

    async def _read(self) -> Mapping[str | None, Key]:
        uri = self._issuer.jwks_uri or await self._discover()
        document = await self._get(uri)
        listed = document.get("keys")
        if not isinstance(listed, list):
            raise ValueError("the key set has no list of keys")  # noqa: TRY004 - it is a value of the document
        found: dict[str | None, Key] = {}
        for entry in listed[:_MOST_KEYS]:
            if entry.get("kty") in _KINDS and entry.get("use", "sig") == "sig":
                found[entry.get("kid")] = JWKRegistry.import_key(_public(entry))
        return found

    async def _discover(self) -> str:
        """Return where the keys are (OpenID Connect Discovery 1.0, section 4)."""
        document = await self._get(self._issuer.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self._issuer.issuer:
            raise ValueError(f"the discovery document is of {document.get('issuer')!r}")
        uri = document.get("jwks_uri")
        if not isinstance(uri, str) or not _is_safe(uri):
            raise ValueError("the discovery document has no jwks_uri with https")
        return uri

    async def _get(self, url: str) -> dict[str, Any]:
        body = bytearray()
        async with asyncio.timeout(_PATIENCE_SECONDS), self._client.stream("GET", url) as response:
            response.raise_for_status()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    raise ValueError(f"{url} answers with more than {_MOST_BYTES} bytes")
        document = json.loads(bytes(body))
        if not isinstance(document, dict):
            raise ValueError(f"{url} answers with no object")  # noqa: TRY004 - it is a value of the document
        return document


def _public(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in entry.items() if name in {"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"}
    }


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
