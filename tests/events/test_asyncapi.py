"""The AsyncAPI document is valid, complete, and its examples fulfil what it says."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field

from factory.actors.roster import load_roster
from factory.actors.senders import known_senders
from factory.actors.subscriptions import CONTROL, agent_subscriptions
from factory.events.asyncapi import UNKNOWN_SENDER, Sender, document, payload_example
from factory.events.contracts.payload import Payload
from factory.events.envelope import Envelope
from factory.events.registry import REGISTRY, Registry
from factory.events.subscriptions import Subscription
from factory.events.topics import Topic

SPECS = "@asyncapi/specs@6.11.1"


class Place(BaseModel):
    """Somewhere."""

    name: str = Field(min_length=12)
    inside: "Place | None" = None


class Moved(Payload, topics=(Topic.SYSTEM, Topic.VISION), changes=("adds places",)):
    """Something moved."""

    places: Annotated[list[Place], Field(min_length=2)]
    counts: dict[str, int]
    ratio: float = Field(gt=0, le=1)
    code: str = Field(max_length=2)


class Hidden(Payload, topics=(Topic.SYSTEM,)):
    """No example can be made of its pattern."""

    code: str = Field(pattern=r"^\d{7}-x$")


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The JSON Schema that the AsyncAPI initiative publishes for version 3.0.0."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is needed to fetch the schema of AsyncAPI")
    folder = tmp_path_factory.mktemp("asyncapi")
    packed = subprocess.run(
        [npm, "pack", "--silent", SPECS], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert packed.returncode == 0, packed.stderr
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        member = archive.extractfile("package/schemas/3.0.0.json")
        assert member is not None
        return jsonschema_rs.validator_for(json.load(member))


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The document of the factory as it is."""
    agents = list(load_roster(()))
    subscriptions = [*CONTROL, *agent_subscriptions(agents)]
    return document(REGISTRY, version="1.2.3", subscriptions=subscriptions, senders=known_senders(agents))


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    """A document of contracts with definitions, bounds and filters."""
    return document(
        Registry([Moved, Hidden]),
        version="1.2.3",
        subscriptions=[
            Subscription(name="watcher"),
            Subscription(name="picky", topics=(Topic.VISION,), event_types=("Moved",), payload={"code": "x"}),
            Subscription(name="deaf", topics=(Topic.DEPLOYMENT,)),
        ],
        senders=[Sender("mover", ("Moved",))],
    )


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("which", ["whole", "small"])
def test_the_document_is_valid_and_its_references_lead_somewhere(
    which: str, official: Any, request: pytest.FixtureRequest
) -> None:
    made = request.getfixturevalue(which)
    assert [error.message for error in official.iter_errors(made)] == []
    for reference in references(made):
        node = made
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_contract_is_a_message_on_its_channels(whole: dict[str, Any]) -> None:
    for contract in REGISTRY:
        name = f"{contract.event_type}.v{contract.event_version}"
        on = {topic for topic, channel in whole["channels"].items() if name in channel["messages"]}
        assert on == {topic.value for topic in contract.event_topics}
    assert set(whole["channels"]) == {topic.value for topic in Topic}


def test_every_message_is_sent_and_agents_send_and_receive(whole: dict[str, Any]) -> None:
    operations = whole["operations"]
    sent = {
        reference for operation in operations.values() if operation["action"] == "send"
        for reference in references(operation["messages"])
    }  # fmt: skip
    assert sent == {
        f"#/channels/{topic}/messages/{name}"
        for topic, channel in whole["channels"].items()
        for name in channel["messages"]
    }
    received = operations["backend-developer.receive.development"]
    assert references(received["messages"]) == ["#/channels/development/messages/TaskAssigned.v1"]
    assert received["x-filter"] == {"payload": {"agent": "backend-developer"}}
    assert "backend-developer.send.system" in operations


def test_senders_name_contracts_that_exist() -> None:
    known = {contract.event_type for contract in REGISTRY}
    for sender in known_senders(load_roster(())):
        assert set(sender.event_types) <= known, sender.name


def test_examples_fulfil_envelope_and_contract(whole: dict[str, Any]) -> None:
    for contract in REGISTRY:
        message = whole["components"]["messages"][f"{contract.event_type}.v{contract.event_version}"]
        (example,) = message["examples"]
        event = Envelope.model_validate({**example["headers"], "payload": example["payload"]})
        REGISTRY.check_publication(event)
        assert isinstance(event.correlation_id, UUID)
        assert message["correlationId"]["location"] == "$message.header#/correlation_id"


def test_definitions_bounds_and_filters(small: dict[str, Any]) -> None:
    schemas = small["components"]["schemas"]
    assert schemas["Moved.v1"]["properties"]["places"]["items"] == {"$ref": "#/components/schemas/Moved.v1.Place"}
    assert "Moved.v1.Place" in schemas
    assert small["components"]["messages"]["Moved.v1"]["x-changes"] == ["adds places"]
    example = payload_example(Moved)
    assert example is not None
    assert (len(example["places"]), example["ratio"], example["code"]) == (2, 1, "co")
    assert payload_example(Hidden) is None
    assert "examples" not in small["components"]["messages"]["Hidden.v1"]
    assert set(small["operations"]) == {
        "mover.send.vision", "mover.send.system", f"{UNKNOWN_SENDER}.send.system",
        "watcher.receive.vision", "watcher.receive.system", "picky.receive.vision",
    }  # fmt: skip


def test_the_schema_file_is_not_needed_to_stay(tmp_path: Path, whole: dict[str, Any]) -> None:
    """The document survives being written and read: nothing in it is more than JSON."""
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(whole))
    assert json.loads(path.read_text()) == whole
