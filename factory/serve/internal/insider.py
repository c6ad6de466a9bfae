"""Who may call the internal API: services with the scope for it."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from factory.domain.errors import NotFoundError, UnauthenticatedError
from factory.identity.principal import PrincipalKind, Scope
from factory.serve.caller import Caller, CallerOf
from factory.serve.facts import facts_of
from factory.serve.route_class import RouteClass


class InsiderOf(CallerOf):
    """Lets services in, and tells everybody else that there is nothing.

    Raises:
        NotFoundError: Whoever calls is no service, or their token is not for this; nobody learns what there is.
    """

    async def __call__(self, request: Request) -> Caller:
        """Return the caller."""
        try:
            caller = await super().__call__(request)
        except UnauthenticatedError:
            raise _nothing(request) from None
        if caller.principal.kind is not PrincipalKind.SERVICE or Scope.INTERNAL not in caller.principal.scopes:
            raise _nothing(request)
        return caller


def _nothing(request: Request) -> NotFoundError:
    return NotFoundError(f"there is nothing at {facts_of(request.scope).path}.")


Insider = Annotated[Caller, Depends(InsiderOf(RouteClass.INTERNAL))]
