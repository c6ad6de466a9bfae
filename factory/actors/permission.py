"""What policy lets agents do on the bus (R15): decided once for each agent and topic, and not for each event."""

from collections.abc import Iterable
from pathlib import Path

from factory.actors.agent import Agent
from factory.actors.subscriptions import agent_subscriptions, topic_of
from factory.domain.errors import BadInputError, ErrorCategory
from factory.domain.task import Outcome, TaskError
from factory.events.topics import Topic
from factory.identity.access import Action, Resource, ResourceType
from factory.identity.identity import service_principal
from factory.identity.policy import PolicyEngine
from factory.identity.principal import EVERY_TENANT


class Permissions:
    """Holds agents to policy. An agent acts as `service:NAME`, for every tenant."""

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine
        self._publishing: dict[tuple[str, str], str | None] = {}

    @classmethod
    def load(cls, folder: Path | None) -> "Permissions":
        """Read the policies.

        Raises:
            BadInputError: One of them cannot be used.
        """
        return cls(PolicyEngine.load(folder))

    def check(self, agents: Iterable[type[Agent]]) -> None:
        """Make sure that agents may work, and may receive what they subscribe to.

        Raises:
            BadInputError: One may not; the message names it and the policy.
        """
        for agent in agents:
            name = agent.spec.name
            topics = {topic for subscription in agent_subscriptions([agent]) for topic in subscription.topics}
            asked = [(Action.EXECUTE_AGENT, _agent(name)), (Action.ASSIGN_TASK, _project())]
            asked += [(Action.RECEIVE_EVENT, _topic(topic)) for topic in sorted({*topics, topic_of(agent)})]
            for action, resource in asked:
                decision = self._engine.decide(service_principal(name), action, resource)
                if not decision.allowed:
                    raise BadInputError(
                        f"policy forbids {action} on {resource.id or 'projects'} to the agent {name}: "
                        f"{decision.reason} ({', '.join(decision.policies) or 'no policy permits it'}).",
                        remedy="Change the policy, or take the agent out of the roster.",
                        field="FACTORY_POLICY_DIR",
                    )

    def held_to(self, outcome: Outcome) -> Outcome:
        """Return an outcome, or in place of one that publishes where its agent may not, the error that it is."""
        for draft in outcome.events:
            key = (outcome.agent, draft.topic)
            if key not in self._publishing:
                self._publishing[key] = self._refusal(*key)
            refusal = self._publishing[key]
            if refusal is not None:
                error = TaskError(
                    message=refusal,
                    category=ErrorCategory.VALIDATION,
                    retryable=False,
                    error_type="ForbiddenError",
                )
                return Outcome(task_id=outcome.task_id, agent=outcome.agent, spans=outcome.spans, error=error)
        return outcome

    def _refusal(self, agent: str, topic: str) -> str | None:
        decision = self._engine.decide(service_principal(agent), Action.PUBLISH_EVENT, _topic(Topic(topic)))
        return None if decision.allowed else f"{agent} may not publish on {topic}: {decision.reason}."


def _topic(topic: Topic) -> Resource:
    return Resource(ResourceType.TOPIC, topic.value, EVERY_TENANT)


def _agent(name: str) -> Resource:
    return Resource(ResourceType.AGENT, name, EVERY_TENANT)


def _project() -> Resource:
    return Resource(ResourceType.PROJECT, "", EVERY_TENANT)
