"""Tokens of other issuers: their keys are fetched over HTTP, with restraint."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from factory.domain.errors import BadInputError, RetryableError
from factory.identity import keysets
from factory.identity.errors import InvalidTokenError
from factory.identity.principal import PrincipalKind, Role
from factory.identity.tokens import TokenVerifier
from factory.identity.trusted import TrustedIssuer, load_issuers
from factory.storage.database import Database


@dataclass
class Provider:
    """An identity provider over a real connection.

    Attributes:
        asked: How often its keys were fetched.
    """

    url: str = ""
    keys: list[Any] = field(default_factory=lambda: [RSAKey.generate_key(2048, {"alg": "RS256"}, auto_kid=True)])
    asked: int = 0
    up: bool = True

    async def discover(self, _: Request) -> JSONResponse:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def jwks(self, _: Request) -> JSONResponse:
        self.asked += 1
        if not self.up:
            return JSONResponse({}, 503)
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]})

    def token(self, key: Any = None, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        chosen = key or self.keys[0]
        now = int(time.time())
        claims = {"iss": self.url, "sub": "1", "aud": "factory", "iat": now, "exp": now + 600, "name": "Ada", **changes}
        algorithm = "ES256" if chosen.key_type == "EC" else "RS256"
        return jwt.encode({"alg": algorithm, "kid": chosen.kid, **(header or {})}, claims, chosen, [algorithm])


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    served = Provider()
    app = Starlette(routes=[Route("/.well-known/openid-configuration", served.discover), Route("/keys", served.jwks)])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        served.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield served
        server.should_exit = True
        await task


@asynccontextmanager
async def _verifying(database: Database, provider: Provider, /, **more: Any) -> AsyncIterator[TokenVerifier]:
    issuer = TrustedIssuer(name="company", issuer=provider.url, audience="factory", **more)
    verifier = TokenVerifier(database, None, "http://own", [issuer])
    try:
        yield verifier
    finally:
        await verifier.close()


async def test_claims_become_a_principal(database: Database, provider: Provider) -> None:
    async with _verifying(database, provider, roles={"admins": "admin"}, tenant="north") as verifier:
        found = await verifier.verify(provider.token(groups=["admins", "others"]))
        assert found.subject == f"{provider.url}|1"
        assert (found.name, found.tenant, found.roles) == ("Ada", "north", frozenset({Role.ADMIN}))
        stranger = await verifier.verify(provider.token(sub="2"))
        assert stranger.roles == frozenset({Role.GUEST})
        assert provider.asked == 1


async def test_a_tenant_that_is_not_let_in_is_refused(database: Database, provider: Provider) -> None:
    entra = {"provider": "entra", "tenants": {"t-1": "north"}, "default_roles": ["platform-user"]}
    async with _verifying(database, provider, **entra) as verifier:
        found = await verifier.verify(provider.token(oid="o-1", tid="t-1"))
        assert (found.subject, found.tenant) == (f"{provider.url}|o-1", "north")
        for token in (provider.token(oid="o-1", tid="t-2"), provider.token(oid="o-1")):
            with pytest.raises(InvalidTokenError):
                await verifier.verify(token)
        program = await verifier.verify(provider.token(oid="o-2", tid="t-1", idtyp="app"))
        assert program.kind is PrincipalKind.SERVICE


async def test_a_rotated_key_is_fetched_once_and_a_flood_of_unknown_ones_is_not(
    database: Database, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _verifying(database, provider) as verifier:
        await verifier.verify(provider.token())
        fresh = RSAKey.generate_key(2048, {"alg": "RS256"}, auto_kid=True)
        provider.keys.append(fresh)
        with pytest.raises(InvalidTokenError):
            await verifier.verify(provider.token(fresh))
        monkeypatch.setattr(keysets, "_ASK_AGAIN_SECONDS", 0)
        assert (await verifier.verify(provider.token(fresh))).name == "Ada"
        monkeypatch.setattr(keysets, "_ASK_AGAIN_SECONDS", 60)
        before = provider.asked
        for number in range(50):
            with pytest.raises(InvalidTokenError):
                await verifier.verify(provider.token(header={"kid": f"unknown-{number}"}))
        assert provider.asked == before


async def test_an_issuer_that_is_away_is_believed_for_a_while(
    database: Database, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _verifying(database, provider) as verifier:
        provider.up = False
        with pytest.raises(RetryableError):
            await verifier.verify(provider.token())
        provider.up = True
        monkeypatch.setattr(keysets, "_ASK_AGAIN_SECONDS", 0)
        await verifier.verify(provider.token(sub="2"))
        provider.up = False
        monkeypatch.setattr(keysets, "_FRESH_SECONDS", 0)
        assert (await verifier.verify(provider.token(sub="3"))).subject.endswith("|3")
        monkeypatch.setattr(keysets, "_STALE_SECONDS", 0)
        with pytest.raises(RetryableError):
            await verifier.verify(provider.token(sub="4"))


async def test_what_the_issuer_did_not_sign_for_us_is_refused(database: Database, provider: Provider) -> None:
    other = RSAKey.generate_key(2048)
    curve = ECKey.generate_key("P-256")
    kid = provider.keys[0].kid
    async with _verifying(database, provider) as verifier:
        for token in (
            provider.token(aud="another"),
            provider.token(iss="https://evil.example"),
            provider.token(nonce="of an ID token"),
            provider.token(exp=1),
            provider.token(exp=True),
            provider.token(other, header={"kid": kid}),
            provider.token(curve, header={"kid": kid}),
            provider.token(sub=""),
        ):
            with pytest.raises(InvalidTokenError):
                await verifier.verify(token)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("issuers: 5", "no list"),
        ("issuers:\n  - {name: a, issuer: http://evil.example, audience: x}", "must begin with https"),
        ("issuers:\n  - {name: a, issuer: https://x, audience: x, algorithms: [HS256]}", "algorithms"),
        ("issuers:\n  - {name: a, issuer: https://x, audience: x, algorithms: [none]}", "algorithms"),
        ("issuers:\n  - {name: a, issuer: https://x, audience: x, tenant: '*'}", "every tenant"),
        ("issuers:\n  - {name: a, issuer: https://x, audience: x, default_roles: [agent]}", "agents"),
        ("issuers:\n  - {name: a, issuer: https://x}", "audience"),
        ("issuers:\n  - {name: a, issuer: https://x, audience: x, tennant: y}", "tennant"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_file_of_issuers_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "issuers.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError) as refused:
        load_issuers(path)
    assert said in str(refused.value)
