"""Annotating a user story: who, does what, with which things, for which benefit.

The spans follow the usual annotation of story backlogs: a persona is the role, an action a verb with its particle,
an entity a noun phrase without determiner, a benefit the part after "so that".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spacy.tokens import Doc, Token

from factory.skills.native.language.parser import parse
from factory.skills.native.language.stories import StoryParts, split_story

_PERSON_PRONOUNS = frozenset("i me my mine we us our you your he him she her it its they them their this that these those who which there".split())
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
            targets.extend((action, things[child.i]) for child in token.children if child.i in things and child.dep_ in ("dobj", "nsubjpass", "attr"))
            if number == 0 and personas and token.dep_ in ("xcomp", "ROOT", "conj"):
                triggers.append((personas[0], action))
    return StoryAnnotation(text, tuple(personas), tuple(actions), tuple(entities), benefit, tuple(triggers), tuple(targets))


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
        lead = "" if re.match(r"(?:I|we|they|he|she|it|the|a|an|my|our|their|there|no|all|users?)\b", body, re.IGNORECASE) else ""
        yield _Part(parse(f"{lead}{body}"), begin - len(lead), len(lead))


def _verbs(part: _Part) -> Iterator[Token]:
    for token in part.doc:
        if token.idx < part.begin:
            continue
        if token.pos_ == "VERB" and token.dep_ not in ("amod", "compound", "aux", "auxpass"):
            yield token
        elif token.lemma_ == "have" and token.pos_ == "AUX" and token.dep_ not in ("aux", "auxpass"):
            yield token


def _action(text: str, part: _Part, token: Token) -> Annotated | None:
    start, end = token.idx, token.idx + len(token.text)
    for child in token.children:
        if child.dep_ == "prt" and child.i == token.i + 1:
            end = child.idx + len(child.text)
    if start + part.shift < 0:
        return None
    return _cut(text, start + part.shift, end + part.shift)


def _things(text: str, part: _Part) -> Iterator[tuple[Token, Annotated]]:
    for chunk in part.doc.noun_chunks:
        root = chunk.root
        if root.pos_ == "PRON" or root.idx < part.begin:
            continue
        first = chunk.start
        while first < root.i and (part.doc[first].lower_ in _STRIPPED or part.doc[first].pos_ in ("PUNCT", "DET")):
            first += 1
        start, end = part.doc[first].idx, root.idx + len(root.text)
        if part.doc[first].lower_ in _PERSON_PRONOUNS or start + part.shift < 0:
            continue
        yield root, _cut(text, start + part.shift, end + part.shift)
