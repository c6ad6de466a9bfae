"""Clauses and noun phrases out of a parse: who does what to which things."""

from __future__ import annotations  # spaCy's types are not there at run time

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from factory.skills.native.language.lexicon import (
    CLASSIFYING_ADJECTIVES,
    EVALUATIVE_ADJECTIVES,
    KNOWN_VERBS,
    PARTICLES,
    PHRASAL_VERBS,
    is_person,
)
from factory.skills.native.language.words import NUMBERS, is_plural, singular, verb_base

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

_OWN = frozenset({"my", "own", "his", "her", "their", "our", "its", "your"})
_ENABLING = frozenset({"allow", "let", "enable", "help", "ask", "permit"})


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase.

    Attributes:
        name: Singular lower-case name, with its compound words ("blood pressure reading").
        start: Offset of the phrase's first character in the parsed text; `end` that after its last.
        owner: The phrase it belongs to ("of" or possessive), where there is one.
        own: Whether a possessive pronoun stands before it ("my", "their own").
        of: Phrases that follow with "of".
    """

    name: str
    text: str
    start: int
    end: int
    head: int
    plural: bool = False
    determiner: str = ""
    number: int | None = None
    adjectives: tuple[str, ...] = ()
    own: bool = False
    owner: Phrase | None = None
    pronoun: bool = False
    proper: bool = False


@dataclass(frozen=True, slots=True)
class Clause:
    """A verb with its subject, objects and prepositional phrases."""

    verb: str
    start: int
    end: int
    token: int
    subjects: tuple[Phrase, ...] = ()
    objects: tuple[Phrase, ...] = ()
    prepositions: tuple[tuple[str, Phrase], ...] = ()
    modal: str = ""
    negated: bool = False
    passive: bool = False
    only: bool = False
    tail: str = ""
    sentence: tuple[int, int] = (0, 0)
    complements: tuple[str, ...] = field(default=())

    def targets(self, *prepositions: str) -> tuple[Phrase, ...]:
        """Return the phrases behind any of the prepositions."""
        return tuple(phrase for word, phrase in self.prepositions if word in prepositions)


def clauses(doc: Doc) -> list[Clause]:
    """Return every clause of the parse, in the order of the text, with pronouns resolved."""
    found: list[Clause] = []
    last_thing: Phrase | None = None
    last_person: tuple[Phrase, ...] = ()
    last_subject: Phrase | None = None
    for sentence in doc.sents:
        for token in sentence:
            if not _is_verb(token):
                continue
            clause = _clause(token, sentence)
            clause = _inherit(clause, token, found)
            clause = _resolve(clause, last_thing, last_person, last_subject)
            found.append(clause)
            told = clause.objects if clause.passive else clause.subjects
            if told and token.dep_ != "relcl" and not told[0].pronoun and not is_person(told[0].name):
                last_subject = told[0]
            named = [phrase for phrase in clause.objects if not phrase.pronoun]
            if clause.verb == "be":
                named = [phrase for phrase in clause.subjects if not phrase.pronoun and not is_person(phrase.name)]
            if named:
                last_thing = named[0]
            people = tuple(phrase for phrase in clause.subjects if not phrase.pronoun)
            if people:
                last_person = people
                if clause.passive is False and not named:
                    last_thing = last_thing or (None if is_person(people[0].name) else people[0])
    return found


def phrase_of(token: Token) -> Phrase:
    """Return the noun phrase a token heads."""
    words, first = _name_tokens(token)
    adjectives: list[str] = []
    determiner, number, own, owner = "", None, False, None
    left = token
    for child in token.children:
        if child.i < token.i and child.dep_ in ("det", "predet"):
            determiner = child.lower_
        elif child.dep_ == "poss":
            if child.pos_ == "PRON":
                own = child.lower_ in _OWN
                determiner = determiner or child.lower_
            else:
                owner = phrase_of(child)
        elif child.dep_ == "nummod":
            number = NUMBERS.get(child.lower_, int(child.text) if child.text.isdigit() else None)
        elif child.dep_ == "amod" and child.i < token.i:
            adjectives.append(child.lower_)
            own = own or child.lower_ == "own"
        elif child.dep_ == "prep" and child.lower_ == "of" and owner is None:
            inner = next((grand for grand in child.children if grand.dep_ == "pobj"), None)
            owner = phrase_of(inner) if inner is not None and inner.i != token.i else None
        if child.i < left.i and child.dep_ in ("det", "amod", "compound", "poss", "nummod", "nmod"):
            left = child
    start_token = min((left.i, first))
    name = " ".join(words)
    return Phrase(
        name=singular(name),
        text=token.doc[start_token : token.i + 1].text,
        start=token.doc[first].idx,
        end=token.idx + len(token.text),
        head=token.i,
        plural=token.tag_ in ("NNS", "NNPS") or is_plural(token.lower_),
        determiner=determiner,
        number=number,
        adjectives=tuple(adjectives),
        own=own,
        owner=owner,
        pronoun=token.pos_ == "PRON",
        proper=token.pos_ == "PROPN",
    )


def _name_tokens(token: Token) -> tuple[list[str], int]:
    """Return the words of the compound a token heads, and the index of the first one."""
    first = token.i
    doc = token.doc
    while first > 0:
        before = doc[first - 1]
        hyphen = before.text == "-" and first > 1
        joined = before.pos_ in ("NOUN", "PROPN") and before.dep_ in ("compound", "nmod", "amod", "npadvmod")
        part = joined or (
            before.dep_ == "amod"
            and before.lower_ in CLASSIFYING_ADJECTIVES
            and before.lower_ not in EVALUATIVE_ADJECTIVES
        )
        if hyphen:
            first -= 2
        elif part and before.head.i >= first and before.head.i <= token.i and before.is_alpha:
            first -= 1
        else:
            break
    words: list[str] = []
    for item in doc[first : token.i + 1]:
        if words and (item.text == "-" or words[-1].endswith("-")):
            words[-1] += item.lower_
        else:
            words.append(item.lower_)
    return words, first


def conjuncts(token: Token) -> Iterator[Token]:
    """Yield a token and everything joined to it by commas, "and" or "or"."""
    yield token
    for child in token.children:
        if child.dep_ in ("conj", "appos") and child.pos_ in ("NOUN", "PROPN", "PRON", "X", "ADJ", "NUM"):
            yield from conjuncts(child)


def _is_verb(token: Token) -> bool:
    if token.pos_ == "VERB":
        return token.dep_ not in ("amod", "compound") and token.dep_ != "aux"
    return token.pos_ == "AUX" and token.lemma_ in ("be", "have") and token.dep_ not in ("aux", "auxpass")


def _clause(token: Token, sentence: Span) -> Clause:  # noqa: C901, PLR0912 - one case after the other, in the order that decides
    subjects: list[Phrase] = []
    objects: list[Phrase] = []
    prepositions: list[tuple[str, Phrase]] = []
    complements: list[str] = []
    modal, negated, passive, particle, only = "", False, False, "", False
    end = token.idx + len(token.text)
    for child in token.children:
        if child.dep_ == "nsubj":
            subjects.extend(phrase_of(part) for part in conjuncts(child))
        elif child.dep_ == "nsubjpass":
            passive = True
            objects.extend(phrase_of(part) for part in conjuncts(child))
        elif child.dep_ in ("dobj", "attr", "dative", "oprd"):
            if child.pos_ in ("NOUN", "PROPN", "PRON", "NUM"):
                objects.extend(phrase_of(part) for part in conjuncts(child))
            complements.append(child.lower_)
        elif child.dep_ in ("acomp", "xcomp", "advcl") and child.pos_ == "ADJ":
            complements.append(child.lower_)
        elif child.dep_ == "aux" and child.tag_ == "MD":
            modal = child.lemma_.lower()
        elif child.dep_ == "auxpass":
            passive = True
        elif child.dep_ == "neg":
            negated = True
        elif child.dep_ == "prt" or (
            child.dep_ in ("advmod", "prep")
            and child.lower_ in PARTICLES
            and child.i == token.i + 1
            and not list(child.children)
        ):
            particle = child.lower_
            end = child.idx + len(child.text)
        elif child.i > token.i + 1 and _parted(token, child):
            particle = child.lower_
        elif child.dep_ == "advmod" and child.lower_ == "only":
            only = True
        elif child.dep_ == "agent":
            subjects.extend(
                phrase_of(part) for inner in child.children if inner.dep_ == "pobj" for part in conjuncts(inner)
            )
        elif (
            child.dep_ == "prep"
            and child.i == token.i + 1
            and f"{_lemma(token)} {child.lower_}" in PHRASAL_VERBS
            and not any(other.dep_ == "dobj" for other in token.children)
        ):
            particle = child.lower_
            end = child.idx + len(child.text)
            objects.extend(
                phrase_of(part) for inner in child.children if inner.dep_ == "pobj" for part in conjuncts(inner)
            )
        elif child.dep_ == "prep":
            prepositions.extend(_prepositions(child))
    for item in objects:
        for child in token.doc[item.head].children:
            if child.dep_ == "prep" and child.lower_ != "of":
                prepositions.extend(_prepositions(child))
    objects, listed = _listed_with(token.doc, objects, prepositions)
    prepositions.extend(("with", phrase) for phrase in listed)
    lemma = _lemma(token)
    return Clause(
        verb=f"{lemma} {particle}".strip(),
        start=token.idx,
        end=end,
        token=token.i,
        subjects=tuple(subjects),
        objects=tuple(objects),
        prepositions=tuple(prepositions),
        modal=modal,
        negated=negated,
        passive=passive,
        only=only,
        tail=token.doc.text[end : sentence.end_char],
        sentence=(sentence.start_char, sentence.end_char),
        complements=tuple(complements),
    )


def _listed_with(
    doc: Doc, objects: list[Phrase], prepositions: list[tuple[str, Phrase]]
) -> tuple[list[Phrase], list[Phrase]]:
    """Part the objects from what goes on a list begun by "with": "inspections with a date, a number and notes"."""
    first = next((phrase.head for word, phrase in prepositions if word == "with"), None)
    if first is None or first + 1 >= len(doc) or doc[first + 1].text != ",":
        return objects, []
    return [item for item in objects if item.head < first], [item for item in objects if item.head > first]


def _parted(token: Token, child: Token) -> bool:
    """Tell whether a word behind the object belongs to the verb: "take them back", "take a dish off the menu"."""
    if child.dep_ not in ("advmod", "prt", "prep") or not any(other.dep_ == "dobj" for other in token.children):
        return False
    return (child.lower_ == "back" and not list(child.children)) or (child.lower_ == "off" and _lemma(token) == "take")


def _lemma(token: Token) -> str:
    return verb_base(token.lower_, KNOWN_VERBS) if token.lemma_ == token.lower_ else token.lemma_.lower()


def _prepositions(token: Token) -> Iterator[tuple[str, Phrase]]:
    for child in token.children:
        if child.dep_ == "pobj":
            for part in conjuncts(child):
                yield token.lower_, phrase_of(part)
                for inner in part.children:
                    if inner.dep_ == "prep" and inner.lower_ != "of":
                        yield from _prepositions(inner)
        elif child.dep_ == "prep":
            yield from _prepositions(child)


def _inherit(clause: Clause, token: Token, found: list[Clause]) -> Clause:  # noqa: C901 - one case after the other, in the order that decides
    """Take subject and modal from the governing verb, and an object shared by joined verbs."""
    by_token = {item.token: item for item in found}
    if token.dep_ == "relcl" and clause.subjects and clause.subjects[0].name in ("who", "that", "which"):
        clause = replace(clause, subjects=(phrase_of(token.head),))
    if token.dep_ == "acl" and not clause.objects and token.tag_ == "VBN":
        clause = replace(clause, objects=(phrase_of(token.head),), passive=True)
    above = _governor(token, by_token)
    if above is not None:
        if not clause.subjects and not (clause.passive and clause.objects):
            given = above.objects and token.dep_ in ("xcomp", "ccomp") and above.verb in _ENABLING
            clause = replace(clause, subjects=above.objects if given else above.subjects)
        if token.dep_ in ("conj", "xcomp") and not clause.modal:
            clause = replace(clause, modal=above.modal, negated=clause.negated or above.negated)
        if token.dep_ == "conj" and clause.passive and not clause.objects:
            clause = replace(clause, objects=above.objects or above.subjects)
    if (
        not clause.objects
        and not clause.passive
        and clause.verb not in ("register", "sign up", "log in", "sign in", "pay")
    ):
        shared = next(
            (child for child in token.children if child.dep_ == "conj" and child.pos_ == "VERB" and child.i > token.i),
            None,
        )
        joined = shared
        while joined is not None:
            direct = [part for child in joined.children if child.dep_ == "dobj" for part in conjuncts(child)]
            if direct:
                between = token.doc[token.i + 1 : joined.i]
                if all(item.pos_ in ("PUNCT", "CCONJ", "VERB", "ADV", "ADP") for item in between):
                    clause = replace(clause, objects=tuple(phrase_of(part) for part in direct))
                break
            joined = next((child for child in joined.children if child.dep_ == "conj" and child.pos_ == "VERB"), None)
    return clause


def _governor(token: Token, by_token: dict[int, Clause]) -> Clause | None:
    """Return the clause above, over adjectives ("is able to") and misattached lists ("log trips and report ...")."""
    if token.dep_ not in ("conj", "xcomp", "ccomp", "advcl", "pcomp"):
        return None
    head = token.head
    for _ in range(4):
        if head.i in by_token:
            return by_token[head.i]
        if head.head.i == head.i:
            return None
        head = head.head
    return None


def _resolve(clause: Clause, thing: Phrase | None, person: tuple[Phrase, ...], subject: Phrase | None) -> Clause:
    subjects = clause.subjects
    if subjects and subject is not None and subjects[0].pronoun and subjects[0].name == "it":
        subjects = (replace(subject, plural=False),)
    if subjects and subjects[0].pronoun and subjects[0].name in ("they", "she", "he") and person:
        subjects = person
    objects = tuple(
        replace(phrase, name=thing.name, pronoun=False, plural=thing.plural, owner=thing.owner)
        if thing is not None and phrase.pronoun and phrase.name in ("it", "them", "they", "these", "those")
        else phrase
        for phrase in clause.objects
    )
    return replace(clause, subjects=subjects, objects=objects)
