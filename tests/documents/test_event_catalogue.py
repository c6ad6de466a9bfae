"""The event catalogue: valid AsyncAPI 3 whose payloads are those of the outbox."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from factory.skills.native.service_design.design import design_service
from factory.skills.native.service_design.events import envelope_schema

SPECS = "@asyncapi/specs@6.11.1"


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


def catalogue(built: Any) -> Any:
    return yaml.safe_load(built.text("specs/asyncapi.yaml"))


def test_the_document_is_valid_asyncapi(built: Any, official: Any) -> None:
    assert [error.message for error in official.iter_errors(catalogue(built))] == []


def test_every_reference_leads_somewhere(built: Any) -> None:
    document = catalogue(built)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_messages_are_the_published_events_in_the_shape_of_the_outbox(built: Any) -> None:
    design = design_service(built.model)
    messages = catalogue(built).get("components", {}).get("messages", {})
    assert list(messages) == [event.name for event in design.events]
    for event in design.events:
        assert messages[event.name]["payload"] == envelope_schema(built.model, event)


def test_every_message_belongs_to_one_channel_and_is_sent(built: Any) -> None:
    document = catalogue(built)
    in_channels = [name for channel in document["channels"].values() for name in channel["messages"]]
    sent = [
        reference["$ref"].rpartition("/")[2]
        for operation in document["operations"].values()
        for reference in operation["messages"]
    ]
    assert in_channels == sent == list(document.get("components", {}).get("messages", {}))
    assert {operation["action"] for operation in document["operations"].values()} <= {"send"}


def test_examples_are_valid_by_their_own_payload(built: Any) -> None:
    for name, message in catalogue(built).get("components", {}).get("messages", {}).items():
        validator = jsonschema_rs.Draft202012Validator(message["payload"], validate_formats=True)
        for example in message["examples"]:
            assert list(validator.iter_errors(example["payload"])) == [], name


def test_examples_show_the_state_after_the_event(clinic: Any) -> None:
    messages = catalogue(clinic)["components"]["messages"]
    states = {name: message["examples"][0]["payload"]["data"].get("status") for name, message in messages.items()}
    assert states["AppointmentBooked"] == "booked"
    assert states["AppointmentCancelled"] == "cancelled"
    booked = messages["AppointmentBooked"]["examples"][0]["payload"]["data"]
    assert booked["start_time"] < booked["end_time"]


def test_the_file_is_kept_apart_from_the_working_folder(built: Any) -> None:
    assert Path("specs/asyncapi.yaml").parts[0] == "specs"
    assert list(built.made["event-catalogue"].files) == ["specs/asyncapi.yaml"]
