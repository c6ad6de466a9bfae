"""Who may read whose memory: nothing without a rule, another tenant's only where both sides say so."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError
from factory.domain.project import Project, ProjectStatus
from factory.memory.filters import Filter
from factory.memory.sharing import Sharing

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TENANTS = ("north", "south", "east")
KINDS = ("domain-model", "architecture", "backlog")
BLUEPRINTS = ("api-service", "web-shop")
IDS = tuple(str(UUID(int=number)) for number in range(1, 7))
SLUGS = {(tenant, "shop"): [IDS[number], IDS[number + 3]] for number, tenant in enumerate(TENANTS)}


@dataclass(frozen=True)
class Origin:
    tenant: str
    project_id: str
    kind: str


def project(tenant: str = "north", key: str = IDS[0], blueprint: str = "api-service") -> Project:
    return Project(
        id=UUID(key),
        name="Shop",
        slug="shop",
        blueprint=blueprint,
        status=ProjectStatus.VISIONING,
        trace_id="0" * 31 + "1",
        tenant=tenant,
        created_at=NOW,
        updated_at=NOW,
    )


def sharing(*rules: dict[str, Any], offers: tuple[dict[str, Any], ...] = ()) -> Sharing:
    return Sharing.model_validate({"rules": rules, "offers": offers})


def admits(condition: Filter, origin: Origin) -> bool:
    return (
        condition.tenant == origin.tenant
        and (condition.project_ids is None or origin.project_id in condition.project_ids)
        and (condition.kinds is None or origin.kind in condition.kinds)
    )


WITHIN = {"name": "within", "from": {"projects": ["any"], "kinds": ["domain-model"]}}
ACROSS = {
    "name": "across",
    "readers": {"tenants": ["north"]},
    "from": {"tenants": ["south"], "projects": ["any"], "kinds": ["any"]},
}
OFFER = {"name": "offer", "tenant": "south", "to": ["north"], "projects": ["shop"], "kinds": ["domain-model"]}


def test_nothing_is_shared_as_shipped() -> None:
    shipped = Sharing.load()
    assert shipped.is_closed
    assert shipped.filters(project()) == (Filter(tenant="north", project_ids=(IDS[0],)),)
    assert shipped.filters(project(), own=False) == ()
    assert shipped.allows(project(), Origin("north", IDS[0], "vision"))
    assert not shipped.allows(project(), Origin("north", IDS[1], "vision"))
    assert not shipped.allows(project(), Origin("south", IDS[0], "vision")), "an id alone is not enough"


def test_a_rule_opens_the_own_tenant_for_the_kinds_it_names() -> None:
    policy = sharing(WITHIN)
    assert policy.filters(project(), own=False) == (Filter(tenant="north", kinds=("domain-model",)),)
    assert policy.filters(project(), own=False, kinds=("backlog",)) == ()
    assert policy.allows(project(), Origin("north", IDS[1], "domain-model"))
    assert not policy.allows(project(), Origin("north", IDS[1], "backlog"))
    assert not policy.allows(project(), Origin("south", IDS[1], "domain-model"))


def test_a_rule_is_for_the_readers_it_names() -> None:
    policy = sharing({**WITHIN, "readers": {"tenants": "north", "blueprints": ["api-service"]}})
    assert policy.filters(project(), own=False)
    assert not policy.filters(project(blueprint="web-shop"), own=False)
    assert not policy.filters(project("south"), own=False)


def test_another_tenant_is_read_only_where_it_offers_and_only_what_both_name() -> None:
    assert sharing(ACROSS).filters(project(), own=False) == ()
    assert sharing(offers=(OFFER,)).filters(project(), own=False) == ()
    both = sharing(ACROSS, offers=(OFFER,))
    assert both.slugs(project()) == {("south", "shop")}
    assert both.filters(project(), own=False) == (), "a slug that nobody looked up is nobody's"
    assert both.filters(project(), own=False, slugs=SLUGS) == (
        Filter(tenant="south", project_ids=(IDS[1], IDS[4]), kinds=("domain-model",)),
    )
    assert both.allows(project(), Origin("south", IDS[1], "domain-model"), slugs=SLUGS)
    assert not both.allows(project(), Origin("south", IDS[1], "backlog"), slugs=SLUGS)
    assert not both.allows(project(), Origin("south", IDS[0], "domain-model"), slugs=SLUGS)
    assert not both.allows(project("south"), Origin("north", IDS[0], "domain-model"), slugs=SLUGS), "one way"


def test_projects_may_be_named_by_id() -> None:
    policy = sharing({"name": "one", "from": {"projects": [IDS[2].upper()], "kinds": ["any"]}})
    assert policy.filters(project(), own=False) == (Filter(tenant="north", project_ids=(IDS[2],)),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [{name: a, from: {projects: [any]}}]", "kinds"),
        ("rules: [{name: a, from: {projects: [], kinds: [any]}}]", "projects"),
        ("rules: [{name: a, from: {tenants: [b], projects: [any], kinds: [any]}}]", "name the tenants that may read"),
        ("rules: [{name: a, from: {tenants: [any], projects: [any], kinds: [any]}}]", "name each"),
        ("rules: [{name: a, readers: {tenants: [any]}, from: {projects: [any], kinds: [any]}}]", "leave the list out"),
        ("offers: [{name: a, tenant: b, to: [any], projects: [any], kinds: [any]}]", "others named"),
        ("rules: [{name: a, form: {}}]", "form"),
        ("allow: everything", "allow"),
        ("- 1", "cannot be used"),
        ("rules: [", "cannot be used"),
        (
            "rules: [{name: a, from: {projects: [any], kinds: [any]}}, {name: a, from: {projects: [x], kinds: [any]}}]",
            "named twice",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "sharing.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=told) as caught:
        Sharing.load(path)
    assert caught.value.field == "memory_sharing"
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused_and_an_own_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sharing.yaml"
    with pytest.raises(BadInputError):
        Sharing.load(path)
    path.write_text("rules: [{name: a, from: {projects: any, kinds: any}}]")
    assert not Sharing.load(path).is_closed


names = st.lists(st.sampled_from(("any", "shop", *IDS)), min_size=1, max_size=3)
kinds = st.lists(st.sampled_from(("any", *KINDS)), min_size=1, max_size=2)
rules = st.fixed_dictionaries(
    {
        "readers": st.fixed_dictionaries(
            {
                "tenants": st.lists(st.sampled_from(TENANTS), min_size=1, max_size=2),
                "blueprints": st.lists(st.sampled_from(BLUEPRINTS), max_size=1),
            }
        ),
        "from": st.fixed_dictionaries(
            {
                "tenants": st.lists(st.sampled_from(("same", *TENANTS)), min_size=1, max_size=3),
                "projects": names,
                "kinds": kinds,
            }
        ),
    }
)
offers = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(TENANTS),
        "to": st.lists(st.sampled_from(TENANTS), min_size=1, max_size=2),
        "projects": names,
        "kinds": kinds,
    }
)
policies = st.builds(
    lambda some, others: sharing(
        *({"name": f"r{number}", **rule} for number, rule in enumerate(some)),
        offers=tuple({"name": f"o{number}", **offer} for number, offer in enumerate(others)),
    ),
    st.lists(rules, max_size=3),
    st.lists(offers, max_size=3),
)
readers = st.builds(project, st.sampled_from(TENANTS), st.sampled_from(IDS), st.sampled_from(BLUEPRINTS))
origins = st.builds(Origin, st.sampled_from(TENANTS), st.sampled_from(("", *IDS)), st.sampled_from(KINDS))


@given(policy=policies, reader=readers, origin=origins, asked=st.none() | st.sets(st.sampled_from(KINDS), min_size=1))
def test_the_search_and_the_check_after_it_agree(
    policy: Sharing, reader: Project, origin: Origin, asked: set[str] | None
) -> None:
    conditions = policy.filters(reader, kinds=asked, slugs=SLUGS)
    found = any(admits(condition, origin) for condition in conditions)
    assert found == (policy.allows(reader, origin, slugs=SLUGS) and (asked is None or origin.kind in asked))


@given(policy=policies, reader=readers, origin=origins)
def test_nothing_of_another_tenant_gets_through_without_a_rule_and_an_offer(
    policy: Sharing, reader: Project, origin: Origin
) -> None:
    if origin.tenant == reader.tenant or not policy.allows(reader, origin, slugs=SLUGS):
        return
    assert any(reader.tenant in rule.readers.tenants and origin.tenant in rule.origin.tenants for rule in policy.rules)
    assert any(offer.tenant == origin.tenant and reader.tenant in offer.to for offer in policy.offers)
