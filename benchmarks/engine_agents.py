"""A plugin of the factory for `benchmarks/engine.py`: an agent that does nothing but hand over to the next step.

FACTORY_PLUGINS='["benchmarks.engine_agents"]'
"""

import asyncio
from typing import ClassVar

from pydantic import Field

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.events.contracts.payload import Payload
from factory.events.registry import REGISTRY
from factory.events.topics import Topic


class BenchStep(Payload, topics=(Topic.SYSTEM,)):
    """One step of a chain is due."""

    chain: int
    step: int = Field(ge=1)
    steps: int = Field(ge=1)
    sleep_seconds: float = Field(default=0, ge=0)


class BenchDone(Payload, topics=(Topic.SYSTEM,)):
    """A chain has taken its last step."""

    chain: int


class Relay(Agent):
    """Takes a step: waits as long as a model call would, then asks for the next step or says that it was the last."""

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="relay",
        title="Relay",
        subcluster="utility",
        consumes=(BenchStep.event_type,),
        batch=256,
        concurrency=1024,
        min_size=1,
        max_size=1,
    )

    async def execute(self, work: Work) -> None:
        """Answer a step with the event that follows it."""
        step = BenchStep.model_validate(work.task.payload)
        if step.sleep_seconds:
            await asyncio.sleep(step.sleep_seconds)
        following: Payload = BenchDone(chain=step.chain)
        if step.step < step.steps:
            following = step.model_copy(update={"step": step.step + 1})
        work.events = (draft(following),)


for contract in (BenchStep, BenchDone):
    REGISTRY.add(contract)
