"""How endpoints look as functions of the API layer."""

import re
from dataclasses import dataclass

from factory.domain.product import OperationKind, snake
from factory.skills.native.backend.rules import RuleView, StepView, check_views, rule_views, step_views
from factory.skills.native.backend.schemas import default_source, page_schema, query_schema
from factory.skills.native.backend.tables import links, row_class
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.naming import FUNCTION_NAMES, label_words, python_name, sentence
from factory.skills.native.service_design.parts import Endpoint, Member, Ownership, Resource
from factory.skills.native.service_design.problems import problem_statuses

_FIXED_MODULES = frozenset({"app", "auth", "database", "health", "middleware", "problems", "schemas", "types"})
_PERSISTENCE_MODULES = frozenset({"base", "database", "queries", "tables"})
_CALLER = re.compile(r"(?<![\w.])caller\b(?!=)")


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An endpoint as source."""

    id: str
    function: str
    method: str
    path: str
    local_path: str
    status: int
    summary: str
    doc: str
    permission: str
    roles: tuple[str, ...]
    own_only: tuple[str, ...]
    roles_expr: str
    who: str
    responses: str
    needs_caller: bool
    parameters: tuple[str, ...]
    returns: str
    lines: tuple[str, ...]


def router_module(resource: Resource) -> str:
    """Return the module of the resource's routes, schemas and queries."""
    name = python_name(resource.entity.collection)
    return f"{name}_records" if name in _FIXED_MODULES | _PERSISTENCE_MODULES else name


def statement_function(resource: Resource) -> str:
    """Return the function that selects what a list shows."""
    return f"matching_{resource.entity.collection}"


def message_function(event: str) -> str:
    """Return the function that makes the message of an event."""
    return python_name(snake(event))


def endpoint_view(design: ServiceDesign, resource: Resource, endpoint: Endpoint) -> EndpointView:
    """Return an endpoint for the templates."""
    permission = endpoint.id.upper()
    everyone = len(endpoint.roles) == len(design.roles)
    roles = ", ".join(f"Role.{role.upper()}" for role in endpoint.roles)
    body = _Function(design, resource, endpoint)
    lines = body.lines()
    needs_caller = any(_CALLER.search(line) for line in lines)
    return EndpointView(
        id=endpoint.id,
        function=python_name(endpoint.id, FUNCTION_NAMES),
        method=endpoint.method,
        path=endpoint.path,
        local_path=endpoint.path.removeprefix(f"/{resource.path}"),
        status=endpoint.status,
        summary=endpoint.summary,
        doc=_doc(design, endpoint),
        permission=permission,
        roles=endpoint.roles,
        own_only=endpoint.own_only,
        roles_expr="EVERYONE" if everyone else f"frozenset({{{roles}}})",
        who=_who(endpoint, everyone=everyone),
        responses=_responses(endpoint),
        needs_caller=needs_caller,
        parameters=body.parameters(needs_caller=needs_caller),
        returns=body.returns(),
        lines=lines,
    )


def is_restricted(design: ServiceDesign, resource: Resource) -> bool:
    """Tell whether a record may be refused deletion because others refer to it."""
    return any(
        relation.target == resource.entity.name and relation.on_delete == "restrict" and not relation.join_entity
        for relation in design.model.relations
    )


def _who(endpoint: Endpoint, *, everyone: bool) -> str:
    """Return who may call an endpoint, for the table in the README."""
    if everyone and not endpoint.own_only:
        return "every role"
    return ", ".join(f"{role} (own)" if role in endpoint.own_only else role for role in endpoint.roles)


def _responses(endpoint: Endpoint) -> str:
    statuses = ", ".join(str(status) for status in problem_statuses(endpoint))
    if endpoint.kind is OperationKind.CREATE:
        return f"{{201: CREATED, **responses({statuses})}}"
    return f"responses({statuses})"


def _doc(design: ServiceDesign, endpoint: Endpoint) -> str:
    goals = [story.goal for story in design.model.stories if story.id in endpoint.stories]
    if goals:
        first = sentence(goals[0].strip().rstrip("."))
        return first.replace("\\", "").replace('"', "'").replace("|", "/") + "."
    return f"{endpoint.summary}."


class _Function:
    """The body of one endpoint's function."""

    def __init__(self, design: ServiceDesign, resource: Resource, endpoint: Endpoint) -> None:
        self._design = design
        self._resource = resource
        self._endpoint = endpoint
        self._row = row_class(resource)
        self._permission = f"permissions.{endpoint.id.upper()}"
        self._links = {link.ids: link for link in links(design, resource)}
        self._rules = rule_views(design, resource)

    def parameters(self, *, needs_caller: bool) -> tuple[str, ...]:
        found = []
        if "{id}" in self._endpoint.path:
            found.append("id: UUID")
        if self._endpoint.body:
            found.append(f"body: {self._endpoint.body}")
        if self._endpoint.kind is OperationKind.LIST:
            found.append(f"query: Annotated[{query_schema(self._resource)}, Query()]")
        if needs_caller:
            found.append(f"caller: Annotated[Caller, Depends(allowed({self._permission}))]")
        found.append("session: Database")
        if self._endpoint.kind is OperationKind.CREATE:
            found.append("response: Response")
        return tuple(found)

    def returns(self) -> str:
        if self._endpoint.kind is OperationKind.DELETE:
            return "None"
        return page_schema(self._resource) if self._endpoint.kind is OperationKind.LIST else self._resource.schema

    def lines(self) -> tuple[str, ...]:
        match self._endpoint.kind:
            case OperationKind.CREATE:
                lines = self._create()
            case OperationKind.LIST:
                lines = self._list()
            case OperationKind.READ:
                lines = [*self._fetched(lock=False), self._answer()]
            case OperationKind.DELETE:
                lines = self._delete()
            case _:
                lines = self._change()
        return tuple(lines)

    def _answer(self) -> str:
        return f"return {self._resource.schema}.model_validate(row)"

    def _events(self) -> list[str]:
        return [
            f"outbox.record(session, messages.{message_function(event.name)}(row))" for event in self._endpoint.events
        ]

    def _own(self) -> list[str]:
        if not self._endpoint.own_only:
            return []
        return [
            f"if {self._permission}.is_own_only(caller):",
            "    require_own(session, row, belongs_to(caller))",
        ]

    def _fetched(self, *, lock: bool) -> list[str]:
        return [f"row = fetch(session, {self._row}, id{', lock=True' if lock else ''})", *self._own()]

    def _checked(self) -> list[str]:
        """Return the call that refuses a record which is not as the operation needs it."""
        checks = check_views(self._design, self._resource)
        return [f"rules.{one.function}({one.arguments})" for one in checks if one.endpoint == self._endpoint.id]

    def _list(self) -> list[str]:
        given = "**query.filters()" if self._resource.filters else ""
        lines = [f"statement = {statement_function(self._resource)}({given})"]
        if self._endpoint.own_only:
            lines += [
                f"if {self._permission}.is_own_only(caller):",
                "    statement = statement.where(belongs_to(caller))",
            ]
        return [
            *lines,
            f"rows, total = page(session, statement, ordering({self._row}, query.sort), query.limit, query.offset)",
            f"items = [{self._resource.schema}.model_validate(row) for row in rows]",
            f"return {page_schema(self._resource)}(items=items, total=total, limit=query.limit, offset=query.offset)",
        ]

    def _create(self) -> list[str]:
        sets = {member.name for member in self._endpoint.members}
        own_record = any(hop.kind == "self" for owner in self._owners() for path in owner.paths for hop in path)
        lines = []
        identity = "uuid4()"
        if own_record:
            lines += ["id = uuid4()", f"if {self._permission}.is_own_only(caller) and caller.entity_id is not None:"]
            lines += ["    id = caller.entity_id"]
            identity = "id"
        lines += [f"row = {self._row}(", f"    id={identity},"]
        lines += [f"    {value}," for member in self._resource.members for value in self._initial(member, sets)]
        if self._resource.keeps_creator:
            lines.append("    created_by=caller.subject,")
        lines.append(")")
        lines += self._checks(self._resource.members, self._rules)
        lines += ["session.add(row)", *self._own(), *self._events(), "session.commit()"]
        lines.append(f'response.headers["Location"] = f"/{self._resource.path}/{{row.id}}"')
        return [*lines, self._answer()]

    def _owners(self) -> tuple[Ownership, ...]:
        return tuple(owner for owner in self._resource.ownerships if owner.role in self._endpoint.own_only)

    def _may_change_owner(self, members: tuple[Member, ...]) -> bool:
        owned_by = {path[0].member for owner in self._resource.ownerships for path in owner.paths}
        return any(member.name in owned_by for member in members)

    def _initial(self, member: Member, sets: set[str]) -> list[str]:
        if member is self._resource.state:
            return [f"{member.attribute}=rules.INITIAL_{member.name.upper()}"]
        if member.name in self._links:
            link = self._links[member.name]
            return [f"{link.attribute}=fetch_targets(session, {link.target_row}, body.{member.attribute})"]
        if member.name in sets:
            return [f"{member.attribute}={_given(member)}"]
        return [f"{member.attribute}={default_source(self._design, member)}"] if member.has_default else []

    def _delete(self) -> list[str]:
        lines = [*self._fetched(lock=True), *self._checked(), *self._events(), "session.delete(row)"]
        if not is_restricted(self._design, self._resource):
            return [*lines, "session.commit()"]
        label = label_words(self._resource.entity)
        return [
            *lines,
            "try:",
            "    session.commit()",
            "except IntegrityError as error:",
            f'    raise StillReferencedError("Other records still refer to this {label}.") from error',
        ]

    def _change(self) -> list[str]:
        lines = [*self._fetched(lock=True), *self._checked()]
        members: tuple[Member, ...] = self._endpoint.members
        if self._endpoint.step is not None and self._resource.state is not None:
            lines.append(self._stepped(self._resource.state))
            lines += self._after_step()
        elif self._endpoint.body:
            lines += self._assigned(members)
            lines += self._checks(members, self._touched(members))
            lines += self._own() if self._may_change_owner(members) else []
        else:
            lines.append("row.updated_at = now()")
        return [*lines, *self._events(), "session.commit()", self._answer()]

    def _stepped(self, state: Member) -> str:
        step = next(
            view for view in self._steps() if self._endpoint.step and view.name == self._endpoint.step.transition.name
        )
        return f"row.{state.attribute} = rules.{step.function}(row.{state.attribute}{step.arguments})"

    def _steps(self) -> tuple[StepView, ...]:
        return step_views(self._design, self._resource)

    def _after_step(self) -> list[str]:
        """Return the checks that a new state calls for."""
        state = self._resource.state
        step = self._endpoint.step
        if state is None or step is None:
            return []
        target, sources = step.transition.target, step.transition.sources
        lines = self._rule_calls(tuple(rule for rule in self._rules if state in rule.members and not rule.needs_now))
        if any(
            unique.except_states and target not in unique.except_states and set(sources) & set(unique.except_states)
            for unique in self._resource.uniques
        ):
            lines.append("require_unique(session, row)")
        if any(
            limit.states and target in limit.states and not set(sources) <= set(limit.states)
            for limit in self._resource.limits
        ):
            lines.append("require_limits(session, row)")
        return lines

    def _assigned(self, members: tuple[Member, ...]) -> list[str]:
        collections = [member for member in members if member.is_collection]
        without = ", ".join(f'"{member.attribute}"' for member in collections)
        lines = []
        if len(collections) < len(members):
            lines += [
                f"for name, value in body.changes({f'without={{{without}}}' if without else ''}).items():",
                "    setattr(row, name, value)",
            ]
        for member in collections:
            link = self._links[member.name]
            if self._endpoint.kind is OperationKind.UPDATE:
                lines.append(f"if body.{member.attribute} is not None:")
                lines.append(
                    f"    row.{link.attribute} = fetch_targets(session, {link.target_row}, body.{member.attribute})"
                )
            else:
                lines.append(
                    f"row.{link.attribute} = fetch_targets(session, {link.target_row}, body.{member.attribute})"
                )
        return lines

    def _touched(self, members: tuple[Member, ...]) -> tuple[RuleView, ...]:
        return tuple(rule for rule in self._rules if set(rule.members) & set(members))

    def _checks(self, members: tuple[Member, ...], rules: tuple[RuleView, ...]) -> list[str]:
        lines = []
        for member in members:
            if member.is_reference and member.relation and member in self._endpoint.members:
                target = row_class(self._design.resource(member.relation.target))
                lines.append(f"require_target(session, {target}, row.{member.attribute})")
        lines += self._rule_calls(rules)
        changed = set(members)
        if any(changed & set(unique.members) for unique in self._resource.uniques):
            lines.append("require_unique(session, row)")
        if any(limit.member in changed for limit in self._resource.limits):
            lines.append("require_limits(session, row)")
        return lines

    def _rule_calls(self, rules: tuple[RuleView, ...]) -> list[str]:
        """Return the calls; a rule about the present moment is left alone where nothing it reads is changed."""
        lines = []
        for rule in rules:
            call = f"rules.{rule.function}({rule.arguments})"
            if rule.needs_now and self._endpoint.kind is OperationKind.UPDATE:
                names = ", ".join(f'"{member.attribute}"' for member in rule.members)
                lines += [f"if {{{names}}} & body.model_fields_set:", f"    {call}"]
            else:
                lines.append(call)
        return lines


def _given(member: Member) -> str:
    """Return the value of a body's member as a table takes it."""
    value = f"body.{member.attribute}"
    is_model = (
        member.field is not None and value_kind(member.field) is ValueKind.DOCUMENT and member.field.type != "json"
    )
    if not is_model:
        return value
    return f"{value}.model_dump()" if member.required else f"{value}.model_dump() if {value} else None"
