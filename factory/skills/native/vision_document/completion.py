"""What a model needs and a vision need not say: a name for each thing, records for people, derived stories."""

from factory.domain.product import FieldType, OperationKind
from factory.skills.native.language.lexicon import DEED_NOUNS, is_person
from factory.skills.native.language.words import collection
from factory.skills.native.vision_document.assignments import main_actor, movers
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, OperationDraft, StoryDraft
from factory.skills.native.vision_document.upkeep import handlers, open_reading

_TITLED = frozenset(
    """book article post task ticket job story event course lesson movie film song report document page project issue
    request idea proposal talk session""".split()
)

_NAMED = frozenset(
    """station location organisation organization section collection institution association exhibition competition
    edition medication""".split()
)


def connect_actors(draft: Draft) -> None:
    """Join each actor to the entity that is this person's record."""
    for actor in draft.actors.values():
        if actor.entity is not None:
            continue
        entity = draft.find(actor.words) or draft.find(actor.words.rsplit(" ", 1)[-1])
        if entity is not None and (entity.words.rsplit(" ", 1)[-1] == actor.words.rsplit(" ", 1)[-1]):
            actor.entity = entity.words


def complete_entities(draft: Draft) -> None:
    """Give every thing a field a person can tell it by."""
    links = {relation.source for relation in draft.relations}
    for entity in draft.entities.values():
        _settle_time(entity)
        meaningful = [item for item in entity.fields.values() if item is not entity.status()]
        if meaningful:
            if not entity.declared and entity.words not in links and _nameless(entity):
                _assume(draft, entity, "title" if entity.words in _TITLED else "name", FieldType.TEXT)
            continue
        if is_person(entity.words) or any(actor.entity == entity.words for actor in draft.actors.values()):
            _assume(draft, entity, "name", FieldType.TEXT, personal=True)
            _assume(draft, entity, "email", FieldType.EMAIL, personal=True)
            entity.fields["email"].constraints["unique"] = True
        elif entity.words not in links or not entity.fields:
            head = entity.words.rsplit(" ", 1)[-1]
            if head.endswith(("tion", "sis", "aint", "quest", "ision", "feedback")) and head not in _NAMED:
                _assume(draft, entity, "description", FieldType.RICH_TEXT)
            else:
                _assume(draft, entity, "title" if head in _TITLED else "name", FieldType.TEXT)


def _settle_time(entity: EntityDraft) -> None:
    """Take a bare "time" for a moment where no date stands beside it: when an incident happened."""
    found = entity.fields.get("time")
    dated = any(item.type in (FieldType.DATE, FieldType.DATETIME) for item in entity.fields.values())
    if found is not None and found.type is FieldType.TIME and found.trace.confidence < 1 and not dated:
        found.type = FieldType.DATETIME


def _nameless(entity: EntityDraft) -> bool:
    """Tell whether nothing about a thing that belongs to nothing else says which one it is."""
    head = entity.words.rsplit(" ", 1)[-1]
    if head in DEED_RECORDS or head.endswith(("day", "ing", "ment", "tion")):
        return False
    telling = (FieldType.EMAIL, FieldType.DATE, FieldType.DATETIME, FieldType.UUID)
    return not any(
        item.type in telling
        or (item.type is FieldType.TEXT and item.name.endswith(_TELLING_ENDS))
        or "number" in item.name.split("_")
        or item.constraints.get("unique")
        for item in entity.fields.values()
    )


_TELLING_ENDS = ("name", "title", "number", "code", "plate", "address", "subject", "label", "isbn", "sku", "id", "item")
DEED_RECORDS = frozenset(noun for nouns in DEED_NOUNS.values() for noun in nouns)


def _assume(draft: Draft, entity: EntityDraft, words: str, kind: FieldType, *, personal: bool = False) -> None:
    trace = entity.trace.model_copy(update={"rule": "assumed-field", "confidence": 0.3})
    made = FieldDraft(words, kind, trace, personal=personal)
    if kind is FieldType.TEXT:
        made.constraints["max_length"] = 200
    more = "phone" if personal else "note"
    if entity.add(made):
        draft.note(
            f"{entity.name}.{made.name}",
            f'{entity.name} has the field "{words}".',
            f"The vision names no field of {entity.name}, and people must be able to tell one from another.",
            f'List its fields, for example "- {entity.name}: {words}, {more}?".',
        )


def settle_operations(draft: Draft) -> None:
    """Fill in who may do what was assumed, keep "own" only where it can be told, and derive stories."""
    for operation in draft.operations:
        if not operation.actors and operation.kind in (OperationKind.TRANSITION, OperationKind.CHANGE):
            operation.actors = movers(draft, operation.entity)
        if not operation.actors:
            operation.actors = handlers(draft, operation.entity) or [main_actor(draft)]
        for actor in list(operation.own):
            if not _reaches(draft, operation.entity, draft.actors[actor].entity):
                operation.own.discard(actor)
    _forget_idle(draft)
    _spread_own(draft)
    open_reading(draft)
    for operation in draft.operations:
        operation.own = {
            actor for actor in operation.own if _reaches(draft, operation.entity, draft.actors[actor].entity)
        }
    for lifecycle in draft.lifecycles.values():
        for step in lifecycle.transitions.values():
            operation_of = next(
                (item for item in draft.operations if item.entity == lifecycle.entity and item.transition == step.name),
                None,
            )
            if operation_of is None:
                operation_of = OperationDraft(
                    OperationKind.TRANSITION,
                    step.verb,
                    lifecycle.entity,
                    step.trace,
                    list(step.actors),
                    transition=step.name,
                    assumed=True,
                )
                operation_of.actors = operation_of.actors or movers(draft, lifecycle.entity)
                draft.operations.append(operation_of)
            step.actors = list(operation_of.actors)
    _derive_stories(draft)


def _forget_idle(draft: Draft) -> None:
    """Drop people that prose mentions and that do nothing with any thing."""
    busy = {words for operation in draft.operations for words in operation.actors} | {
        story.actor for story in draft.stories
    }
    for words in list(draft.actors):
        actor = draft.actors[words]
        if words not in busy and actor.trace.rule in ("subject-of-action", "heading-role") and len(draft.actors) > 1:
            del draft.actors[words]


def _spread_own(draft: Draft) -> None:
    """A role that sees only its own records when listing or reading sees and changes only its own."""
    for entity in draft.entities:
        listed = [
            item
            for item in draft.operations
            if item.entity == entity and item.kind in (OperationKind.LIST, OperationKind.READ)
        ]
        own = {actor for item in listed for actor in item.own - item.foreign}
        for item in listed:
            if item.assumed:
                item.own |= own & set(item.actors)
        seen = {actor for actor in own if all(actor not in item.foreign for item in listed)}
        for item in draft.operations:
            if item.entity == entity and item.kind not in (OperationKind.CREATE, *(other.kind for other in listed)):
                item.own |= seen & set(item.actors)
                item.foreign -= seen


def _reaches(draft: Draft, entity: str, person: str | None) -> bool:
    if person is None:
        return False
    seen: set[str] = set()
    front = [entity]
    while front:
        current = front.pop()
        if current == person:
            return True
        seen.add(current)
        front.extend(
            relation.target
            for relation in draft.relations_of(current)
            if relation.kind.value != "many-to-many" and relation.target not in seen
        )
    return False


def _derive_stories(draft: Draft) -> None:
    number = len(draft.stories)
    for operation in draft.operations:
        if operation.stories or operation.assumed or not operation.actors:
            continue
        number += 1
        actor = operation.actors[0]
        words = operation.noun if operation.noun and operation.kind is OperationKind.CREATE else operation.entity
        several = operation.kind is OperationKind.LIST
        article = "an" if words[0] in "aeiou" else "a"
        said = f"{operation.verb} {operation.preposition}".strip()
        goal = f"{said} {collection(words) if several else f'{article} {words}'}"
        if operation.verb.startswith("mark "):
            goal = f"mark {article} {words} as {operation.verb[5:]}"
        trace = operation.trace.model_copy(update={"rule": "derived-story", "confidence": 0.6})
        draft.stories.append(StoryDraft(f"US-{number}", actor, goal, None, trace, derived=True))
        operation.stories.append(f"US-{number}")
