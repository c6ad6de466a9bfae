"""Signing in and out, and letting applications in."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from factory.domain.errors import UnauthenticatedError
from factory.identity.access import Action, Decision, Resource, ResourceType
from factory.identity.users import LONGEST_PASSWORD, User
from factory.serve import oauth
from factory.serve.caller import limit
from factory.serve.facts import facts_of
from factory.serve.gateway import Gateway
from factory.serve.portal.pages import page
from factory.serve.portal.sessions import LONGEST
from factory.serve.portal.visitor import Signed, check_origin, cookie_name, local, session_of, sessions
from factory.serve.route_class import RouteClass

router = APIRouter(include_in_schema=False)

_Text = Annotated[str, Form(max_length=2_000)]


@router.get("/sign-in")
async def sign_in_page(
    request: Request,
    next: Annotated[str, Query(max_length=2_000)] = "/",  # noqa: A002 - the name in addresses
    code: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Ask for a name and a password, or for a click where there is a code: mail programs follow links by themselves."""
    if code is not None:
        return page(request, "link", code=code)
    if await session_of(request) is not None:
        return RedirectResponse(local(next), HTTPStatus.SEE_OTHER)
    return page(request, "sign_in", next=local(next), error=None)


@router.post("/sign-in")
async def sign_in(
    request: Request,
    name: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=LONGEST_PASSWORD)] = "",
    next: _Text = "/",  # noqa: A002 - the name in the form
) -> Response:
    """Begin a session."""
    gateway = await _guarded(request)
    try:
        user = await gateway.identity.users.authenticate(name, password)
    except UnauthenticatedError as error:
        return page(request, "sign_in", None, HTTPStatus.UNAUTHORIZED, next=local(next), error=error)
    return await _begin(request, gateway, user, local(next))


@router.post("/sign-in/link")
async def sign_in_by_link(request: Request, code: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Begin a session with a code that works once."""
    gateway = await _guarded(request)
    return await _begin(request, gateway, await gateway.identity.users.use_link(code), "/")


@router.post("/sign-out")
async def sign_out(request: Request, visitor: Signed) -> Response:
    """End the session."""
    gateway = visitor.caller.gateway
    await sessions(gateway).end(request.cookies[cookie_name(gateway)])
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(cookie_name(gateway), secure=gateway.https, httponly=True, samesite="lax")
    return answer


@router.get("/oauth/authorize")
async def authorize(request: Request, visitor: Signed) -> Response:
    """Send the person back to the application that asks for them."""
    return await oauth.authorize(visitor.caller.gateway, visitor.session.user, request.query_params)


async def _guarded(request: Request) -> Gateway:
    """Count attempts by address, and refuse those of other sites."""
    gateway: Gateway = request.app.state.gateway
    facts = facts_of(request.scope)
    facts.action = Action.READ_PROJECT
    await limit(gateway, facts, f"address:{facts.address}", RouteClass.ANONYMOUS)
    check_origin(request, gateway)
    return gateway


async def _begin(request: Request, gateway: Gateway, user: User, target: str) -> Response:
    facts = facts_of(request.scope)
    facts.principal = user.principal(gateway.url)
    facts.resource = Resource(ResourceType.TENANT, user.tenant, user.tenant)
    facts.decision = Decision(allowed=True, policies=(), reason="signed in")
    # A new cookie, whatever there was before: a session cannot be given to somebody beforehand.
    secret = await sessions(gateway).begin(user)
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        cookie_name(gateway),
        secret,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=gateway.https,
        httponly=True,
        samesite="lax",
    )
    return answer
