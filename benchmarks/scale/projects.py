"""Real projects for the rehearsals: handed in, counted while they run, and held to account when they have ended."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.service import BuildRequest, FactoryService

_VISION = Path(__file__).resolve().parents[2] / "examples" / "visions" / "clinic.md"

_STANDING = """
SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM delivery_delayed) AS backlog,
    (SELECT count(*) FROM delivery_log WHERE outcome = 'done') AS done,
    (SELECT count(*) FROM project WHERE status = 'released') AS released,
    (SELECT count(*) FROM project WHERE status IN ('failed', 'compensated')) AS failed
"""
_OUTCOME = """
SELECT count(*) AS done, count(DISTINCT uid) AS once, (SELECT count(*) FROM dead_letter WHERE state = 'open') AS dead,
    (SELECT count(*) FROM delivery_log WHERE outcome = 'retried') AS retried
FROM delivery_log WHERE outcome = 'done'
"""


@dataclass(frozen=True)
class Standing:
    """How far the work is.

    Attributes:
        backlog: Deliveries that wait or are worked on.
        done: Deliveries that were done.
        released: Projects.
        failed: Projects.
    """

    backlog: int
    done: int
    released: int
    failed: int

    @property
    def ended(self) -> int:
        """Projects that have ended, well or badly."""
        return self.released + self.failed


async def begin(factory: FactoryService, projects: int, folder: Path) -> None:
    """Hand in that many projects, to be built into folders of their own."""
    for number in range(projects):
        request = BuildRequest(
            name=f"Clinic {number}",
            slug=f"clinic-{number}",
            vision=_VISION.read_text(),
            blueprint="api-service",
            out_dir=folder / f"out-{number}",
        )
        await factory.begin(request, new=True)


async def standing(factory: FactoryService) -> Standing:
    """Return how far the work is now."""
    (row,) = await factory.database.fetch(_STANDING)
    return Standing(**dict(row))


async def reached(factory: FactoryService, enough: Callable[[Standing], bool], seconds: float) -> Standing:
    """Wait until the work is that far, or so many seconds are over; return how far it is."""
    deadline = time.monotonic() + seconds
    now = await standing(factory)
    while not enough(now) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        now = await standing(factory)
    return now


async def outcome(factory: FactoryService, projects: int) -> dict[str, Any]:
    """Return what was done, with what is wrong with it by name under `faults`."""
    (row,) = await factory.database.fetch(_OUTCOME)
    ended = await standing(factory)
    faults = {
        "projects not released": projects - ended.released,
        "deliveries left": ended.backlog,
        "deliveries done twice": row["done"] - row["once"],
        "open dead letters": row["dead"],
    }
    return {
        "deliveries": row["done"],
        "attempts_repeated": row["retried"],
        "faults": {name: number for name, number in faults.items() if number},
    }
