"""The Observability Coordinator: tells from what is observed when something is wrong, and when it is over (R05)."""

from typing import ClassVar

from factory.actors.agent import Agent, AgentSpec, Work
from factory.actors.drafts import draft
from factory.artifacts.blobs import BlobStore
from factory.domain.telemetry import Figure, Incident
from factory.events.contracts.observability import IncidentClosed, IncidentRaised, TelemetryObserved
from factory.recovery.incidents import Breach, IncidentRules
from factory.settings import Settings
from factory.skills.catalogue import Catalogue

OPEN_INCIDENTS = "open-incidents"
_SAYS = {
    Figure.READY: "{value:g} deliveries wait for {subject}; {limit:g} are fine.",
    Figure.WAITING_SECONDS: "A delivery has waited for {subject} for {value:.0f} s; {limit:g} s are fine.",
    Figure.DEAD_LETTERS: "{value:g} deliveries to {subject} were given up within ten minutes; {limit:g} are fine.",
    Figure.TASK_SECONDS: "A task of {subject} has not ended for {value:.0f} s; {limit:g} s are fine.",
    Figure.LATE_OWNERS: "{value:g} supervisors are silent, and nobody has taken over their deliveries.",
}


class ObservabilityCoordinator(Agent):
    """Raises incidents and closes them, by `incidents.yaml`.

    The supervisors observe, and wake this agent only where something has changed, so that it too can scale to zero.
    The control plane records what it says, once for each incident that is really new, and tells the owners.
    """

    spec: ClassVar[AgentSpec] = AgentSpec(
        name="observability-coordinator",
        title="Observability Coordinator",
        subcluster="utility",
        consumes=(TelemetryObserved.event_type,),
        facts=(OPEN_INCIDENTS,),
        batch=4,
        max_size=1,
    )

    def __init__(self, store: BlobStore, catalogue: Catalogue, settings: Settings) -> None:
        super().__init__(store, catalogue, settings)
        self._rules = IncidentRules.load(settings.incident_rules)

    async def execute(self, work: Work) -> None:
        """Compare what was observed with the rules and with what is open."""
        observed = TelemetryObserved.model_validate(work.task.payload, extra="ignore")
        known = work.task.facts.get(OPEN_INCIDENTS)
        incidents = [Incident.model_validate(item) for item in known] if isinstance(known, list) else []
        breaches, over = self._rules.judge(observed.observations, incidents)
        raised = [draft(_raised(breach), key=f"{breach.rule.name}/{breach.subject}") for breach in breaches]
        closed = [
            draft(
                IncidentClosed(incident_id=incident.id, rule=incident.rule, subject=incident.subject),
                key=str(incident.id),
            )
            for incident in over
        ]
        work.events = (*raised, *closed)


def _raised(breach: Breach) -> IncidentRaised:
    rule = breach.rule
    return IncidentRaised(
        rule=rule.name,
        subject=breach.subject,
        severity=rule.severity,
        figure=rule.figure,
        value=breach.value,
        limit=rule.above,
        summary=_SAYS[rule.figure].format(value=breach.value, subject=breach.subject, limit=rule.above),
        notify=list(rule.notify),
        channel=rule.channel,
    )
