"""The Escalation Router: decides who is asked, how, until when, and what."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.artifacts.blobs import BlobStore
from factory.domain.errors import ErrorCategory, TerminalError
from factory.domain.recovery import RecoveryAction
from factory.events.contracts.recovery import RecoveryDecided, ThresholdExceeded
from factory.recovery.escalation import EscalationPolicies
from factory.recovery.questions import ask_about_agent, ask_about_letter
from factory.settings import Settings
from factory.skills.catalogue import Catalogue


class EscalationRouter(Agent):
    """Turns a decision to ask, and an exceeded threshold, into a question for people.

    The control plane records the question and tells its owners, once for each question that is really new.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="escalation-router",
        title="Escalation Router",
        subcluster="utility",
        consumes=(RecoveryDecided.event_type, ThresholdExceeded.event_type),
        accepts={"action": RecoveryAction.ASK.value},
        batch=32,
        max_size=2,
    )

    def __init__(self, store: BlobStore, catalogue: Catalogue, settings: Settings) -> None:
        super().__init__(store, catalogue, settings)
        self._policies = EscalationPolicies.load(settings.escalation_policies)

    async def execute(self, work: Work) -> None:
        """Put the question."""
        task = work.task
        if task.event_type == RecoveryDecided.event_type:
            decided = RecoveryDecided.model_validate(task.payload, extra="ignore")
            raised = ask_about_letter(decided.letter, self._policies.rule(decided.rule), task.project)
        else:
            exceeded = ThresholdExceeded.model_validate(task.payload, extra="ignore")
            threshold = self._policies.threshold(exceeded.threshold)
            if threshold is None:
                raise TerminalError(
                    f"the threshold {exceeded.threshold!r} is no longer among the escalation policies.",
                    category=ErrorCategory.EXPIRED,
                )
            raised = ask_about_agent(exceeded, threshold)
        work.events = (draft(raised),)
