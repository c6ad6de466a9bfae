"""Operations that set a relation: assigning, joining, moving to another place."""

from dataclasses import replace

from factory.domain.product import OperationKind, RelationKind
from factory.skills.native.language.lexicon import (
    STAFF_ROLES,
)
from factory.skills.native.vision_document.draft import (
    Deed,
    Draft,
    EntityDraft,
    OperationDraft,
    RelationDraft,
    TransitionDraft,
)

_WHOLE = (OperationKind.CREATE, OperationKind.READ, OperationKind.LIST, OperationKind.UPDATE, OperationKind.DELETE)


def put_operation(
    draft: Draft,
    kind: OperationKind,
    verb: str,
    entity: str,
    origin: "Deed | TransitionDraft",
    *,
    transition: str | None = None,
    noun: str | None = None,
) -> OperationDraft:
    """Add an operation, or join its actors and stories to the one that is there."""
    for known in draft.operations:
        same = known.kind is kind and known.entity == entity
        if same and (
            kind in _WHOLE
            or (kind is OperationKind.TRANSITION and known.transition == transition)
            or (kind is OperationKind.CHANGE and known.verb == verb)
        ):
            _merge(known, origin)
            return known
    trace = origin.trace
    made = OperationDraft(kind, verb, entity, trace, transition=transition, noun=noun)
    _merge(made, origin)
    draft.operations.append(made)
    return made


def _merge(made: OperationDraft, origin: "Deed | TransitionDraft") -> None:
    if not isinstance(origin, Deed):
        return
    made.assumed = False
    for actor in origin.actors:
        if actor not in made.actors:
            made.actors.append(actor)
        (made.own if origin.own else made.foreign).add(actor)
    if origin.story and origin.story not in made.stories:
        made.stories.append(origin.story)


def join_group(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Set the relation of the person's own record: "participants join teams"."""
    for words in deed.actors:
        person = draft.actors[words].entity
        link = draft.link(person, entity.words) if person else None
        if person and link is not None:
            mine = replace(deed, own=True, entity=person)
            put_operation(draft, OperationKind.CHANGE, deed.verb, person, mine, noun=entity.words).relations = [
                link.name
            ]
            return True
    return False


def movers(draft: Draft, entity: str) -> list[str]:
    """Return the roles that change an entity's records, not only their own; else the main role."""
    own = {
        actor
        for operation in draft.operations
        if operation.entity == entity
        for actor in operation.own - operation.foreign
    }
    moving = (OperationKind.UPDATE, OperationKind.CHANGE, OperationKind.TRANSITION, OperationKind.DELETE)
    for kinds in (moving, (OperationKind.CREATE,)):
        changing = [
            role
            for operation in draft.operations
            if operation.entity == entity and operation.kind in kinds
            for role in operation.actors
            if role not in own
        ]
        if changing:
            return list(dict.fromkeys(changing))
    return [main_actor(draft)]


def assign_relation(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Set the relation that an assignment names: "assign a driver to a delivery", "assign a ticket to an agent"."""
    others = [words for preposition, words in deed.related if preposition in ("to", "with", "for", "into")]
    pairs = [(entity.words, other) for other in others] + [(other, entity.words) for other in others]
    for source, target in pairs:
        link = draft.link(source, target)
        if link is not None:
            put_operation(draft, OperationKind.CHANGE, deed.verb, source, deed, noun=target).relations = [link.name]
            return True
    if pairs:
        source, target = pairs[0] if draft.actor(others[0]) is not None else pairs[-1]
        draft.relate(
            RelationDraft(
                source,
                target,
                RelationKind.MANY_TO_ONE,
                deed.trace.model_copy(update={"rule": "assign-to", "confidence": 0.7}),
                required=False,
            )
        )
        link = draft.link(source, target)
        if link is not None:
            put_operation(draft, OperationKind.CHANGE, deed.verb, source, deed, noun=target).relations = [link.name]
            return True
    mine = [draft.link(entity.words, actor.entity) for words in deed.actors if (actor := draft.actors[words]).entity]
    if deed.verb in ("claim", "pick up", "take on") and mine and mine[0] is not None:
        put_operation(draft, OperationKind.CHANGE, deed.verb, entity.words, deed).relations = [mine[0].name]
        return True
    for relation in draft.relations:
        if relation.target == entity.words and not relation.required and relation.kind is RelationKind.MANY_TO_ONE:
            put_operation(
                draft, OperationKind.CHANGE, deed.verb, relation.source, deed, noun=entity.words
            ).relations = [relation.name]
            return True
    free = [
        relation.name
        for relation in draft.relations_of(entity.words)
        if not relation.required and relation.kind is RelationKind.MANY_TO_ONE
    ]
    if free and deed.verb in ("assign", "reassign", "allocate"):
        put_operation(draft, OperationKind.CHANGE, deed.verb, entity.words, deed).relations = free[:1]
        return True
    return False


def change_link(draft: Draft, deed: Deed, entity: EntityDraft, other: str) -> None:
    """Set a relation to another thing: "move a session to another room"."""
    link = draft.link(entity.words, other)
    if link is not None:
        put_operation(draft, OperationKind.CHANGE, deed.verb, entity.words, deed, noun=other).relations = [link.name]


def main_actor(draft: Draft) -> str:
    """Return the role that runs the product: an administrator or manager by name, else the busiest one."""
    counts = {words: sum(words in operation.actors for operation in draft.operations) for words in draft.actors}
    own = {words for operation in draft.operations for words in operation.own}
    staff = [words for words in draft.actors if words not in own and words.split(" ")[-1] in STAFF_ROLES]
    pool = staff or [words for words in draft.actors if words not in own] or list(draft.actors)
    return max(pool, key=lambda words: (counts.get(words, 0), -list(draft.actors).index(words)))
