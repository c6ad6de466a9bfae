"""From drafts to the strict model: names settled, references checked, every element traced."""

from factory.domain.product import (
    Actor,
    Assumption,
    Constraints,
    DomainEvent,
    DomainModel,
    Entity,
    Enumeration,
    FieldType,
    Lifecycle,
    Operation,
    OperationKind,
    ProductField,
    Relation,
    RelationKind,
    Story,
    Transition,
)
from factory.skills.native.language.lexicon import MOVING_VERBS
from factory.skills.native.language.names import field_name, label, pascal_name, slug, snake_name, state_name, unique
from factory.skills.native.language.words import collection, participle
from factory.skills.native.vision_document.draft import Draft, EntityDraft, OperationDraft, RelationDraft
from factory.skills.native.vision_document.qualities import find_glossary, find_qualities, find_summary


def assemble(draft: Draft, title: str) -> DomainModel:
    """Return the model of what was read."""
    _settle_names(draft)
    enums, enum_of = _enums(draft)
    relations = _relations(draft)
    operations, events, event_of_step = _operations(draft)
    return DomainModel(
        name=title,
        slug=slug(title)[:60].strip("-"),
        summary=find_summary(draft, title),
        actors=tuple(
            Actor(
                name=actor.name,
                label=actor.label,
                description=actor.description,
                entity=draft.entities[actor.entity].name if actor.entity else None,
                trace=actor.trace,
            )
            for actor in draft.actors.values()
        ),
        entities=tuple(_entity(entity, enum_of) for entity in draft.entities.values()),
        enums=tuple(enums),
        relations=tuple(relations),
        lifecycles=tuple(_lifecycles(draft, event_of_step)),
        operations=tuple(operations),
        events=tuple(events),
        policies=tuple(draft.policies),
        non_functional=tuple(find_qualities(draft, draft.source.blocks)),
        glossary=tuple(find_glossary(draft, draft.source.blocks)),
        stories=tuple(
            Story(
                id=story.id,
                actor=_actor_name(draft, story.actor),
                goal=story.goal,
                benefit=story.benefit,
                derived=story.derived,
                trace=story.trace,
            )
            for story in draft.stories
        ),
        assumptions=tuple(
            Assumption(
                id=f"A-{number}", subject=note.subject, statement=note.statement, reason=note.reason, change=note.change
            )
            for number, note in enumerate(draft.notes, start=1)
        ),
    )


def _settle_names(draft: Draft) -> None:
    """Make the names of entities and their collections unique."""
    taken: set[str] = set()
    collections: set[str] = set()
    for entity in draft.entities.values():
        name = unique(entity.name, taken, "")
        if name != entity.name:
            entity.spelled = name
        taken.add(name)
        entity.plural = unique(snake_name(collection(entity.words)), collections)
        collections.add(entity.plural)


def _actor_name(draft: Draft, words: str) -> str:
    known = draft.actor(words)
    return known.name if known is not None else next(iter(draft.actors.values())).name


def _enums(draft: Draft) -> tuple[list[Enumeration], dict[tuple[str, str], str]]:
    made: list[Enumeration] = []
    names: dict[tuple[str, str], str] = {}
    taken = {entity.name for entity in draft.entities.values()}
    for entity in draft.entities.values():
        for item in entity.fields.values():
            if item.type is not FieldType.ENUM:
                continue
            values = tuple(dict.fromkeys(state_name(value) for value in item.values if state_name(value)))
            name = unique(pascal_name(f"{entity.words} {item.words}"), taken, "")
            taken.add(name)
            made.append(Enumeration(name=name, values=values, trace=item.trace))
            names[entity.words, item.name] = name
    return made, names


def _entity(entity: EntityDraft, enum_of: dict[tuple[str, str], str]) -> Entity:
    fields = []
    for item in entity.fields.values():
        default = item.default
        if item.type is FieldType.ENUM:
            default = state_name(str(default)) if default is not None else None
            default = default if default in {state_name(value) for value in item.values} else None
        fields.append(
            ProductField(
                name=item.name,
                type=item.type,
                required=item.required,
                enum=enum_of.get((entity.words, item.name)),
                default=default,
                constraints=Constraints.model_validate(item.constraints),
                personal_data=item.personal,
                description=item.description[:1].upper() + item.description[1:],
                trace=item.trace,
            )
        )
    return Entity(
        name=entity.name,
        collection=entity.plural or snake_name(collection(entity.words)),
        label=label(entity.words),
        description=entity.description,
        fields=tuple(fields),
        trace=entity.trace,
    )


def _relations(draft: Draft) -> list[Relation]:
    attributes: dict[str, set[str]] = {words: set(entity.fields) for words, entity in draft.entities.items()}
    made: list[Relation] = []
    for relation in draft.relations:
        name = unique(relation.name, attributes[relation.source])
        attributes[relation.source].add(name)
        relation.role = name.replace("_", " ")
    for relation in draft.relations:
        inverse = unique(_inverse(draft, relation), attributes[relation.target])
        attributes[relation.target].add(inverse)
        relation.inverse = inverse
        made.append(
            Relation.model_validate(
                {
                    "name": relation.name,
                    "kind": relation.kind,
                    "source": draft.entities[relation.source].name,
                    "target": draft.entities[relation.target].name,
                    "inverse": inverse,
                    "required": relation.required and relation.kind is not RelationKind.MANY_TO_MANY,
                    "on_delete": _on_delete(relation),
                    "join_entity": draft.entities[relation.join].name if relation.join else None,
                    "trace": relation.trace,
                }
            )
        )
    return made


def _on_delete(relation: RelationDraft) -> str:
    if relation.kind is RelationKind.MANY_TO_MANY:
        return "cascade"
    if relation.on_delete:
        return relation.on_delete
    return "restrict" if relation.required else "set-null"


def _inverse(draft: Draft, relation: RelationDraft) -> str:
    if relation.inverse:
        return field_name(relation.inverse)
    source = relation.source if relation.kind is RelationKind.ONE_TO_ONE else collection(relation.source)
    if relation.source == relation.target:
        return field_name("children" if relation.name.startswith("parent") else f"{relation.name} of {source}")
    twins = [other for other in draft.relations if (other.source, other.target) == (relation.source, relation.target)]
    plain = field_name(relation.target) == relation.name or field_name(collection(relation.target)) == relation.name
    if len(twins) > 1 and not plain:
        return field_name(f"{source} as {relation.name.removesuffix('_' + field_name(relation.target))}")
    return field_name(source)


def _lifecycles(draft: Draft, event_of_step: dict[tuple[str, str], str]) -> list[Lifecycle]:
    made = []
    for lifecycle in draft.lifecycles.values():
        entity = draft.entities[lifecycle.entity]
        made.append(
            Lifecycle(
                entity=entity.name,
                field=lifecycle.field,
                initial=lifecycle.initial,
                transitions=tuple(
                    Transition(
                        name=step.name,
                        sources=tuple(step.sources),
                        target=step.target,
                        actors=tuple(draft.actors[actor].name for actor in step.actors),
                        guards=tuple(step.guards),
                        event=event_of_step[lifecycle.entity, step.name],
                        trace=step.trace,
                    )
                    for step in lifecycle.transitions.values()
                ),
                trace=lifecycle.trace,
            )
        )
    return made


_ORDER = (
    OperationKind.CREATE,
    OperationKind.LIST,
    OperationKind.READ,
    OperationKind.UPDATE,
    OperationKind.CHANGE,
    OperationKind.TRANSITION,
    OperationKind.DELETE,
)


def _operations(draft: Draft) -> tuple[list[Operation], list[DomainEvent], dict[tuple[str, str], str]]:
    operations: list[Operation] = []
    events: list[DomainEvent] = []
    event_of_step: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    event_names: set[str] = set()
    order = {entity: number for number, entity in enumerate(draft.entities)}
    for item in sorted(draft.operations, key=lambda operation: (order[operation.entity], _ORDER.index(operation.kind))):
        entity = draft.entities[item.entity]
        name = unique(_operation_name(draft, item), names)
        names.add(name)
        event = None
        if item.kind not in (OperationKind.LIST, OperationKind.READ, OperationKind.UPDATE):
            event = unique(_event_name(draft, item), event_names, "")
            event_names.add(event)
            events.append(_event(draft, item, entity, event, name))
        if item.transition and event:
            event_of_step[item.entity, item.transition] = event
        actors = [words for words in item.actors if words in draft.actors]
        trace = (
            item.trace
            if not item.assumed
            else item.trace.model_copy(update={"rule": "assumed-operation", "confidence": 0.4})
        )
        operations.append(
            Operation(
                name=name,
                kind=item.kind,
                verb=snake_name(item.verb, "do"),
                entity=entity.name,
                actors=tuple(draft.actors[words].name for words in actors),
                own_only=tuple(draft.actors[words].name for words in actors if words in item.own - item.foreign),
                fields=tuple(item.fields),
                relations=tuple(item.relations),
                transition=item.transition,
                states=tuple(item.states),
                guards=tuple(item.guards),
                event=event,
                stories=tuple(item.stories),
                trace=trace,
            )
        )
    return operations, events, event_of_step


def _operation_name(draft: Draft, item: OperationDraft) -> str:  # noqa: PLR0911 - one case after the other, in the order that decides
    entity = draft.entities[item.entity].words
    verb = item.verb
    if verb.startswith("mark "):
        return snake_name(f"mark {entity} {verb[5:]}")
    if item.kind is OperationKind.LIST:
        return snake_name(f"{verb} {collection(entity)}")
    if item.noun is not None and item.kind is OperationKind.CREATE:
        return snake_name(f"{verb} {item.preposition} {item.noun}")
    if verb == "join" and item.noun is not None and item.kind is OperationKind.CHANGE:
        return snake_name(f"join {item.noun}")
    if item.kind is OperationKind.CHANGE and item.noun is not None and item.noun != entity:
        moved = verb in MOVING_VERBS
        return snake_name(f"{verb} {entity} to {item.noun}" if moved else f"{verb} {item.noun} to {entity}")
    if item.kind is OperationKind.CHANGE and item.relations and item.noun is None and verb.startswith("assign"):
        return snake_name(f"{verb} {entity} {item.relations[0]}")
    head, *rest = verb.split(" ")
    if item.kind is OperationKind.CREATE and entity.endswith(f" {verb}"):
        return snake_name(f"{verb} {entity.removesuffix(f' {verb}')}")
    begun = head in ("start", "begin") and item.kind is OperationKind.TRANSITION
    if rest and (begun or (item.kind is OperationKind.CHANGE and item.fields)):
        return snake_name(f"{head} {entity} {' '.join(rest)}")
    return snake_name(
        f"{head} {' '.join([*rest, entity])}" if rest and rest[0] in ("for", "of", "to") else f"{verb} {entity}"
    )


def _event_name(draft: Draft, item: OperationDraft) -> str:  # noqa: PLR0911 - one case after the other, in the order that decides
    entity = draft.entities[item.entity].words
    head, *rest = item.verb.split(" ")
    past = " ".join([participle(head), *rest])
    if item.kind is OperationKind.CREATE and entity.endswith(f" {item.verb}"):
        return pascal_name(f"{entity.removesuffix(f' {item.verb}')} {past}")
    if item.kind is OperationKind.TRANSITION and rest and head in ("start", "begin"):
        return pascal_name(f"{entity} {' '.join(rest)} {participle(head)}")
    if (
        item.kind is OperationKind.CHANGE
        and rest
        and item.fields
        and snake_name(" ".join(rest)) == "_and_".join(item.fields)
    ):
        return pascal_name(f"{entity} {' '.join(rest)} {participle(head)}")
    if item.preposition:
        return pascal_name(f"{entity} created")
    if item.noun is not None and item.kind is OperationKind.CREATE:
        return pascal_name(f"{item.noun} {past}")
    if item.noun is not None and item.kind is OperationKind.CHANGE and item.noun != entity and head not in MOVING_VERBS:
        return pascal_name(f"{entity} {item.noun} {past}")
    return pascal_name(f"{entity} {past}")


def _event(draft: Draft, item: OperationDraft, entity: EntityDraft, name: str, operation: str) -> DomainEvent:
    links = [
        relation.name for relation in draft.relations_of(item.entity) if relation.kind is not RelationKind.MANY_TO_MANY
    ]
    status = draft.lifecycles.get(item.entity)
    fields: list[str] = []
    if item.kind is OperationKind.CHANGE:
        fields, links = list(item.fields), list(item.relations) or links
    elif item.kind is OperationKind.TRANSITION and status is not None:
        fields = [status.field]
    elif item.kind is OperationKind.CREATE:
        shy = (FieldType.RICH_TEXT, FieldType.FILE, FieldType.JSON)
        fields = [field.name for field in entity.fields.values() if not field.personal and field.type not in shy][:6]
    elif item.kind is OperationKind.DELETE:
        links = []
    head, *rest = item.verb.split(" ")
    article = "An" if entity.words[0] in "aeiou" else "A"
    said = f"{article} {entity.words} was {' '.join([participle(head), *rest])}."
    if item.preposition:
        said = f"{article} {entity.words} was made."
    elif item.noun is not None and item.kind is OperationKind.CREATE:
        said = (
            f"{'An' if item.noun[0] in 'aeiou' else 'A'} {item.noun} was {participle(head)}: a {entity.words} was made."
        )
    return DomainEvent(
        name=name,
        entity=entity.name,
        operation=operation,
        fields=tuple(fields),
        relations=tuple(links),
        description=said,
        trace=item.trace,
    )
