"""Facts: what the supervisor looks up for agents, which have no database connection of their own.

An agent names the facts it needs in its `AgentSpec.facts`; they arrive in `Task.facts` under the same names. One more,
`similar-artifacts`, comes from memory: see `factory.actors.recall`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import JsonValue

from factory.artifacts import records
from factory.control import letters
from factory.domain.artifact import ArtifactStatus
from factory.events.contracts.recovery import RecoveryRequested
from factory.events.delivery import Delivery
from factory.storage.database import Connection

# Reads, in one transaction with everything else that goes into the tasks, what a batch of deliveries needs; answers
# by uid. A delivery without an answer gets null.
FactProvider = Callable[[Connection, Sequence[Delivery]], Awaitable[Mapping[int, JsonValue]]]


async def letter_history(connection: Connection, deliveries: Sequence[Delivery]) -> Mapping[int, JsonValue]:
    """Return what happened before the dead letters that the deliveries are about."""
    found: dict[int, JsonValue] = {}
    for delivery in deliveries:
        letter = delivery.event.read(RecoveryRequested).letter
        found[delivery.uid] = (await letters.read_history(connection, letter)).model_dump(mode="json")
    return found


async def valid_artifacts(connection: Connection, deliveries: Sequence[Delivery]) -> Mapping[int, JsonValue]:
    """Return the ids of the latest valid artifacts of each delivery's project, by kind."""
    found: dict[int, JsonValue] = {}
    for delivery in deliveries:
        project_id = delivery.event.project_id
        if project_id is not None:
            latest = await records.latest(connection, project_id, status=ArtifactStatus.VALID)
            found[delivery.uid] = {artifact.kind: str(artifact.id) for artifact in latest}
    return found


FACTS: dict[str, FactProvider] = {"letter-history": letter_history, "valid-artifacts": valid_artifacts}
