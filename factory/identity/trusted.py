"""Issuers whose tokens are accepted, and what their claims mean here: a file of data (R33)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from factory.domain.errors import BadInputError
from factory.identity.errors import InvalidTokenError
from factory.identity.principal import EVERY_TENANT, Principal, PrincipalKind, Role, Scope

# Asymmetric only: a public key must never be able to sign (RFC 8725, sections 3.1 and 3.2).
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_READ_ONLY = (Scope.READ,)
_PEOPLE = (Scope.READ, Scope.WRITE, Scope.APPROVE)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClaimMapping(_Strict):
    """How claims become a principal. A name with dots goes into objects: `realm_access.roles`.

    Attributes:
        subject: The claim that tells people apart for ever.
        name: The claim to show.
        tenant: The claim that names the tenant; the issuer's `tenant` where it is None or missing.
        roles: Claims that hold names of roles or groups, as a list or as text with spaces.
        scopes: Claims that hold scopes.
        services: Claims of which one is there if, and only if, a program asks for itself.
    """

    subject: str = "sub"
    name: str = "name"
    tenant: str | None = None
    roles: tuple[str, ...] = ("roles", "groups")
    scopes: tuple[str, ...] = ("scope", "scp")
    services: tuple[str, ...] = ()


# What is known of the issuers that most people have. Sources: Microsoft identity platform, "Access token claims
# reference"; Google, "OpenID Connect"; GitHub, "OpenID Connect reference" (Actions).
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "generic": {"claims": ClaimMapping()},
    "entra": {
        "claims": ClaimMapping(subject="oid", tenant="tid", roles=("roles",), scopes=("scp",), services=("idtyp",)),
        "algorithms": ("RS256",),
    },
    "google": {
        "issuer": "https://accounts.google.com",
        "claims": ClaimMapping(name="email", tenant="hd", roles=()),
        "algorithms": ("RS256",),
    },
    "github": {
        "issuer": "https://token.actions.githubusercontent.com",
        "claims": ClaimMapping(
            name="repository", tenant="repository_owner", roles=(), services=("repository",), scopes=()
        ),
        "algorithms": ("RS256",),
    },
}


class TrustedIssuer(_Strict):
    """One issuer.

    Attributes:
        issuer: Exactly what `iss` must say.
        audience: What `aud` must contain.
        provider: Whose claims it sends; decides what is left out below.
        jwks_uri: Where its keys are; else the discovery document says so.
        algorithms: That its signatures may have.
        accept_id_tokens: Whether its ID tokens prove an identity: for issuers such as Google, whose access tokens are
            not JSON Web Tokens.
        tenant: Whose projects its people see, where no claim says so.
        tenants: Names of tenants by what the claim says; one that is not named is refused where any is.
        roles: Roles by what a claim says.
        default_roles: Of those whose claims name none; where it is empty, they are refused.
        scopes: Scopes of tokens whose claims name none of ours.
        client_id: For signing in at the portal, where it is set.
        client_secret_variable: The environment variable that holds the client's secret.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    issuer: str = ""
    audience: Annotated[str, Field(min_length=1)]
    provider: Literal["generic", "entra", "google", "github"] = "generic"
    jwks_uri: str | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    accept_id_tokens: bool = False
    tenant: Annotated[str, Field(min_length=1, max_length=100)] = "default"
    tenants: Mapping[str, str] = {}
    roles: Mapping[str, Role] = {}
    default_roles: tuple[Role, ...] = (Role.GUEST,)
    scopes: tuple[Scope, ...] = _PEOPLE
    claims: ClaimMapping = ClaimMapping()
    client_id: str | None = None
    client_secret_variable: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, values: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        if not isinstance(values, dict):
            return values
        return {**PRESETS.get(values.get("provider", "generic"), {}), **values}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, url in (("issuer", self.issuer), ("jwks_uri", self.jwks_uri)):
            if url is not None:
                _check_url(name, url)
        if EVERY_TENANT in {self.tenant, *self.tenants.values()}:
            raise ValueError("tenant: people of another issuer cannot see every tenant")
        if Role.AGENT in {*self.roles.values(), *self.default_roles} or Scope.INTERNAL in self.scopes:
            raise ValueError("roles: agents have their identity from the factory itself")
        return self

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Return who verified claims speak of.

        Raises:
            InvalidTokenError: A claim that is needed is missing, or nobody like that is let in.
        """
        mapping = self.claims
        subject = _found(claims, mapping.subject)
        if not isinstance(subject, str) or not subject:
            raise InvalidTokenError(f"the token has no claim {mapping.subject!r}.")
        named = {name for path in mapping.roles for name in _texts(_found(claims, path))}
        roles = frozenset(self.roles[name] for name in named if name in self.roles) or frozenset(self.default_roles)
        if not roles:
            raise InvalidTokenError("nobody without a role is let in.")
        given = {name for path in mapping.scopes for name in _texts(_found(claims, path))}
        own = frozenset(scope for scope in Scope if scope in given and scope is not Scope.INTERNAL)
        service = any(_found(claims, path) not in (None, "user") for path in mapping.services)
        return Principal(
            subject=f"{self.issuer}|{subject}",
            kind=PrincipalKind.SERVICE if service else PrincipalKind.USER,
            tenant=self._tenant(claims),
            roles=roles,
            scopes=own or frozenset(self.scopes),
            issuer=self.issuer,
            name=str(_found(claims, mapping.name) or subject),
            token_id=str(claims["jti"]) if "jti" in claims else None,
            client_id=str(claims.get("azp") or claims.get("client_id") or "") or None,
        )

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        claimed = _found(claims, self.claims.tenant) if self.claims.tenant else None
        if self.tenants:
            if not isinstance(claimed, str) or claimed not in self.tenants:
                raise InvalidTokenError("the token is of a tenant that is not let in.")
            return self.tenants[claimed]
        return claimed if isinstance(claimed, str) and claimed and claimed != EVERY_TENANT else self.tenant


def load_issuers(path: Path | None) -> tuple[TrustedIssuer, ...]:
    """Read a file of issuers: a list, or a mapping with the key `issuers`.

    Raises:
        BadInputError: The file cannot be read, or an entry cannot be used; the message names the field.
    """
    if path is None:
        return ()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(
            f"{path} cannot be read: {error}.", remedy="Give a YAML file of issuers.", field="FACTORY_ISSUERS"
        ) from error
    entries = content.get("issuers") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise BadInputError(
            f"{path} holds no list of issuers.", remedy="Begin it with `issuers:`.", field="FACTORY_ISSUERS"
        )
    try:
        issuers = tuple(TrustedIssuer.model_validate(entry) for entry in entries)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInputError(
            f"{path}: {place or 'entry'}: {first['msg']}.",
            remedy="docs/design/08-identity.md describes the file.",
            field="FACTORY_ISSUERS",
        ) from None
    urls = [issuer.issuer for issuer in issuers]
    if len(set(urls)) != len(urls):
        raise BadInputError(f"{path} names an issuer twice.", remedy="Name each once.", field="FACTORY_ISSUERS")
    return issuers


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.fragment:
        raise ValueError(f"{name}: expected the URL of an issuer, got {url!r}")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError(f"{name}: {url!r} must begin with https://")


def _found(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> Sequence[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
