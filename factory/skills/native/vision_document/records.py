"""Records that deeds leave, and the people they belong to: the loan of a borrowed book."""

import re

from factory.domain.product import FieldType, RelationKind, Trace
from factory.skills.native.language.clauses import Clause
from factory.skills.native.language.lexicon import (
    BOOKED_THINGS,
    DEED_NOUNS,
    STAFF_ROLES,
    STRONG_DEEDS,
    is_person,
)
from factory.skills.native.language.words import singular, third_person
from factory.skills.native.vision_document.deeds import actors_of, leaves_record
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, RelationDraft
from factory.skills.native.vision_document.field_types import default_bounds
from factory.skills.native.vision_document.readings import Statement

_RESOURCES = frozenset(
    """room desk table court car bike bicycle boat seat spot space equipment tool machine van vehicle facility hall
    studio class course workshop event pitch field lane locker bed cabin tent lab instrument laptop projector
    book parking charger station house apartment flat property workspace booth stand stage kitchen oven
    scooter truck trailer shift activity screening show""".split()
)


# Fields of a record that a deed leaves behind, where the vision gives it none.
_RECORD_FIELDS: dict[str, tuple[tuple[str, FieldType, bool], ...]] = {
    "loan": (("borrowed on", FieldType.DATE, True), ("due date", FieldType.DATE, True)),
    "rental": (("start date", FieldType.DATE, True), ("end date", FieldType.DATE, True)),
    "lease": (("start date", FieldType.DATE, True), ("end date", FieldType.DATE, True)),
    "reservation": (("reserved for", FieldType.DATETIME, True),),
    "booking": (("booked for", FieldType.DATETIME, True),),
    "enrollment": (("enrolled on", FieldType.DATE, True),),
    "enrolment": (("enrolled on", FieldType.DATE, True),),
    "registration": (("registered on", FieldType.DATE, True),),
    "application": (("submitted on", FieldType.DATE, True),),
    "subscription": (("start date", FieldType.DATE, True),),
    "donation": (("amount", FieldType.MONEY, True), ("donated on", FieldType.DATE, True)),
    "bid": (("amount", FieldType.MONEY, True),),
    "rating": (("stars", FieldType.INTEGER, True),),
    "score": (("points", FieldType.INTEGER, True),),
    "review": (("stars", FieldType.INTEGER, True), ("text", FieldType.RICH_TEXT, False)),
    "comment": (("text", FieldType.RICH_TEXT, True),),
    "message": (("text", FieldType.RICH_TEXT, True),),
    "note": (("text", FieldType.RICH_TEXT, True),),
    "payment": (("amount", FieldType.MONEY, True), ("paid on", FieldType.DATE, True)),
    "order": (("ordered on", FieldType.DATE, True),),
    "appointment": (("start time", FieldType.DATETIME, True),),
    "meeting": (("start time", FieldType.DATETIME, True),),
    "visit": (("start time", FieldType.DATETIME, True),),
    "viewing": (("start time", FieldType.DATETIME, True),),
    "session": (("start time", FieldType.DATETIME, True),),
    "lesson": (("start time", FieldType.DATETIME, True),),
    "shift": (("start time", FieldType.DATETIME, True), ("end time", FieldType.DATETIME, True)),
    "vote": (("cast on", FieldType.DATE, True),),
    "invoice": (
        ("number", FieldType.TEXT, True),
        ("amount", FieldType.MONEY, True),
        ("due date", FieldType.DATE, True),
    ),
    "expense": (("description", FieldType.TEXT, True), ("amount", FieldType.MONEY, True)),
    "pledge": (("amount", FieldType.MONEY, True),),
    "fine": (("amount", FieldType.MONEY, True),),
    "reading": (("value", FieldType.DECIMAL, True), ("measured at", FieldType.DATETIME, True)),
    "measurement": (("value", FieldType.DECIMAL, True), ("measured at", FieldType.DATETIME, True)),
}


_FOR_SELF = frozenset(
    """report request submit apply order book post place reserve donate propose file ask bid upload borrow rent
    enroll enrol subscribe publish write buy purchase save""".split()
) | {"sign up"}


def add_records_of_deeds(draft: Draft, statement: Statement) -> None:
    """Add the loan that borrowing leaves, the enrollment that enrolling leaves, and so on."""
    for clause in statement.clauses:
        nouns = DEED_NOUNS.get(clause.verb)
        if nouns is None or clause.negated:
            continue
        actors, _ = actors_of(draft, statement, clause)
        direct = next(
            (found for phrase in clause.objects if (found := draft.find_within(phrase.name)) is not None), None
        )
        reached = next(
            (
                found
                for word, phrase in clause.prepositions
                if word in ("for", "in", "to", "on", "at") and (found := draft.find_within(phrase.name)) is not None
            ),
            None,
        )
        thing = (
            direct
            if clause.verb
            in ("borrow", "lend", "rent", "reserve", "book", "rate", "score", "buy", "purchase", "order", "request")
            else None
        )
        if clause.verb in (
            "enroll",
            "enrol",
            "sign up",
            "apply",
            "register",
            "subscribe",
            "bid",
            "join",
            "volunteer",
            "vote",
            "comment",
            "donate",
            "rsvp",
        ):
            thing = (
                reached
                if not clause.objects or (direct is not None and is_person(direct.words))
                else (direct if clause.verb == "join" else None)
            )
        if thing is None or is_person(thing.words):
            continue
        head = thing.words.rsplit(" ", 1)[-1]
        existing = next(
            (found for noun in nouns if (found := draft.find(noun)) is not None and found.words != thing.words), None
        )
        if clause.verb == "book" and existing is None and (head in BOOKED_THINGS or head not in _RESOURCES):
            continue
        weak = clause.verb not in STRONG_DEEDS | {"book", "rate", "score", "comment", "vote", "volunteer", "rsvp"}
        if existing is None and weak:
            continue
        trace = statement.trace(draft, clause.start, clause.end, "deed-leaves-record", 0.6)
        record = existing or _add_record(draft, nouns[0], thing, clause.verb, trace)
        _add_range(draft, statement, record)
        draft.relate(RelationDraft(record.words, thing.words, RelationKind.MANY_TO_ONE, trace))
        if direct is not None and direct is not thing and is_person(direct.words):
            draft.relate(RelationDraft(record.words, direct.words, RelationKind.MANY_TO_ONE, trace))
        elif actors and not _handed(draft, clause, record, trace):  # noqa: SIM102 - the two questions are apart
            if actors[0].rsplit(" ", 1)[-1] not in STAFF_ROLES:
                person = person_entity(draft, actors[0], trace, f"a {record.words} belongs to somebody")
                draft.relate(RelationDraft(record.words, person.words, RelationKind.MANY_TO_ONE, trace))


def _add_range(draft: Draft, statement: Statement, record: EntityDraft) -> None:
    """Give a score the bounds that the sentence names: "score applications from 1 to 10"."""
    bounds = re.search(r"(?:from|between) (\d+) (?:to|and) (\d+)", statement.text)
    if bounds is None or record.words != "score":
        return
    limits: dict[str, int | float | str | bool] = {"minimum": int(bounds.group(1)), "maximum": int(bounds.group(2))}
    trace = statement.trace(draft, *bounds.span(), "range", 0.8)
    record.add(FieldDraft("points", FieldType.INTEGER, trace, constraints=limits))


def _handed(draft: Draft, clause: Clause, record: EntityDraft, trace: Trace) -> bool:
    """Relate a record to the person it is made for: "lend a book to a member"."""
    for word, phrase in clause.prepositions:
        person = draft.actor(singular(phrase.name))
        if word in ("to", "for") and (person is not None or is_person(singular(phrase.name))):
            entity = person_entity(
                draft,
                person.words if person else singular(phrase.name),
                trace,
                f"a {record.words} is made for somebody",
            )
            draft.relate(RelationDraft(record.words, entity.words, RelationKind.MANY_TO_ONE, trace))
            return True
    return False


def _add_record(draft: Draft, noun: str, thing: EntityDraft, verb: str, trace: Trace) -> EntityDraft:
    made = EntityDraft(words=noun, trace=trace)
    draft.entities[noun] = made
    draft.note(
        made.name,
        f"Each time somebody {_said(verb)} {_a(thing.words)}, the product keeps {_a(noun)}.",
        (
            f"This can happen more than once to the same {thing.words}, by different people, and the vision names no "
            f"record of it."
        ),
        f'Name the record, for example "- {made.name}: date; belongs to {thing.name}".',
    )
    return made


_TOWARDS = {
    "enrol": "in",
    "enroll": "in",
    "register": "for",
    "sign up": "for",
    "apply": "for",
    "subscribe": "to",
    "bid": "on",
    "comment": "on",
    "vote": "on",
    "donate": "to",
    "volunteer": "for",
}


def _said(verb: str) -> str:
    return f"{third_person(verb)} {_TOWARDS.get(verb, '')}".strip()


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def person_entity(draft: Draft, words: str, trace: Trace, why: str) -> EntityDraft:
    """Return the entity of a person, adding it where the model has none yet."""
    known = draft.find(words)
    if known is not None:
        return known
    made = EntityDraft(words=words, trace=trace.model_copy(update={"rule": "person-of-record", "confidence": 0.6}))
    draft.entities[words] = made
    draft.note(
        made.name,
        f"{made.name} is a thing of its own, so that records can belong to one.",
        f"The vision gives it no line of its own, and {why}.",
        f'Describe it, for example "- {made.name}: name, email (unique), phone?".',
    )
    return made


def relate_own(draft: Draft, statement: Statement, *, declared: bool) -> None:  # noqa: C901 - one case after the other, in the order that decides
    """Relate a thing that somebody calls "my" to that person."""
    for clause in statement.clauses:
        actors, _ = actors_of(draft, statement, clause)
        if not actors:
            continue
        named = (*clause.objects, *(item for _, item in clause.prepositions))
        for phrase in (*named, *(item.owner for item in named if item.owner is not None)):
            entity = draft.find_within(singular(phrase.name))
            if entity is not None and not phrase.own and leaves_record(draft, clause.verb, entity):
                continue
            selfish = (
                clause.verb
                in (
                    _FOR_SELF
                    if statement.story is not None
                    else _FOR_SELF - {"upload", "write", "publish", "post", "file", "propose", "place"}
                    | ({"place"} if clause.modal else set())
                )
                and phrase in clause.objects
                and not declared
                and not any(is_person(other.name) for other in clause.targets("for", "to"))
                and actors[0].rsplit(" ", 1)[-1] not in STAFF_ROLES
            )
            if entity is None or not (phrase.own or selfish) or phrase.determiner in ("its", "our", "your"):
                continue
            for words in actors[:1]:
                if entity.words == words or (is_person(entity.words) and entity.words not in _DEPENDANTS):
                    continue
                known = draft.find(words)
                holder = _holder(draft, entity) if known is None and words.rsplit(" ", 1)[-1] in _OWNING_ROLES else None
                if holder is not None:
                    draft.actors[words].entity = holder
                    continue
                if known is not None and _near(draft, entity.words, known.words):
                    continue
                if known is None and (declared and not phrase.own):
                    continue
                trace = statement.trace(draft, phrase.start, phrase.end, "my", 0.7)
                person = person_entity(draft, words, trace, f'"{trace.text}" needs somebody it belongs to')
                draft.relate(RelationDraft(entity.words, person.words, RelationKind.MANY_TO_ONE, trace))


_DEPENDANTS = frozenset("child kid dependant dependent ward".split())
_OWNING_ROLES = frozenset(
    """owner creator author buyer seller host lender borrower renter poster uploader organiser organizer requester""".split()  # noqa: E501 - a list of words
)


def _holder(draft: Draft, entity: EntityDraft) -> str | None:
    """Return the person an entity already belongs to, for roles such as owner that name no person of their own."""
    return next(
        (
            relation.target
            for relation in draft.relations_of(entity.words)
            if relation.kind is RelationKind.MANY_TO_ONE and is_person(relation.target)
        ),
        None,
    )


def _near(draft: Draft, source: str, target: str) -> bool:
    """Tell whether to-one relations lead from one entity to another."""
    seen, front = set(), [source]
    while front:
        current = front.pop()
        if current == target:
            return True
        seen.add(current)
        front.extend(
            relation.target
            for relation in draft.relations_of(current)
            if relation.kind is not RelationKind.MANY_TO_MANY and relation.target not in seen
        )
    return False


def add_record_fields(draft: Draft, entity: EntityDraft) -> None:
    """Give a record of a deed the fields such records have, where the vision names none."""
    if any(item is not entity.status() for item in entity.fields.values()):
        return
    for words, kind, required in _RECORD_FIELDS.get(entity.words.rsplit(" ", 1)[-1], ()):
        trace = entity.trace.model_copy(update={"rule": "assumed-field", "confidence": 0.4})
        made = FieldDraft(words, kind, trace, required=required, constraints=default_bounds(kind, words))
        if words == "stars":
            made.constraints = {"minimum": 1, "maximum": 5}
        if entity.add(made):
            draft.note(
                f"{entity.name}.{made.name}",
                f'{entity.name} has the field "{words}".',
                f"The vision names no field of {entity.name}; this is what such a record usually holds.",
                f'List its fields, for example "- {entity.name}: {words}, note?".',
            )
