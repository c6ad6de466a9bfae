"""Fusion: one ranking out of those that a dense and a keyword search give.

Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): a hit at rank r of a search counts
weight / (OFFSET + r). Ranks need no scale in common, which cosines and BM25 scores do not have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

from factory.domain.errors import BadInputError
from factory.memory.keywords.analysis import names_something

# Small, so that a place more or less counts among the first ten. With the 60 of the paper a second search that is much
# weaker, as keywords are for code, does harm at any weight (CoSQA, development split, nDCG@10; dense alone .601):
#     offset   weight of keywords .05    .1   .15    .2    .3    .5
#          5                     .603  .603  .604  .598  .597  .561
#         20                     .599  .597  .592  .588  .584  .544
#         60                     .593  .591  .586  .580  .563  .534
# For prose it makes no difference (Cranfield, development split, weight .5: .425, .426, .424; dense .381, BM25 .380).
OFFSET = 5


class Source(StrEnum):
    """Which search ranked."""

    DENSE = "dense"
    KEYWORD = "keyword"


class Content(StrEnum):
    """What a chunk is made of, as far as it decides which search is to be trusted."""

    PROSE = "prose"
    CODE = "code"
    SPECIFICATION = "specification"


# How much the keyword ranking counts; the dense ranking has the rest of 1. Tuned with `benchmarks/retrieval.py
# --split dev --sweep`: prose on Cranfield (.4 to .6 are within .014), code on CoSQA (.05 to .15 within .001).
# For specifications there is no public set; on the passages of tests/memory/quality .2 to .5 are within .002.
WEIGHTS: Mapping[Content, float] = {Content.PROSE: 0.5, Content.CODE: 0.1, Content.SPECIFICATION: 0.5}
# The least that it counts where the query names something to the letter. On tests/memory/quality, where a third of the
# queries do, nDCG@10 is .906 without it, .914 at .7 and .915 at .8.
NAMED_WEIGHT = 0.7

_CODE = frozenset(
    ".bash .c .cpp .cs .css .go .html .j2 .java .js .jsx .kt .mjs .php .py .rb .rs .sh .sql .ts .tsx".split()
)
_SPECIFICATION = frozenset(".avsc .cfg .graphql .ini .json .jsonl .proto .toml .xml .yaml .yml".split())


@dataclass(frozen=True, slots=True)
class Ranking:
    """What one search found.

    Attributes:
        source: Which search.
        ids: Of the chunks, best first; of an id that occurs twice the first place counts.
    """

    source: Source
    ids: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk in the fused ranking.

    Attributes:
        id: Of the chunk.
        score: From 0 to 1, which is the first place in every search; comparable within one answer only.
        ranks: Its place in each search that found it, from 1.
    """

    id: bytes
    score: float
    ranks: Mapping[Source, int] = field(default_factory=dict)


def content_of(path: str) -> Content:
    """Tell from a file's name what a chunk of it is made of; what is not known is prose."""
    ending = PurePosixPath(path).suffix.lower()
    if ending in _CODE or PurePosixPath(path).name in ("Dockerfile", "Makefile"):
        return Content.CODE
    return Content.SPECIFICATION if ending in _SPECIFICATION else Content.PROSE


def fuse(
    rankings: Sequence[Ranking],
    k: int,
    *,
    query: str = "",
    content: Callable[[bytes], Content] = lambda _: Content.PROSE,
    weights: Mapping[Content, float] = WEIGHTS,
) -> list[Scored]:
    """Return the chunks that any search found, best first; equals in the order of their ids.

    Give each search's first 100 or so: what only one of them found late cannot come to the top.

    Args:
        rankings: One of each source, or several of one (of shards that were not merged).
        k: How many at most.
        query: What was searched for; one that names an identifier, a path or a quotation trusts keywords more.
        content: Tells what a chunk is made of.
        weights: How much the keyword ranking counts, from 0 to 1.

    Raises:
        BadInputError: `k` is not positive, or a weight is out of its range.
    """
    if k < 1:
        raise BadInputError(f"{k} results were asked for.", remedy="Ask for at least one.", field="k")
    for name, weight in weights.items():
        if not 0 <= weight <= 1:
            raise BadInputError(f"the weight of {name} is {weight}.", remedy="Give 0 to 1.", field="weights")
    least = NAMED_WEIGHT if names_something(query) else 0.0
    ranks: dict[bytes, dict[Source, int]] = {}
    for ranking in rankings:
        for rank, chunk_id in enumerate(dict.fromkeys(ranking.ids), 1):
            places = ranks.setdefault(chunk_id, {})
            places[ranking.source] = min(rank, places.get(ranking.source, rank))
    fused = [Scored(i, _score(places, max(weights[content(i)], least)), places) for i, places in ranks.items()]
    return sorted(fused, key=lambda scored: (-scored.score, scored.id))[:k]


def _score(places: Mapping[Source, int], keyword_weight: float) -> float:
    weight = {Source.KEYWORD: keyword_weight, Source.DENSE: 1 - keyword_weight}
    # In the order of the sources, not of the rankings given: sums of floats depend on it.
    return sum(weight[source] * (OFFSET + 1) / (OFFSET + places[source]) for source in Source if source in places)
