"""Operations from deeds: what kind each is, who may do it, and what the vision needs besides."""

from factory.domain.product import FieldType, OperationKind
from factory.skills.native.language.lexicon import (
    ASSIGN_VERBS,
    CREATE_VERBS,
    DEED_NOUNS,
    DELETE_VERBS,
    LIST_VERBS,
    MANAGE_VERBS,
    MOVING_VERBS,
    READ_VERBS,
    RESCHEDULE_VERBS,
    UPDATE_VERBS,
    WEAK_CREATE_VERBS,
)
from factory.skills.native.language.names import snake_name
from factory.skills.native.language.words import participle
from factory.skills.native.vision_document.assignments import assign_relation, change_link, join_group, put_operation
from factory.skills.native.vision_document.deeds import leads_to, leaves_record
from factory.skills.native.vision_document.draft import (
    Deed,
    Draft,
    EntityDraft,
)
from factory.skills.native.vision_document.upkeep import complete_operations

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


def build_operations(draft: Draft) -> None:
    """Turn deeds into operations, then add what makes them usable."""
    for deed in draft.deeds:
        _from_deed(draft, deed, draft.entities[deed.entity])
    for entity in draft.entities.values():
        lifecycle = draft.lifecycles.get(entity.words)
        for step in lifecycle.transitions.values() if lifecycle else ():
            if step.assumed:
                made = put_operation(
                    draft, OperationKind.TRANSITION, step.verb, entity.words, step, transition=step.name
                )
                made.assumed = True
    for entity in draft.entities.values():
        complete_operations(draft, entity)


def _from_deed(draft: Draft, deed: Deed, entity: EntityDraft) -> None:
    """Let the first rule that fits a deed make its operation."""
    rules = (_as_record, _as_assignment, _as_transition, _as_move, _as_aspect, _as_reading, _as_making)
    any(rule(draft, deed, entity) for rule in rules)


def _as_record(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    return deed.state is None and _record_of_deed(draft, deed, entity)


def _as_assignment(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Set a relation, unless the verb names a state of the thing ("assigned")."""
    lifecycle = draft.lifecycles.get(entity.words)
    moves = lifecycle is not None and leads_to(deed.verb, lifecycle.states) is not None
    return deed.verb in ASSIGN_VERBS and bool(deed.related) and not moves and assign_relation(draft, deed, entity)


def _as_transition(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Change the state; a verb that leads to the first state makes the thing."""
    lifecycle = draft.lifecycles.get(entity.words)
    if lifecycle is None or (deed.aspects and deed.state is None):
        return False
    target = leads_to(deed.verb, lifecycle.states, deed.state)
    fitting = [step for step in lifecycle.transitions.values() if step.target == target]
    step = next((step for step in fitting if step.verb == deed.verb or step.verb.startswith("mark ")), None)
    named = lifecycle.transitions.get(snake_name(deed.verb, "to"))
    step = named if named is not None and (deed.state is None or named.target == deed.state) else step
    if step is not None:
        put_operation(draft, OperationKind.TRANSITION, step.verb, entity.words, deed, transition=step.name)
    elif target == lifecycle.initial and deed.verb not in READ_VERBS:
        put_operation(draft, OperationKind.CREATE, deed.verb, entity.words, deed)
    else:
        return False
    return True


def _as_move(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Move in time ("reschedule", "renew") or to another thing ("move a session to another room")."""
    if deed.verb == "join" and join_group(draft, deed, entity):
        return True
    near = [word for preposition, word in deed.related if preposition in ("to", "into", "from")]
    links = [word for word in near if draft.link(entity.words, word) is not None]
    if links and deed.verb in MOVING_VERBS:
        change_link(draft, deed, entity, links[0])
        return True
    if deed.verb in RESCHEDULE_VERBS:
        moved = list(deed.aspects) or _times(deed.verb, entity)
        if moved:
            put_operation(draft, OperationKind.CHANGE, deed.verb, entity.words, deed).fields = moved
        return True
    return deed.verb in ASSIGN_VERBS and assign_relation(draft, deed, entity)


def _times(verb: str, entity: EntityDraft) -> list[str]:
    """Return the fields that a change of time sets; a renewal sets the end alone."""
    times = [
        item.name for item in entity.fields.values() if item.type in _TIMES and not _MOMENTS & set(item.name.split("_"))
    ]
    if verb not in ("renew", "extend", "prolong"):
        return times
    ends = ("end", "due", "until", "expir", "return", "valid")
    return [name for name in times if any(word in name for word in ends)] or times[-1:]


def _as_aspect(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Set the fields the text names: "rate a talk", "change the price of a product", "record the mileage"."""
    verb, aspects = deed.verb, list(deed.aspects)
    flag = entity.fields.get(snake_name(participle(verb)))
    if flag is not None and flag.type is FieldType.BOOLEAN:
        put_operation(draft, OperationKind.CHANGE, verb, entity.words, deed).fields = [flag.name]
        return True
    if verb in _RATING:
        aspects = aspects or [name for name in _ASPECT_OF_VERB.get(verb, ()) if name in entity.fields][:1]
        if aspects:
            put_operation(draft, OperationKind.CHANGE, verb, entity.words, deed).fields = aspects
        return True
    changing = verb in ("change", "set", "adjust", "correct") and len(aspects) < len(entity.fields)
    recording = verb in CREATE_VERBS - UPDATE_VERBS - READ_VERBS - MANAGE_VERBS - DELETE_VERBS
    if not aspects or not (changing or recording):
        return False
    said = f"{verb} {' and '.join(aspect.replace('_', ' ') for aspect in aspects)}"
    put_operation(draft, OperationKind.CHANGE, said, entity.words, deed).fields = aspects
    return True


def _as_reading(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    verb = deed.verb
    if verb not in READ_VERBS or (verb == "list" and (not deed.plural or _offers(draft, deed))):
        return False
    listed = deed.plural or verb in LIST_VERBS
    put_operation(draft, OperationKind.LIST if listed else OperationKind.READ, verb, entity.words, deed)
    return True


def _as_making(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    verb = deed.verb
    if verb in MANAGE_VERBS:
        for kind, word in _MANAGING:
            put_operation(draft, kind, word, entity.words, deed)
    elif verb in UPDATE_VERBS:
        put_operation(draft, OperationKind.UPDATE, verb, entity.words, deed)
    elif verb in DELETE_VERBS:
        put_operation(draft, OperationKind.DELETE, verb, entity.words, deed)
    elif verb in CREATE_VERBS and not deed.preposition and (verb not in WEAK_CREATE_VERBS or not _made(draft, entity)):
        put_operation(draft, OperationKind.CREATE, verb, entity.words, deed)
    else:
        return False
    return True


_MANAGING = (
    (OperationKind.CREATE, "create"),
    (OperationKind.LIST, "list"),
    (OperationKind.READ, "view"),
    (OperationKind.UPDATE, "update"),
)


def _made(draft: Draft, entity: EntityDraft) -> bool:
    """Tell whether a plain verb of making is said of the thing, so that "send" and the like make none."""
    return any(
        other.verb in CREATE_VERBS - WEAK_CREATE_VERBS and not leaves_record(draft, other.verb, entity)
        for other in draft.deeds
        if other.entity == entity.words
    )


def _record_of_deed(draft: Draft, deed: Deed, entity: EntityDraft) -> bool:
    """Turn "borrow a book" into the creation of a loan, where the model has loans of books."""
    for noun in DEED_NOUNS.get(deed.verb, ()):
        record = draft.find(noun)
        if record is not None and record.words != entity.words and draft.link(record.words, entity.words) is not None:
            if deed.verb in ("pay", "deliver", "inspect", "invite", "visit") and deed.own:
                continue
            put_operation(
                draft, OperationKind.CREATE, deed.verb, record.words, deed, noun=entity.words
            ).preposition = deed.preposition
            return True
    return False


def _offers(draft: Draft, deed: Deed) -> bool:
    """Tell whether "agents list properties" puts them on offer: others look for them, and nobody else makes them."""
    others = [other for other in draft.deeds if other.entity == deed.entity and other is not deed]
    sought = any(other.verb in READ_VERBS and not set(other.actors) & set(deed.actors) for other in others)
    return sought and not any(other.verb in CREATE_VERBS - LIST_VERBS for other in others)
