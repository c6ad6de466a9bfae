"""OAuth 2.0 and OpenID Connect Discovery of the embedded issuer, for applications and services."""

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import unquote_plus, urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from factory.domain.errors import UnauthenticatedError
from factory.identity.errors import OAuthError
from factory.identity.issuer import AuthorizationRequest, Tokens, read_scopes
from factory.identity.principal import Scope
from factory.identity.signing import ALGORITHM
from factory.identity.users import User
from factory.serve.caller import limit
from factory.serve.facts import facts_of
from factory.serve.gateway import Gateway
from factory.serve.problems import HttpError
from factory.serve.route_class import RouteClass

router = APIRouter(tags=["oauth"])

_LONGEST = 2_000
_Text = Annotated[str | None, Form(max_length=_LONGEST)]
# Keys may be kept for a moment; a rotation keeps the old one in the set for a day.
_KEYS_FRESH = "public, max-age=300"


@router.get("/.well-known/openid-configuration")
@router.get("/.well-known/oauth-authorization-server", include_in_schema=False)
async def discovery(request: Request) -> dict[str, Any]:
    """Describe the issuer (OpenID Connect Discovery 1.0; RFC 8414)."""
    url = _embedded(request).url
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/oauth/authorize",
        "token_endpoint": f"{url}/oauth/token",
        "revocation_endpoint": f"{url}/oauth/revoke",
        "jwks_uri": f"{url}/oauth/jwks",
        "scopes_supported": [scope.value for scope in Scope],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "authorization_response_iss_parameter_supported": True,
    }


@router.get("/oauth/jwks")
async def keys(request: Request, response: Response) -> dict[str, Any]:
    """Return the keys that tokens are signed with (RFC 7517)."""
    gateway = _embedded(request)
    response.headers["Cache-Control"] = _KEYS_FRESH
    return await gateway.identity.issuer.keys.public()


@router.post("/oauth/token", include_in_schema=False)
async def token(
    request: Request,
    grant_type: _Text = None,
    client_id: _Text = None,
    client_secret: _Text = None,
    scope: _Text = None,
    code: _Text = None,
    redirect_uri: _Text = None,
    code_verifier: _Text = None,
    refresh_token: _Text = None,
) -> JSONResponse:
    """Give tokens for a client's secret, a code or a refresh token (RFC 6749)."""
    gateway = _embedded(request)
    await _limit(request)
    issuer = gateway.identity.issuer
    try:
        who, secret = _client(request, client_id, client_secret)
        if grant_type == "client_credentials":
            tokens = await issuer.client_credentials(who, secret or "", read_scopes(scope or ""))
        elif grant_type == "authorization_code":
            tokens = await issuer.exchange(who, code or "", redirect_uri or "", code_verifier or "")
        elif grant_type == "refresh_token":
            tokens = await issuer.refresh(who, refresh_token or "")
        else:
            raise OAuthError("unsupported_grant_type", "ask for a code, client credentials or a refresh.")  # noqa: TRY301
    except OAuthError as error:
        return _refused(error)
    return JSONResponse(_answer(tokens), headers={"Pragma": "no-cache"})


@router.post("/oauth/revoke", include_in_schema=False)
async def revoke(
    request: Request,
    token: _Text = None,
    client_id: _Text = None,
    client_secret: _Text = None,
) -> Response:
    """End a token (RFC 7009); the answer is the same whether it was one."""
    gateway = _embedded(request)
    await _limit(request)
    identity = gateway.identity
    try:
        who, secret = _client(request, client_id, client_secret)
        client = await (identity.clients.authenticate(who, secret) if secret else identity.clients.get(who))
    except OAuthError as error:
        return _refused(error)
    await identity.issuer.revoke_refresh(client.id, token or "")
    try:
        principal = await identity.verifier.verify(token or "")
    except UnauthenticatedError:
        return Response(status_code=HTTPStatus.OK)
    if principal.client_id == client.id and principal.token_id and principal.expires_at:
        await identity.issuer.revoke_access(principal.token_id, principal.expires_at)
        identity.verifier.forget()
    return Response(status_code=HTTPStatus.OK)


async def authorize(gateway: Gateway, user: User, query: Mapping[str, str]) -> Response:
    """Send a signed-in person back to an application, with a code.

    Raises:
        HttpError: The application or its address is not known: nobody is sent there.
    """
    state = query.get("state", "")[:_LONGEST]
    redirect = query.get("redirect_uri", "")
    try:
        asked = AuthorizationRequest(
            client_id=query.get("client_id", ""),
            redirect_uri=redirect,
            scopes=read_scopes(query.get("scope", "")),
            challenge=query.get("code_challenge", "") if query.get("code_challenge_method") == "S256" else "",
        )
        if query.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "ask for a code.")  # noqa: TRY301
        code = await gateway.identity.issuer.authorize(asked, user)
    except OAuthError as error:
        if not await _is_known(gateway, query.get("client_id", ""), redirect):
            raise HttpError(
                HTTPStatus.BAD_REQUEST, error.message, remedy="The application must be registered with this address."
            ) from error
        return _back(gateway, redirect, {"error": error.code, "state": state})
    return _back(gateway, redirect, {"code": code, "state": state})


async def _is_known(gateway: Gateway, client_id: str, redirect: str) -> bool:
    try:
        client = await gateway.identity.clients.get(client_id)
    except OAuthError:
        return False
    return redirect in client.redirect_uris


def _back(gateway: Gateway, redirect: str, values: Mapping[str, str]) -> RedirectResponse:
    """Return to an application; `iss` tells it from which issuer (RFC 9207)."""
    query = urlencode({**{name: value for name, value in values.items() if value}, "iss": gateway.url})
    return RedirectResponse(f"{redirect}{'&' if '?' in redirect else '?'}{query}", HTTPStatus.SEE_OTHER)


def _embedded(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    if not gateway.identity.embedded:
        raise HttpError(HTTPStatus.NOT_FOUND, "this factory issues no tokens.", remedy="Ask your identity provider.")
    return gateway


async def _limit(request: Request) -> None:
    facts = facts_of(request.scope)
    await limit(request.app.state.gateway, facts, f"address:{facts.address}", RouteClass.ANONYMOUS)


def _client(request: Request, client_id: str | None, client_secret: str | None) -> tuple[str, str | None]:
    """Return who asks: from the header, or from the form (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "the Authorization header cannot be read.") from None
        return unquote_plus(name), unquote_plus(secret)
    if not client_id:
        raise OAuthError("invalid_client", "the client does not say who it is.")
    return client_id, client_secret


def _answer(tokens: Tokens) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "scope": " ".join(tokens.scopes),
    }
    return answer if tokens.refresh_token is None else {**answer, "refresh_token": tokens.refresh_token}


def _refused(error: OAuthError) -> JSONResponse:
    unknown = error.code == "invalid_client"
    return JSONResponse(
        {"error": error.code, "error_description": error.message},
        HTTPStatus.UNAUTHORIZED if unknown else HTTPStatus.BAD_REQUEST,
        {"WWW-Authenticate": "Basic"} if unknown else {},
    )
