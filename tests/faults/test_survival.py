"""The two loads under faults, with fixed seeds; `make chaos` runs the same for as long as one likes.

`CHAOS_SEED` repeats a run with the plan of another seed.
"""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from tests.faults import synthetic
from tests.faults.arena import Arena, Scale, Verdict
from tests.faults.garden import Garden, Plot
from tests.faults.nemesis import DECK, draw_plan
from tests.faults.synthetic import Behaviour

SEED = int(os.environ.get("CHAOS_SEED", "2"))


def judge(verdict: Verdict, folder: Path) -> None:
    """Show what happened where pytest shows it, and fail with everything that is wrong."""
    print("\n".join(verdict.lines()))  # noqa: T201 - pytest shows it when the test fails
    planned = json.loads((folder / "plan.json").read_text())
    assert planned == [step.as_dict() for step in verdict.plan]
    assert verdict.violations == []
    assert verdict.emptiness == []


@pytest.mark.timeout(300)
def test_the_bus_keeps_its_invariants_under_faults(tmp_path: Path) -> None:
    verdict = asyncio.run(Arena(tmp_path, SEED, Scale(18, projects=1000, pace=0.5, durable=False)).run())
    judge(verdict, tmp_path)
    assert sum(verdict.struck.values()) >= 10


@pytest.mark.timeout(400)
def test_projects_end_as_they_must_while_hosts_supervisors_and_agents_are_killed(tmp_path: Path) -> None:
    verdict = asyncio.run(Garden(tmp_path, SEED, Plot(22, projects=30, pace=3.0)).run())
    judge(verdict, tmp_path)
    assert sum(verdict.struck.values()) >= 3


def test_the_same_seed_gives_the_same_plan_and_the_same_behaviours() -> None:
    assert draw_plan(5, 60, 0.8) == draw_plan(5, 60, 0.8) != draw_plan(6, 60, 0.8)
    # One deck holds every fault, and a plan begins with a whole deck.
    assert {step.fault for step in draw_plan(5, 60, 0.8)} == set(DECK)
    events = [synthetic.stimulus(5, "client-0", n, UUID(int=1)) for n in range(3000)]
    drawn = [synthetic.draw(5, "plain", event.event_id, 1) for event in events]
    assert drawn == [synthetic.draw(5, "plain", event.event_id, 1) for event in events]
    counted = Counter(item.behaviour for item in drawn)
    assert set(counted) >= set(Behaviour) - {Behaviour.EXIT}
    assert counted[Behaviour.SUCCEED] > 0.8 * len(events)
