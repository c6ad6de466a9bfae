"""Things, fields and relations that prose and stories name."""

import re

from factory.domain.product import FieldType, RelationKind, Trace
from factory.skills.native.language.clauses import Clause, Phrase
from factory.skills.native.language.lexicon import (
    ASSIGN_VERBS,
    BOOKED_THINGS,
    CREATE_VERBS,
    DEED_NOUNS,
    EVALUATIVE_ADJECTIVES,
    JOIN_NOUNS,
    KNOWN_VERBS,
    STAFF_ROLES,
    STRONG_DEEDS,
    is_person,
)
from factory.skills.native.language.names import field_name
from factory.skills.native.language.words import participle, plural, singular, state_base, third_person
from factory.skills.native.vision_document.deeds import SILENT, actors_of, leaves_record
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, RelationDraft
from factory.skills.native.vision_document.field_notes import read_field
from factory.skills.native.vision_document.field_types import default_bounds, guess_type, is_attribute, is_personal
from factory.skills.native.vision_document.nouns import choose, gather, usable
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded
from factory.skills.native.vision_document.sections import Section

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
_LINKING = ("for", "with", "to", "on", "in", "at", "from", "about", "of", "against", "under", "into")
_FOR_SELF = frozenset(
    """report request submit apply order book post place reserve donate propose file ask bid upload borrow rent
    enroll enrol subscribe publish write buy purchase save""".split()
) | {"sign up"}


def find_things(draft: Draft, statements: list[Statement]) -> None:
    """Add entities, fields and relations that prose and stories name; declared lines win over all of it."""
    declared = bool(draft.entities)
    if not declared:
        for item in choose(draft, gather(draft, statements)):
            confidence = 0.9 if item.made and item.count > 1 else 0.7
            trace = item.trace.model_copy(update={"confidence": confidence})
            made = EntityDraft(words=item.noun, trace=trace)
            if made.name:
                draft.entities[item.noun] = made
    active = [
        statement
        for statement in statements
        if statement.section not in SILENT - {Section.RELATIONS}
        and (statement.story is not None or not (is_as_is(statement.text) or is_excluded(statement.text)))
    ]
    if not declared:
        for statement in active:
            _records_of_deeds(draft, statement)
    for statement in active:
        _own(draft, statement, declared=declared)
    _states(draft, active)
    if declared:
        return
    for statement in active:
        for clause in statement.clauses:
            _structure(draft, statement, clause)
    for statement in active:
        _listed(draft, statement)
    for statement in active:
        for clause in statement.clauses:
            _links(draft, statement, clause)
    for statement in active:
        _counted(draft, statement)
    for entity in draft.entities.values():
        _record_fields(draft, entity)


def _records_of_deeds(draft: Draft, statement: Statement) -> None:
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
            in ("borrow", "lend", "rent", "reserve", "book", "rate", "buy", "purchase", "order", "request")
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
        if clause.verb == "book" and (head in BOOKED_THINGS or head not in _RESOURCES):
            continue
        existing = next(
            (found for noun in nouns if (found := draft.find(noun)) is not None and found.words != thing.words), None
        )
        weak = clause.verb not in STRONG_DEEDS | {"book", "rate", "comment", "vote", "volunteer", "rsvp"}
        if existing is None and weak:
            continue
        trace = statement.trace(draft, clause.start, clause.end, "deed-leaves-record", 0.6)
        record = existing or _add_record(draft, nouns[0], thing, clause.verb, trace)
        draft.relate(RelationDraft(record.words, thing.words, RelationKind.MANY_TO_ONE, trace))
        if direct is not None and direct is not thing and is_person(direct.words):
            draft.relate(RelationDraft(record.words, direct.words, RelationKind.MANY_TO_ONE, trace))
        elif actors and not _handed(draft, clause, record, trace):
            if actors[0].rsplit(" ", 1)[-1] not in STAFF_ROLES:
                person = person_entity(draft, actors[0], trace, f"a {record.words} belongs to somebody")
                draft.relate(RelationDraft(record.words, person.words, RelationKind.MANY_TO_ONE, trace))


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
        f"Each time somebody {third_person(verb)} a {thing.words}, the product keeps a {noun}.",
        (
            f"A {thing.words} can be {participle(verb)} more than once, by different people, and the vision "
            f"names no record of it."
        ),
        f'Name the record, for example "- {made.name}: date; belongs to {thing.name}".',
    )
    return made


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


def _own(draft: Draft, statement: Statement, *, declared: bool) -> None:
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
                if entity.words == words or is_person(entity.words):
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


_OWNING_ROLES = frozenset(
    """owner creator author buyer seller host lender borrower renter poster uploader organiser organizer requester""".split()
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


_HAVING = (
    "have",
    "include",
    "contain",
    "store",
    "keep",
    "record",
    "show",
    "carry",
    "need",
    "get",
    "list",
    "note",
    "hold",
    "capture",
    "state",
    "track",
    "specify",
    "consist",
    "comprise",
    "mention",
    "describe",
)


def _structure(draft: Draft, statement: Statement, clause: Clause) -> None:
    """Read fields and relations from "each patient has a name", "the weight of an animal", "for every plot we keep its size"."""
    base = clause.verb.split(" ")[0]
    if clause.negated:
        return
    if base == "belong":
        for subject in clause.subjects:
            for _, target in (pair for pair in clause.prepositions if pair[0] == "to"):
                _relate(draft, statement, subject, target, rule="belongs-to")
        return
    if _placed(draft, statement, clause):
        return
    if base in ("be", "assign", "link") and re.search(
        r"\b(?:part of|assigned to|linked to|owned by)\b", statement.text
    ):
        return
    subject_entities = [
        found
        for phrase in clause.subjects
        if not phrase.pronoun and (found := draft.find(singular(phrase.name))) is not None
    ]
    if base in _HAVING:
        owner: EntityDraft | None = None
        made_for = False
        if (
            base
            in (
                "have",
                "include",
                "contain",
                "carry",
                "show",
                "need",
                "get",
                "consist",
                "comprise",
                "hold",
                "state",
                "mention",
                "specify",
                "list",
            )
            and subject_entities
            and (not draft.actor(subject_entities[0].words) or base in ("have", "include"))
        ):
            owner = subject_entities[0]
        for word, phrase in clause.prepositions:
            if (
                owner is None
                and word in ("for", "about", "of", "per")
                and (found := draft.find_within(singular(phrase.name))) is not None
            ):
                owner, made_for = found, True
        parts = clause.objects if base != "consist" else clause.targets("of")
        if owner is None:
            owner = next(
                (
                    found
                    for phrase in parts
                    if phrase.owner is not None
                    and (found := draft.find_within(singular(phrase.owner.name))) is not None
                ),
                None,
            )
        if owner is not None:
            for part in parts:
                if not (made_for and draft.find(singular(part.name)) is not None):
                    _part(draft, statement, owner, part, composed=base in ("consist", "comprise"))
            return
    for phrase in clause.objects:
        _aspect(draft, statement, clause, phrase)


_PLACING = frozenset(
    """hold locate store keep park live take happen sit stand host work play stay install place house""".split()
)
_AUTHORING = frozenset("""lead teach write own run supervise manage guide make give host sponsor coach drive""".split())


def _placed(draft: Draft, statement: Statement, clause: Clause) -> bool:
    """Read "classes take place in rooms" and "each case is led by one lawyer"."""
    base = clause.verb.split(" ")[0]
    things = [
        (phrase, found)
        for phrase in (*clause.subjects, *clause.objects)
        if not phrase.pronoun and (found := draft.find(singular(phrase.name))) is not None
    ]
    if clause.passive and base in _AUTHORING and clause.objects:
        for person in clause.subjects:
            words = singular(person.name)
            made = draft.find(singular(clause.objects[0].name))
            if made is None or not is_person(words) or clause.modal:
                continue
            trace = statement.trace(draft, clause.objects[0].start, max(person.end, clause.end), "made-by", 0.8)
            target = person_entity(draft, words, trace, f"a {made.words} is {participle(base)} by one")
            draft.relate(RelationDraft(made.words, target.words, RelationKind.MANY_TO_ONE, trace, required=False))
            return True
        return False
    if base not in _PLACING or clause.modal or not things:
        return False
    phrase, source = things[0]
    if is_person(source.words) and base not in ("live", "work", "play"):
        return False
    for _, other in (pair for pair in clause.prepositions if pair[0] in ("in", "at", "on")):
        target = draft.find(singular(other.name))
        if target is not None and target is not source:
            trace = statement.trace(draft, phrase.start, max(phrase.end, other.end), "placed-in", 0.8)
            draft.relate(
                RelationDraft(source.words, target.words, RelationKind.MANY_TO_ONE, trace, required=base != "hold")
            )
            return True
    return False


def _aspect(draft: Draft, statement: Statement, clause: Clause, phrase: Phrase) -> None:
    """Read "change the price of a product", "add a note to an appointment", "a listing with a title and a price"."""
    name = singular(phrase.name)
    entity = draft.find(name)
    if entity is not None:
        doc_parts = [other for word, other in clause.prepositions if word == "with"]
        for part in doc_parts:
            if (
                draft.find(singular(part.name)) is None
                and (is_attribute(singular(part.name)) or not is_person(singular(part.name)))
                and clause.verb in CREATE_VERBS
            ):
                _part(draft, statement, entity, part, composed=False)
        for word, part in clause.prepositions:
            if (
                word == "by"
                and is_attribute(singular(part.name))
                and clause.verb in ("search", "find", "filter", "sort", "list", "browse", "look up")
            ):
                _part(draft, statement, entity, part, composed=False)
        return
    owner = draft.find_within(singular(phrase.owner.name)) if phrase.owner is not None else None
    if owner is None and is_attribute(name):
        owner = next(
            (
                found
                for word, other in clause.prepositions
                if word in ("of", "for", "to", "on") and (found := draft.find_within(singular(other.name))) is not None
            ),
            None,
        )
    if owner is not None and usable_field(name):
        _part(draft, statement, owner, phrase, composed=False)


def usable_field(name: str) -> bool:
    """Tell whether a noun by itself says what a field holds."""
    return is_attribute(name) or (usable(name) and not is_person(name) and guess_type(name).confidence > 0.5)  # noqa: PLR2004 - not a bare guess


def _part(draft: Draft, statement: Statement, owner: EntityDraft, part: Phrase, *, composed: bool) -> None:
    name = part.name if not part.pronoun else ""
    target = draft.find(singular(name)) if name else None
    trace = statement.trace(draft, part.start, part.end, "has", 0.8)
    if target is not None and target is not owner:
        personal = is_person(owner.words) and target.words.rsplit(" ", 1)[-1] in JOIN_NOUNS | _HELD
        if part.plural or composed or personal:
            _several(draft, owner, target, trace, composed=composed)
        else:
            draft.relate(
                RelationDraft(
                    owner.words,
                    target.words,
                    RelationKind.MANY_TO_ONE,
                    trace,
                    required="optional" not in part.adjectives,
                )
            )
        return
    words = " ".join(
        [*(word for word in part.adjectives if word in _TELLING or word not in EVALUATIVE_ADJECTIVES), name]
    ).strip()
    measured = re.match(r" of (?:the |its |their )?([a-z]+)", statement.text[part.end :])
    if (
        measured is not None
        and name.rsplit(" ", 1)[-1] in _MEASURES
        and (draft.find(singular(measured.group(1))) is None or name.endswith("number"))
    ):
        words = f"{words} of {measured.group(1)}"
    if not words or not re.search(r"[a-z]{2}", words) or singular(name) == owner.words:
        return
    if not usable(singular(name)) and not is_attribute(name):
        return
    if is_person(singular(name)):
        return
    _add_field(draft, statement, owner, part, words, trace)


def _add_field(draft: Draft, statement: Statement, owner: EntityDraft, part: Phrase, words: str, trace: Trace) -> None:
    """Add a field with what is said behind its name: "(small, large)", "between 1 and 5", "which is public or internal"."""
    del draft
    after = statement.original[part.end :]
    choice = re.match(
        (
            r"\s*,?\s*(?:which|that) (?:is|are|can be|may be) (?:either )?(?P<values>[a-z][\w -]*(?:, [\w "
            r"-]+)*,? or [\w -]+)(?=$|[.;,])"
        ),
        after,
    )
    if choice is not None:
        after = f" (one of {choice.group('values')})"
    noted = re.match(r"\s*(?P<notes>\([^()]{2,120}\))", after) or re.match(
        r"\s*,?\s*(?P<notes>(?:between|from) \d+ (?:and|to) \d+)", after
    )
    if noted is not None:
        notes = noted.group("notes")
        read = read_field(
            f"{words} {notes}" if notes.startswith("(") else f"{words} ({notes})",
            lambda *_: trace,
            0,
            of_person=is_person(owner.words),
        )
        if read is not None:
            owner.add(read)
            return
    guess = guess_type(words)
    made = FieldDraft(words, guess.type, trace.model_copy(update={"confidence": round(min(0.8, guess.confidence), 2)}))
    made.required = "optional" not in part.adjectives
    made.personal = is_personal(words, of_person=is_person(owner.words))
    made.constraints = default_bounds(guess.type, words)
    owner.add(made)


_MEASURES = frozenset(
    """number date time place level type amount length state proof code rate method size quantity point year country
    reason day kind""".split()
)
_HELD = frozenset(
    """account profile card wallet cart basket balance contract plan licence license permit pass""".split()
)
_TELLING = frozenset(
    """due daily opening closing starting current preferred planned scheduled original full first last total maximum
    minimum max min daily weekly monthly hourly annual short long final initial net gross unique""".split()
) - {"unique"}


def _several(draft: Draft, owner: EntityDraft, target: EntityDraft, trace: Trace, *, composed: bool) -> None:
    if draft.link(target.words, owner.words) is not None:
        return
    if is_person(target.words) and not is_person(owner.words) and not composed:
        draft.relate(RelationDraft(owner.words, target.words, RelationKind.MANY_TO_MANY, trace, required=False))
        return
    draft.relate(
        RelationDraft(
            target.words, owner.words, RelationKind.MANY_TO_ONE, trace, on_delete="cascade" if composed else ""
        )
    )


def _relate(draft: Draft, statement: Statement, source: Phrase, target: Phrase, *, rule: str) -> None:
    left, right = draft.find_within(singular(source.name)), draft.find_within(singular(target.name))
    if left is None or right is None:
        return
    trace = statement.trace(draft, min(source.start, target.start), max(source.end, target.end), rule, 0.95)
    if target.plural:
        draft.relate(RelationDraft(left.words, right.words, RelationKind.MANY_TO_MANY, trace, required=False))
    else:
        draft.relate(RelationDraft(left.words, right.words, RelationKind.MANY_TO_ONE, trace))


def _links(draft: Draft, statement: Statement, clause: Clause) -> None:
    """Relate what is made to what it is made for: "book an appointment for a patient with a doctor"."""
    if clause.negated or clause.verb in ASSIGN_VERBS:
        return
    if clause.verb not in CREATE_VERBS:
        _subject_matter(draft, statement, clause)
        return
    for phrase in clause.objects[:1]:
        source = draft.find_within(singular(phrase.name))
        if source is None:
            continue
        named = [(word, other) for word, other in clause.prepositions if word in _LINKING]
        if phrase.owner is not None:
            named.append(("of", phrase.owner))
        for word, other in named:
            target = draft.find(singular(other.name))
            if (
                target is None
                and word in ("for", "with", "to", "of")
                and (person := draft.actor(singular(other.name))) is not None
            ):
                trace = statement.trace(draft, other.start, other.end, "made-for", 0.7)
                target = person_entity(draft, person.words, trace, f"a {source.words} is made for one")
            if target is None or target is source or draft.link(target.words, source.words) is not None:
                continue
            trace = statement.trace(draft, phrase.start, max(phrase.end, other.end), "made-for", 0.7)
            if other.plural and other.number != 1:
                if draft.link(source.words, target.words) is None:
                    draft.relate(
                        RelationDraft(source.words, target.words, RelationKind.MANY_TO_MANY, trace, required=False)
                    )
            else:
                draft.relate(RelationDraft(source.words, target.words, RelationKind.MANY_TO_ONE, trace))


def _subject_matter(draft: Draft, statement: Statement, clause: Clause) -> None:
    """Relate "the complaints about a product" to the product."""
    for phrase in clause.objects[:1]:
        source = draft.find(singular(phrase.name))
        for other in clause.targets("about"):
            target = draft.find(singular(other.name))
            if (
                source is None
                or target is None
                or source is target
                or draft.link(target.words, source.words) is not None
            ):
                continue
            trace = statement.trace(draft, phrase.start, max(phrase.end, other.end), "about", 0.7)
            draft.relate(RelationDraft(source.words, target.words, RelationKind.MANY_TO_ONE, trace))


_LIST_OF_STATES = re.compile(
    r"(?P<subject>[\w' -]+?)\s+(?:(?:is|are|can be|may be|must be|will be)(?: always| "
    r"currently)?(?P<either> either| one of(?: the following)?)?|has (?:one of )?(?:the|three|four|five|"
    r"two|these)?\s*(?:status(?:es)?|states?)(?: of)?|goes through|passes through|moves through)\s*:?\s*"
    r"(?P<values>['\"]?[a-z][\w' -]*?['\"]?(?:\s*,\s*['\"]?[\w' -]+?['\"]?)*\s*,?\s+(?:or|and|"
    r"then)\s+(?:finally\s+)?['\"]?[\w' -]+?['\"]?)(?=$|[.;:(])",
    re.IGNORECASE,
)
_ARROWS = re.compile(r"(?P<values>[\w -]+?(?:\s*(?:->|→|-->|=>)\s*[\w -]+)+)")
_FROM_TO = re.compile(
    r"from (?P<first>[a-z][\w-]*(?: [\w-]+)?) (?P<rest>(?:(?:via|to|through|over|then to|and then to|and|"
    r",)\s*[a-z][\w-]*(?: review| progress| hold)?[ ,]*)+)"
)


def _states(draft: Draft, statements: list[Statement]) -> None:
    """Read states from prose: "is either draft, published or archived", "draft -> sent -> paid"."""
    for statement in statements:
        if statement.story is not None:
            continue
        text = statement.text
        arrows = _ARROWS.search(text)
        if arrows is not None and ("->" in text or "→" in text or "=>" in text):
            values = [part.strip() for part in re.split(r"-->|->|→|=>", arrows.group("values"))]
            entity = _about(draft, statement, statement.sentence.text)
            _add_states(draft, statement, entity, values, "states-by-arrows")
            continue
        match = _LIST_OF_STATES.search(text)
        if match is not None:
            values = [
                re.sub(r"^(?:finally|then|either|or|and)\s+", "", part.strip(" '\""))
                for part in re.split(r"\s*,\s*(?:or |and |then )?|\s+(?:or|and|then)\s+", match.group("values"))
            ]
            subject = match.group("subject").lower()
            entity = _about(draft, statement, subject)
            stated = (
                bool(match.group("either"))
                or re.search(r"status|state", text.lower()) is not None
                or re.search(r"through|has", match.group().lower()[len(subject) :][:14]) is not None
            )
            looks = sum(_is_state(value) for value in values) >= max(1, len(values) - 1)
            if (
                entity is not None
                and all(len(value.split()) <= 2 and value for value in values)
                and (looks or stated)
                and len(values) > 1
            ):
                if any(re.match(r"(?:an?|the)\s", value) for value in values):
                    continue
                if looks and " by " not in text and not _verbs_not_states(draft, statement, match, values):
                    _add_states(draft, statement, entity, values, "states-in-prose")
            continue
        moved = _FROM_TO.search(text.lower())
        if moved is not None and re.search(r"\b(?:move|go|pass|chang|progress|status|state|goes|moves)", text.lower()):
            rest = [
                part.strip(" ,")
                for part in re.split(r"\b(?:via|then to|and then to|to|through|over|and|then)\b|,", moved.group("rest"))
            ]
            values = [moved.group("first").strip(), *(part for part in rest if part)]
            if all(_is_state(value) for value in values):
                _add_states(draft, statement, _about(draft, statement, text.lower()), values, "states-from-to")


_PLAIN_STATES = frozenset(
    """new open draft active inactive pending done ready available free paid unpaid sent lost live online offline
    closed in progress in review on hold overdue empty full private public idle busy complete incomplete valid
    invalid current past won sold out due late in transit en route under review on loan in use waiting healthy
    sick quarantined booked void""".split()
) | {
    "in progress",
    "in review",
    "on hold",
    "under review",
    "on loan",
    "in transit",
    "in use",
    "sold out",
    "no show",
    "no-show",
    "in stock",
    "out of stock",
}


def _is_state(value: str) -> bool:
    words = value.split(" ")
    return (
        value in _PLAIN_STATES
        or words[0] in ("under", "in", "on", "out", "not", "off", "to", "awaiting", "ready")
        or words[0].endswith(("ed", "en", "ing"))
        or state_base(value, KNOWN_VERBS) is not None
    )


def _verbs_not_states(draft: Draft, statement: Statement, match: re.Match[str], values: list[str]) -> bool:
    """Tell whether "can be cancelled or rescheduled" lists what people do rather than all states there are."""
    del draft, statement
    modal = re.search(r"\b(?:can|may|must|will) be\b", match.group().lower()) is not None
    return modal and not match.group("either") and len(values) < 3  # noqa: PLR2004 - two deeds are no list of states


def _about(draft: Draft, statement: Statement, subject: str) -> EntityDraft | None:
    plain = subject.lower().replace("'s", "").replace("-", " ")
    best: tuple[int, EntityDraft] | None = None
    for entity in draft.entities.values():
        words = entity.words.replace("-", " ")
        for form in (words, plural(words)):
            where = re.search(rf"\b{re.escape(form)}\b", plain)
            if where is not None and (best is None or len(words) > len(best[1].words)):
                best = (where.start(), entity)
    if best is not None:
        return best[1]
    titles = " ".join(statement.sentence.block.path).lower()
    return next(
        (
            entity
            for entity in draft.entities.values()
            if re.search(rf"\b(?:{re.escape(entity.words)}|{re.escape(plural(entity.words))})\b", titles)
        ),
        None,
    )


def _add_states(draft: Draft, statement: Statement, entity: EntityDraft | None, values: list[str], rule: str) -> None:
    if entity is None or entity.status() is not None:
        return
    plain = [
        re.sub(rf"^.*\b(?:status|state|{re.escape(entity.words)}s?)\b\s*:?\s*", "", value.strip().lower()) or value
        for value in values
    ]
    plain = [value for value in dict.fromkeys(plain) if value and len(value.split()) <= 3]  # noqa: PLR2004 - short names of states
    if len(plain) < 2:  # noqa: PLR2004 - one state is none
        return
    existing = entity.fields.get("status") or entity.fields.get("state")
    if existing is not None:
        existing.type, existing.values = FieldType.ENUM, plain
        return
    entity.add(FieldDraft("status", FieldType.ENUM, statement.whole(draft, rule, 0.9), values=plain))


_ARTICLE = r"(?:an?|the|its|their|his|her|optional|some|several)\s+"
_LISTED = re.compile(
    rf"\b(?P<lead>with|has|have|includes?|contains?|needs?)\s+(?P<list>(?:{_ARTICLE})*[a-z][a-z "
    rf"-]*?(?:\s*,\s*(?:and\s+)?(?:{_ARTICLE})*[a-z][a-z -]*?)*\s*,?\s+and\s+(?:{_ARTICLE})*[a-z][a-z -]*?)"
    r"(?=\s*(?:$|[.;:()])|\s*,?\s+(?:that|which|who|so|in order|needed|required|from|between|it|they|we)\b)",
    re.IGNORECASE,
)


def _listed(draft: Draft, statement: Statement) -> None:
    """Read a list of fields by its commas, where the parse lost its end: "a title, a date, a place and a capacity"."""
    for match in _LISTED.finditer(statement.text):
        before = statement.text[: match.start()]
        if match.group("lead") != "with" and re.search(r"\b(?:can|may|must|not|cannot|should|to)\s+\w*$", before):
            continue
        owner = _last_named(draft, before)
        if owner is None or (
            match.group("lead") == "with"
            and not re.search(
                rf"\b(?:{re.escape(owner.words)}|{re.escape(plural(owner.words))})$", before.strip().lower()
            )
        ):
            continue
        for part in re.finditer(
            rf"(?:{_ARTICLE})*(?P<name>[a-z][a-z -]*?)(?=\s*(?:,|$)|\s+and\b)", match.group("list"), re.IGNORECASE
        ):
            name = re.sub(r"^and\s+", "", part.group("name").strip().lower())
            name = re.sub(rf"^(?:{_ARTICLE})+", "", name)
            words = name.split()
            if (
                not name
                or len(words) > 4
                or is_person(singular(name))
                or draft.find(singular(name)) is not None
                or words[-1]
                in KNOWN_VERBS
                - {
                    "name",
                    "date",
                    "price",
                    "note",
                    "number",
                    "type",
                    "address",
                    "file",
                    "photo",
                    "score",
                    "message",
                    "rate",
                    "level",
                }
            ):
                continue
            if not (is_attribute(name) or usable_field(name) or usable(singular(name))) or name in owner.words:
                continue
            start = match.start("list") + part.start("name")
            phrase = Phrase(name=name, text=name, start=start, end=start + len(part.group("name")), head=0)
            trace = statement.trace(draft, phrase.start, phrase.end, "list-of-fields", 0.7)
            if not any(known.startswith(field_name(name)) or known == field_name(words[-1]) for known in owner.fields):
                _add_field(draft, statement, owner, phrase, name, trace)


def _last_named(draft: Draft, text: str) -> EntityDraft | None:
    best: tuple[int, int, EntityDraft] | None = None
    for entity in draft.entities.values():
        for form in (entity.words, plural(entity.words)):
            for found in re.finditer(rf"\b{re.escape(form)}\b", text.lower()):
                if best is None or (found.end(), len(form)) > best[:2]:
                    best = (found.end(), len(form), entity)
    return best[2] if best is not None else None


_PER = re.compile(
    (
        r"\b(?:only one|at most \w+|no more than \w+|one|up to \w+)\s+(?P<thing>[a-z][a-z -]*?)\s+(?:per|for "
        r"each|for every)\s+(?P<per>[a-z][a-z -]*?)(?=$|[.,;:]|\s+(?:at|and|in|on|if|when)\b)"
    ),
    re.IGNORECASE,
)


def _counted(draft: Draft, statement: Statement) -> None:
    """Relate what is counted to what it is counted by: "a buyer can have only one open offer per property"."""
    match = _PER.search(statement.text)
    if match is None:
        return
    thing, per = (
        draft.find_within(singular(match.group("thing").lower())),
        draft.find_within(singular(match.group("per").lower())),
    )
    if thing is None or per is None or thing is per or draft.link(per.words, thing.words) is not None:
        return
    trace = statement.trace(draft, match.start(), match.end(), "counted-per", 0.7)
    draft.relate(RelationDraft(thing.words, per.words, RelationKind.MANY_TO_ONE, trace))
    for clause in statement.clauses:
        for words in actors_of(draft, statement, clause)[0][:1]:
            person = person_entity(draft, words, trace, f"the number of {plural(thing.words)} of each is limited")
            if not is_person(thing.words):
                draft.relate(RelationDraft(thing.words, person.words, RelationKind.MANY_TO_ONE, trace))


def _record_fields(draft: Draft, entity: EntityDraft) -> None:
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
                f"{entity.name} has {'an' if words[0] in 'aeiou' else 'a'} {words}.",
                f"The vision names no field of {entity.name}; this is what such a record usually holds.",
                f'List its fields, for example "- {entity.name}: {words}, note?".',
            )
