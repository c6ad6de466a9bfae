"""Facts: what the supervisor looks up for agents, which have no database connection of their own.

An agent names the facts it needs in its `AgentSpec.facts`; they arrive in `Task.facts` under the same names. One more,
`similar-artifacts`, comes from memory: see `factory.actors.recall`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

from pydantic import JsonValue

from factory.artifacts import records
from factory.control import incidents, letters
from factory.domain.artifact import ArtifactRef, ArtifactStatus
from factory.domain.memory import KNOWLEDGE
from factory.events.contracts.recovery import RecoveryRequested
from factory.events.delivery import Delivery
from factory.memory import registry
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


async def _latest_valid(connection: Connection, deliveries: Sequence[Delivery]) -> dict[int, list[ArtifactRef]]:
    found: dict[int, list[ArtifactRef]] = {}
    for delivery in deliveries:
        project_id = delivery.event.project_id
        if project_id is not None:
            found[delivery.uid] = await records.latest(connection, project_id, status=ArtifactStatus.VALID)
    return found


async def valid_artifacts(connection: Connection, deliveries: Sequence[Delivery]) -> Mapping[int, JsonValue]:
    """Return the ids of the latest valid artifacts of each delivery's project, by kind."""
    latest = await _latest_valid(connection, deliveries)
    return {uid: {artifact.kind: str(artifact.id) for artifact in found} for uid, found in latest.items()}


async def embeddable(connection: Connection, deliveries: Sequence[Delivery]) -> Mapping[int, JsonValue]:
    """Return what the deliveries are about, with what semantic memory holds of earlier versions.

    Of artifacts that became valid, the reference; of curated notes, nothing more.
    """
    named: dict[int, UUID] = {}
    found: dict[int, JsonValue] = {}
    for delivery in deliveries:
        payload = delivery.event.payload
        if "notes" in payload:
            held = await registry.held_documents(connection, str(delivery.event.project_id), KNOWLEDGE)
            found[delivery.uid] = {"held": [item.model_dump(mode="json") for item in held]}
        subject = payload.get("artifact_id", payload.get("vision_artifact_id"))
        if isinstance(subject, str):
            named[delivery.uid] = UUID(subject)
    artifacts = await records.get_many(connection, list(named.values()))
    for uid, identity in named.items():
        if identity in artifacts:
            artifact = records.reference(artifacts[identity])
            held = await registry.held_documents(connection, str(artifact.project_id), artifact.kind)
            found[uid] = {
                "artifact": artifact.model_dump(mode="json"),
                "held": [item.model_dump(mode="json") for item in held],
            }
    return found


async def latest_artifacts(connection: Connection, deliveries: Sequence[Delivery]) -> Mapping[int, JsonValue]:
    """Return references to the latest valid artifacts of each delivery's project."""
    latest = await _latest_valid(connection, deliveries)
    return {uid: [artifact.model_dump(mode="json") for artifact in found] for uid, found in latest.items()}


async def open_incidents(connection: Connection, deliveries: Sequence[Delivery]) -> Mapping[int, JsonValue]:
    """Return the incidents that are open, the same for every delivery."""
    found: JsonValue = [incident.model_dump(mode="json") for incident in await incidents.list_open(connection)]
    return {delivery.uid: found for delivery in deliveries}


FACTS: dict[str, FactProvider] = {
    "embeddable": embeddable,
    "latest-artifacts": latest_artifacts,
    "letter-history": letter_history,
    "open-incidents": open_incidents,
    "valid-artifacts": valid_artifacts,
}
