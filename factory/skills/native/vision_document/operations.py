"""Operations from deeds: what kind each is, who may do it, and what the vision needs besides."""

from dataclasses import replace

from factory.domain.product import FieldType, OperationKind, RelationKind
from factory.skills.native.language.lexicon import (
    ASSIGN_VERBS,
    CREATE_VERBS,
    DEED_NOUNS,
    DELETE_VERBS,
    LIST_VERBS,
    MANAGE_VERBS,
    READ_VERBS,
    RESCHEDULE_VERBS,
    STAFF_ROLES,
    UPDATE_VERBS,
    WEAK_CREATE_VERBS,
)
from factory.skills.native.language.names import snake_name
from factory.skills.native.language.words import plural
from factory.skills.native.vision_document.deeds import leads_to, leaves_record
from factory.skills.native.vision_document.draft import (
    Deed,
    Draft,
    EntityDraft,
    OperationDraft,
    RelationDraft,
    TransitionDraft,
)

_TIMES = (FieldType.DATETIME, FieldType.DATE, FieldType.TIME)
_MOMENTS = frozenset(
    {"created", "submitted", "issued", "reported", "booked", "recorded", "cancelled", "returned", "paid"}
)
_RATING = frozenset(
    {
        "rate",
        "score",
        "grade",
        "rank",
        "price",
        "describe",
        "rename",
        "name",
        "label",
        "tag",
        "categorise",
        "categorize",
        "prioritise",
        "prioritize",
        "diagnose",
        "comment",
        "annotate",
        "weigh",
        "measure",
    }
)
_ASPECT_OF_VERB = {
    "rate": ("rating", "stars", "score"),
    "score": ("score", "points", "rating"),
    "grade": ("grade", "mark", "score"),
    "rank": ("rank", "ranking"),
    "price": ("price",),
    "rename": ("name", "title"),
    "prioritise": ("priority",),
    "prioritize": ("priority",),
    "tag": ("tags",),
    "categorise": ("category",),
    "categorize": ("category",),
    "weigh": ("weight",),
    "annotate": ("note", "notes", "annotation"),
    "comment": ("comment", "comments", "note", "notes"),
    "diagnose": ("diagnosis",),
}
_WHOLE = (OperationKind.CREATE, OperationKind.READ, OperationKind.LIST, OperationKind.UPDATE, OperationKind.DELETE)


def build_operations(draft: Draft) -> None:
    """Turn deeds into operations, then add what makes them usable."""
    for deed in draft.deeds:
        _from_deed(draft, deed, draft.entities[deed.entity])
    for entity in draft.entities.values():
        lifecycle = draft.lifecycles.get(entity.words)
        for step in lifecycle.transitions.values() if lifecycle else ():
            if step.assumed:
                made = _put(draft, OperationKind.TRANSITION, step.verb, entity.words, step, transition=step.name)
                made.assumed = True
    for entity in draft.entities.values():
        _complete(draft, entity)


def _put(
    draft: Draft,
    kind: OperationKind,
    verb: str,
    entity: str,
    origin: "Deed | TransitionDraft",
    *,
    transition: str | None = None,
    noun: str | None = None,
) -> OperationDraft:
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


def _from_deed(draft: Draft, deed: Deed, entity: EntityDraft) -> None:
    verb = deed.verb
    lifecycle = draft.lifecycles.get(entity.words)
    if deed.state is None and _record_of_deed(draft, deed, entity):
        return
    if (
        verb in ASSIGN_VERBS
        and deed.related
        and not (lifecycle is not None and leads_to(verb, lifecycle.states))
        and _assign(draft, deed, entity)
    ):
        return
    if lifecycle is not None:
        target = leads_to(verb, lifecycle.states, deed.state)
        step = next(
            (
                item
                for item in lifecycle.transitions.values()
                if item.target == target and (item.verb == verb or item.verb.startswith("mark "))
            ),
            None,
        )
        by_name = lifecycle.transitions.get(snake_name(verb, "to"))
        step = by_name if by_name is not None and (deed.state is None or by_name.target == deed.state) else step
        if step is not None:
            _put(draft, OperationKind.TRANSITION, step.verb, entity.words, deed, transition=step.name)
            return
        if target == lifecycle.initial and verb not in READ_VERBS:
            _put(draft, OperationKind.CREATE, verb, entity.words, deed)
            return
    if verb == "join" and _join(draft, deed, entity):
        return
    links = [
        word
        for preposition, word in deed.related
        if preposition in ("to", "into", "from") and draft.link(entity.words, word) is not None
    ]
    if verb in RESCHEDULE_VERBS | {"transfer", "switch", "relocate"} and links:
        _change_link(draft, deed, entity, links[0])
        return
    if verb in RESCHEDULE_VERBS:
        times = [
            item.name
            for item in entity.fields.values()
            if item.type in _TIMES and not _MOMENTS & set(item.name.split("_"))
        ]
        if verb in ("renew", "extend", "prolong"):
            late = [
                name
                for name in times
                if any(word in name for word in ("end", "due", "until", "expir", "return", "valid"))
            ]
            times = late or times[-1:]
        moved = deed.aspects or tuple(times)
        if moved:
            _put(draft, OperationKind.CHANGE, verb, entity.words, deed).fields = list(moved)
        return
    if verb in ASSIGN_VERBS and _assign(draft, deed, entity):
        return
    if verb in _RATING:
        aspects = list(deed.aspects) or [name for name in _ASPECT_OF_VERB.get(verb, ()) if name in entity.fields][:1]
        if aspects:
            _put(draft, OperationKind.CHANGE, verb, entity.words, deed).fields = aspects
        return
    if verb in READ_VERBS and not (verb == "list" and (not deed.plural or _offers(draft, deed))):
        listed = deed.plural or verb in LIST_VERBS
        _put(draft, OperationKind.LIST if listed else OperationKind.READ, verb, entity.words, deed)
    elif verb in MANAGE_VERBS:
        for kind, word in (
            (OperationKind.CREATE, "create"),
            (OperationKind.LIST, "list"),
            (OperationKind.READ, "view"),
            (OperationKind.UPDATE, "update"),
        ):
            _put(draft, kind, word, entity.words, deed)
    elif verb in UPDATE_VERBS:
        if deed.aspects and len(deed.aspects) < len(entity.fields) and verb in ("change", "set", "adjust", "correct"):
            _put(
                draft,
                OperationKind.CHANGE,
                f"{verb} {' and '.join(aspect.replace('_', ' ') for aspect in deed.aspects)}",
                entity.words,
                deed,
            ).fields = list(deed.aspects)
        else:
            _put(draft, OperationKind.UPDATE, verb, entity.words, deed)
    elif verb in DELETE_VERBS:
        _put(draft, OperationKind.DELETE, verb, entity.words, deed)
    elif deed.aspects and verb in CREATE_VERBS:
        settable = list(deed.aspects)
        _put(
            draft,
            OperationKind.CHANGE,
            f"{verb} {' and '.join(name.replace('_', ' ') for name in settable)}",
            entity.words,
            deed,
        ).fields = settable
    elif verb in CREATE_VERBS:
        made = {
            other.verb
            for other in draft.deeds
            if other.entity == entity.words
            and other.verb in CREATE_VERBS - WEAK_CREATE_VERBS
            and not leaves_record(draft, other.verb, entity)
        }
        if not deed.preposition and (verb not in WEAK_CREATE_VERBS or not made):
            _put(draft, OperationKind.CREATE, verb, entity.words, deed)


def _record_of_deed(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Turn "borrow a book" into the creation of a loan, where the model has loans of books."""
    for noun in DEED_NOUNS.get(deed.verb, ()):
        record = draft.find(noun)
        if record is not None and record.words != entity.words and draft.link(record.words, entity.words) is not None:
            if deed.verb in ("pay", "deliver", "inspect", "invite", "visit") and deed.own:
                continue
            _put(
                draft, OperationKind.CREATE, deed.verb, record.words, deed, noun=entity.words
            ).preposition = deed.preposition
            return True
    return False


def _join(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Set the relation of the person's own record: "participants join teams"."""
    for words in deed.actors:
        person = draft.actors[words].entity
        link = draft.link(person, entity.words) if person else None
        if person and link is not None:
            mine = replace(deed, own=True, entity=person)
            _put(draft, OperationKind.CHANGE, deed.verb, person, mine, noun=entity.words).relations = [link.name]
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
    changing = [
        role
        for operation in draft.operations
        if operation.entity == entity and operation.kind not in (OperationKind.LIST, OperationKind.READ)
        for role in operation.actors
        if role not in own
    ]
    return list(dict.fromkeys(changing)) or [main_actor(draft)]


def _assign(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Set the relation that an assignment names: "assign a driver to a delivery", "assign a ticket to an agent"."""
    others = [words for preposition, words in deed.related if preposition in ("to", "with", "for", "into")]
    pairs = [(entity.words, other) for other in others] + [(other, entity.words) for other in others]
    for source, target in pairs:
        link = draft.link(source, target)
        if link is not None:
            _put(draft, OperationKind.CHANGE, deed.verb, source, deed, noun=target).relations = [link.name]
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
            _put(draft, OperationKind.CHANGE, deed.verb, source, deed, noun=target).relations = [link.name]
            return True
    mine = [draft.link(entity.words, actor.entity) for words in deed.actors if (actor := draft.actors[words]).entity]
    if deed.verb in ("claim", "pick up", "take on") and mine and mine[0] is not None:
        _put(draft, OperationKind.CHANGE, deed.verb, entity.words, deed).relations = [mine[0].name]
        return True
    for relation in draft.relations:
        if relation.target == entity.words and not relation.required and relation.kind is RelationKind.MANY_TO_ONE:
            _put(draft, OperationKind.CHANGE, deed.verb, relation.source, deed, noun=entity.words).relations = [
                relation.name
            ]
            return True
    free = [
        relation.name
        for relation in draft.relations_of(entity.words)
        if not relation.required and relation.kind is RelationKind.MANY_TO_ONE
    ]
    if free and deed.verb in ("assign", "reassign", "allocate"):
        _put(draft, OperationKind.CHANGE, deed.verb, entity.words, deed).relations = free[:1]
        return True
    return False


def _offers(draft: Draft, deed: Deed) -> bool:
    """Tell whether "agents list properties" puts them on offer: others look for them, and nobody else makes them."""
    others = [other for other in draft.deeds if other.entity == deed.entity and other is not deed]
    sought = any(other.verb in READ_VERBS and not set(other.actors) & set(deed.actors) for other in others)
    return sought and not any(other.verb in CREATE_VERBS - LIST_VERBS for other in others)


def _change_link(draft: Draft, deed: Deed, entity: EntityDraft, other: str) -> None:
    link = draft.link(entity.words, other)
    if link is not None:
        _put(draft, OperationKind.CHANGE, deed.verb, entity.words, deed, noun=other).relations = [link.name]


def handlers(draft: Draft, entity: str) -> list[str]:
    """Return the roles that do anything with an entity, those that act on all its records first."""
    roles: list[str] = []
    for operation in draft.operations:
        if operation.entity == entity:
            roles.extend(actor for actor in operation.actors if actor not in roles)
    own = {
        actor
        for operation in draft.operations
        if operation.entity == entity
        for actor in operation.own - operation.foreign
    }
    return sorted(roles, key=lambda role: role in own)


def main_actor(draft: Draft) -> str:
    """Return the role that runs the product: an administrator or manager by name, else the busiest one."""
    counts = {words: sum(words in operation.actors for operation in draft.operations) for words in draft.actors}
    own = {words for operation in draft.operations for words in operation.own}
    staff = [words for words in draft.actors if words not in own and words.split(" ")[-1] in STAFF_ROLES]
    pool = staff or [words for words in draft.actors if words not in own] or list(draft.actors)
    return max(pool, key=lambda words: (counts.get(words, 0), -list(draft.actors).index(words)))


def _complete(draft: Draft, entity: EntityDraft) -> None:
    """Add creation, reading and listing where nobody was said to do them, for the roles that handle the thing."""
    kinds = {operation.kind for operation in draft.operations if operation.entity == entity.words}
    silent = not kinds
    keepers = _keepers(draft, entity)
    added: list[str] = []
    if OperationKind.CREATE not in kinds:
        _assume(draft, entity, OperationKind.CREATE, "create", keepers)
        added.append("create")
    for kind, verb in ((OperationKind.LIST, "list"), (OperationKind.READ, "view")):
        if kind not in kinds:
            _assume(draft, entity, kind, verb, handlers(draft, entity.words) or keepers)
            added.append(verb)
    if silent:
        _assume(draft, entity, OperationKind.UPDATE, "update", keepers)
        added.append("update")
    if not added:
        return
    verbs = added[0] if len(added) == 1 else f"{', '.join(added[:-1])} and {added[-1]}"
    who = draft.actors[keepers[0]].label.lower()
    draft.note(
        entity.name,
        f"The operations {verbs} exist for {entity.words}."
        if len(added) > 1
        else f"The operation {verbs} exists for {entity.words}.",
        (
            f"The vision says of nobody that they {' or '.join(added)} {plural(entity.words)}, and nothing "
            f"can be done with a thing that cannot be made and found."
        ),
        f'Say who does it, for example "{plural(who).capitalize()} {added[0]} {plural(entity.words)}."',
    )


def _assume(draft: Draft, entity: EntityDraft, kind: OperationKind, verb: str, actors: list[str]) -> None:
    made = OperationDraft(kind, verb, entity.words, entity.trace, list(actors), assumed=True)
    if kind in (OperationKind.LIST, OperationKind.READ):
        made.own = _owners(draft, entity) & set(actors)
    draft.operations.append(made)


def _keepers(draft: Draft, entity: EntityDraft) -> list[str]:
    """Return who looks after a thing: those who change all its records, else the main role, else its owners."""
    own = _owners(draft, entity)
    busy = (OperationKind.UPDATE, OperationKind.DELETE, OperationKind.CHANGE, OperationKind.TRANSITION)
    parents = [
        relation.target
        for relation in draft.relations_of(entity.words)
        if relation.on_delete == "cascade" and relation.kind is not RelationKind.MANY_TO_MANY
    ]
    makers = [
        role
        for operation in draft.operations
        if operation.entity in parents and operation.kind is OperationKind.CREATE
        for role in operation.actors
    ]
    if makers:
        return list(dict.fromkeys(makers))
    editing = [
        role
        for operation in draft.operations
        if operation.entity == entity.words and operation.kind in busy
        for role in operation.actors
        if role not in own
    ]
    return list(dict.fromkeys(editing))[:1] or [main_actor(draft)]


def _owners(draft: Draft, entity: EntityDraft) -> set[str]:
    return {
        actor
        for operation in draft.operations
        if operation.entity == entity.words
        for actor in operation.own - operation.foreign
    }


def open_reading(draft: Draft) -> None:
    """Let every role that handles a thing find it, and find what it must point at."""
    for entity in draft.entities.values():
        own = _owners(draft, entity)
        readers = handlers(draft, entity.words)
        for relation in draft.relations:
            makers = [
                role
                for operation in draft.operations
                if operation.entity == relation.source
                and operation.kind in (OperationKind.CREATE, OperationKind.CHANGE)
                for role in operation.actors
            ]
            if relation.target == entity.words and relation.kind is not RelationKind.MANY_TO_MANY and relation.required:
                readers += [role for role in makers if draft.actors[role].entity != entity.words]
        for operation in draft.operations:
            if operation.entity != entity.words or operation.kind not in (OperationKind.LIST, OperationKind.READ):
                continue
            added = [role for role in dict.fromkeys(readers) if role not in operation.actors]
            operation.actors.extend(added)
            operation.own |= own & set(added)
