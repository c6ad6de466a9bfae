"""The words under which a text is found, for prose and code alike.

What was measured, as nDCG@10 on the development splits of Cranfield (prose) and CoSQA (code), before and after one
change each; `benchmarks/retrieval.py` gives the figures of the whole:

    stemming everything, parts of identifiers as well     .327 -> .358   .364 -> .387
    stemming prose only                                   .327 -> .358   .364 -> .364
    parts of identifiers beside the whole                      =         .330 -> .387
    whole identifiers beside their parts                       =         .385 -> .387
    stop words, questions' own among them                 .345 -> .360   .391 -> .389
    title in the body's field, three times                .360 -> .381       -
"""

import re
import unicodedata
from collections.abc import Iterator

import tantivy

# Longer than any name a person would type, shorter than what base64 or minified code holds.
LONGEST_WORD = 100
# A title counts as so many repetitions of it at the head of the text. A field of its own with a boost was worse at
# every boost: its few words make BM25's measure of length useless.
TITLE_REPEATS = 3

STOP_WORDS = frozenset(
    """a about an and any are as at be been being but by can could did do does for from had has have he how i if in
    into is it its may must no not of on or should she so some such than that the their then there these they this to
    was we were what when where which who why will with would you""".split()
)

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_FOREIGN_PART = re.compile(r"[^\W\d_]+|\d+")
# Scripts written without spaces: Hiragana, Katakana and the Chinese characters of the basic plane.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_STEMMER = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).filter(tantivy.Filter.stemmer("english")).build()
# A name as programmers write it, a path, or something put in quotation marks or backticks.
_EXACT = re.compile(
    r"""[a-z0-9][A-Z] | \w_\w | \b[A-Za-z]\w*\(\) | [A-Za-z]\w+(?:\.|::|->)[A-Za-z_]\w
    | (?:^|\s)/[\w/{}.-]*[\w}](?=[\s?!.,:;]|$) | \w/[\w.-]+[/.]\w | `[^`]+` | "[^"]+" | \b[A-Z]{2,}-?\d+
    | \b[45]\d\d\b""",
    re.VERBOSE,
)


def words(text: str) -> list[str]:
    """Return the words of a text in the form in which they are indexed and looked up, repetitions included.

    Lower-cased and stemmed as English, without stop words. An identifier (`getUserById`, `MAX_SIZE`, `utf8`) yields
    its parts, stemmed, and itself as a whole, not stemmed. Chinese and Japanese yield pairs of characters. The order
    is not that of the text.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    plain: list[str] = []
    exact: list[str] = []
    for word in _WORD.findall(text):
        if len(word) > LONGEST_WORD:
            continue
        if word.isascii():
            if word.isalpha() and (word[1:].islower() or word.isupper() or len(word) == 1):
                plain.append(word.lower())
            else:
                _split(word, _PART, plain, exact)
        elif _UNSPACED.search(word):
            exact.extend(_pairs(word))
        else:
            _split(word, _FOREIGN_PART, plain, exact)
    kept = [word for word in plain if word not in STOP_WORDS]
    return _STEMMER.analyze(" ".join(kept)) + exact


def names_something(query: str) -> bool:
    """Tell whether a query holds a name to be met to the letter: an identifier, a path, a code or a quotation."""
    return _EXACT.search(query) is not None


def _split(word: str, part_of: re.Pattern[str], plain: list[str], exact: list[str]) -> None:
    parts = [part.lower() for part in part_of.findall(word)]
    plain.extend(parts)
    if len(parts) > 1:
        exact.append(word.strip("_").lower())


def _pairs(word: str) -> Iterator[str]:
    """Yield the pairs of neighbours in runs of an unspaced script, and what stands between the runs."""
    begin = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > begin:
            yield word[begin : run.start()].lower()
        text = run.group()
        yield from (text[n : n + 2] for n in range(max(len(text) - 1, 1)))
        begin = run.end()
    if begin < len(word):
        yield word[begin:].lower()
