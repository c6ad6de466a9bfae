"""The factory on a Ray cluster that others run: the applications that a RayService's `serveConfigV2` names.

`factory up` starts Ray, a supervisor and the gateway by itself. On a cluster, Ray Serve keeps both alive: it restarts
what dies, drains what goes, and replaces replica by replica when the code changes. Settings are read where they are
used, from the environment of each container: secrets never pass through Ray's own store.
"""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from ray import serve

from factory.actors.roster import SUBCLUSTERS, load_roster
from factory.actors.supervisor import SupervisorActor
from factory.domain.errors import BadInputError
from factory.serve.deployment import gateway_application
from factory.settings import Settings

_DRAIN_SECONDS = 60
_HEALTH_SECONDS = 10
_CALLS = 100


def _known(name: str) -> str:
    if name not in subcluster_names():
        raise ValueError(f"there is no sub-cluster {name!r}; there are {', '.join(subcluster_names())}")
    return name


class SupervisorArguments(BaseModel):
    """What an application of a supervisor is told.

    Attributes:
        subcluster: Whose pools it runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subcluster: Annotated[str, AfterValidator(_known)]


def subcluster_names() -> list[str]:
    """Return the names of the sub-clusters, each a worker group of the cluster."""
    return [folder.__name__.rpartition(".")[2] for folder in SUBCLUSTERS]


def gateway(_: dict[str, Any]) -> serve.Application:
    """Return the gateway, as many replicas of it as the settings say.

    Raises:
        BadInputError: The settings do not say how clients reach it.
    """
    settings = Settings()
    if settings.gateway_url is None:
        raise BadInputError(
            "a gateway on a cluster must be told how clients reach it.",
            remedy="Set FACTORY_GATEWAY_URL to its public URL.",
            field="FACTORY_GATEWAY_URL",
        )
    return gateway_application(settings, settings.gateway_url.rstrip("/"), carry=False)


def supervisor(arguments: SupervisorArguments) -> serve.Application:
    """Return the supervisor of one sub-cluster's pools."""
    deployment: Any = SupervisorDeployment
    application: serve.Application = deployment.options(name=f"supervisor-{arguments.subcluster}").bind(
        arguments.subcluster
    )
    return application


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=_CALLS,
    health_check_period_s=_HEALTH_SECONDS,
    graceful_shutdown_timeout_s=_DRAIN_SECONDS + 10,
    ray_actor_options={"num_cpus": 0},
)
class SupervisorDeployment:
    """One supervisor; where it ends by an error, its process does, and Ray Serve starts another.

    Each replica has a name of its own on the bus. What a dead one held goes to the others when its lease ends.

    Args:
        subcluster: Whose pools it runs.
    """

    async def __init__(self, subcluster: str) -> None:  # type: ignore[misc] # Ray Serve awaits it
        settings = Settings()
        roster = load_roster(tuple(settings.plugins))
        agents = [agent.spec.name for agent in roster if agent.spec.subcluster == subcluster]
        name = f"{subcluster}-{serve.get_replica_context().replica_id.unique_id}"
        self._hosted = SupervisorActor(settings, name, agents)

    async def __call__(self) -> dict[str, int]:
        """Return how many actors each pool has."""
        return {size.agent: size.size for size in await self._hosted.sizes()}

    async def __del__(self) -> None:
        """Let the work under way end."""
        await self._hosted.drain(timedelta(seconds=_DRAIN_SECONDS))
