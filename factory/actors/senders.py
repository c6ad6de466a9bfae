"""Who publishes which events, as far as it is known without running: for the AsyncAPI document."""

from collections.abc import Iterable

from factory.actors.agent import Agent
from factory.control import governance, orchestrator, submission
from factory.events.asyncapi import Sender

CONTROL_PLANE = (
    Sender(submission.NAME, ("ProjectCreated",)),
    Sender(
        orchestrator.NAME,
        ("TaskAssigned", "TaskFailed", "ProjectStatusChanged", "ProjectReleased", "ProjectFailed"),
    ),
    Sender(governance.NAME, ("ArtifactCommitted",)),
)
_VALIDATION = ("ValidationPassed", "ValidationFailed")


def known_senders(agents: Iterable[type[Agent]]) -> tuple[Sender, ...]:
    """Return the control plane and the agents: makers of artifacts announce them, validators their verdicts."""
    found = list(CONTROL_PLANE)
    for agent in agents:
        spec = agent.spec
        made = ("ArtifactCreated",) if spec.produces else ()
        verdicts = _VALIDATION if "ArtifactCreated" in spec.consumes else ()
        if made or verdicts:
            found.append(Sender(spec.name, made + verdicts))
    return tuple(found)
