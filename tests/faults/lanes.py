"""I7 from the records of clients and workers: lanes follow the order of their clients, one delivery at a time."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

from factory.storage.database import Connection
from tests.faults.evidence import Claim, Evidence, Publication

# The clocks of server and workers are one clock, read at different moments.
TOLERANCE_SECONDS = 0.005

Rows = list[dict[str, Any]]
# Of an effect in a lane: its subscription and event, its sequence and the uid of its delivery.
Places = Mapping[tuple[str, UUID], tuple[int, int]]

_LANE_ENDS = """
SELECT uid, min(extract(epoch FROM logged_at))::float8 AS at FROM delivery_log
WHERE outcome = 'done' AND uid = ANY ($1) GROUP BY uid
"""


def against_program_order(evidence: Evidence, places: Places) -> Rows:
    """Find events that overtook one which had been acknowledged before they were asked for, in the same lane.

    Only deliveries with a single claim are compared. A redriven dead letter goes to the end of its lane, so that the
    places must leave out.
    """
    claims = Counter(claim.uid for claim in evidence.claims)
    published = {item.event_id: item for item in evidence.publications}
    lanes: dict[tuple[str, UUID], list[tuple[int, Publication]]] = defaultdict(list)
    for (subscription, event_id), (sequence, uid) in places.items():
        item = published.get(event_id)
        if item and item.acknowledged_at is not None and item.available_at is None and claims[uid] == 1:
            lanes[subscription, item.project_id].append((sequence, item))
    return [
        {"subscription": subscription, "project_id": project_id, "earlier": earlier, "later": later}
        for (subscription, project_id), lane in lanes.items()
        for (_, earlier), (_, later) in pairwise(sorted(lane, key=lambda place: place[0]))
        if (later.acknowledged_at or 0.0) < earlier.asked_at
    ]


async def overlapping(connection: Connection, evidence: Evidence, places: Places) -> Rows:
    """Find deliveries of a lane that were begun before the one before them had ended."""
    ends = {row["uid"]: row["at"] for row in await connection.fetch(_LANE_ENDS, [uid for _, uid in places.values()])}
    lanes: dict[tuple[str, UUID], dict[int, Claim]] = defaultdict(dict)
    for claim in evidence.claims:
        sequence, uid = places.get((claim.subscription, claim.event_id), (0, 0))
        if sequence and claim.uid == uid:
            # The last claim is the one that led to the effect at this place.
            lanes[claim.subscription, claim.project_id][sequence] = claim
    return [
        {"subscription": name, "project_id": project_id, "earlier": earlier.uid, "later": later.uid}
        for (name, project_id), lane in lanes.items()
        for (_, earlier), (_, later) in pairwise(sorted(lane.items()))
        if later.taken_at < ends[earlier.uid] - TOLERANCE_SECONDS
    ]
