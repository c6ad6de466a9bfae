"""From a service design to what the templates see."""

from factory.domain.product import DomainEvent, FieldType, OperationKind, ProductField, snake
from factory.skills.native.backend.expressions import decimal_alias, quoted
from factory.skills.native.backend.routes import (
    EndpointView,
    endpoint_view,
    message_function,
    router_module,
    statement_function,
)
from factory.skills.native.backend.rules import (
    check_views,
    domain_module,
    has_domain,
    lifecycle_view,
    rule_views,
    step_views,
)
from factory.skills.native.backend.schemas import SchemaView, page_schema, query_schema
from factory.skills.native.backend.tables import (
    columns,
    links,
    row_class,
    table_arguments,
    table_module,
)
from factory.skills.native.backend.views import (
    DecimalView,
    EnumView,
    EventView,
    LimitView,
    OwnerView,
    ResourceView,
    ServiceView,
    UniqueView,
)
from factory.skills.native.service_design.conditions import ValueKind, value_kind
from factory.skills.native.service_design.design import ServiceDesign
from factory.skills.native.service_design.events import record_key
from factory.skills.native.service_design.naming import label_words, words
from factory.skills.native.service_design.parts import Hop, HopKind, Limit, Member, Ownership, Resource, Unique
from factory.skills.native.service_design.shapes import (
    DECIMAL_DIGITS,
    MONEY_DIGITS,
    decimal_pattern,
)

_TYPE_NAMES = (
    "ClockTime Day Document EMAIL FileReference GeoPoint Input Instant Maybe Money NonNegativeMoney "
    "NonNegativeNumber Number Output PHONE TEXT URL WHOLE"
).split()


def service_view(design: ServiceDesign) -> ServiceView:
    """Return the view of a whole design."""
    resources = tuple(_resource_view(design, resource) for resource in design.resources)
    fields = [field for resource in design.resources for field in resource.entity.fields]
    members = [member for resource in design.resources for member in resource.members]
    endpoints = tuple(endpoint for resource in resources for endpoint in resource.endpoints)
    lines = [line for endpoint in endpoints for line in endpoint.lines]
    rows = tuple(resource.row for resource in resources)
    decimals = _decimals(fields)
    enums = tuple(_enum(design, name) for name in design.enums)
    types = frozenset(field.type.value for field in fields)
    return ServiceView(
        package=design.package,
        slug=design.model.slug,
        title=design.title,
        title_line=_plain(design.title),
        title_literal=quoted(design.title),
        summary=design.summary,
        summary_line=_ended(_plain(design.summary)) or "a service.",
        summary_literal=quoted(design.summary),
        version="0.1.0",
        roles=tuple({"name": role.name, "member": role.name.upper(), "label": role.label} for role in design.roles),
        enums=enums,
        enum_names=", ".join(enum.name for enum in enums),
        resources=resources,
        routed=tuple(resource for resource in resources if resource.endpoints),
        endpoints=endpoints,
        events=tuple(_event(design, event) for event in design.events),
        types=types,
        type_names=_type_names(types, decimals),
        decimals=decimals,
        row_names=", ".join((*rows, "OutboxRow")),
        all_rows=tuple(sorted((*rows, "OutboxRow"))),
        unenforced=design.unenforced,
        has_states=any(resource.steps or any(one.state_test for one in resource.checks) for resource in resources),
        has_guards=any(step.guards for resource in resources for step in resource.steps)
        or any(check.guards for resource in resources for check in resource.checks),
        has_rules=any(resource.rules for resource in resources),
        has_uniques=any(resource.uniques for resource in resources),
        has_limits=any(resource.limits for resource in resources),
        has_references=any("require_target" in line or "fetch_targets" in line for line in lines),
        has_collections=any(member.is_collection for member in members),
        has_deletes=any("StillReferencedError" in line for line in lines),
        has_ownerships=any("require_own" in line for line in lines),
        has_lists=any(resource.list for resource in resources),
        has_creators=any(resource.keeps_creator for resource in resources),
        has_denials=any(len(endpoint.roles) < len(design.roles) for endpoint in endpoints),
        body_endpoint=_body_endpoint(endpoints),
        has_everyone=any(endpoint.roles_expr == "EVERYONE" for endpoint in endpoints),
    )


def _resource_view(design: ServiceDesign, resource: Resource) -> ResourceView:
    schemas = SchemaView(design, resource)
    found_links = links(design, resource)
    listing = resource.endpoint(OperationKind.LIST) is not None
    endpoints = tuple(endpoint_view(design, resource, endpoint) for endpoint in resource.endpoints)
    owners = tuple(_owner(design, owner) for owner in resource.ownerships)
    limits = tuple(_limit(design, resource, limit) for limit in resource.limits)
    uniques = tuple(_unique(design, resource, unique) for unique in resource.uniques)
    lines = " ".join(line for endpoint in endpoints for line in endpoint.lines)
    owners = owners if "belongs_to" in lines else ()
    uniques = uniques if "require_unique" in lines else ()
    limits = limits if "require_limits" in lines else ()
    label = label_words(resource.entity)
    bodies = schemas.bodies
    names = [resource.schema, page_schema(resource), query_schema(resource), *(body.name for body in bodies)]
    query_names = [statement_function(resource)] if listing else []
    query_names += ["belongs_to"] if owners else []
    query_names += ["require_unique"] if uniques else []
    query_names += ["require_limits"] if limits else []
    return ResourceView(
        name=resource.entity.name,
        schema=resource.schema,
        row=row_class(resource),
        row_doc=_sentence(resource.entity.description) or f"{_article(label).capitalize()} {label}.",
        module=table_module(resource),
        domain_module=domain_module(resource),
        router=router_module(resource),
        table=resource.table,
        path=resource.path,
        tag=resource.tag,
        label_words=label,
        a_label=f"{_article(label)} {label}",
        plural_words=words(resource.entity.collection),
        has_domain=has_domain(resource),
        lifecycle=lifecycle_view(design, resource),
        steps=step_views(design, resource),
        checks=check_views(design, resource),
        rules=rule_views(design, resource),
        columns=columns(design, resource),
        table_args=table_arguments(resource),
        links=found_links,
        link_targets=tuple(
            dict.fromkeys(
                (link.target_module, link.target_row) for link in found_links if link.target_row != row_class(resource)
            )
        ),
        keeps_creator=resource.keeps_creator,
        list=listing,
        creates=resource.endpoint(OperationKind.CREATE) is not None,
        shown=resource.is_shown,
        select_function=statement_function(resource),
        page_schema=page_schema(resource),
        filters=schemas.filters,
        sorts=resource.sorts,
        owners=owners,
        uniques=uniques,
        limits=limits,
        aliases=schemas.aliases,
        shown_members=schemas.shown_members,
        bodies=bodies,
        schema_names=tuple(names if listing else [name for name in names if not name.endswith(("Page", "Query"))]),
        query_names=tuple(query_names),
        endpoints=endpoints,
    )


def _owner(design: ServiceDesign, owner: Ownership) -> OwnerView:
    conditions = [_owned(design, path) for path in owner.paths]
    condition = conditions[0] if len(conditions) == 1 else f"sa.or_({', '.join(conditions)})"
    needs_entity = all(path[-1].kind is not HopKind.CREATOR for path in owner.paths)
    return OwnerView(owner.role.upper(), condition, needs_entity)


def _owned(design: ServiceDesign, path: tuple[Hop, ...]) -> str:
    hop, rest = path[0], path[1:]
    resource = design.resource(hop.entity)
    row = row_class(resource)
    if hop.kind is HopKind.SELF:
        return f"{row}.id == caller.entity_id"
    if hop.kind is HopKind.CREATOR:
        return f"{row}.created_by == caller.subject"
    target = row_class(design.resource(hop.target))
    if hop.kind is HopKind.COLLECTION:
        link = next(link for link in links(design, resource) if link.ids == hop.member)
        return f"{row}.{link.attribute}.any({target}.id == caller.entity_id)"
    if not rest:
        return f"{row}.{hop.member} == caller.entity_id"
    return f"{row}.{hop.member}.in_(sa.select({target}.id).where({_owned(design, rest)}))"


def _unique(design: ServiceDesign, resource: Resource, unique: Unique) -> UniqueView:
    row = row_class(resource)
    applies = [f"row.{member.attribute} is not None" for member in unique.members if not member.required]
    conditions = [f"{row}.{member.attribute} == row.{member.attribute}" for member in unique.members]
    if unique.except_states and resource.state:
        state = resource.state.attribute
        states = _states(design, resource, unique.except_states)
        if len(unique.except_states) == 1:
            applies.append(f"row.{state} is not {states}")
            conditions.append(f"{row}.{state} != {states}")
        else:
            applies.append(f"row.{state} not in {states}")
            conditions.append(f"{row}.{state}.not_in({states})")
    return UniqueView("".join(f"{one} and " for one in applies), tuple(conditions), quoted(unique.statement))


def _limit(design: ServiceDesign, resource: Resource, limit: Limit) -> LimitView:
    assert limit.member.relation is not None  # noqa: S101 - limits are on references
    applies = [] if limit.member.required else [f"row.{limit.member.attribute} is not None"]
    states = _states(design, resource, limit.states) if limit.states and resource.state else ""
    condition = ""
    if states and resource.state:
        state, single = resource.state.attribute, len(limit.states) == 1
        applies.append(f"row.{state} {'is' if single else 'in'} {states}")
        condition = f"{state} == {states}" if single else f"{state}.in_({states})"
    return LimitView(
        applies="".join(f"{one} and " for one in applies),
        target=row_class(design.resource(limit.member.relation.target)),
        attribute=limit.member.attribute,
        condition=condition,
        limit=limit.limit,
        statement=quoted(limit.statement),
    )


def _states(design: ServiceDesign, resource: Resource, states: tuple[str, ...]) -> str:
    view = lifecycle_view(design, resource)
    enum = view.enum if view else ""
    names = [f"{enum}.{state.upper()}" for state in states]
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def _enum(design: ServiceDesign, name: str) -> EnumView:
    users = [
        f"{label_words(resource.entity)} ({words(field.name)})"
        for resource in design.resources
        for field in resource.entity.fields
        if field.enum == name
    ]
    return EnumView(design.enums[name], f"Values of: {', '.join(users)}.", design.enumeration(name).values)


def _event(design: ServiceDesign, event: DomainEvent) -> EventView:
    resource = design.resource(event.entity)
    data = [(record_key(event.entity), "str(row.id)")]
    data += [(name, _encoded(resource.member(name))) for name in event.fields]
    by_relation = {member.relation.name: member for member in resource.members if member.relation}
    data += [(by_relation[name].name, _encoded(by_relation[name])) for name in event.relations if name in by_relation]
    return EventView(
        name=event.name,
        function=message_function(event.name),
        row=row_class(resource),
        collection=event_collection(resource),
        doc=_sentence(event.description) or f"Tell that: {words(snake(event.name))}.",
        data=tuple(data),
    )


def event_collection(resource: Resource) -> str:
    """Return the first part of the subject of events about the resource."""
    return resource.entity.collection


def _encoded(member: Member) -> str:
    value = f"row.{member.attribute}"
    if member.is_collection:
        return f"[str(id) for id in {value}]"
    if member.field is None:
        encoded = f"str({value})"
    else:
        encoded = {
            ValueKind.DECIMAL: f"formats.{'money' if member.field.type is FieldType.MONEY else 'number'}({value})",
            ValueKind.DATE: f"{value}.isoformat()",
            ValueKind.TIME: f"formats.clock_time({value})",
            ValueKind.DATETIME: f"formats.instant({value})",
            ValueKind.UUID: f"str({value})",
        }.get(value_kind(member.field), value)
    if member.required or encoded == value:
        return encoded
    return f"None if {value} is None else {encoded}"


def _decimals(fields: list[ProductField]) -> tuple[DecimalView, ...]:
    used = sorted({decimal_alias(field) for field in fields if field.type in (FieldType.MONEY, FieldType.DECIMAL)})
    found = []
    for name in used:
        is_money = name.endswith("Money")
        signed = not name.startswith("NonNegative")
        pattern = decimal_pattern(MONEY_DIGITS if is_money else DECIMAL_DIGITS, signed=signed)
        constant = ("NON_NEGATIVE_" if not signed else "") + ("MONEY" if is_money else "NUMBER")
        found.append(DecimalView(name, constant, pattern, "money" if is_money else "number"))
    return tuple(found)


def _type_names(types: frozenset[str], decimals: tuple[DecimalView, ...]) -> tuple[str, ...]:
    """Return what the types module of the API layer defines."""
    conditional = {
        "ClockTime": "time",
        "Day": "date",
        "Document": "json",
        "EMAIL": "email",
        "FileReference": "file",
        "GeoPoint": "geo-point",
        "PHONE": "phone",
        "URL": "url",
    }
    whole = bool(types & {"integer", "duration"})
    decimal_names = {decimal.name for decimal in decimals}
    all_decimals = {"Money", "NonNegativeMoney", "Number", "NonNegativeNumber"}
    return tuple(
        name
        for name in _TYPE_NAMES
        if (name != "WHOLE" or whole)
        and (name not in all_decimals or name in decimal_names)
        and (name not in conditional or conditional[name] in types)
    )


def _body_endpoint(endpoints: tuple[EndpointView, ...]) -> dict[str, str] | None:
    """Return an endpoint that takes a body, and a role that may call it."""
    for endpoint in endpoints:
        if any(parameter.startswith("body:") for parameter in endpoint.parameters):
            return {"method": endpoint.method, "path": endpoint.path, "role": endpoint.roles[0].upper()}
    return None


def _article(label: str) -> str:
    return "an" if label[:1] in "aeiou" else "a"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("\\", "").replace('"', "'")


def _sentence(text: str) -> str:
    plain = _plain(text).rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}." if plain else ""


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."
