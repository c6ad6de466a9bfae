"""Decides by Cedar policies: the shipped ones, and those of a folder of the operator's."""

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

import cedarpy

from factory.domain.errors import BadInputError
from factory.identity.access import Action, Decision, Grant, Resource, ResourceType
from factory.identity.principal import EVERY_TENANT, Principal

_PACKAGE = "factory.identity.policy"
_SHIPPED = ("borders", "roles", "grants")
_REMEMBERED = 50_000
_ANNOTATION = re.compile(r'@(id|reason)\("((?:[^"\\]|\\.)*)"\)')
_STATEMENT = re.compile(r"\b(permit|forbid)\s*\(")
# A list shows what the rules for a whole tenant and the grants allow: a rule for one project would be missed by it.
_SINGLE = re.compile(r'\b(Project|Artifact)::"')
_COMMENT = re.compile(r"//[^\n]*")
_ENTITIES = {
    ResourceType.TENANT: "Tenant",
    ResourceType.PROJECT: "Project",
    ResourceType.ARTIFACT: "Artifact",
    ResourceType.TOPIC: "Topic",
    ResourceType.AGENT: "Agent",
}
_NOTHING_ALLOWS = "no policy allows it"


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy.

    Attributes:
        id: Unique.
        effect: `permit` or `forbid`.
        reason: Why, as its author put it.
        source: The file that it stands in.
    """

    id: str
    effect: str
    reason: str
    source: str


class PolicyEngine:
    """Answers whether somebody may do something. Without a policy that permits it, nothing is allowed.

    Decisions are pure functions of what they are given, and are remembered: a repeated one takes microseconds.
    """

    def __init__(self, schema: str, policies: Sequence[Policy], text: str) -> None:
        self._schema = cedarpy.Schema.from_str(schema)
        self._policies = {policy.id: policy for policy in policies}
        # Cedar numbers policies in the order of the text.
        self._names = {f"policy{number}": policy.id for number, policy in enumerate(policies)}
        self._set = cedarpy.PolicySet.from_str(text)
        self._remembered: OrderedDict[object, Decision] = OrderedDict()

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read the shipped policies, and every `*.cedar` of a folder.

        Raises:
            BadInputError: A policy cannot be read, has no id or another's, speaks of what there is not, or of a single
                project; the message names the file.
        """
        package = resources.files(_PACKAGE)
        schema = package.joinpath("schema.cedarschema").read_text("utf-8")
        texts = {f"{name}.cedar": package.joinpath(f"{name}.cedar").read_text("utf-8") for name in _SHIPPED}
        for path, text in _own(folder):
            if match := _SINGLE.search(_COMMENT.sub("", text)):
                raise _refused(path.name, f"it names a single {match[1].lower()}. Use a grant for that")
            texts[str(path)] = text
        policies: dict[str, Policy] = {}
        for source, text in texts.items():
            for policy in _read(source, text, schema):
                if policy.id in policies:
                    raise _refused(source, f"the id {policy.id!r} stands in {policies[policy.id].source} as well")
                policies[policy.id] = policy
        return cls(schema, tuple(policies.values()), "\n".join(texts.values()))

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All policies, the shipped ones first."""
        return tuple(self._policies.values())

    def decide(
        self, principal: Principal, action: Action, resource: Resource, grants: Sequence[Grant] = ()
    ) -> Decision:
        """Return whether a principal may do something to a resource.

        Args:
            principal: Who.
            action: What.
            resource: To what.
            grants: The principal's; others' are ignored.
        """
        granted, kinds = _holding(principal, resource, grants)
        key = (
            principal.subject,
            principal.kind,
            principal.tenant,
            principal.roles,
            principal.scopes,
            action,
            resource.type,
            resource.id if resource.type in {ResourceType.TOPIC, ResourceType.AGENT} else "",
            resource.tenant,
            resource.kind,
            granted,
            kinds,
        )
        known = self._remembered.get(key)
        if known is None:
            known = self._decide(principal, action, resource, granted, kinds)
            self._remembered[key] = known
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return known

    def _decide(
        self,
        principal: Principal,
        action: Action,
        resource: Resource,
        granted: frozenset[str],
        kinds: frozenset[str],
    ) -> Decision:
        who = {"type": principal.kind.value.capitalize(), "id": principal.subject}
        what = {"type": _ENTITIES[resource.type], "id": resource.id or "*"}
        attributes: dict[str, Any] = {"tenant": resource.tenant}
        if resource.type is ResourceType.ARTIFACT:
            attributes["kind"] = resource.kind or ""
        entities: list[dict[str, Any]] = [
            {
                "uid": who,
                "attrs": {
                    "tenant": principal.tenant,
                    "roles": sorted(principal.roles),
                    "scopes": sorted(principal.scopes),
                },
                "parents": [],
            },
            {"uid": what, "attrs": attributes, "parents": []},
        ]
        request = {
            "principal": who,
            "action": {"type": "Action", "id": action.value},
            "resource": what,
            "context": {"granted": sorted(granted), "kinds": sorted(kinds)},
        }
        result = cedarpy.is_authorized(request, self._set, entities, self._schema)
        if result.diagnostics.errors:
            # A rule that cannot be evaluated must not open anything.
            return Decision(allowed=False, policies=(), reason=f"a policy failed: {result.diagnostics.errors[0]}")
        ids = tuple(sorted(self._names[number] for number in result.diagnostics.reasons))
        return Decision(allowed=bool(result.allowed), policies=ids, reason=self._reason(ids))

    def _reason(self, ids: Sequence[str]) -> str:
        told = [self._policies[name].reason or name for name in ids if name in self._policies]
        return "; ".join(told) if told else _NOTHING_ALLOWS


def _holding(
    principal: Principal, resource: Resource, grants: Sequence[Grant]
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the policies of the grants that hold for a resource: for all of it, and for its kind alone."""
    granted: set[str] = set()
    kinds: set[str] = set()
    for grant in grants:
        if grant.subject != principal.subject or grant.tenant != resource.tenant:
            continue
        if grant.project_id is not None and grant.project_id != resource.project_id:
            continue
        if grant.kinds is None:
            granted.add(grant.policy.value)
        elif resource.type is ResourceType.PROJECT or resource.kind in grant.kinds:
            kinds.add(grant.policy.value)
    return frozenset(granted), frozenset(kinds)


def _own(folder: Path | None) -> list[tuple[Path, str]]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise BadInputError(
            f"{folder} is no folder.", remedy="Give a folder of *.cedar files.", field="FACTORY_POLICY_DIR"
        )
    try:
        return [(path, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.cedar"))]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"the policies in {folder} cannot be read: {error}.", remedy="", field="FACTORY_POLICY_DIR"
        ) from error


def _read(source: str, text: str, schema: str) -> list[Policy]:
    """Return the policies of one file, checked against the schema."""
    try:
        cedarpy.PolicySet.from_str(text)
        checked = cedarpy.validate_policies(text, schema)
    except ValueError as error:
        raise _refused(source, str(error)) from error
    if not checked.validation_passed:
        raise _refused(source, "; ".join(str(error) for error in checked.errors))
    found: list[Policy] = []
    notes: dict[str, str] = {}
    plain = _COMMENT.sub("", text)
    for match in re.finditer(f"{_ANNOTATION.pattern}|{_STATEMENT.pattern}", plain):
        name, value, effect = match.groups()
        if effect is None:
            notes[name] = value
            continue
        if "id" not in notes:
            raise _refused(source, f"policy {len(found) + 1} has no @id")
        found.append(Policy(notes["id"], effect, notes.get("reason", ""), Path(source).name))
        notes = {}
    return found


def _refused(source: str, why: str) -> BadInputError:
    return BadInputError(
        f"the policies in {source} cannot be used: {why}.",
        remedy="See factory/identity/policy/schema.cedarschema for what they can speak of.",
        field="FACTORY_POLICY_DIR",
    )


def describe(principal: Principal) -> Mapping[str, Any]:
    """Return what decisions depend on, of a principal, as JSON values."""
    return {
        "subject": principal.subject,
        "tenant": "every" if principal.tenant == EVERY_TENANT else principal.tenant,
        "roles": sorted(principal.roles),
        "scopes": sorted(principal.scopes),
    }
