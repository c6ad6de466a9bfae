"""What rows are selected by: ids and metadata in compact arrays, without vectors and texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from factory.memory.filters import Filter

# A chunk id of 16 bytes as two big-endian words: their order is that of the bytes.
ID_WORDS = 2
_EPOCH = datetime.fromtimestamp(0, UTC)

Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Labels:
    """A column of strings, most of them repeated.

    Attributes:
        values: The distinct strings.
        codes: (n,), the place in `values` of every row's string, in the smallest unsigned type that holds it.
    """

    values: tuple[str, ...]
    codes: npt.NDArray[np.unsignedinteger]

    @classmethod
    def of(cls, values: Sequence[str], codes: npt.NDArray[np.integer]) -> "Labels":
        """Return the column with codes as small as the number of values allows."""
        smallest = np.min_scalar_type(max(len(values) - 1, 0))
        return cls(tuple(values), codes.astype(smallest, copy=False))

    def among(self, wanted: Sequence[str]) -> Mask:
        """Return which rows hold one of the wanted strings."""
        accepted = np.isin(np.asarray(self.values, dtype=object), np.asarray(wanted, dtype=object))
        result: Mask = accepted[self.codes] if len(self.values) else np.zeros(len(self.codes), np.bool_)
        return result

    def taken(self, rows: npt.NDArray[np.integer]) -> "Labels":
        """Return some rows, in the order given."""
        return Labels(self.values, self.codes[rows])


@dataclass(frozen=True, slots=True)
class Columns:
    """The metadata of n rows; a row's place in the arrays is its number.

    Attributes:
        ids: (n, 2), the chunk ids as big-endian words.
        tenant: Whose rows.
        project_id: Of which projects.
        kind: Of which kinds.
        agent: Made by whom.
        version: (n,), int32.
        created: (n,), int64, microseconds since 1970 in UTC.
    """

    ids: Ids
    tenant: Labels
    project_id: Labels
    kind: Labels
    agent: Labels
    version: npt.NDArray[np.int32]
    created: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def matching(self, condition: Filter) -> Mask:
        """Return (n,): which rows meet a filter."""
        mask = np.ones(len(self), np.bool_)
        tenants = None if condition.tenant is None else (condition.tenant,)
        for labels, wanted in (
            (self.tenant, tenants),
            (self.project_id, condition.project_ids),
            (self.kind, condition.kinds),
            (self.agent, condition.agents),
        ):
            if wanted is not None:
                mask &= labels.among(wanted)
        low, high = condition.versions or (None, None)
        if low is not None:
            mask &= self.version >= low
        if high is not None:
            mask &= self.version <= high
        start, end = condition.created or (None, None)
        if start is not None:
            mask &= self.created >= microseconds(start)
        if end is not None:
            mask &= self.created < microseconds(end)
        return mask

    def taken(self, rows: npt.NDArray[np.integer]) -> "Columns":
        """Return the metadata of some rows, in the order given."""
        return Columns(
            self.ids[rows],
            self.tenant.taken(rows),
            self.project_id.taken(rows),
            self.kind.taken(rows),
            self.agent.taken(rows),
            self.version[rows],
            self.created[rows],
        )


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the metadata of several tables one below the other; at least one is needed."""
    if len(parts) == 1:
        return parts[0]
    return Columns(
        np.concatenate([part.ids for part in parts]),
        _joined_labels([part.tenant for part in parts]),
        _joined_labels([part.project_id for part in parts]),
        _joined_labels([part.kind for part in parts]),
        _joined_labels([part.agent for part in parts]),
        np.concatenate([part.version for part in parts]),
        np.concatenate([part.created for part in parts]),
    )


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970 in UTC, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def words_of(chunk_ids: Sequence[bytes]) -> Ids:
    """Return (n, 2): chunk ids of 16 bytes each as big-endian words."""
    return np.frombuffer(b"".join(chunk_ids), ">u8").astype(np.uint64).reshape(-1, ID_WORDS)


def bytes_of(words: Ids) -> bytes:
    """Return the 16 bytes of one chunk id."""
    return words.astype(">u8").tobytes()


def _joined_labels(parts: Sequence[Labels]) -> Labels:
    places: dict[str, int] = {}
    codes = []
    for part in parts:
        new = np.fromiter((places.setdefault(value, len(places)) for value in part.values), np.int64, len(part.values))
        codes.append(new[part.codes] if len(part.values) else part.codes.astype(np.int64))
    return Labels.of(list(places), np.concatenate(codes))
