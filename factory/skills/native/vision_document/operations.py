"""Operations from deeds: what kind each is, who may do it, and what the vision needs besides."""

from factory.domain.product import FieldType, OperationKind
from factory.skills.native.language.lexicon import (
    ASSIGN_VERBS,
    CREATE_VERBS,
    DEED_NOUNS,
    DELETE_VERBS,
    LIST_VERBS,
    MANAGE_VERBS,
    READ_VERBS,
    RESCHEDULE_VERBS,
    UPDATE_VERBS,
    WEAK_CREATE_VERBS,
)
from factory.skills.native.language.names import snake_name
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
    verb = deed.verb
    lifecycle = draft.lifecycles.get(entity.words)
    if deed.state is None and _record_of_deed(draft, deed, entity):
        return
    if (
        verb in ASSIGN_VERBS
        and deed.related
        and not (lifecycle is not None and leads_to(verb, lifecycle.states))
        and assign_relation(draft, deed, entity)
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
            put_operation(draft, OperationKind.TRANSITION, step.verb, entity.words, deed, transition=step.name)
            return
        if target == lifecycle.initial and verb not in READ_VERBS:
            put_operation(draft, OperationKind.CREATE, verb, entity.words, deed)
            return
    if verb == "join" and join_group(draft, deed, entity):
        return
    links = [
        word
        for preposition, word in deed.related
        if preposition in ("to", "into", "from") and draft.link(entity.words, word) is not None
    ]
    if verb in RESCHEDULE_VERBS | {"transfer", "switch", "relocate"} and links:
        change_link(draft, deed, entity, links[0])
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
            put_operation(draft, OperationKind.CHANGE, verb, entity.words, deed).fields = list(moved)
        return
    if verb in ASSIGN_VERBS and assign_relation(draft, deed, entity):
        return
    if verb in _RATING:
        aspects = list(deed.aspects) or [name for name in _ASPECT_OF_VERB.get(verb, ()) if name in entity.fields][:1]
        if aspects:
            put_operation(draft, OperationKind.CHANGE, verb, entity.words, deed).fields = aspects
        return
    if verb in READ_VERBS and not (verb == "list" and (not deed.plural or _offers(draft, deed))):
        listed = deed.plural or verb in LIST_VERBS
        put_operation(draft, OperationKind.LIST if listed else OperationKind.READ, verb, entity.words, deed)
    elif verb in MANAGE_VERBS:
        for kind, word in (
            (OperationKind.CREATE, "create"),
            (OperationKind.LIST, "list"),
            (OperationKind.READ, "view"),
            (OperationKind.UPDATE, "update"),
        ):
            put_operation(draft, kind, word, entity.words, deed)
    elif verb in UPDATE_VERBS:
        if deed.aspects and len(deed.aspects) < len(entity.fields) and verb in ("change", "set", "adjust", "correct"):
            put_operation(
                draft,
                OperationKind.CHANGE,
                f"{verb} {' and '.join(aspect.replace('_', ' ') for aspect in deed.aspects)}",
                entity.words,
                deed,
            ).fields = list(deed.aspects)
        else:
            put_operation(draft, OperationKind.UPDATE, verb, entity.words, deed)
    elif verb in DELETE_VERBS:
        put_operation(draft, OperationKind.DELETE, verb, entity.words, deed)
    elif deed.aspects and verb in CREATE_VERBS:
        settable = list(deed.aspects)
        put_operation(
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
            put_operation(draft, OperationKind.CREATE, verb, entity.words, deed)


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
