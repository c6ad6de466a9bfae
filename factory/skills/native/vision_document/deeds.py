"""What people do to which things, sentence by sentence."""

import re
from collections.abc import Iterator

from factory.domain.product import Trace
from factory.skills.native.language.clauses import Clause, Phrase
from factory.skills.native.language.lexicon import (
    CREATE_VERBS,
    DEED_NOUNS,
    KNOWN_VERBS,
    READ_VERBS,
    TRANSITION_VERBS,
    VAGUE_NOUNS,
    WEAK_CREATE_VERBS,
)
from factory.skills.native.language.names import field_name, state_name
from factory.skills.native.language.words import participle, singular, verb_base
from factory.skills.native.vision_document.draft import Deed, Draft, EntityDraft
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded
from factory.skills.native.vision_document.sections import Section

SILENT = frozenset((Section.PROBLEM, Section.GOALS, Section.QUALITIES, Section.OUT_OF_SCOPE, Section.RELATIONS))
_IGNORED_VERBS = frozenset(
    """be have want need like know forget think hope feel believe belong consist contain include become stay remain
    get click scroll navigate log sign use help let allow enable make keep avoid prevent ensure understand
    save spend worry learn decide mean""".split()
) - {"get", "make", "keep", "use"}
_MARK = re.compile(
    (
        r"\b(?:as|to(?: be)?)\s+(?:being\s+|an?\s+)?['\"]?(?P<state>[a-z][a-z -]*?)['\"]?(?=$|[.,;:)]|"
        r"\s+(?:when|if|so|once|after|before|and|or|because|by|for|in|with|until|that|at|on)\b)"
    ),
    re.IGNORECASE,
)
_SELF = frozenset(
    {
        "profile",
        "account",
        "detail",
        "personal detail",
        "information",
        "contact detail",
        "contact information",
        "personal information",
        "data",
        "personal data",
    }
)


def find_deeds(draft: Draft, statements: list[Statement]) -> None:
    """Collect every deed from stories, features, rules and prose."""
    for statement in sorted(statements, key=lambda item: (item.story is None, item.section is Section.ACTORS)):
        if statement.section in SILENT or (
            statement.story is None and (is_as_is(statement.text) or is_excluded(statement.text))
        ):
            continue
        for clause in statement.clauses:
            draft.deeds.extend(_deeds(draft, statement, clause))


def _deeds(draft: Draft, statement: Statement, clause: Clause) -> Iterator[Deed]:
    verb = clause.verb
    base = verb.split(" ")[0]
    if (
        clause.negated
        or (base in _IGNORED_VERBS and (verb == base or verb not in TRANSITION_VERBS))
        or (verb not in KNOWN_VERBS and verb_base(base, KNOWN_VERBS) not in KNOWN_VERBS)
    ):
        return
    if statement.section is Section.RULES and not (clause.subjects or clause.only or clause.modal or clause.passive):
        return
    actors, own_subject = actors_of(draft, statement, clause)
    if (
        statement.story is None
        and not actors
        and not (clause.passive and clause.modal)
        and statement.section not in (Section.FEATURES, Section.STATES, Section.RULES)
    ):
        return
    states = _marked(clause) if base in ("mark", "set", "change", "move", "flag", "put") else ()
    trace = statement.trace(
        draft,
        clause.start,
        _end_of(clause),
        "story-goal" if statement.story else "clause",
        0.9 if statement.story else 0.8,
    )
    related = tuple(
        (word, entity.words)
        for word, phrase in clause.prepositions
        if (entity := draft.find_within(phrase.name)) is not None
    )
    left_out = not clause.objects and not clause.passive and verb in ("cancel", "withdraw", "reschedule", "renew")
    mine = _records_of(draft, actors) if left_out else []
    if len(mine) == 1:
        yield Deed(verb, mine[0].words, trace, tuple(actors), own=True, story=statement.story)
        return
    preposition = "" if clause.objects else next((word for word, _ in clause.prepositions), "")
    if base in ("start", "begin"):
        begun = list(_begun(draft, clause, verb, tuple(actors), trace, statement.story))
        if begun:
            yield from begun
            return
    for phrase in _objects(clause):
        entity, aspects, noun = target_of(draft, phrase, clause, actors)
        if entity is None:
            continue
        entity, noun = _record_returned(draft, verb, entity, noun)
        status = entity.status()
        known = {state_name(value) for value in status.values} if status is not None else set()
        listed = states if not known and all(state.endswith("ed") for state in states) else states[:1]
        reached: list[str | None] = [state for state in states if state in known] or [*listed] or [None]
        for state in reached:
            yield Deed(
                verb=verb,
                entity=entity.words,
                trace=trace,
                actors=tuple(actors),
                own=phrase.own
                or own_subject
                or any(other.own for word, other in clause.prepositions if word in ("about", "of", "for", "on")),
                plural=phrase.plural and phrase.number != 1,
                aspects=tuple(aspects),
                related=tuple(pair for pair in related if pair[1] != entity.words),
                state=state,
                sources=_sources(draft, entity, phrase),
                story=statement.story,
                source_noun=noun,
                preposition=preposition,
            )


def _begun(  # noqa: PLR0917 - the parts of one statement
    draft: Draft, clause: Clause, verb: str, actors: tuple[str, ...], trace: Trace, story: str | None
) -> Iterator[Deed]:
    """Read "the technician starts the analysis" of a thing that has the state "in analysis"."""
    for phrase in clause.objects:
        reached = state_name(f"in {phrase.name}")
        for entity in draft.entities.values():
            status = entity.status()
            if status is not None and reached in {state_name(value) for value in status.values}:
                yield Deed(f"{verb} {phrase.name}", entity.words, trace, actors, state=reached, story=story)


def _records_of(draft: Draft, actors: list[str]) -> list[EntityDraft]:
    """Return the bookings and the like that belong to a person, for "guests can cancel"."""
    nouns = ("booking", "reservation", "appointment", "order", "registration", "subscription", "loan", "rental")
    return [
        entity
        for entity in draft.entities.values()
        if entity.words.rsplit(" ", 1)[-1] in nouns
        and any(draft.link(entity.words, words) is not None for words in actors)
    ]


_RETURNS = frozenset(
    ("return", "renew", "extend", "prolong", "give back", "bring back", "take back", "hand back", "check in")
)


def _record_returned(draft: Draft, verb: str, entity: EntityDraft, noun: str | None) -> tuple[EntityDraft, str | None]:
    """Turn "return a book" into what happens to its loan, where books have loans and no such state of their own."""
    status = entity.status()
    if verb not in _RETURNS:
        return _record_moved(draft, verb, entity, noun) if status is None else (entity, noun)
    if status is not None and leads_to(verb, [state_name(value) for value in status.values]) is not None:
        return entity, noun
    for words in ("loan", "rental", "lease", "borrowing", "lending", "checkout", "hire", "booking"):
        record = draft.find(words)
        if record is not None and record.words != entity.words and draft.link(record.words, entity.words) is not None:
            return record, noun
    return entity, noun


def _record_moved(draft: Draft, verb: str, entity: EntityDraft, noun: str | None) -> tuple[EntityDraft, str | None]:
    """Turn "ship an object" into what happens to its loan, where loans and nothing else can be shipped."""
    if verb not in TRANSITION_VERBS or verb in CREATE_VERBS - WEAK_CREATE_VERBS:
        return entity, noun
    moved = [
        record
        for record in draft.entities.values()
        if draft.link(record.words, entity.words) is not None
        and (status := record.status()) is not None
        and leads_to(verb, [state_name(value) for value in status.values][1:]) is not None
    ]
    return (moved[0], noun) if len(moved) == 1 else (entity, noun)


def _marked(clause: Clause) -> tuple[str, ...]:
    """Return the states that follow "mark ... as": "planned, fixed or rejected"."""
    found = _MARK.search(clause.tail)
    if found is None:
        return ()
    listed = re.match(r"[^.;:]*", clause.tail[found.start("state") :])
    text = listed.group() if listed is not None else found.group("state")
    parts = [part.strip(" '\"") for part in re.split(r"\s*,\s*(?:or |and )?|\s+(?:or|and)\s+", text)]
    states = [state_name(found.group("state")), *(state_name(part) for part in parts if len(part.split()) <= 3)]  # noqa: PLR2004 - short names
    return tuple(state for state in dict.fromkeys(states) if state)


def _end_of(clause: Clause) -> int:
    ends = [clause.end, *(phrase.end for phrase in clause.objects if phrase.start >= clause.start)]
    return max(ends)


def _objects(clause: Clause) -> tuple[Phrase, ...]:
    if clause.objects:
        return clause.objects
    return tuple(
        phrase
        for word, phrase in clause.prepositions
        if word in ("for", "to", "in", "on", "at", "through", "into", "of", "with", "from", "about", "up")
    )[:1]


def actors_of(draft: Draft, statement: Statement, clause: Clause) -> tuple[list[str], bool]:
    """Return the roles that do a clause, in words."""
    found: list[str] = []
    for subject in clause.subjects:
        if subject.pronoun or subject.name in ("i", "we"):
            found.extend(actor.words for speaker in statement.speakers if (actor := draft.actor(speaker)) is not None)
        elif (actor := draft.actor(singular(subject.name))) is not None:
            found.append(actor.words)
    if not found and not clause.subjects:
        found = [actor.words for speaker in statement.speakers if (actor := draft.actor(speaker)) is not None]
    return list(dict.fromkeys(found)), False


def target_of(  # noqa: C901, PLR0911, PLR0912 - one case after the other, in the order that decides
    draft: Draft, phrase: Phrase, clause: Clause, actors: list[str]
) -> tuple[EntityDraft | None, list[str], str | None]:
    """Return the entity a phrase means, the fields of it that it names, and the noun it was named by."""
    name = singular(phrase.name)
    if draft.find(name) is None:
        for noun in DEED_NOUNS.get(clause.verb, ()):
            record = draft.entities.get(f"{name} {noun}")
            if record is not None:
                return record, [], name
    if phrase.own and name in _SELF and actors:
        actor = draft.actors[actors[0]]
        own = draft.find(actor.words)
        if own is not None:
            return own, [], name
    entity = draft.find_within(name)
    if entity is not None and not phrase.pronoun:
        return entity, [], name
    owner = phrase.owner
    if owner is not None:
        owned = draft.find_within(singular(owner.name))
        if owned is not None:
            wanted = field_name(name)
            aspects = [wanted] if wanted in owned.fields else []
            if not aspects and name in VAGUE_NOUNS | {
                "list",
                "overview",
                "history",
                "schedule",
                "calendar",
                "report",
                "detail",
            }:
                return owned, [], name
            return owned, aspects, name
    for word, other in clause.prepositions:
        found = draft.find_within(singular(other.name))
        if found is not None and word in ("of", "for", "on", "in", "to", "about", "from"):
            wanted = field_name(name)
            if wanted in found.fields:
                return found, [wanted], name
            if clause.verb in READ_VERBS and clause.verb != "find":
                return found, [], name
            if clause.verb in (
                "search",
                "apply",
                "sign up",
                "register",
                "enroll",
                "enrol",
                "subscribe",
                "look",
                "bid",
                "comment",
                "vote",
                "pay",
            ):
                return found, [], name
    words = name.split(" ")
    for cut in range(1, len(words)):
        entity = draft.find(" ".join(words[:cut]))
        wanted = field_name(" ".join(words[cut:]))
        if entity is not None and wanted in entity.fields:
            return entity, [wanted], name
    return None, [], None


def _sources(draft: Draft, entity: EntityDraft, phrase: Phrase) -> tuple[str, ...]:
    """Return the states that adjectives name: "a booked appointment", "only pending requests"."""
    del draft
    status = entity.status()
    if status is None:
        return ()
    known = {state_name(value) for value in status.values}
    return tuple(state for adjective in phrase.adjectives if (state := state_name(adjective)) in known)


def leaves_record(draft: Draft, verb: str, entity: EntityDraft) -> bool:
    """Tell whether a deed is kept as a record of its own: "reserve a spot", where there are reservations of spots."""
    for noun in DEED_NOUNS.get(verb, ()):
        record = draft.find(noun)
        if record is not None and record is not entity and draft.link(record.words, entity.words) is not None:
            return True
    return False


def leads_to(verb: str, states: list[str], stated: str | None = None) -> str | None:
    """Return the state a verb leads to among known ones, by what is said, by its participle or by a usual pair."""
    if stated is not None and stated in states:
        return stated
    wanted = [state_name(participle(verb)), TRANSITION_VERBS.get(verb, "")]
    wanted += [state_name(word) for word in _SYNONYMS.get(verb, ())]
    wanted += [state_name(participle(verb.split(" ", maxsplit=1)[0]))]
    plain = {state.replace("_", ""): state for state in states}
    for state in wanted:
        if state in states:
            return state
        if state.replace("_", "") in plain:
            return plain[state.replace("_", "")]
        american = state.replace("celled", "celed").replace("lled", "led")
        if american in states:
            return american
    return None


_SYNONYMS: dict[str, tuple[str, ...]] = {
    "take back": ("returned", "available", "closed"),
    "bring back": ("returned", "available", "closed"),
    "give back": ("returned", "available"),
    "hand in": ("submitted", "returned"),
    "send in": ("submitted",),
    "turn down": ("rejected", "declined", "refused"),
    "let": ("let", "rented"),
    "find": ("found",),
    "lose": ("lost",),
    "report": ("reported", "open", "new", "lost"),
    "complete": ("done", "finished", "completed", "complete", "closed"),
    "finish": ("done", "completed", "complete", "finished"),
    "close": ("closed", "done", "completed", "resolved"),
    "start": ("in progress", "started", "active", "running", "ongoing", "underway", "under way"),
    "begin": ("in progress", "started", "active", "running"),
    "pick up": ("collected", "picked up", "in transit", "in progress"),
    "approve": ("accepted", "active"),
    "accept": ("approved", "confirmed"),
    "reject": ("declined", "refused", "denied"),
    "decline": ("rejected", "refused", "denied"),
    "deny": ("rejected", "declined"),
    "refuse": ("rejected", "declined"),
    "cancel": ("canceled", "withdrawn", "called off"),
    "call off": ("cancelled",),
    "withdraw": ("cancelled",),
    "return": ("available", "back", "closed"),
    "borrow": ("on loan", "lent", "loaned", "out", "checked out"),
    "lend": ("on loan", "borrowed", "loaned", "out", "checked out"),
    "check out": ("on loan", "in use", "borrowed", "out", "checked out", "left", "completed"),
    "check in": ("arrived", "present", "in house", "occupied", "returned", "available"),
    "publish": ("live", "public", "online"),
    "unpublish": ("draft", "hidden", "offline"),
    "deactivate": ("inactive", "disabled"),
    "suspend": ("on hold", "paused"),
    "pause": ("on hold", "suspended"),
    "resume": ("active", "in progress", "open"),
    "reopen": ("open", "reopened"),
    "open": ("open",),
    "activate": ("active", "enabled"),
    "confirm": ("approved", "accepted"),
    "pay": ("paid", "settled"),
    "settle": ("paid", "settled"),
    "ship": ("sent", "in transit", "on the way", "dispatched"),
    "send": ("sent", "shipped", "dispatched"),
    "dispatch": ("shipped", "sent", "in transit", "on the way", "assigned"),
    "deliver": ("delivered", "arrived", "done"),
    "submit": ("in review", "pending", "under review", "awaiting approval", "submitted"),
    "review": ("in review", "under review", "reviewed"),
    "assign": ("assigned", "allocated", "taken"),
    "claim": ("claimed", "taken", "assigned", "reserved", "in progress"),
    "take": ("taken", "in progress"),
    "resolve": ("done", "closed", "solved", "fixed"),
    "fix": ("resolved", "done", "repaired"),
    "repair": ("repaired", "fixed", "in repair", "available"),
    "sign": ("active", "signed"),
    "sign off": ("approved", "done", "signed"),
    "reserve": ("reserved", "held", "on hold"),
    "sell": ("sold",),
    "adopt": ("adopted", "rehomed"),
    "rent": ("rented", "rented out", "let"),
    "use": ("in use",),
    "retire": ("retired", "decommissioned", "inactive"),
    "harvest": ("harvested",),
    "hire": ("hired",),
    "collect": ("collected", "picked up"),
    "hand over": ("handed over", "collected", "delivered"),
    "hand out": ("collected", "handed out"),
    "release": ("released", "available"),
    "escalate": ("escalated",),
    "archive": ("archived", "inactive"),
    "serve": ("served",),
    "prepare": ("ready", "in preparation", "prepared"),
    "load": ("loaded", "in transit"),
    "receive": ("received", "in stock", "arrived"),
    "process": ("in progress", "processed"),
    "triage": ("triaged", "assessed"),
    "verify": ("verified", "confirmed"),
    "call": ("called",),
    "admit": ("admitted", "active"),
    "discharge": ("discharged",),
    "acknowledge": ("acknowledged",),
    "put on hold": ("on hold",),
    "book": ("booked", "reserved", "planned", "scheduled"),
    "schedule": ("scheduled", "planned", "booked"),
    "plan": ("planned", "scheduled"),
    "place": ("placed", "open", "new", "pending"),
    "request": ("requested", "pending", "open"),
    "raise": ("raised", "open", "new"),
    "order": ("ordered", "placed"),
    "void": ("void", "voided"),
    "forfeit": ("forfeited",),
    "expire": ("expired",),
    "delete": (),
}
