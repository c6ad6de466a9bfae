"""Who asks: a person or a service, as a verified token tells."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# The tenant of service identities that work for every tenant.
EVERY_TENANT = "*"


class Role(StrEnum):
    """What somebody is, in the whole tenant (R34)."""

    PLATFORM_USER = "platform-user"
    ADMIN = "admin"
    AGENT = "agent"
    GUEST = "guest"


class Scope(StrEnum):
    """What a token may be used for at most, whatever its subject may do (RFC 6749, section 3.3)."""

    READ = "factory.read"
    WRITE = "factory.write"
    APPROVE = "factory.approve"
    ADMIN = "factory.admin"
    INTERNAL = "factory.internal"


class PrincipalKind(StrEnum):
    """Whether a person or a program asks."""

    USER = "user"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose identity is proven.

    Attributes:
        subject: Unique over all issuers: `user:NAME` and `service:NAME` of the embedded issuer, `ISSUER|SUB` of others.
        tenant: Whose projects they see; `EVERY_TENANT` for services that work for all.
        name: To show to people.
        token_id: The `jti` of the token, for the audit.
        client_id: The application that got the token.
        expires_at: When the token ends; None for an identity that no token proves, as on the command line.
    """

    subject: str
    kind: PrincipalKind
    tenant: str
    roles: frozenset[Role]
    scopes: frozenset[Scope] = field(default_factory=lambda: frozenset(Scope))
    issuer: str = ""
    name: str = ""
    token_id: str | None = None
    client_id: str | None = None
    expires_at: datetime | None = None
