"""Which shards hold which segments: rendezvous hashing, so that a shard that comes or goes moves only its share.

Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1),
1998.
"""

import hashlib
from collections.abc import Sequence

from factory.domain.errors import BadInputError


def holders(segment: str, shards: Sequence[str], replicas: int) -> tuple[str, ...]:
    """Return the shards that hold a segment, the one that answers first in front.

    Args:
        segment: Its id.
        shards: Names of all shards, in any order.
        replicas: How many shards hold each segment; all of them where there are fewer shards.

    Raises:
        BadInputError: There are no shards, or no replicas are wanted.
    """
    if not shards:
        raise BadInputError("there is no shard to hold anything.", remedy="Ask for at least one.", field="shards")
    if replicas < 1:
        raise BadInputError(f"{replicas} replicas were asked for.", remedy="Ask for at least one.", field="replicas")
    return tuple(sorted(set(shards), key=lambda shard: (_weight(segment, shard), shard), reverse=True)[:replicas])


def _weight(segment: str, shard: str) -> bytes:
    return hashlib.blake2b(segment.encode(), digest_size=8, key=hashlib.blake2b(shard.encode()).digest()).digest()
