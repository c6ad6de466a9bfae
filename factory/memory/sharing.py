"""Who may read whose memory (R15, R27). Pure: a project reads its own, and what a rule allows it besides."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from factory.domain.project import Project
from factory.memory.filters import Filter
from factory.storage.rule_files import check_names, load_rules

ANY = "any"
SAME = "same"

# Ids of projects by their tenant and slug, of which there may be several.
Slugs = Mapping[tuple[str, str], Collection[str]]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
SomeTexts = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]


class Origined(Protocol):
    """What is known of a passage's origin."""

    @property
    def tenant(self) -> str:
        """Whose it is."""
        ...

    @property
    def project_id(self) -> str:
        """Empty where it belongs to no project."""
        ...

    @property
    def kind(self) -> str:
        """The artifact's kind."""
        ...


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Readers(_Strict):
    """The projects that a rule is for.

    Attributes:
        tenants: Theirs is one of these; none means every tenant.
        blueprints: They are built by one of these; none means every blueprint.
    """

    tenants: Texts = ()
    blueprints: Texts = ()

    def include(self, project: Project) -> bool:
        """Tell whether a project is one of them."""
        return (not self.tenants or project.tenant in self.tenants) and (
            not self.blueprints or project.blueprint in self.blueprints
        )


class Origin(_Strict):
    """What may be read.

    Attributes:
        tenants: Of these tenants; `same` is the reader's own.
        projects: Ids or slugs, or `any`.
        kinds: Of artifacts, or `any`.
    """

    tenants: SomeTexts = (SAME,)
    projects: SomeTexts
    kinds: SomeTexts


class Rule(_Strict):
    """Lets projects read more than their own memory."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    name: Name
    readers: Readers = Readers()
    origin: Origin = Field(alias="from")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {ANY, SAME} & {*self.readers.tenants, *self.readers.blueprints}:
            raise ValueError(f"the readers of {self.name!r} are names; for all of them leave the list out")
        if ANY in self.origin.tenants:
            raise ValueError(f"{self.name!r} reads of `any` tenant; name each")
        if set(self.origin.tenants) != {SAME} and not self.readers.tenants:
            raise ValueError(f"{self.name!r} reads of tenants by name; name the tenants that may read as well")
        return self


class Offer(_Strict):
    """What a tenant lets others read, for whom a rule says that they do."""

    name: Name
    tenant: Text
    to: SomeTexts
    projects: SomeTexts
    kinds: SomeTexts

    @model_validator(mode="after")
    def _check(self) -> Self:
        if {ANY, SAME} & {self.tenant, *self.to}:
            raise ValueError(f"{self.name!r} goes from one named tenant to others named")
        return self


@dataclass(frozen=True, slots=True)
class _Scope:
    """Memory that may be read: of one tenant; None for projects or kinds sets no limit."""

    tenant: str
    projects: frozenset[str] | None
    kinds: frozenset[str] | None

    def meet(self, other: "_Scope") -> "_Scope":
        """Return what both allow, of the same tenant."""
        return _Scope(self.tenant, _meet(self.projects, other.projects), _meet(self.kinds, other.kinds))

    @property
    def is_empty(self) -> bool:
        return self.projects == frozenset() or self.kinds == frozenset()

    def holds(self, passage: Origined) -> bool:
        return (
            passage.tenant == self.tenant
            and (self.projects is None or passage.project_id in self.projects)
            and (self.kinds is None or passage.kind in self.kinds)
        )

    def filter(self) -> Filter:
        return Filter(
            tenant=self.tenant,
            project_ids=None if self.projects is None else tuple(sorted(self.projects)),
            kinds=None if self.kinds is None else tuple(sorted(self.kinds)),
        )


class Sharing(_Strict):
    """The rules, and what tenants offer one another. Whatever none of them allows is denied."""

    rules: tuple[Rule, ...] = ()
    offers: tuple[Offer, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_names(rule.name for rule in self.rules)
        check_names(offer.name for offer in self.offers)
        return self

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the shipped rules, and with them those of a file of the same shape.

        Raises:
            BadInputError: The file is missing or does not have that shape; the message names each fault.
        """
        return load_rules(cls, __package__, "sharing.yaml", path, _merged, title="memory sharing")

    @property
    def is_closed(self) -> bool:
        """Whether no project reads more than its own memory."""
        return not self.rules

    def slugs(self, project: Project) -> frozenset[tuple[str, str]]:
        """Return the tenants and slugs by which the rules name projects, of those that count for a reader."""
        found: set[tuple[str, str]] = set()
        for rule in self._rules_for(project):
            for tenant in _tenants(rule, project):
                offers = self._offers(tenant, project) if tenant != project.tenant else ()
                lists = (rule.origin.projects, *(offer.projects for offer in offers))
                found.update((tenant, name) for names in lists for name in names if name != ANY and not _id(name))
        return frozenset(found)

    def filters(
        self, project: Project, *, kinds: Collection[str] | None = None, own: bool = True, slugs: Slugs | None = None
    ) -> tuple[Filter, ...]:
        """Return what a search on behalf of a project is narrowed to: whatever meets one of the filters may be read.

        Args:
            project: That reads.
            kinds: Only of these kinds.
            own: Whether what its own memory alone holds is wanted too. A filter of several projects includes it anyway.
            slugs: Ids of the projects that `slugs` names; one that is missing is denied.
        """
        asked = None if kinds is None else frozenset(kinds)
        scopes = [self._own(project)] if own else []
        scopes += self._granted(project, slugs or {})
        narrowed = [_Scope(scope.tenant, scope.projects, _meet(scope.kinds, asked)) for scope in scopes]
        return tuple(dict.fromkeys(scope.filter() for scope in narrowed if not scope.is_empty))

    def allows(self, project: Project, passage: Origined, *, slugs: Slugs | None = None) -> bool:
        """Tell whether a project may read a passage: every hit is asked about once more after the search."""
        if self._own(project).holds(passage):
            return True
        return any(scope.holds(passage) for scope in self._granted(project, slugs or {}))

    def _own(self, project: Project) -> _Scope:
        return _Scope(project.tenant, frozenset({str(project.id)}), None)

    def _granted(self, project: Project, slugs: Slugs) -> Iterator[_Scope]:
        for rule in self._rules_for(project):
            for tenant in _tenants(rule, project):
                wanted = _scope(tenant, rule.origin.projects, rule.origin.kinds, slugs)
                if tenant == project.tenant:
                    yield wanted
                    continue
                for offer in self._offers(tenant, project):
                    yield wanted.meet(_scope(tenant, offer.projects, offer.kinds, slugs))

    def _rules_for(self, project: Project) -> Iterator[Rule]:
        return (rule for rule in self.rules if rule.readers.include(project))

    def _offers(self, tenant: str, project: Project) -> tuple[Offer, ...]:
        return tuple(offer for offer in self.offers if offer.tenant == tenant and project.tenant in offer.to)


def _tenants(rule: Rule, project: Project) -> tuple[str, ...]:
    named = (project.tenant if tenant == SAME else tenant for tenant in rule.origin.tenants)
    return tuple(dict.fromkeys(named))


def _scope(tenant: str, projects: Collection[str], kinds: Collection[str], slugs: Slugs) -> _Scope:
    ids: set[str] = set()
    for name in projects:
        known = _id(name)
        ids.update(slugs.get((tenant, name), ()) if known is None else (known,))
    return _Scope(tenant, None if ANY in projects else frozenset(ids), None if ANY in kinds else frozenset(kinds))


def _id(name: str) -> str | None:
    """Return a project's id in its usual form, where the name is one."""
    try:
        return str(UUID(name))
    except ValueError:
        return None


def _meet(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _merged(own: Mapping[str, Any] | None, shipped: Mapping[str, Any]) -> dict[str, Any]:
    own = {} if own is None else own
    return {
        **own,
        "rules": [*(own.get("rules") or ()), *shipped["rules"]],
        "offers": [*(own.get("offers") or ()), *shipped["offers"]],
    }
