"""Annotating a user story: who, does what, with which things, for which benefit.

The spans follow the usual annotation of story backlogs: a persona is the role, an action a verb with its particle,
an entity a noun phrase without determiner, a benefit the part after "so that".
"""

from __future__ import annotations  # spaCy's types are not there at run time

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory.skills.native.language.parser import parse
from factory.skills.native.language.stories import StoryParts, split_story

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_PERSON_PRONOUNS = frozenset(
    """i me my mine we us our you your he him she her it its they them their this that these those who which there""".split()  # noqa: E501 - a list of words
)
_STRIPPED = frozenset("a an the my our your his her its their this that these those".split())


@dataclass(frozen=True, slots=True)
class Annotated:
    """A piece of a story with its place in the text."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class StoryAnnotation:
    """What a story says.

    Attributes:
        triggers: Pairs (persona, action): who does it.
        targets: Pairs (action, entity): what it is done to.
    """

    text: str
    personas: tuple[Annotated, ...]
    actions: tuple[Annotated, ...]
    entities: tuple[Annotated, ...]
    benefit: Annotated | None
    triggers: tuple[tuple[Annotated, Annotated], ...] = ()
    targets: tuple[tuple[Annotated, Annotated], ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """A parsed part of the story; `shift` turns its offsets into the story's."""

    doc: Doc
    shift: int
    begin: int


def annotate_story(text: str) -> StoryAnnotation:
    """Annotate one user story; a text that is no story is read as a goal without a persona."""
    parts = split_story(text)
    personas: list[Annotated] = []
    benefit: Annotated | None = None
    if parts is not None:
        personas.append(_cut(text, *_trim(text, *parts.role)))
        if parts.benefit is not None:
            benefit = _cut(text, *parts.benefit)
    actions: list[Annotated] = []
    entities: list[Annotated] = []
    triggers: list[tuple[Annotated, Annotated]] = []
    targets: list[tuple[Annotated, Annotated]] = []
    for number, part in enumerate(_parsed(text, parts)):
        made = {token.i: span for token in _verbs(part) if (span := _action(text, part, token)) is not None}
        things = {token.i: span for token, span in _things(text, part)}
        actions.extend(made.values())
        entities.extend(things.values())
        for index, action in made.items():
            token = part.doc[index]
            targets.extend(
                (action, things[child.i])
                for child in token.children
                if child.i in things and child.dep_ in ("dobj", "nsubjpass", "attr")
            )
            if number == 0 and personas and token.dep_ in ("xcomp", "ROOT", "conj"):
                triggers.append((personas[0], action))
    return StoryAnnotation(
        text, tuple(personas), tuple(actions), tuple(entities), benefit, tuple(triggers), tuple(targets)
    )


def _cut(text: str, start: int, end: int) -> Annotated:
    return Annotated(start, end, text[start:end])


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in " ,.:;":
        start += 1
    while end > start and text[end - 1] in " ,.:;":
        end -= 1
    return start, end


def _parsed(text: str, parts: StoryParts | None) -> Iterator[_Part]:
    if parts is None:
        yield _Part(parse(text), 0, 0)
        return
    begin, end = parts.goal
    lead = "I want to " if parts.infinitive else "I want "
    yield _Part(parse(f"{lead}{text[begin:end]}."), begin - len(lead), len(lead) if parts.infinitive else 2)
    if parts.benefit is not None:
        begin, end = parts.benefit
        body = text[begin:end].rstrip()
        yield _Part(parse(body), begin, 0)


def _verbs(part: _Part) -> Iterator[Token]:
    """Yield the verbs that say what is done; those inside a noun's relative clause describe the noun instead."""
    for token in part.doc:
        if token.idx < part.begin or token.dep_ in _NO_DEEDS or _joined_below(token):
            continue
        main_verb = token.pos_ == "VERB" or (token.pos_ == "AUX" and token.lemma_ == "have")
        if main_verb or (token.lemma_ == "be" and _predicate(token) is not None):
            yield token


_NO_DEEDS = frozenset("amod compound aux auxpass relcl acl pobj dobj nsubj prep dep acomp".split())
_ASPECTS = frozenset("start begin stop continue try keep help prefer".split())
_STATES_OF_MIND = frozenset("sure aware confident able".split()) - {"able"}
_MANNER = frozenset("better further still back more properly well accordingly".split())


def _joined_below(token: Token) -> bool:
    """Tell whether the verb is told together with the one above it ("start using")."""
    return token.dep_ == "xcomp" and token.head.lemma_ in _ASPECTS and token.head.i in (token.i - 1, token.i - 2)


def _predicate(token: Token) -> Token | None:
    """Return the adjective that makes "be" a deed: "be sure", "be aware"."""
    return next((child for child in token.children if child.dep_ == "acomp" and child.lower_ in _STATES_OF_MIND), None)


def _action(text: str, part: _Part, token: Token) -> Annotated | None:
    first, last = token, token
    for child in token.children:
        adjacent = child.i == last.i + 1
        if (
            adjacent
            and (
                child.dep_ == "prt"
                or (child.dep_ == "advmod" and (child.lower_.endswith("ly") or child.lower_ in _MANNER))
            )
        ) or (adjacent and token.lemma_ == "make" and child.lower_ == "sure"):
            last = child
        elif (
            child.i == first.i - 1
            and child.dep_ == "advmod"
            and (child.lower_.endswith("ly") or child.lower_ in ("better", "still"))
        ):
            first = child
        elif child.dep_ == "xcomp" and _joined_below(child):
            last = child
    predicate = _predicate(token) if token.lemma_ == "be" else None
    if predicate is not None:
        first, last = (token if token.lower_ == "be" else predicate), predicate
    wish = token.dep_ == "xcomp" and token.head.lemma_ in ("want", "need", "like", "able")
    if (
        wish
        and token.i > 0
        and part.doc[token.i - 1].lower_ == "be"
        and part.doc[token.i - 1].dep_ == "auxpass"
        and part.doc[token.i - 1].idx >= part.begin
    ):
        first = part.doc[token.i - 1]
    start, end = first.idx + part.shift, last.idx + len(last.text) + part.shift
    return _cut(text, start, end) if start >= 0 and end <= len(text) else None


_KEPT = frozenset("all any each some every".split())
_DROPPED = frozenset(
    """only just either both not how what which whose about more fewer less yet even also such whatever""".split()
)
_SOMEBODY = frozenset("someone everyone anyone somebody everybody anybody".split())


def _things(text: str, part: _Part) -> Iterator[tuple[Token, Annotated]]:
    for chunk in part.doc.noun_chunks:
        root = chunk.root
        if root.idx < part.begin or (root.pos_ == "PRON" and root.lower_ not in _SOMEBODY):
            continue
        begin = chunk.start
        while begin > 1 and part.doc[begin - 1].text == "-":
            begin -= 2
        for first, last in _pieces(part, begin, root.i):
            start, end = part.doc[first].idx + part.shift, part.doc[last].idx + len(part.doc[last].text) + part.shift
            start, end = _trim(text, max(start, 0), min(end, len(text)))
            if start < end and re.search(r"\w", text[start:end]):
                yield part.doc[last], _cut(text, start, end)


def _pieces(part: _Part, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the noun phrases in a chunk, without determiners; "FABS and FPDS data" and "guide / style sheet" are two."""  # noqa: E501 - a list of words
    doc = part.doc
    begin = first
    for index in range(first, last + 1):
        token = doc[index]
        noun_before = index > begin and doc[index - 1].pos_ in ("NOUN", "PROPN")
        if index < last and noun_before and (token.lower_ in ("and", "or", "and/or") or token.text in ("/", "|", "&")):
            start = _first_word(doc, begin, index - 1)
            if start is not None and doc[start].idx >= part.begin:
                yield start, index - 1
            begin = index + 1
    start = _first_word(doc, begin, last)
    if start is not None and doc[start].idx >= part.begin:
        yield start, last


def _first_word(doc: Doc, first: int, last: int) -> int | None:
    while first < last:
        token = doc[first]
        if token.lower_ in _KEPT and not (first + 1 <= last and doc[first + 1].lower_ in _STRIPPED):
            break
        if first + 1 < last and doc[first + 1].text == "-":
            break
        skipped = (
            token.lower_ in _STRIPPED | _DROPPED
            or token.pos_ in ("PUNCT", "DET", "ADP", "SCONJ", "CCONJ")
            or token.lower_ in _KEPT
        )
        if not skipped:
            break
        first += 1
    return first if doc[first].lower_ not in _PERSON_PRONOUNS else None
