"""What is allowed to whom: the shipped policies as a table, and what no policy can open."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.domain.errors import BadInputError
from factory.identity.access import Action, Grant, PolicyName, Resource, ResourceType
from factory.identity.policy import PolicyEngine
from factory.identity.principal import EVERY_TENANT, Principal, PrincipalKind, Role, Scope

PROJECT = UUID(int=7)
ENGINE = PolicyEngine.load()
READS = {Action.READ_PROJECT, Action.READ_ARTIFACT, Action.READ_EVENT, Action.READ_ESCALATION}
MORE_READS = READS | {Action.READ_DEAD_LETTER, Action.READ_USAGE, Action.SEARCH_MEMORY}
EDITS = {Action.CHANGE_PROJECT, Action.SEND_NOTIFICATION, Action.DECIDE_ESCALATION}
INTERNAL = {
    Action.PUBLISH_EVENT,
    Action.RECEIVE_EVENT,
    Action.EXECUTE_AGENT,
    Action.ASSIGN_TASK,
    Action.VALIDATE_PROJECT,
    Action.READ_METRICS,
}
TYPES = {
    Action.PUBLISH_EVENT: ResourceType.TOPIC,
    Action.RECEIVE_EVENT: ResourceType.TOPIC,
    Action.EXECUTE_AGENT: ResourceType.AGENT,
    Action.READ_AGENT: ResourceType.AGENT,
    Action.CREATE_PROJECT: ResourceType.TENANT,
    Action.CREATE_EMBEDDING: ResourceType.TENANT,
    Action.READ_METRICS: ResourceType.TENANT,
}


def principal(role: Role | None, *, scopes: frozenset[Scope] = frozenset(Scope), tenant: str = "north") -> Principal:
    kind = PrincipalKind.SERVICE if role is Role.AGENT else PrincipalKind.USER
    return Principal("user:ada", kind, tenant, frozenset({role} if role else ()), scopes)


def resource(action: Action, tenant: str = "north") -> Resource:
    type_ = TYPES.get(action, ResourceType.PROJECT)
    on_project = type_ is ResourceType.PROJECT
    return Resource(type_, str(PROJECT) if on_project else "x", tenant, PROJECT if on_project else None)


def allowed(who: Principal, *grants: Grant) -> set[Action]:
    return {action for action in Action if ENGINE.decide(who, action, resource(action), grants).allowed}


def test_roles_allow_what_they_are_for() -> None:
    assert allowed(principal(Role.ADMIN)) == set(Action) - INTERNAL
    shared = {Action.CREATE_PROJECT, Action.READ_AGENT, Action.SEARCH_MEMORY, Action.CREATE_EMBEDDING}
    assert allowed(principal(Role.PLATFORM_USER)) == READS | shared | {Action.SEND_NOTIFICATION}
    assert allowed(principal(Role.GUEST)) == set()
    assert allowed(principal(None)) == set()
    works = {Action.READ_PROJECT, Action.READ_ARTIFACT, Action.READ_EVENT, Action.SEARCH_MEMORY, Action.READ_AGENT}
    assert allowed(principal(Role.AGENT)) == INTERNAL | works | {Action.CREATE_EMBEDDING}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (PolicyName.GUEST, {Action.READ_PROJECT, Action.READ_ARTIFACT}),
        (PolicyName.READ_ONLY, MORE_READS),
        (PolicyName.EDITOR, MORE_READS | EDITS),
        (PolicyName.ADMIN, MORE_READS | EDITS | {Action.RESOLVE_DEAD_LETTER, Action.MANAGE_IDENTITY}),
    ],
)
def test_grants_allow_what_they_say_on_their_project_alone(policy: PolicyName, expected: set[Action]) -> None:
    guest = principal(Role.GUEST)
    assert allowed(guest, Grant("user:ada", policy, "north", PROJECT)) == expected
    assert allowed(guest, Grant("user:ada", policy, "north")) >= expected
    assert allowed(guest, Grant("user:ada", policy, "north", uuid4())) == set()
    assert allowed(guest, Grant("user:bob", policy, "north", PROJECT)) == set()
    assert allowed(guest, Grant("user:ada", policy, "south", PROJECT)) == set()


def test_a_grant_for_a_kind_opens_that_kind() -> None:
    guest = principal(Role.GUEST)
    grant = Grant("user:ada", PolicyName.ADMIN, "north", PROJECT, frozenset({"backlog"}))

    def artifact(kind: str) -> bool:
        what = Resource(ResourceType.ARTIFACT, "a", "north", PROJECT, kind)
        return ENGINE.decide(guest, Action.READ_ARTIFACT, what, [grant]).allowed

    assert artifact("backlog")
    assert not artifact("backend")
    assert allowed(guest, grant) == {Action.READ_PROJECT}


@pytest.mark.parametrize(
    ("scope", "action"),
    [
        (Scope.READ, Action.READ_PROJECT),
        (Scope.WRITE, Action.CREATE_PROJECT),
        (Scope.APPROVE, Action.DECIDE_ESCALATION),
        (Scope.ADMIN, Action.READ_AUDIT),
    ],
)
def test_a_token_is_good_for_its_scopes_alone(scope: Scope, action: Action) -> None:
    admin = principal(Role.ADMIN, scopes=frozenset({scope}))
    assert ENGINE.decide(admin, action, resource(action)).allowed
    other = principal(Role.ADMIN, scopes=frozenset(Scope) - {scope})
    decision = ENGINE.decide(other, action, resource(action))
    assert not decision.allowed
    assert decision.policies == (f"scope-{scope.rpartition('.')[2]}",)
    assert decision.reason.startswith("the token may not be used")


@given(
    st.sampled_from(Role),
    st.sampled_from(Action),
    st.lists(st.sampled_from(PolicyName), max_size=3),
    st.frozensets(st.sampled_from(Scope)),
    st.text(min_size=1, max_size=5).filter(lambda text: text not in ("north", EVERY_TENANT)),
)
def test_nothing_of_another_tenant_is_ever_allowed(
    role: Role, action: Action, policies: list[PolicyName], scopes: frozenset[Scope], tenant: str
) -> None:
    who = principal(role, scopes=scopes)
    given_ = [Grant("user:ada", policy, tenant, PROJECT) for policy in policies]
    assert not ENGINE.decide(who, action, resource(action, tenant), given_).allowed


def test_a_policy_of_ones_own_joins_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.cedar").write_text(
        """
        // Guests may see who works here.
        @id("guests-see-agents")
        @reason("guests may see who works here")
        permit (principal, action == Action::"agent:read", resource) when { principal.roles.contains("guest") };
        @id("no-compensation")
        forbid (principal, action == Action::"project:change", resource);
        """
    )
    engine = PolicyEngine.load(tmp_path)
    found = engine.decide(principal(Role.GUEST), Action.READ_AGENT, resource(Action.READ_AGENT))
    assert (found.allowed, found.policies, found.reason) == (
        True,
        ("guests-see-agents",),
        "guests may see who works here",
    )
    refused = engine.decide(principal(Role.ADMIN), Action.CHANGE_PROJECT, resource(Action.CHANGE_PROJECT))
    assert (refused.allowed, refused.policies) == (False, ("no-compensation",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("permit (principal, action, resource", "own.cedar"),
        ('@id("x") permit (principal, action == Action::"project:steal", resource);', "own.cedar"),
        ('@id("x") permit (principal, action, resource) when { principal.shoe_size > 40 };', "own.cedar"),
        ("permit (principal, action, resource);", "has no @id"),
        ('@id("admin") permit (principal, action, resource);', "roles.cedar as well"),
        ('@id("x") forbid (principal, action, resource == Project::"1");', "single project"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.cedar").write_text(text)
    with pytest.raises(BadInputError, match="cannot be used") as refused:
        PolicyEngine.load(tmp_path)
    assert said in str(refused.value)
