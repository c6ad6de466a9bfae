"""Holds everybody to what they may do: policies, with the grants that PostgreSQL has."""

import time
from collections import OrderedDict
from uuid import UUID

from factory.domain.errors import ForbiddenError, NotFoundError
from factory.identity import grants
from factory.identity.access import Action, Decision, Grant, PolicyName, Resource, ResourceType, Visibility
from factory.identity.policy import PolicyEngine
from factory.identity.principal import EVERY_TENANT, Principal
from factory.storage.database import Connection, Database

# How long another process's change of grants may go unnoticed here.
FRESH_SECONDS = 2.0
_REMEMBERED = 10_000
_READS = {
    ResourceType.ARTIFACT: Action.READ_ARTIFACT,
    ResourceType.PROJECT: Action.READ_PROJECT,
    ResourceType.AGENT: Action.READ_AGENT,
}


class Authority:
    """Answers for people and services alike.

    Args:
        database: Where the grants are.
        engine: Decides.
    """

    def __init__(self, database: Database, engine: PolicyEngine) -> None:
        self._database = database
        self._engine = engine
        self._grants: OrderedDict[str, tuple[float, tuple[Grant, ...]]] = OrderedDict()

    async def decide(self, principal: Principal, action: Action, resource: Resource) -> Decision:
        """Return whether somebody may do something, and why."""
        return self._engine.decide(principal, action, resource, await self._granted(principal))

    async def authorize(self, principal: Principal, action: Action, resource: Resource) -> Decision:
        """Return the decision that allows somebody to do something.

        Raises:
            ForbiddenError: They may not, though they may know of the resource.
            NotFoundError: They may not even know of it: for them it does not exist.
        """
        decision = await self.decide(principal, action, resource)
        if decision.allowed:
            return decision
        seen = _READS.get(resource.type)
        same = principal.tenant in (EVERY_TENANT, resource.tenant)
        if not same or (seen is not None and not await self._may_know(principal, seen, resource)):
            what = resource.type.value
            raise NotFoundError(f"there is no {what} {resource.id}.", remedy="See the list of those that you may see.")
        raise ForbiddenError(
            f"{action.value} is not allowed to {principal.name or principal.subject} here: {decision.reason}.",
            remedy="Ask whoever owns the project, or an admin, for a grant.",
        )

    async def visibility(self, principal: Principal, action: Action) -> Visibility:
        """Return which projects somebody may do something to, as a condition for lists.

        Raises:
            ForbiddenError: Their token may not be used for that at all.
        """
        granted = await self._granted(principal)
        tenant = None if principal.tenant == EVERY_TENANT else principal.tenant
        whole = Resource(ResourceType.PROJECT, "", tenant or EVERY_TENANT)
        decision = self._engine.decide(principal, action, whole, granted)
        if decision.allowed:
            return Visibility(tenant)
        allowed = frozenset(
            grant.project_id
            for grant in granted
            if grant.project_id is not None
            and self._engine.decide(
                principal,
                action,
                Resource(ResourceType.PROJECT, str(grant.project_id), grant.tenant, grant.project_id),
                granted,
            ).allowed
        )
        if not allowed and decision.policies:
            raise ForbiddenError(
                f"{action.value} is not allowed: {decision.reason}.", remedy="Use a token with the scope for it."
            )
        return Visibility(tenant, allowed)

    async def own(self, connection: Connection, principal: Principal, project_id: UUID) -> None:
        """Give whoever began a project all rights on it, in the transaction that creates it."""
        await self.grant(
            connection, Grant(principal.subject, PolicyName.ADMIN, principal.tenant, project_id), by=principal.subject
        )

    async def grant(self, connection: Connection, grant: Grant, *, by: str) -> grants.GrantRecord:
        """Grant a policy, in the caller's transaction. This process knows at once, others within two seconds."""
        record = await grants.add(connection, grant, by=by)
        self._database.after_commit(connection, lambda: self.forget(grant.subject))
        return record

    async def revoke(self, connection: Connection, grant_id: UUID) -> grants.GrantRecord:
        """Take a grant back, in the caller's transaction. This process knows at once, others within two seconds.

        Raises:
            NotFoundError: There is no such grant.
        """
        record = await grants.remove(connection, grant_id)
        self._database.after_commit(connection, lambda: self.forget(record.grant.subject))
        return record

    def forget(self, subject: str) -> None:
        """Read somebody's grants again the next time."""
        self._grants.pop(subject, None)

    async def _may_know(self, principal: Principal, action: Action, resource: Resource) -> bool:
        if resource.type is ResourceType.ARTIFACT:
            # Whoever sees the project knows that it has artifacts.
            project = Resource(ResourceType.PROJECT, str(resource.project_id), resource.tenant, resource.project_id)
            return await self._may_know(principal, Action.READ_PROJECT, project)
        return (await self.decide(principal, action, resource)).allowed

    async def _granted(self, principal: Principal) -> tuple[Grant, ...]:
        known = self._grants.get(principal.subject)
        now = time.monotonic()
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        async with self._database.session() as connection:
            found = await grants.of_subject(connection, principal.subject)
        self._grants[principal.subject] = (now, found)
        self._grants.move_to_end(principal.subject)
        while len(self._grants) > _REMEMBERED:
            self._grants.popitem(last=False)
        return found
