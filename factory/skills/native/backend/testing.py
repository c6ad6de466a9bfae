"""What the generated tests need to know about a resource: values that pass, values that must not, and owners."""

from factory.domain.product import FieldType, OperationKind, snake
from factory.skills.native.backend.cases import (
    AfterStepCase,
    DeleteCase,
    EndpointCase,
    FactoryView,
    FilterCase,
    GuardCase,
    LimitCase,
    OwnerCase,
    ResourceCase,
    RuleCase,
    StepCase,
    UniqueCase,
)
from factory.skills.native.backend.demands import (
    call_arguments,
    defaults,
    failing,
    passing,
    ready_state,
    ready_values,
    restriction_case,
)
from factory.skills.native.backend.expressions import comparison, python_type, quoted
from factory.skills.native.backend.refusals import invalid_values
from factory.skills.native.backend.routes import endpoint_view
from factory.skills.native.backend.rules import lifecycle_view, step_views
from factory.skills.native.backend.samples import Assignment, first_source, plain_source, solve
from factory.skills.native.backend.tables import links, row_class
from factory.skills.native.backend.views import ResourceView
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.parts import (
    Endpoint,
    Filter,
    FilterKind,
    HopKind,
    Limit,
    Member,
    Ownership,
    Resource,
    Rule,
    Step,
    Unique,
)

_MOST_RECORDS = 60


def resource_case(design: ServiceDesign, resource: Resource, view: ResourceView) -> ResourceCase:
    """Return the tests' view of a resource."""
    return _Cases(design, resource).case(view)


class _Cases:
    def __init__(self, design: ServiceDesign, resource: Resource) -> None:
        self._design = design
        self._resource = resource
        self._name = factory_name(resource)
        self._defaults = defaults(design, resource)
        self._solved: Assignment = self._defaults.values

    def case(self, view: ResourceView) -> ResourceCase:
        lifecycle = lifecycle_view(self._design, self._resource)
        return ResourceCase(
            view=view,
            factory=self._factory(),
            endpoints=tuple(self._endpoint(endpoint) for endpoint in self._resource.endpoints),
            filters=tuple(case for one in self._resource.filters for case in self._filter(one)),
            deletes=self._deletes(),
            state=self._resource.state.attribute if self._resource.state else "",
            initial_value=self._resource.lifecycle.initial if self._resource.lifecycle else "",
            sort_names=tuple(
                (key, self._attribute(key))
                for key in self._resource.sorts
                if not key.startswith("-") and self._solved.get(key) != "None"
            ),
            state_name=self._resource.state.name if self._resource.state else "",
            state_enum=lifecycle.enum if lifecycle else "",
            shown=tuple((member.name, _shown(member)) for member in self._resource.members),
            single=self._single(),
            steps=tuple(self._step(step) for step in self._resource.steps),
            rules=tuple(case for rule in self._resource.rules for case in self._rule(rule)),
        )

    def _arguments(self, values: Assignment) -> str:
        return "".join(f", {self._attribute(name)}={first_source(value)}" for name, value in values.items())

    def _given(self, values: Assignment) -> str:
        """Return the values beside those that a role needs, as a dictionary."""
        items = ", ".join(f'"{self._attribute(name)}": {first_source(value)}' for name, value in values.items())
        return f"given | {{{items}}}" if items else "given"

    def _attribute(self, name: str) -> str:
        return name if name in ("created_at", "updated_at") else self._resource.member(name).attribute

    def _factory(self) -> FactoryView:
        create = self._resource.endpoint(OperationKind.CREATE)
        plain = tuple(
            (member.attribute, self._value(member)) for member in self._resource.members if member.field is not None
        )
        targets = tuple(
            (member.attribute, factory_name(self._design.resource(member.relation.target)))
            for member in self._resource.members
            if member.relation and member.is_reference and member.required
        )
        collections = tuple((link.ids, link.attribute, link.target_row) for link in links(self._design, self._resource))
        members = {member for endpoint in self._resource.endpoints for member in endpoint.members}
        body = tuple((member.name, member.attribute) for member in self._resource.members if member in members)
        return FactoryView(
            name=self._name,
            row=row_class(self._resource),
            plain=plain,
            targets=targets,
            links=collections,
            body=body if create or members else (),
            owners=tuple(self._owner(owner) for owner in self._resource.ownerships),
        )

    def _value(self, member: Member) -> str:
        return self._solved.get(member.name) or plain_source(self._design, self._resource, member)

    def _owner(self, owner: Ownership) -> OwnerCase:
        function = f"own_{self._name}_of_{owner.role}"
        path = owner.paths[0]
        first = path[0]
        if first.kind is HopKind.SELF:
            return OwnerCase(owner.role.upper(), function, ("own = uuid4()",), '{"id": own}', "own")
        if first.kind is HopKind.CREATOR:
            return OwnerCase(owner.role.upper(), function, (), '{"created_by": SUBJECT}', "None")
        person = factory_name(self._design.resource(path[-1].target))
        lines = [f"own = make_{person}(session).id"]
        held = "own"
        for hop in reversed(path[1:]):
            value = f"[{held}]" if hop.kind is HopKind.COLLECTION else held
            maker = factory_name(self._design.resource(hop.entity))
            lines.append(f"{maker}_id = make_{maker}(session, {hop.member}={value}).id")
            held = f"{maker}_id"
        value = f"[{held}]" if first.kind is HopKind.COLLECTION else held
        return OwnerCase(owner.role.upper(), function, tuple(lines), f'{{"{first.member}": {value}}}', "own")

    def _endpoint(self, endpoint: Endpoint) -> EndpointCase:
        view = endpoint_view(self._design, self._resource, endpoint)
        creates = endpoint.kind is OperationKind.CREATE
        owners = {owner.role: owner for owner in self._resource.ownerships}
        free = [role for role in endpoint.roles if role not in endpoint.own_only]
        kinds = {hop.kind for role in endpoint.own_only for path in owners[role].paths for hop in path}
        return EndpointCase(
            view=view,
            kind=endpoint.kind.value,
            path=endpoint.path,
            fields=tuple((member.name, member.attribute, member.is_collection) for member in endpoint.members),
            required=tuple(
                member.name
                for member in endpoint.members
                if member.required
                and endpoint.kind is not OperationKind.UPDATE
                and not (creates and member.has_default)
            ),
            nullable=tuple(member.name for member in endpoint.members if not member.required),
            invalid=tuple(case for member in endpoint.members for case in invalid_values(member)),
            references=tuple(member.name for member in endpoint.members if member.is_reference),
            rules=self._broken_rules(endpoint) if endpoint.members else (),
            uniques=tuple(case for unique in self._resource.uniques for case in self._unique(unique, endpoint)),
            limits=tuple(case for limit in self._resource.limits for case in self._limit(limit, endpoint)),
            step=self._step(endpoint.step) if endpoint.step else None,
            restriction=restriction_case(self._design, self._resource, endpoint),
            ready=ready_values(self._design, self._resource, endpoint, self._defaults.passed),
            events=tuple(event.name for event in endpoint.events),
            own_roles=tuple(role.upper() for role in endpoint.own_only),
            can_be_foreign=bool(endpoint.own_only) and not (creates and kinds & {HopKind.SELF, HopKind.CREATOR}),
            free_role=(free or list(endpoint.roles))[0].upper(),
            required_names=tuple(member.name for member in endpoint.members if member.required),
        )

    def _broken_rules(self, endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
        """Return, per rule that the endpoint can break, values under which it alone is broken."""
        found = []
        settable = set(endpoint.members)
        for rule in self._resource.rules:
            others = [other.condition for other in self._resource.rules if other is not rule]
            names = [rule.condition.left]
            if rule.condition.right_kind == "field":
                names.append(str(rule.condition.right))
            if not all(self._resource.member(name) in settable for name in names):
                continue
            solved = solve(self._design, self._resource, others, rule.condition) or solve(
                self._design, self._resource, [], rule.condition
            )
            if solved is None:
                continue
            values = ", ".join(
                f'"{self._attribute(name)}": {first_source(value)}'
                for name, value in solved.items()
                if self._resource.member(name) in settable
            )
            found.append((rule.name, f"{{{values}}}"))
        return tuple(found)

    def _unique(self, unique: Unique, endpoint: Endpoint) -> tuple[UniqueCase, ...]:
        creates = endpoint.kind is OperationKind.CREATE
        settable = [member for member in unique.members if member in endpoint.members]
        if not settable or (creates and len(settable) < len(unique.members)):
            return ()
        if ready_state(self._resource, endpoint) in unique.except_states:
            return ()
        given = self._present(unique.members)
        freed = None
        lifecycle = lifecycle_view(self._design, self._resource)
        limited = any(limit.member in unique.members and not limit.states for limit in self._resource.limits)
        if unique.except_states and lifecycle and creates and not limited:
            freed = f", {self._state()}={lifecycle.enum}.{unique.except_states[0].upper()}"
        return (
            UniqueCase(
                name=unique.name.removeprefix("uq_"),
                given=given,
                shared=tuple((member.name, member.attribute) for member in settable),
                held=tuple(member.attribute for member in unique.members if member not in settable),
                freed=freed,
            ),
        )

    def _present(self, members: tuple[Member, ...]) -> str:
        """Return arguments that fill those members which a factory leaves empty."""
        found = []
        for member in members:
            if member.relation and not member.required:
                target = factory_name(self._design.resource(member.relation.target))
                found.append(f", {member.attribute}=make_{target}(session).id")
        return "".join(found)

    def _limit(self, limit: Limit, endpoint: Endpoint) -> tuple[LimitCase, ...]:
        lifecycle = lifecycle_view(self._design, self._resource)
        initial = self._resource.lifecycle.initial if self._resource.lifecycle else ""
        counted = not limit.states or initial in limit.states
        creates = endpoint.kind is OperationKind.CREATE and limit.member in endpoint.members
        if not creates or not counted or limit.limit > _MOST_RECORDS or limit.member.relation is None:
            return ()
        if any(unique.members == (limit.member,) for unique in self._resource.uniques):
            return ()
        state = f", {self._state()}={lifecycle.enum}.{limit.states[0].upper()}" if limit.states and lifecycle else ""
        target = factory_name(self._design.resource(limit.member.relation.target))
        owned = any(path[0].member == limit.member.name for owner in self._resource.ownerships for path in owner.paths)
        return (LimitCase(limit.name, target, limit.member.attribute, limit.member.name, limit.limit, state, owned),)

    def _state(self) -> str:
        return self._resource.state.attribute if self._resource.state else ""

    def _step(self, step: Step) -> StepCase:
        view = next(one for one in step_views(self._design, self._resource) if one.name == step.transition.name)
        lifecycle = lifecycle_view(self._design, self._resource)
        enum = lifecycle.enum if lifecycle else ""
        field_ = self._resource.state.field if self._resource.state else None
        states = self._design.enumeration(str(field_.enum if field_ else "")).values
        source = step.transition.sources[0]
        values = passing(self._design, self._resource, step.guards, source) or {}
        guards = []
        for number in range(1, len(step.guards) + 1):
            broken = failing(self._design, self._resource, step.guards, source, number - 1)
            if broken is not None:
                guards.append(GuardCase(number, self._given(broken), self._call(step, broken)))
        return StepCase(
            function=view.function,
            sources=tuple(f"{enum}.{state.upper()}" for state in step.transition.sources),
            forbidden=tuple(f"{enum}.{state.upper()}" for state in states if state not in step.transition.sources),
            target=f"{enum}.{step.transition.target.upper()}",
            given=self._given(values),
            arguments=self._call(step, values),
            guards=tuple(guards),
            after=self._after(step, enum),
        )

    def _call(self, step: Step, values: Assignment) -> str:
        return call_arguments(self._design, self._resource, step.guards, values)

    def _after(self, step: Step, enum: str) -> tuple[AfterStepCase, ...]:
        target, sources = step.transition.target, step.transition.sources
        found = []
        for unique in self._resource.uniques:
            freed = [source for source in sources if source in unique.except_states]
            if freed and target not in unique.except_states:
                names = tuple(member.attribute for member in unique.members)
                states = f"{enum}.{target.upper()}", f"{enum}.{freed[0].upper()}"
                found.append(AfterStepCase(unique.name.removeprefix("uq_"), "duplicate", 1, names, *states))
        for limit in self._resource.limits:
            uncounted = [source for source in sources if source not in limit.states]
            if limit.states and uncounted and target in limit.states and limit.limit <= _MOST_RECORDS:
                names = (limit.member.attribute,)
                states = f"{enum}.{target.upper()}", f"{enum}.{uncounted[0].upper()}"
                found.append(AfterStepCase(limit.name, "limit-reached", limit.limit, names, *states))
        return tuple(found)

    def _rule(self, rule: Rule) -> tuple[RuleCase, ...]:
        one = comparison(self._design, self._resource, rule.condition)
        passing = solve(self._design, self._resource, [rule.condition])
        failing = solve(self._design, self._resource, [], rule.condition)
        if passing is None or failing is None:
            return ()
        present = ", now=now()" if one.needs_now else ""
        function = f"check_{rule.name}"
        return (
            RuleCase(
                function,
                (self._arguments(passing) + present).removeprefix(", "),
                (self._arguments(failing) + present).removeprefix(", "),
            ),
        )

    def _single(self) -> tuple[str, ...]:
        """Return what several records of one owner cannot share."""
        found = ["id"]
        for unique in self._resource.uniques:
            varied = [member for member in unique.members if not _is_closed(member)]
            if len(varied) == 1 and varied[0].is_reference:
                found.append(varied[0].attribute)
        return tuple(dict.fromkeys(found))

    def _filter(self, filter_: Filter) -> tuple[FilterCase, ...]:
        member = filter_.members[0]
        if self._hides(member):
            return ()
        name = member.attribute
        match filter_.kind:
            case FilterKind.SEARCH:
                texts = [one for one in filter_.members if _is_free_text(one)]
                if not texts:
                    return ()
                given = f'{{"{texts[0].attribute}": '
                return (FilterCase(filter_.name, f'{given}"Needle"}}', f'{given}"Straw"}}', '"needle"'),)
            case FilterKind.FROM | FilterKind.UNTIL:
                helper = "day" if member.field and value_kind(member.field) is ValueKind.DATE else "moment"
                early, middle, late = (f"{helper}({days}, 0)" for days in (10, 20, 30))
                first, second = (late, early) if filter_.kind is FilterKind.FROM else (early, late)
                return (FilterCase(filter_.name, _pair(name, first), _pair(name, second), f"as_json({middle})"),)
            case _ if member.relation is not None:
                target = factory_name(self._design.resource(member.relation.target))
                value = "[target.id]" if member.is_collection else "target.id"
                other = f"[make_{target}(session).id]" if member.is_collection else f"make_{target}(session).id"
                return (FilterCase(filter_.name, _pair(name, value), _pair(name, other), f"make_{target}(session)"),)
            case _:
                return self._plain_filter(filter_, member)

    def _hides(self, member: Member) -> bool:
        """Tell whether every reader of the list sees their own records alone, and the member decides which."""
        listing = self._resource.endpoint(OperationKind.LIST)
        if listing is None or set(listing.roles) != set(listing.own_only):
            return False
        hops = [owner.paths[0][0] for owner in self._resource.ownerships]
        return any(hop.kind is HopKind.SELF or hop.member == member.name for hop in hops)

    def _plain_filter(self, filter_: Filter, member: Member) -> tuple[FilterCase, ...]:
        if member.field is None:
            return ()
        name = member.attribute
        if member.field.enum is None:
            return (FilterCase(filter_.name, _pair(name, "True"), _pair(name, "False"), '"true"'),)
        values = self._design.enumeration(member.field.enum).values
        if len(values) == 1:
            return ()
        enum = python_type(self._design, member)
        return (
            FilterCase(
                filter_.name,
                _pair(name, f"{enum}.{values[0].upper()}"),
                _pair(name, f"{enum}.{values[1].upper()}"),
                quoted(values[0]),
            ),
        )

    def _deletes(self) -> tuple[DeleteCase, ...]:
        found = []
        for relation in self._design.model.relations:
            if relation.target != self._resource.entity.name or relation.join_entity:
                continue
            child = self._design.resource(relation.source)
            member = next(one for one in child.members if one.relation is relation)
            name = factory_name(child)
            value = "[row.id]" if member.is_collection else "row.id"
            outcome: str = relation.on_delete
            if member.is_collection and outcome != "restrict":
                outcome = "unlink"
            found.append(DeleteCase(name, row_class(child), member.attribute, f", {member.attribute}={value}", outcome))
        return tuple(found)


def factory_name(resource: Resource) -> str:
    """Return the noun in the names of the test factories of a resource."""
    return snake(resource.entity.name)


def _pair(name: str, value: str) -> str:
    return f'{{"{name}": {value}}}'


def _is_closed(member: Member) -> bool:
    """Tell whether the member has but a few possible values."""
    return member.field is not None and value_kind(member.field) in (ValueKind.ENUM, ValueKind.BOOLEAN)


def _shown(member: Member) -> str:
    """Return the JSON form of a stored value, as source."""
    value = f"row.{member.attribute}"
    if member.field is None or value_kind(member.field) is not ValueKind.DECIMAL:
        return f"as_json({value})"
    form = f"formats.{'money' if member.field.type is FieldType.MONEY else 'number'}({value})"
    return form if member.required else f"None if {value} is None else {form}"


def _is_free_text(member: Member) -> bool:
    constraints = member.field.constraints if member.field else None
    return (
        constraints is not None
        and member.field is not None
        and member.field.type.value in ("text", "rich-text")
        and constraints.pattern is None
        and (constraints.max_length or 100) >= len("Needle")
        and (constraints.min_length or 0) <= len("Straw")
    )
