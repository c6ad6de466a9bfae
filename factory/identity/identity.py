"""Everything about who somebody is, opened together."""

from dataclasses import dataclass
from typing import Self

from factory.domain.errors import BadInputError
from factory.identity.clients import Clients
from factory.identity.issuer import Issuer
from factory.identity.principal import EVERY_TENANT, Principal, PrincipalKind, Role, Scope
from factory.identity.seal import Seal
from factory.identity.signing import SigningKeys
from factory.identity.tokens import TokenVerifier
from factory.identity.trusted import TrustedIssuer, load_issuers
from factory.identity.users import Users
from factory.settings import Settings
from factory.storage.database import Database


@dataclass(frozen=True, slots=True)
class Identity:
    """Verifies tokens, and issues them where this factory does.

    Attributes:
        embedded: Whether tokens of the issuer here are accepted.
        trusted: The other issuers.
    """

    verifier: TokenVerifier
    issuer: Issuer
    users: Users
    clients: Clients
    embedded: bool
    trusted: tuple[TrustedIssuer, ...]

    @classmethod
    async def open(cls, database: Database, settings: Settings, url: str) -> Self:
        """Open it.

        Args:
            database: Where users, clients and keys are.
            settings: Name the issuers.
            url: The embedded issuer's name, which stands in its tokens: the gateway's URL.

        Raises:
            BadInputError: The file of issuers cannot be used, or nobody could get a token.
        """
        trusted = load_issuers(settings.issuers)
        if not settings.embedded_issuer and not trusted:
            raise BadInputError(
                "there is no issuer whose tokens are accepted.",
                remedy="Name one in FACTORY_ISSUERS, or set FACTORY_EMBEDDED_ISSUER=true.",
                field="FACTORY_ISSUERS",
            )
        keys = SigningKeys(database, Seal.of(settings))
        users, clients = Users(database), Clients(database)
        issuer = Issuer(database, keys, users, clients, url)
        verifier = TokenVerifier(database, keys if settings.embedded_issuer else None, url, trusted)
        return cls(verifier, issuer, users, clients, settings.embedded_issuer, trusted)

    async def close(self) -> None:
        """Leave the issuers."""
        await self.verifier.close()


def service_principal(name: str) -> Principal:
    """Return the identity under which a component of the factory itself acts, such as an agent's pool."""
    return Principal(
        subject=f"service:{name}",
        kind=PrincipalKind.SERVICE,
        tenant=EVERY_TENANT,
        roles=frozenset({Role.AGENT}),
        scopes=frozenset({Scope.INTERNAL, Scope.READ}),
        name=name,
    )
