"""The Retry Manager: decides when a dead letter is delivered again."""

import random
from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.domain.recovery import RecoveryAction
from factory.events.contracts.recovery import RecoveryDecided, RedriveRequested
from factory.recovery.policy import redrive_delay


class RetryManager(Agent):
    """Answers a decision to redrive with a request that is delivered when its time has come.

    The retries of single attempts, before a delivery is given up, need no agent: the supervisor decides them by the
    retry policies in the transaction that records the error.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="retry-manager",
        title="Retry Manager",
        subcluster="utility",
        consumes=(RecoveryDecided.event_type,),
        accepts={"action": RecoveryAction.REDRIVE.value},
        batch=32,
        max_size=2,
    )

    async def execute(self, work: Work) -> None:
        """Choose a delay within the bounds for this redrive."""
        decided = RecoveryDecided.model_validate(work.task.payload, extra="ignore")
        redrive = decided.redrives + 1
        request = RedriveRequested(
            letter=decided.letter.uid,
            fence=decided.letter.fence,
            redrive=redrive,
            reason=f"redrive {redrive} by rule {decided.rule}",
        )
        delay = redrive_delay(decided.delays, redrive, random.random())  # noqa: S311 - spreads load, guards nothing
        work.events = (draft(request, delay_seconds=delay.total_seconds()),)
