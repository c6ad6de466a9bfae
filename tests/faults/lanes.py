"""I7 from the records of clients and workers: lanes follow the order of their clients, one delivery at a time."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

from factory.storage.database import Connection
from tests.faults.evidence import Claim, Evidence

# The clocks of server and workers are one clock, read at different moments.
TOLERANCE_SECONDS = 0.005

Rows = list[dict[str, Any]]

_LANE_ENDS = """
SELECT uid, min(extract(epoch FROM logged_at))::float8 AS at FROM delivery_log
WHERE outcome = 'done' AND uid = ANY ($1) GROUP BY uid
"""


def against_program_order(evidence: Evidence, places: Mapping[UUID, tuple[int, int]]) -> Rows:
    """Find events that overtook one which had been acknowledged before they were asked for, in the same lane.

    A redriven dead letter goes to the end of its lane, so only deliveries with a single claim are compared.
    """
    claims = Counter(claim.uid for claim in evidence.claims)
    lanes: dict[UUID, Rows] = defaultdict(list)
    for publication in evidence.publications:
        sequence, uid = places.get(publication.event_id, (0, 0))
        known = publication.acknowledged_at is not None and publication.available_at is None
        if sequence and known and claims[uid] == 1:
            lanes[publication.project_id].append(
                {
                    "event_id": publication.event_id,
                    "sequence": sequence,
                    "asked_at": publication.asked_at,
                    "acknowledged_at": publication.acknowledged_at,
                }
            )
    found: Rows = []
    for project_id, lane in lanes.items():
        lane.sort(key=lambda item: item["sequence"])
        found += [
            {"project_id": project_id, "earlier": earlier, "later": later}
            for earlier, later in pairwise(lane)
            if later["acknowledged_at"] < earlier["asked_at"]
        ]
    return found


async def overlapping(connection: Connection, evidence: Evidence, places: Mapping[UUID, tuple[int, int]]) -> Rows:
    """Find deliveries of a lane that were begun before the one before them had ended."""
    ends = {row["uid"]: row["at"] for row in await connection.fetch(_LANE_ENDS, [uid for _, uid in places.values()])}
    lanes: dict[tuple[str, UUID], dict[int, Claim]] = defaultdict(dict)
    for claim in evidence.claims:
        sequence, uid = places.get(claim.event_id, (0, 0))
        if sequence and claim.uid == uid:
            # The last claim is the one that led to the effect at this place.
            lanes[claim.subscription, claim.project_id][sequence] = claim
    return [
        {"subscription": name, "project_id": project_id, "earlier": earlier.uid, "later": later.uid}
        for (name, project_id), lane in lanes.items()
        for (_, earlier), (_, later) in pairwise(sorted(lane.items()))
        if later.at < ends[earlier.uid] - TOLERANCE_SECONDS
    ]
