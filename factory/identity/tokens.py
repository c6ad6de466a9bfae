"""Proves who asks: verifies access tokens of the embedded issuer and of trusted ones."""

import asyncio
import hashlib
import json
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from factory.domain.errors import RetryableError
from factory.identity.errors import InvalidTokenError
from factory.identity.issuer import AUDIENCE
from factory.identity.keysets import RemoteKeys
from factory.identity.principal import Principal, PrincipalKind, Role, Scope
from factory.identity.signing import ALGORITHM, SigningKeys
from factory.identity.trusted import TrustedIssuer
from factory.storage.database import CLIENT_ERRORS, Database

LONGEST_TOKEN = 16 * 1024
_LEEWAY_SECONDS = 30
_CACHED = 10_000
# Of the year 9999, the last that times can name.
_LAST_SECOND = 253_402_300_799
_REVOCATIONS_SECONDS = 2.0
# While the database does not answer, what was known of revocations counts for so long.
_REVOCATIONS_STALE_SECONDS = 60.0
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_ACCESS_TYPES = frozenset({"at+jwt", "application/at+jwt"})
# Of ID tokens only (OpenID Connect Core 1.0, sections 2 and 3.3.2.11).
_ID_TOKEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash"})

_REVOCATIONS = """
SELECT token_id AS name, NULL::timestamptz AS before FROM revoked_token WHERE expires_at > now()
UNION ALL SELECT subject, before FROM revoked_subject WHERE before > now() - interval '2 days'
"""


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    issued_at: float
    own: bool


class TokenVerifier:
    """Verifies tokens. Safe to ask as often as there are requests: what was verified is remembered until it ends.

    Args:
        database: Tells which tokens were revoked.
        keys: Of the embedded issuer; None where this factory issues no tokens.
        url: The embedded issuer's name.
        issuers: Whose tokens are accepted as well.
    """

    def __init__(
        self, database: Database, keys: SigningKeys | None, url: str, issuers: Sequence[TrustedIssuer] = ()
    ) -> None:
        self._database = database
        self._keys = keys
        self._url = url
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=5.0, trust_env=True)
        self._issuers = {issuer.issuer: (issuer, RemoteKeys(issuer, self._client)) for issuer in issuers}
        self._own: dict[str, Key] = {}
        self._own_read_at = float("-inf")
        self._own_reading = asyncio.Lock()
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._revoked: dict[str, datetime | None] = {}
        self._revoked_read_at = float("-inf")

    async def close(self) -> None:
        """Leave the issuers."""
        await self._client.aclose()

    async def verify(self, token: str) -> Principal:
        """Return who a token speaks for.

        Raises:
            InvalidTokenError: It proves nothing.
            RetryableError: It cannot be told at the moment.
        """
        if len(token) > LONGEST_TOKEN:
            raise InvalidTokenError(f"the token is longer than {LONGEST_TOKEN} characters.")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is None:
            known = await self._verify(token)
            self._verified[digest] = known
            while len(self._verified) > _CACHED:
                self._verified.popitem(last=False)
        expires = known.principal.expires_at
        if expires is not None and datetime.now(UTC) >= expires:
            self._verified.pop(digest, None)
            raise InvalidTokenError("the token is over.")
        if known.own:
            await self._check_revocation(known)
        return known.principal

    def forget(self) -> None:
        """Ask again for everything that may have changed, at the next token."""
        self._revoked_read_at = self._own_read_at = float("-inf")

    async def _verify(self, token: str) -> _Verified:
        header, payload = _parts(token)
        if "crit" in header or "jwk" in header or "jku" in header or "x5u" in header:
            raise InvalidTokenError("the token's header asks for what is not accepted.")
        issuer = payload.get("iss")
        kid = header.get("kid")
        if not isinstance(issuer, str) or not (kid is None or isinstance(kid, str)):
            raise InvalidTokenError("the token does not say who issued it.")
        if self._keys is not None and issuer == self._url:
            key = await self._own_key(kid)
            claims = _decoded(token, header, key, (ALGORITHM,))
            _check_claims(claims, issuer, AUDIENCE)
            if str(header.get("typ", "")).lower() not in _ACCESS_TYPES:
                raise InvalidTokenError("the token is no access token.")
            return _Verified(_own_principal(claims), float(claims["iat"]), own=True)
        if issuer not in self._issuers:
            raise InvalidTokenError("the token is of an issuer that is not trusted here.")
        trusted, keys = self._issuers[issuer]
        claims = _decoded(token, header, await keys.find(kid), trusted.algorithms)
        _check_claims(claims, issuer, trusted.audience)
        if not trusted.accept_id_tokens and _is_id_token(header, claims):
            raise InvalidTokenError("an ID token is no access token.")
        principal = replace(trusted.principal(claims), expires_at=_moment(claims["exp"]))
        return _Verified(principal, float(claims.get("iat", 0)), own=False)

    async def _own_key(self, kid: str | None) -> Key | None:
        if self._keys is None or kid is None:
            return None
        if kid not in self._own:
            async with self._own_reading:
                recently = time.monotonic() - self._own_read_at < _REVOCATIONS_SECONDS
                if kid not in self._own and not recently:
                    document = await self._keys.public()
                    self._own = {entry["kid"]: JWKRegistry.import_key(entry) for entry in document["keys"]}
                    self._own_read_at = time.monotonic()
        return self._own.get(kid)

    async def _check_revocation(self, known: _Verified) -> None:
        now = time.monotonic()
        if now - self._revoked_read_at > _REVOCATIONS_SECONDS:
            try:
                rows = await self._database.fetch(_REVOCATIONS)
            except (*CLIENT_ERRORS, RetryableError):
                if now - self._revoked_read_at > _REVOCATIONS_STALE_SECONDS:
                    raise
            else:
                self._revoked = {row["name"]: row["before"] for row in rows}
                self._revoked_read_at = now
        principal = known.principal
        before = self._revoked.get(principal.subject)
        if principal.token_id in self._revoked or (before is not None and known.issued_at < before.timestamp()):
            raise InvalidTokenError("the token was revoked.")


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims, of which nothing is proven yet."""
    try:
        head, body, _ = token.split(".")
        header, claims = (json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, body))
    except (ValueError, UnicodeError, RecursionError):
        header = claims = None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise InvalidTokenError("the token is no signed JSON Web Token.")
    return header, claims


def _decoded(token: str, header: Mapping[str, Any], key: Key | None, algorithms: Sequence[str]) -> dict[str, Any]:
    algorithm = header.get("alg")
    if algorithm not in algorithms:
        raise InvalidTokenError("the token is signed with an algorithm that is not accepted.")
    if key is None or key.key_type != _KEY_TYPES.get(str(algorithm)[:2]):
        raise InvalidTokenError("the token is signed with a key that its issuer does not have.")
    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=list(algorithms)).claims
    except (JoseError, ValueError, UnicodeError):
        raise InvalidTokenError("the token's signature is wrong.") from None
    return claims


def _check_claims(claims: Mapping[str, Any], issuer: str, audience: str) -> None:
    now = time.time()
    expires = claims.get("exp")
    if claims.get("iss") != issuer:
        raise InvalidTokenError("the token is of another issuer.")
    named = claims.get("aud")
    if audience not in (named if isinstance(named, list) else [named]):
        raise InvalidTokenError("the token is for another audience.")
    if not _is_number(expires) or now >= float(expires or 0):
        raise InvalidTokenError("the token is over.")
    for name in ("nbf", "iat"):
        begins = claims.get(name)
        if begins is not None and (not _is_number(begins) or now + _LEEWAY_SECONDS < float(begins)):
            raise InvalidTokenError("the token is not valid yet.")


def _is_number(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LAST_SECOND


def _is_id_token(header: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    if str(header.get("typ", "")).lower() in _ACCESS_TYPES:
        return False
    return claims.get("token_use") == "id" or bool(_ID_TOKEN_CLAIMS & claims.keys())


def _own_principal(claims: Mapping[str, Any]) -> Principal:
    subject = str(claims["sub"])
    return Principal(
        subject=subject,
        kind=PrincipalKind.SERVICE if subject.startswith("service:") else PrincipalKind.USER,
        tenant=str(claims["tenant"]),
        roles=frozenset(Role(role) for role in claims["roles"]),
        scopes=frozenset(Scope(scope) for scope in str(claims["scope"]).split()),
        issuer=str(claims["iss"]),
        name=str(claims["name"]),
        token_id=str(claims["jti"]),
        client_id=str(claims["client_id"]),
        expires_at=_moment(claims["exp"]),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
