"""Who calls a route: proven, within limits, and held to what they may do."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from factory.domain.errors import UnauthenticatedError
from factory.domain.project import Project
from factory.identity.access import Action, Resource, Visibility, project_resource, tenant_resource
from factory.identity.principal import Principal
from factory.serve.facts import RequestFacts, facts_of
from factory.serve.gateway import Gateway
from factory.serve.idempotency import LONGEST_KEY, Work, fingerprint_of, once
from factory.serve.route_class import RouteClass


@dataclass(slots=True)
class Caller:
    """Whoever sent a request, with what routes need to serve them."""

    gateway: Gateway
    principal: Principal
    facts: RequestFacts

    async def require(self, action: Action, resource: Resource) -> None:
        """Make sure that the caller may do something; the audit trail gets the last decision of a request.

        Raises:
            ForbiddenError: They may not.
            NotFoundError: They may not even know of the resource.
        """
        await require(self.gateway, self.principal, self.facts, action, resource)

    async def require_project(self, action: Action, project: Project) -> None:
        """Make sure that the caller may do something to a project."""
        await self.require(action, project_resource(project))

    async def require_tenant(self, action: Action) -> None:
        """Make sure that the caller may do something in their tenant."""
        await self.require(action, tenant_resource(self.principal.tenant))

    async def sees(self, action: Action) -> Visibility:
        """Return which projects the caller may do something to, for lists."""
        self.facts.action = action
        return await self.gateway.authority.visibility(self.principal, action)

    async def once(self, key: str | None, body: BaseModel | None, work: Work) -> Response:
        """Answer a request that changes something; see `idempotency.once`.

        Raises:
            HttpError: The same key is at work at the moment, or came with another request.
        """
        answer = await once(
            self.gateway.database,
            subject=self.principal.subject,
            key=key,
            request=fingerprint_of(self.facts.method, self.facts.path, body),
            work=work,
        )
        headers = dict(answer.headers)
        if answer.repeated:
            headers["Idempotent-Replayed"] = "true"
        return JSONResponse(answer.body, answer.status, headers)


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        description="Makes it safe to send the request again: it has one effect, and the same answer every time.",
    ),
]


async def require(
    gateway: Gateway, principal: Principal, facts: RequestFacts, action: Action, resource: Resource
) -> None:
    """Make sure that somebody may do something, and note it in the request's facts.

    Raises:
        ForbiddenError: They may not.
        NotFoundError: They may not even know of the resource.
    """
    facts.action, facts.resource, facts.decision = action, resource, None
    facts.decision = await gateway.authority.authorize(principal, action, resource)


class CallerOf:
    """The dependency that proves who calls.

    Args:
        route_class: Whose limit the route counts against.
    """

    def __init__(self, route_class: RouteClass) -> None:
        self._class = route_class

    async def __call__(self, request: Request) -> Caller:
        """Return the caller.

        Raises:
            AuditFullError: Nothing may be done, because it could not be audited.
            UnauthenticatedError: There is no token, or it proves nothing.
            HttpError: Too many requests (429).
        """
        gateway: Gateway = request.app.state.gateway
        gateway.audit.check()
        facts = facts_of(request.scope)
        try:
            principal = await gateway.identity.verifier.verify(_token(request))
        except UnauthenticatedError:
            await limit(gateway, facts, f"address:{facts.address}", RouteClass.ANONYMOUS)
            raise
        facts.principal = principal
        await limit(gateway, facts, principal.subject, self._class)
        return Caller(gateway, principal, facts)


async def limit(gateway: Gateway, facts: RequestFacts, key: str, route_class: RouteClass) -> None:
    """Count a request, and note in its facts what is left.

    Raises:
        HttpError: It is one too many (429).
    """
    state = await gateway.limits.check(key, route_class)
    facts.headers.update(state.headers)


def _token(request: Request) -> str:
    given = request.headers.get("authorization", "")
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError(
            "the request carries no token.",
            remedy="Send `Authorization: Bearer TOKEN`; `factory token issue` makes one.",
        )
    return token.strip()


BEARER = Depends(HTTPBearer(auto_error=False, bearerFormat="JWT"))
Reader = Annotated[Caller, Depends(CallerOf(RouteClass.READ))]
Writer = Annotated[Caller, Depends(CallerOf(RouteClass.WRITE))]
Seeker = Annotated[Caller, Depends(CallerOf(RouteClass.SEARCH))]
Follower = Annotated[Caller, Depends(CallerOf(RouteClass.STREAM))]
