"""The synthetic load: events that beget events, and handlers whose behaviour is drawn from the seed.

Everything that is drawn here is a pure function of the seed and of what it is drawn for, so that a run with the same
seed publishes the same events and meets the same behaviours.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from factory.domain.ids import derived_id
from factory.events.conditions import Condition, Operator
from factory.events.contracts.payload import Payload
from factory.events.contracts.system import DeadLettered
from factory.events.envelope import Envelope
from factory.events.registry import REGISTRY, Registry
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic

LEASE = timedelta(seconds=2)
_COLOURS = ("red", "green", "blue")
_SYSTEM = (Topic.SYSTEM,)


class Stimulus(Payload, topics=_SYSTEM):
    """An event of the synthetic load; its handling causes `width` others until `depth` is used up."""

    depth: int = Field(ge=0)
    width: int = Field(ge=0)
    colour: str


BUS_REGISTRY = Registry([*REGISTRY, Stimulus])

PLAIN = Subscription(
    name="plain", event_types=("Stimulus",), lease=LEASE, max_attempts=4, max_losses=1000, topics=_SYSTEM
)
LANE = PLAIN.model_copy(update={"name": "lane", "ordered": True})
RED = PLAIN.model_copy(
    update={
        "name": "red",
        "conditions": (Condition(field=("colour",), operator=Operator.IN, value=["red", "crimson"]),),
        "priority": 5,
    }
)
# Its lanes wait for a person after a dead letter.
STRICT = LANE.model_copy(update={"name": "strict", "agents": ("client-1",), "after_dead_letter": "block"})
# Gives up soon on what takes its worker with it.
FRAGILE = PLAIN.model_copy(
    update={"name": "fragile", "payload": {"colour": "blue"}, "agents": ("client-0",), "max_losses": 3}
)
MOURNER = Subscription(name="mourner", event_types=("DeadLettered",), lease=LEASE, max_losses=1000)
SUBSCRIPTIONS = (PLAIN, LANE, RED, STRICT, FRAGILE, MOURNER)
# Both cause the same children, so that each is published twice and must exist once.
BEGETTERS = frozenset({PLAIN.name, LANE.name})


class Behaviour(StrEnum):
    """What a handler does with one attempt."""

    SUCCEED = "succeed"
    STUMBLE = "stumble"  # an error that may pass
    POISON = "poison"  # an error that will not
    DAWDLE = "dawdle"  # slow
    HANG = "hang"  # longer than the lease
    EXIT = "exit"  # takes the process with it
    SPOIL = "spoil"  # its outcome cannot be committed


# In thousandths; the rest succeeds.
_SHARES = {
    Behaviour.STUMBLE: 30,
    Behaviour.POISON: 8,
    Behaviour.DAWDLE: 20,
    Behaviour.HANG: 4,
    Behaviour.EXIT: 0.5,
    Behaviour.SPOIL: 4,
}
_EXITS_OF_FRAGILE = 40.0


@dataclass(frozen=True, slots=True)
class Draw:
    """A behaviour, and how long it takes."""

    behaviour: Behaviour
    seconds: float = 0.0


def draw(seed: int, subscription: str, event_id: UUID, trial: int) -> Draw:
    """Return what the handler of a subscription does with a trial of an event."""
    chance = _chance(seed, subscription, event_id, trial)
    if subscription == MOURNER.name:
        return Draw(Behaviour.SUCCEED)
    point = chance.uniform(0, 1000)
    shares = {**_SHARES, Behaviour.EXIT: _EXITS_OF_FRAGILE} if subscription == FRAGILE.name else _SHARES
    for behaviour, share in shares.items():
        point -= share
        if point < 0:
            return Draw(behaviour, _duration(behaviour, chance))
    return Draw(Behaviour.SUCCEED)


def _duration(behaviour: Behaviour, chance: random.Random) -> float:
    match behaviour:
        case Behaviour.DAWDLE:
            return min(3.0, 0.05 + chance.expovariate(2.0))
        case Behaviour.HANG:
            return LEASE.total_seconds() + chance.uniform(1.5, 2.5)
        case _:
            return 0.0


def project_of(seed: int, number: int) -> UUID:
    """Return the id of a synthetic project."""
    return derived_id("synthetic project", seed, number)


def stimulus(seed: int, client: str, number: int, project_id: UUID) -> Envelope:
    """Return the event that a client publishes as its number so and so."""
    identity = derived_id("stimulus", seed, client, number)
    chance = _chance(seed, "stimulus", identity)
    payload = Stimulus(
        depth=chance.choices((0, 1, 2, 5), (60, 25, 12, 3))[0],
        width=chance.choices((1, 2), (80, 20))[0],
        colour=chance.choice(_COLOURS),
    )
    return Envelope.of(
        payload,
        topic=Topic.SYSTEM,
        project_id=project_id,
        originating_agent=client,
        traceparent=f"00-{identity.hex}-{identity.hex[:16]}-01",
        event_id=identity,
    )


def children(event: Envelope) -> Iterator[Envelope]:
    """Return the events that the handling of an event causes."""
    if event.event_type != Stimulus.event_type:
        return
    cause = event.read(Stimulus)
    if cause.depth == 0:
        return
    for number in range(cause.width):
        identity = derived_id("child", event.event_id, number)
        colour = _COLOURS[identity.int % len(_COLOURS)]
        child = Stimulus(depth=cause.depth - 1, width=1, colour=colour)
        yield event.caused(child, topic=Topic.SYSTEM, originating_agent="synthetic", event_id=identity)


def spoilt(event: Envelope) -> Envelope:
    """Return a consequence that breaks its contract, so that the bus refuses to publish it."""
    child = event.caused(
        Stimulus(depth=0, width=0, colour="black"),
        topic=Topic.SYSTEM,
        originating_agent="synthetic",
        event_id=derived_id("spoilt", event.event_id),
    )
    return child.model_copy(update={"payload": {"depth": -1, "width": 0, "colour": "black"}})


def is_begotten(event_type: str) -> bool:
    """Tell whether the harness knows what events of this type cause."""
    return event_type in {Stimulus.event_type, DeadLettered.event_type}


def _chance(*parts: object) -> random.Random:
    return random.Random("/".join(str(part) for part in parts))  # noqa: S311 - a run that can be repeated
