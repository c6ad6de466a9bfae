"""Who looks at a page, and what they sent with a form."""

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from starlette.datastructures import FormData

from factory.domain.errors import ForbiddenError
from factory.serve.caller import Caller, limit
from factory.serve.facts import facts_of
from factory.serve.gateway import Gateway
from factory.serve.portal.sessions import Session, Sessions
from factory.serve.problems import HttpError
from factory.serve.route_class import RouteClass

_PLAIN = "factory_session"
# The prefix lets browsers keep the cookie to this host and to HTTPS (RFC 6265bis, section 4.1.3.2).
_SECURE = "__Host-factory_session"
_SAFE = frozenset({"GET", "HEAD"})
_LONGEST_FORM_FIELD = 1_000_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in, as a caller of what the API is made of."""

    caller: Caller
    session: Session
    form: FormData

    def text(self, name: str) -> str:
        """Return a field of the form; empty where it was left out."""
        value = self.form.get(name, "")
        return value[:_LONGEST_FORM_FIELD] if isinstance(value, str) else ""


async def visitor(request: Request) -> Visitor:
    """Return who is signed in; a form must come from a page of this portal.

    Raises:
        ForbiddenError: The form came from elsewhere.
        HttpError: Nobody is signed in: the sign-in page follows (303).
    """
    gateway: Gateway = request.app.state.gateway
    facts = facts_of(request.scope)
    gateway.audit.check()
    session = await session_of(request)
    if session is None:
        await limit(gateway, facts, f"address:{facts.address}", RouteClass.ANONYMOUS)
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = f"/sign-in?next={quote(back)}" if request.method in _SAFE else "/sign-in"
        raise HttpError(HTTPStatus.SEE_OTHER, "nobody is signed in.", headers={"Location": target})
    form = FormData()
    if request.method not in _SAFE:
        check_origin(request, gateway)
        form = await request.form(max_files=0, max_fields=50)
        given = form.get("csrf", "")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise ForbiddenError("the form is not of this session.", remedy="Load the page again, and send it anew.")
    principal = session.user.principal(gateway.url)
    facts.principal = principal
    kind = RouteClass.READ if request.method in _SAFE else RouteClass.WRITE
    await limit(gateway, facts, principal.subject, kind)
    return Visitor(Caller(gateway, principal, facts), session, form)


async def session_of(request: Request) -> Session | None:
    """Return who is signed in, if somebody is."""
    gateway: Gateway = request.app.state.gateway
    secret = request.cookies.get(cookie_name(gateway))
    return await sessions(gateway).find(secret) if secret else None


def sessions(gateway: Gateway) -> Sessions:
    """Return the sessions of a gateway."""
    return Sessions(gateway.database, gateway.identity.users)


def cookie_name(gateway: Gateway) -> str:
    """Return under which name the cookie is kept."""
    return _SECURE if gateway.https else _PLAIN


def check_origin(request: Request, gateway: Gateway) -> None:
    """Make sure that a form was not sent from a page of somebody else's.

    Raises:
        ForbiddenError: It was.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    own = {gateway.url, f"{request.url.scheme}://{request.url.netloc}"}
    if site not in {"same-origin", "none"} or (origin is not None and origin not in own):
        raise ForbiddenError("the form came from another site.", remedy="Use the portal's own pages.")


def local(target: str) -> str:
    """Return where to go after signing in: a path of this portal, whatever was asked for."""
    parts = urlsplit(target)
    plain = target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target
    if not plain or parts.scheme or parts.netloc or any(ord(character) < 0x20 for character in target):  # noqa: PLR2004
        return "/"
    return target


Signed = Annotated[Visitor, Depends(visitor)]
