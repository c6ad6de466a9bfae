"""What can be done to what, who was granted it, and what a decision says."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from factory.domain.project import Project


class Action(StrEnum):
    """Everything that somebody may be allowed to do, as `thing:deed`."""

    CREATE_PROJECT = "project:create"
    READ_PROJECT = "project:read"
    CHANGE_PROJECT = "project:change"
    READ_ARTIFACT = "artifact:read"
    READ_EVENT = "event:read"
    PUBLISH_EVENT = "event:publish"
    RECEIVE_EVENT = "event:receive"
    READ_ESCALATION = "escalation:read"
    DECIDE_ESCALATION = "escalation:decide"
    READ_DEAD_LETTER = "dead-letter:read"
    RESOLVE_DEAD_LETTER = "dead-letter:resolve"
    SEARCH_MEMORY = "memory:search"
    CREATE_EMBEDDING = "embedding:create"
    READ_USAGE = "usage:read"
    SEND_NOTIFICATION = "notification:send"
    READ_AGENT = "agent:read"
    EXECUTE_AGENT = "agent:execute"
    ASSIGN_TASK = "task:assign"
    VALIDATE_PROJECT = "project:validate"
    READ_METRICS = "metrics:read"
    READ_AUDIT = "audit:read"
    MANAGE_IDENTITY = "identity:manage"
    EXPLAIN_POLICY = "policy:explain"


class ResourceType(StrEnum):
    """What a resource is."""

    TENANT = "tenant"
    PROJECT = "project"
    ARTIFACT = "artifact"
    TOPIC = "topic"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Resource:
    """What something is done to.

    Attributes:
        id: Of the project or artifact, the name of the topic, agent or tenant.
        project_id: The project that it belongs to, where it belongs to one.
        kind: Of the artifact.
    """

    type: ResourceType
    id: str
    tenant: str
    project_id: UUID | None = None
    kind: str | None = None


class PolicyName(StrEnum):
    """What somebody may do with the projects of a grant (R34)."""

    READ_ONLY = "read-only"
    EDITOR = "editor"
    ADMIN = "admin"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Grant:
    """A policy that holds for somebody, beyond what their role allows.

    Attributes:
        project_id: Only for this project; None for all of the tenant.
        kinds: Only for artifacts of these kinds; None for all. A grant for some kinds allows nothing but to read
            (or, as editor, to change) those artifacts and to see that their project exists.
    """

    subject: str
    policy: PolicyName
    tenant: str
    project_id: UUID | None = None
    kinds: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and why.

    Attributes:
        policies: Ids of the policies that decided, sorted; none where nothing allows it.
        reason: A sentence for people.
    """

    allowed: bool
    policies: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which projects somebody sees: a condition for lists.

    Attributes:
        tenant: Of this tenant only; None for all.
        project_ids: Only these; None for all of the tenant.
    """

    tenant: str | None
    project_ids: frozenset[UUID] | None = None

    def covers(self, project: Project) -> bool:
        """Tell whether a project is among them."""
        of_tenant = self.tenant is None or project.tenant == self.tenant
        return of_tenant and (self.project_ids is None or project.id in self.project_ids)


def tenant_resource(tenant: str) -> Resource:
    """Return a tenant as a resource: for what concerns no project."""
    return Resource(ResourceType.TENANT, tenant, tenant)


def project_resource(project: Project) -> Resource:
    """Return a project as a resource."""
    return Resource(ResourceType.PROJECT, str(project.id), project.tenant, project.id)
