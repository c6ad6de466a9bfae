"""The rule that chooses an index type by the number of vectors.

    up to 10,000       flat        every vector is compared; exact, and nothing to build
    up to 1,000,000    hnsw        a graph of neighbours; the most queries a second at a recall@10 of 0.99
    above              quantised   inverted lists of 1-bit codes (RaBitQ), the best candidates compared exactly; half as
                                   quick, built in half the time, and what every search reads is 1/25 of the vectors

A setting overrules it. Measured on texts embedded by MiniLM, one thread: docs/decisions/0018.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from factory.domain.errors import BadInputError

FLAT_UP_TO = 10_000
HNSW_UP_TO = 1_000_000

# Lists of about 4 * sqrt(n) keep the comparison with their centres as cheap as the reading of the lists probed.
_LISTS_PER_ROOT = 4
_MINIMUM_ROWS_PER_LIST = 39  # what k-means asks for at least
_TRAINING_ROWS_PER_LIST = 40
# So many lists, and so many times k candidates, bring recall@10 to 0.99 on text from 100,000 to a million vectors.
_PROBES = 256
_REFINE = 32
_HNSW_LINKS = 32
_HNSW_EF_CONSTRUCTION = 80
# The `ef` that brings recall@10 to 0.99 grows with the size: 0.992 at 20,000 with 80, 0.990 at 100,000 with 128.
_HNSW_EF_ROWS = 20_000
_HNSW_EF = 80
_HNSW_EF_GROWTH = 0.3


class IndexKind(StrEnum):
    """What structure finds the nearest vectors."""

    FLAT = "flat"
    HNSW = "hnsw"
    QUANTISED = "quantised"


class IndexSetting(StrEnum):
    """What an operator asks for: one kind for every size, or the rule."""

    AUTO = "auto"
    FLAT = "flat"
    HNSW = "hnsw"
    QUANTISED = "quantised"


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """How the index of so many vectors is built and searched.

    Attributes:
        kind: Its type.
        factory: The string that FAISS makes it of.
        lists: Number of inverted lists; 0 where there are none.
        training_rows: How many vectors the lists' centres are computed from.
        ef_construction: How many neighbours are looked at where HNSW adds a vector; 0 for other kinds.
        effort: Lists probed, or the `ef` of HNSW; 0 where everything is compared.
        refine: How many times k candidates are compared exactly; 0 where nothing is quantised.
    """

    kind: IndexKind
    factory: str
    lists: int = 0
    training_rows: int = 0
    ef_construction: int = 0
    effort: int = 0
    refine: int = 0

    @property
    def built_from(self) -> str:
        """Everything that changes the file, in one line; how it is searched does not."""
        return f"{self.factory} train={self.training_rows} efc={self.ef_construction}"


def choose(rows: int, setting: IndexSetting = IndexSetting.AUTO) -> IndexPlan:
    """Return the plan for a segment of so many vectors.

    Raises:
        BadInputError: There are none.
    """
    if rows < 1:
        raise BadInputError(f"an index of {rows} vectors was asked for.", remedy="Index what holds at least one.")
    kind = IndexKind(setting.value) if setting is not IndexSetting.AUTO else _kind_by_size(rows)
    if kind is IndexKind.FLAT:
        return IndexPlan(kind, "Flat")
    if kind is IndexKind.HNSW:
        effort = math.ceil(_HNSW_EF * (rows / _HNSW_EF_ROWS) ** _HNSW_EF_GROWTH)
        return IndexPlan(kind, f"HNSW{_HNSW_LINKS}", ef_construction=_HNSW_EF_CONSTRUCTION, effort=effort)
    lists = max(1, min(round(_LISTS_PER_ROOT * math.sqrt(rows)), rows // _MINIMUM_ROWS_PER_LIST))
    return IndexPlan(
        kind,
        f"IVF{lists},RaBitQfs,RFlat",
        lists=lists,
        training_rows=min(rows, _TRAINING_ROWS_PER_LIST * lists),
        effort=min(lists, _PROBES),
        refine=_REFINE,
    )


def _kind_by_size(rows: int) -> IndexKind:
    if rows <= FLAT_UP_TO:
        return IndexKind.FLAT
    return IndexKind.HNSW if rows <= HNSW_UP_TO else IndexKind.QUANTISED
