"""Which nouns of the text are things: evidence gathered over every clause, then a decision per noun."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from factory.domain.product import Trace
from factory.skills.native.language.clauses import Clause, Phrase
from factory.skills.native.language.lexicon import (
    ASSIGN_VERBS,
    CREATE_VERBS,
    DEED_NOUNS,
    DELETE_VERBS,
    KNOWN_VERBS,
    MANAGE_VERBS,
    READ_VERBS,
    RESCHEDULE_VERBS,
    SOFT_NOUNS,
    STATE_NOUNS,
    SURFACE_NOUNS,
    TRANSITION_VERBS,
    UPDATE_VERBS,
    VAGUE_NOUNS,
    is_person,
)
from factory.skills.native.language.words import singular, verb_base
from factory.skills.native.vision_document.draft import Draft, normal
from factory.skills.native.vision_document.field_types import guess_type, is_attribute
from factory.skills.native.vision_document.readings import Statement, is_as_is, is_excluded
from factory.skills.native.vision_document.sections import Section

_SILENT = frozenset((Section.PROBLEM, Section.GOALS, Section.QUALITIES, Section.OUT_OF_SCOPE, Section.GLOSSARY))
# What is computed from things or told about them, rather than kept.
DERIVED_NOUNS = frozenset(
    """report statistic statistics overview summary dashboard chart graph figure figures metric metrics history
    calendar result notification reminder alert recommendation confirmation total availability progress trend
    ranking leaderboard count preview suggestion feed timeline update warning analytics insight search filter
    export import print printout receipt newsletter e-mail email sms text message push mail letter digest
    average forecast breakdown map heatmap comparison agenda backlog queue password username account login
    permission access right role activity status level place time date day week month year capacity space
    moment end start name number change changes profile setting settings preference preferences help support
    advice work job-done picture-of copy question-mark answer-to way thing use care rest lack loss waste
    trouble hour minute duty responsibility decision request-for need turn visit-to paper door phone front
    back side head hand eye community public world staff team business company organisation organization firm
    market industry money cash cost price fee amount number quality quantity size weight height length colour
    color type kind category-of reason condition detail contact address location direction distance speed rule
    law policy standard term code key tool-set step task-list occupancy utilisation revenue usage turnover
    workload coverage result score-board standings sale-figures life home family house-hold child-care
    neighbour neighbourhood neighborhood street town city village country""".split()
)
_COMPOUND = frozenset("lot list part piece step set day site term case person end night week".split()) - {"person"}
_MADE_BY_HAND = frozenset(
    """report request message task job visit map question decision change answer update letter task-list address""".split()  # noqa: E501 - a list of words
)
_WRITING = frozenset(
    """submit write file create raise record make log draft post publish approve review report register ask add plan
    schedule organise organize""".split()
)
_BUSY = frozenset("be have know want need like think feel belong".split())


@dataclass(slots=True)
class Evidence:
    """What the text does with one noun."""

    noun: str
    trace: Trace
    weight: float = 0.0
    count: int = 0
    made: int = 0
    read: int = 0
    kept: int = 0
    verbs: set[str] = field(default_factory=set)
    proper: bool = True


def gather(draft: Draft, statements: list[Statement]) -> dict[str, Evidence]:
    """Return the evidence for every noun, in the order of first mention."""
    found: dict[str, Evidence] = {}
    for statement in statements:
        if statement.section in _SILENT or (
            statement.story is None and (is_as_is(statement.text) or is_excluded(statement.text))
        ):
            continue
        for clause in statement.clauses:
            for phrase, weight in _weighed(clause, statement):
                _count(draft, statement, clause, phrase, weight, found)
    return found


def _weighed(clause: Clause, statement: Statement) -> Iterator[tuple[Phrase, float]]:  # noqa: C901, PLR0912 - one case after the other, in the order that decides
    verb = clause.verb
    base = verb.split(" ")[0]
    if base in ("have", "belong", "consist", "contain", "comprise", "include"):
        listed = re.search(r"\b(?:has|have) (?:an? )?[^.;]*?(?:, | and )(?:an? )?[a-z]", statement.text) is not None
        defined = (len(clause.objects) > 1 or listed) and not clause.modal and base == "have"
        for phrase in clause.subjects:
            yield phrase, 2.0 if defined and not is_person(phrase.name) else 1.5
        for word, phrase in clause.prepositions:
            if word in ("to", "of"):
                yield phrase, 1.5
        for phrase in clause.objects:
            yield phrase, 0.6
        return
    if base in _BUSY:
        return
    known = verb in KNOWN_VERBS or verb_base(base, KNOWN_VERBS) in KNOWN_VERBS
    acted = bool(clause.subjects) or clause.passive or bool(statement.speakers)
    if not acted:
        return
    weight = _verb_weight(verb) if known else 0.7
    for phrase in clause.objects:
        yield phrase, weight
        if phrase.owner is not None:
            yield phrase.owner, 1.0
    for word, phrase in clause.prepositions:
        if not clause.objects and word in ("for", "to", "in", "on", "at") and verb in DEED_NOUNS:
            yield phrase, 2.0
        elif word in ("for", "of", "to", "from", "with", "on", "in", "at", "into", "about", "between"):
            yield phrase, 0.8 if verb in CREATE_VERBS or verb in ASSIGN_VERBS else 0.5
    for phrase in clause.subjects:
        if clause.verb in TRANSITION_VERBS and not is_person(phrase.name) and not clause.objects:
            yield phrase, 0.8


def _verb_weight(verb: str) -> float:
    if verb in MANAGE_VERBS or verb in UPDATE_VERBS or verb in DELETE_VERBS or verb in RESCHEDULE_VERBS:
        return 2.0
    if verb in CREATE_VERBS:
        return 2.0
    if verb in TRANSITION_VERBS or verb in ASSIGN_VERBS or verb in DEED_NOUNS:
        return 2.0
    return 1.2 if verb in READ_VERBS else 0.9


def usable(name: str) -> bool:
    """Tell whether a noun may name a thing at all."""
    last = name.rsplit(" ", 1)[-1]
    if not name or not last.replace("-", "").isalpha() or len(last) < 3 or len(name.split()) > 3:  # noqa: PLR2004 - a name
        return False
    if (
        (last in VAGUE_NOUNS and not (" " in name and last in _COMPOUND))
        or name in VAGUE_NOUNS
        or last in SURFACE_NOUNS
        or last in STATE_NOUNS
    ):
        return False
    return not last.endswith(("ness", "ability", "ibility"))


def _count(  # noqa: PLR0917 - the parts of one statement
    draft: Draft, statement: Statement, clause: Clause, phrase: Phrase, weight: float, found: dict[str, Evidence]
) -> None:
    name = singular(phrase.name)
    if phrase.pronoun or not usable(name) or _of_subject(clause, phrase, name):
        return
    shown = statement.text[phrase.start : phrase.end]
    proper = phrase.proper and shown[:1].isupper() and phrase.start > 0
    item = found.get(name)
    if item is None:
        trace = statement.trace(draft, phrase.start, phrase.end, "object-of-action", 0.8)
        item = found[name] = Evidence(name, trace)
    item.weight += weight
    item.count += 1
    item.proper = item.proper and proper
    item.verbs.add(clause.verb)
    is_object = any(phrase is other for other in clause.objects)
    if (
        is_object
        and clause.verb in CREATE_VERBS
        and clause.verb
        not in (
            "receive",
            "get",
            "take",
            "share",
            "send",
            "give",
            "leave",
            "list",
            "show",
            "announce",
            "generate",
            "print",
        )
    ):
        item.made += 1
    elif is_object and clause.verb in READ_VERBS | {"receive", "get", "send", "share", "generate", "show", "print"}:
        item.read += 1
    elif is_object and (clause.verb in KEEPING or clause.verb in DEED_NOUNS):
        item.kept += 1


def _of_subject(clause: Clause, phrase: Phrase, name: str) -> bool:
    """Tell whether a noun is what its subject has: "buses report their position"."""
    things = [subject for subject in clause.subjects if not subject.pronoun and not is_person(subject.name)]
    return phrase.own and bool(things) and (is_attribute(name) or guess_type(name).confidence > _GUESSED)


_GUESSED = 0.5


def choose(draft: Draft, evidence: dict[str, Evidence]) -> list[Evidence]:
    """Return the nouns that are things, synonyms by head noun folded into one."""
    likely = {name: item for name, item in evidence.items() if _is_thing(draft, item)}
    folded = dict(likely)
    for name, item in likely.items():
        records = [f"{name} {noun}" for verb in item.verbs for noun in DEED_NOUNS.get(verb, ())]
        if item.verbs <= set(DEED_NOUNS) and (record := next((one for one in records if one in folded), None)):
            _fold(folded, name, record)
    likely = dict(folded)
    for name in list(likely):
        longer = [other for other in likely if other.endswith(f" {name}") and other in folded]
        if not longer or name not in folded:
            continue
        if (len(longer) == 1 and folded[longer[0]].made and not is_person(name)) or (
            len(longer) == 1 and folded[name].count < folded[longer[0]].count and not is_person(name)
        ):
            _fold(folded, name, longer[0])
        elif is_person(name):
            continue
        elif len(longer) == 1 or all(folded[other].made == 0 for other in longer):
            for other in longer:
                if folded[other].made == 0 or len(longer) == 1:
                    _fold(folded, other, name)
    return list(folded.values())


def _fold(folded: dict[str, Evidence], lost: str, kept: str) -> None:
    gone = folded.pop(lost)
    into = folded[kept]
    into.weight += gone.weight
    into.count += gone.count
    into.made += gone.made
    into.kept += gone.kept
    into.read += gone.read
    into.verbs |= gone.verbs
    if gone.trace.start < into.trace.start:
        into.trace = gone.trace


KEEPING = UPDATE_VERBS | DELETE_VERBS | MANAGE_VERBS | RESCHEDULE_VERBS | ASSIGN_VERBS | frozenset(TRANSITION_VERBS)


def _is_thing(draft: Draft, item: Evidence) -> bool:  # noqa: PLR0911 - one case after the other, in the order that decides
    last = item.noun.rsplit(" ", 1)[-1]
    if draft.find(item.noun) is not None:
        return False
    if item.proper and item.made == 0:
        return False
    if item.noun in SOFT_NOUNS and item.made + item.kept == 0:
        return False
    compound = " " in item.noun and last in _COMPOUND and item.made > 0
    if last in DERIVED_NOUNS and not compound and not (last in _MADE_BY_HAND and item.verbs & _WRITING):
        return False
    if is_attribute(item.noun) and item.made == 0:
        return False
    if is_attribute(item.noun) and normal(last) not in _ENTITY_ATTRIBUTES and not compound:
        return False
    if is_person(item.noun):
        return item.made + item.kept > 0 and bool(
            item.verbs
            & (CREATE_VERBS | UPDATE_VERBS | DELETE_VERBS | MANAGE_VERBS | _STANDING | {"assign"})
            - {
                "invite",
                "ask",
                "message",
                "send",
                "give",
                "share",
                "refer",
                "pay",
                "tip",
                "set",
                "let",
                "rent",
                "lend",
                "report",
                "announce",
                "sell",
                "check in",
                "receive",
                "keep",
                "move",
                "run",
                "leave",
                "hold",
            }
        )
    if item.made or item.kept:
        return item.weight >= 1.5  # noqa: PLR2004 - one clear deed
    return item.weight >= 2.0 or (item.read > 0 and item.weight >= 1.2)  # noqa: PLR2004 - two mentions, or one that somebody wants to see


# What is done to a person's standing with the product, which somebody must keep.
_STANDING = frozenset(
    "suspend ban unban block unblock defer verify admit discharge activate deactivate reactivate blacklist".split()
)
_ENTITY_ATTRIBUTES = frozenset(
    """comment payment donation room document certificate recording video story article review attachment reading
    measurement photo picture image department company category skill question answer venue bid fine tag
    pledge refund observation note model instruction recipe finding expense deposit message place location bed
    table seat medicine ingredient file""".split()
)
