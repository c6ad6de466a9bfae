"""Fields and relations that prose states: "each patient has a name", "classes take place in rooms"."""

import re
from dataclasses import replace

from factory.domain.product import FieldType, RelationKind, Trace
from factory.skills.native.language.clauses import Clause, Phrase
from factory.skills.native.language.lexicon import (
    ASSIGN_VERBS,
    CREATE_VERBS,
    DEED_NOUNS,
    EVALUATIVE_ADJECTIVES,
    JOIN_NOUNS,
    is_person,
)
from factory.skills.native.language.words import participle, plural, singular
from factory.skills.native.vision_document.deeds import actors_of
from factory.skills.native.vision_document.draft import Draft, EntityDraft, FieldDraft, RelationDraft
from factory.skills.native.vision_document.field_notes import read_field
from factory.skills.native.vision_document.field_types import default_bounds, guess_type, is_attribute, is_personal
from factory.skills.native.vision_document.nouns import usable
from factory.skills.native.vision_document.readings import Statement
from factory.skills.native.vision_document.records import person_entity

_LINKING = ("for", "with", "to", "on", "in", "at", "from", "about", "of", "against", "under", "into")


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


def read_structure(draft: Draft, statement: Statement, clause: Clause) -> None:
    """Read fields and relations from "each patient has a name" and "for every plot we keep its size"."""
    base = clause.verb.split(" ")[0]
    if clause.negated:
        return
    if base == "belong":
        for subject in clause.subjects:
            for target in clause.targets("to"):
                _relate(draft, statement, subject, target, rule="belongs-to")
        return
    if (
        _led_by(draft, statement, clause, base)
        or _placed(draft, statement, clause)
        or (base in ("be", "assign", "link") and _OWNED.search(statement.text))
    ):
        return
    if base in _HAVING and _parts_of(draft, statement, clause, base):
        return
    for phrase in clause.objects:
        _aspect(draft, statement, clause, phrase)


_OWNED = re.compile(r"\b(?:part of|assigned to|linked to|owned by)\b")
_OWNING = frozenset("have include contain carry show need get consist comprise hold state mention specify list".split())


def _parts_of(draft: Draft, statement: Statement, clause: Clause, base: str) -> bool:
    """Add what a thing has: its subject's parts, or those of what stands behind "for" and "of"."""
    parts = clause.targets("of") if base == "consist" else clause.objects
    owner = _having_subject(draft, clause) if base in _OWNING else None
    if owner is not None and draft.actor(owner.words) and base not in ("have", "include"):
        owner = None
    made_for = False
    if owner is None:
        behind = (draft.find_within(singular(phrase.name)) for phrase in clause.targets("for", "about", "of", "per"))
        owner = next((found for found in behind if found is not None), None)
        made_for = owner is not None
    if owner is None:
        owners = (draft.find_within(singular(part.owner.name)) for part in parts if part.owner is not None)
        owner = next((found for found in owners if found is not None), None)
    if owner is None:
        return False
    for part in parts:
        counted = draft.find(singular(part.name)) if clause.modal and (clause.only or part.number) else None
        if counted is not None and counted is not owner:
            trace = statement.trace(draft, part.start, part.end, "has", 0.8)
            _several(draft, owner, counted, trace, composed=False)
        elif base == "need" and draft.find(singular(part.name)) is not None:
            continue
        elif not (made_for and draft.find(singular(part.name)) is not None):
            _part(draft, statement, owner, part, composed=base in ("consist", "comprise"))
    return True


def _having_subject(draft: Draft, clause: Clause) -> EntityDraft | None:
    found = (draft.find(singular(phrase.name)) for phrase in clause.subjects if not phrase.pronoun)
    return next((entity for entity in found if entity is not None), None)


_PLACING = frozenset(
    """hold locate store keep park live take happen sit stand host work play stay install place house""".split()
)


_AUTHORING = frozenset("""lead teach write own run supervise manage guide make give host sponsor coach drive""".split())


def _placed(draft: Draft, statement: Statement, clause: Clause) -> bool:
    """Read "classes take place in rooms" and "each case is led by one lawyer"."""
    base = clause.verb.split(" ")[0]
    if clause.modal:
        return False
    if clause.passive and base in _AUTHORING and clause.objects:
        return _made_by(draft, statement, clause, base)
    if base not in _PLACING:
        return False
    for phrase in (*clause.subjects, *clause.objects):
        source = None if phrase.pronoun else draft.find(singular(phrase.name))
        if source is not None:
            people_stay = is_person(source.words) and base not in ("live", "work", "play")
            return not people_stay and _placed_in(draft, statement, clause, phrase, source)
    return False


_LEADING = frozenset("supervise coach mentor lead teach oversee".split())


def _led_by(draft: Draft, statement: Statement, clause: Clause, base: str) -> bool:
    """Read "a trainer supervises several apprentices": each apprentice has a trainer."""
    if clause.modal or clause.passive or base not in _LEADING or not clause.subjects or not clause.objects:
        return False
    leader, led = singular(clause.subjects[0].name), draft.find(singular(clause.objects[0].name))
    if led is None or not is_person(leader) or draft.actor(leader) is None or led.words == leader:
        return False
    trace = statement.trace(draft, clause.subjects[0].start, max(clause.objects[0].end, clause.end), "led-by", 0.8)
    target = person_entity(draft, leader, trace, f"every {led.words} has one")
    draft.relate(RelationDraft(led.words, target.words, RelationKind.MANY_TO_ONE, trace, required=False))
    return True


def _made_by(draft: Draft, statement: Statement, clause: Clause, base: str) -> bool:
    made = draft.find(singular(clause.objects[0].name))
    for person in clause.subjects:
        words = singular(person.name)
        if made is None or not is_person(words):
            continue
        trace = statement.trace(draft, clause.objects[0].start, max(person.end, clause.end), "made-by", 0.8)
        target = person_entity(draft, words, trace, f"a {made.words} is {participle(base)} by one")
        draft.relate(RelationDraft(made.words, target.words, RelationKind.MANY_TO_ONE, trace, required=False))
        return True
    return False


def _placed_in(draft: Draft, statement: Statement, clause: Clause, phrase: Phrase, source: EntityDraft) -> bool:
    for other in clause.targets("in", "at", "on"):
        target = draft.find(singular(other.name))
        if target is not None and target is not source:
            trace = statement.trace(draft, phrase.start, max(phrase.end, other.end), "placed-in", 0.8)
            required = not clause.verb.startswith("hold")
            draft.relate(RelationDraft(source.words, target.words, RelationKind.MANY_TO_ONE, trace, required=required))
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
    if part.owner is not None and part.name in _GROUPS and draft.find(singular(part.owner.name)) is not None:
        part = replace(part.owner, plural=True)
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
        if draft.actor(singular(name)) is not None and not is_person(owner.words) and not part.plural:
            person = person_entity(draft, singular(name), trace, f"each {owner.words} has one")
            draft.relate(RelationDraft(owner.words, person.words, RelationKind.MANY_TO_ONE, trace, required=False))
        return
    add_field(draft, statement, owner, part, words, trace)


def add_field(draft: Draft, statement: Statement, owner: EntityDraft, part: Phrase, words: str, trace: Trace) -> None:  # noqa: PLR0917 - the parts of one statement
    """Add a field with what is said behind its name: "(small, large)", "between 1 and 5", "which is public or internal"."""  # noqa: E501 - a list of words
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
    if guess.type is FieldType.TEXT and re.match(
        r"\s+with (?:its |their )?(?:gps|coordinates|latitude|map)", after.lower()
    ):
        guess = replace(guess, type=FieldType.GEO_POINT)
    made = FieldDraft(words, guess.type, trace.model_copy(update={"confidence": round(min(0.8, guess.confidence), 2)}))
    made.required = "optional" not in part.adjectives
    made.personal = is_personal(words, of_person=is_person(owner.words))
    made.constraints = default_bounds(guess.type, words)
    owner.add(made)


_MEASURES = frozenset(
    """number date time place level type amount length state proof code rate method size quantity point year country
    reason day kind""".split()
)


_GROUPS = frozenset("list set collection series number group sequence".split())


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


def read_links(draft: Draft, statement: Statement, clause: Clause) -> None:  # noqa: C901 - one case after the other, in the order that decides
    """Relate what is made to what it is made for: "book an appointment for a patient with a doctor"."""
    if clause.negated or clause.verb in ASSIGN_VERBS:
        return
    if clause.verb not in CREATE_VERBS:
        _subject_matter(draft, statement, clause)
        return
    for phrase in clause.objects[:1]:
        name = singular(phrase.name)
        records = (draft.entities.get(f"{name} {noun}") for noun in DEED_NOUNS.get(clause.verb, ()))
        source = draft.find_within(name) or next((record for record in records if record is not None), None)
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


_PER = re.compile(
    (
        r"\b(?:only one|at most \w+|no more than \w+|one|up to \w+)\s+(?P<thing>[a-z][a-z -]*?)\s+(?:per|for "
        r"each|for every)\s+(?P<per>[a-z][a-z -]*?)(?=$|[.,;:]|\s+(?:at|and|in|on|if|when)\b)"
    ),
    re.IGNORECASE,
)


def read_counted(draft: Draft, statement: Statement) -> None:
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
