"""Which events reach whom: the subscriptions of the agents and of the control plane."""

from collections.abc import Iterable
from datetime import timedelta

from factory.actors.agent import Agent
from factory.control import governance, incidents, orchestrator, recovery
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic

# How often the supervisor begins the leases anew of what it works on.
PROLONG_SECONDS = 20.0
_LEASE = timedelta(minutes=2)

ORCHESTRATION = Subscription(
    name=orchestrator.NAME,
    topics=(Topic.SYSTEM,),
    event_types=(
        "ProjectCreated",
        "ValidationPassed",
        "ValidationFailed",
        "ArtifactCommitted",
        "CompensationRequested",
        "StepCompensated",
    ),
    ordered=True,
    priority=10,
)
GOVERNANCE = Subscription(
    name=governance.NAME,
    topics=(Topic.SYSTEM,),
    event_types=("ProjectCreated", "ValidationPassed"),
    ordered=True,
    priority=10,
)
WITHDRAWAL = Subscription(
    name=f"{governance.NAME}.tasks",
    topics=(Topic.SYSTEM,),
    event_types=("TaskAssigned",),
    payload={"agent": governance.NAME},
    ordered=True,
    priority=10,
)
RECOVERY = Subscription(
    name=recovery.NAME,
    topics=(Topic.SYSTEM,),
    event_types=recovery.EVENT_TYPES,
    ordered=True,
    priority=10,
)
OBSERVABILITY = Subscription(
    name=incidents.NAME,
    topics=(Topic.SYSTEM,),
    event_types=incidents.EVENT_TYPES,
    ordered=True,
)
CONTROL = (ORCHESTRATION, GOVERNANCE, WITHDRAWAL, RECOVERY, OBSERVABILITY)


def topic_of(agent: type[Agent]) -> Topic:
    """Return the topic of an agent's sub-cluster; utility agents listen to the system topic."""
    subcluster = agent.spec.subcluster
    return Topic(subcluster) if subcluster in set(Topic) else Topic.SYSTEM


def topics_of(agents: Iterable[type[Agent]]) -> dict[str, Topic]:
    """Return the topic of each agent by the agent's name."""
    return {agent.spec.name: topic_of(agent) for agent in agents}


def agent_subscriptions(agents: Iterable[type[Agent]]) -> tuple[Subscription, ...]:
    """Return one subscription per agent and kind of event: tasks by name, other events by type."""
    found: list[Subscription] = []
    for agent in agents:
        spec = agent.spec
        if "TaskAssigned" in spec.consumes:
            found.append(
                Subscription(
                    name=spec.name,
                    topics=(topic_of(agent),),
                    event_types=("TaskAssigned",),
                    payload={"agent": spec.name},
                    lease=_LEASE,
                )
            )
        others = tuple(name for name in spec.consumes if name != "TaskAssigned")
        if others:
            topics = spec.topics or (Topic.SYSTEM,)
            found.append(
                Subscription(
                    name=events_subscription(agent),
                    topics=topics,
                    event_types=others,
                    payload=spec.accepts,
                    lease=_LEASE,
                )
            )
    return tuple(found)


def events_subscription(agent: type[Agent]) -> str:
    """Return the name of the subscription by which an agent receives events other than its tasks."""
    return f"{agent.spec.name}.events"


def agent_of(subscription: str) -> str:
    """Return the agent that a subscription of `agent_subscriptions` belongs to."""
    return subscription.removesuffix(".events")
