import asyncio

import pytest

from factory.actors.demand import Demand


async def test_everything_is_asked_for_first_and_then_what_was_rung_for() -> None:
    demand = Demand(["a", "b", "c"], poll_seconds=60)
    room = {"a": 1, "b": 2, "c": 3}
    assert demand.take(room) == room
    assert demand.take(room) == {}
    demand.ring(["b", "somebody else's"])
    assert demand.take(room) == {"b": 2}
    demand.ring()
    assert demand.take(room) == room


async def test_what_there_is_no_room_for_goes_on_waiting() -> None:
    demand = Demand(["a", "b"], poll_seconds=60)
    assert demand.take({"a": 5}) == {"a": 5}
    demand.nudge()
    await asyncio.wait_for(demand.wait(), timeout=5)
    assert demand.take({"a": 5, "b": 1}) == {"b": 1}


async def test_a_wait_ends_with_a_ring_for_one_of_ours_and_with_nothing_else() -> None:
    demand = Demand(["a"], poll_seconds=60)
    demand.take({"a": 1})
    demand.nudge()
    demand.ring(["b"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(demand.wait(), timeout=0.05)
    demand.ring(["a"])
    await asyncio.wait_for(demand.wait(), timeout=5)


async def test_everything_is_asked_for_again_after_a_while_whatever_was_rung_for() -> None:
    demand = Demand(["a", "b"], poll_seconds=0.02)
    demand.take({"a": 1, "b": 1})
    await demand.wait()
    demand.ring(["a"])
    assert demand.take({"a": 1, "b": 1}) == {"a": 1, "b": 1}
