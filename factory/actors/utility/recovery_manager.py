"""The Recovery Manager: decides by the escalation policies what becomes of each dead letter."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.artifacts.blobs import BlobStore
from factory.domain.recovery import RecoveryAction
from factory.events.contracts.recovery import RecoveryDecided, RecoveryRequested, ThresholdExceeded
from factory.recovery.escalation import EscalationPolicies, History, Rule
from factory.settings import Settings
from factory.skills.catalogue import Catalogue

_REDRIVE_DELAYS = ((60.0, 120.0),)


class RecoveryManager(Agent):
    """Answers every tagged dead letter with a decision, and tells of thresholds that it exceeds.

    It decides on the letter and its history alone, so that the same letter always gets the same answer; the control
    plane, the Retry Manager and the Escalation Router act on it.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="recovery-manager",
        title="Recovery Manager",
        subcluster="utility",
        consumes=(RecoveryRequested.event_type,),
        facts=("letter-history",),
        batch=32,
        max_size=2,
    )

    def __init__(self, store: BlobStore, catalogue: Catalogue, settings: Settings) -> None:
        super().__init__(store, catalogue, settings)
        self._policies = EscalationPolicies.load(settings.escalation_policies)

    async def execute(self, work: Work) -> None:
        """Choose the rule and look at the thresholds."""
        letter = RecoveryRequested.model_validate(work.task.payload, extra="ignore").letter
        history = History.model_validate(work.task.facts.get("letter-history") or {})
        rule = self._policies.choose(letter, history)
        decided = RecoveryDecided(
            letter=letter,
            rule=rule.name,
            action=rule.action,
            redrives=history.redrives,
            delays=list(_delays(rule)),
            to=rule.to,
            notify=list(rule.notify),
        )
        exceeded = [
            ThresholdExceeded(
                threshold=found.threshold.name,
                breach=found.threshold.breach(letter),
                subscription=letter.subscription,
                agent=letter.agent,
                error_type=letter.error_type,
                last_letter=letter.uid,
                count=found.count,
                minutes=found.threshold.minutes,
                severity=letter.severity,
            )
            for found in self._policies.exceeded(letter, history)
        ]
        work.events = (draft(decided), *(draft(event, key=event.threshold) for event in exceeded))


def _delays(rule: Rule) -> tuple[tuple[float, float], ...]:
    return (rule.delays or _REDRIVE_DELAYS) if rule.action is RecoveryAction.REDRIVE else ()
