"""Which shards hold which segments: rendezvous hashing, so that a shard that comes or goes moves only its share.

Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1),
1998.
"""

import hashlib
from collections.abc import Sequence

from factory.domain.errors import BadInputError


def holder(segment: str, shards: Sequence[str]) -> str:
    """Return the shard that holds a segment.

    Args:
        segment: Its id.
        shards: Names of all shards of one replica, in any order.

    Raises:
        BadInputError: There are no shards.
    """
    if not shards:
        raise BadInputError("there is no shard to hold anything.", remedy="Ask for at least one.", field="shards")
    return max(shards, key=lambda shard: (_weight(segment, shard), shard))


def _weight(segment: str, shard: str) -> bytes:
    return hashlib.blake2b(segment.encode(), digest_size=8, key=hashlib.blake2b(shard.encode()).digest()).digest()
